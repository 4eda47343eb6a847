"""The loss terms: errors of states, and the physics terms against the simulator's books.

N windows, H frames ahead, B balls. All terms are means over windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["LOGGED_SLICE", "Balance", "energy", "logged_energy", "logged_momentum", "momentum", "squared"]

LOGGED_SLICE = slice(7, 13)
"""What the log's physics loss takes for the velocities among the 25 features.

They are the kinetic and potential energy of the first ball and x, y, vx and vy of the second.
"""


def squared(found: Tensor, true: Tensor, scale: Tensor, present: Tensor) -> Tensor:
    """Returns the squared error of states in units of `scale`, mean over all but the windows.

    Args:
        found: [N, H, B, 4].
        true: [N, H, B, 4].
        scale: [4].
        present: which balls count, 0 or 1, [N, B].

    Returns:
        [N].
    """
    error = ((found - true) / scale).square().mean((1, 3))
    return (error * present).sum(1) / present.sum(1)


def energy(states: Tensor, mass: Tensor, gravity: Tensor) -> Tensor:
    """Returns the sum over balls of m v^2 / 2 + m g y, in J: [N, H].

    Args:
        states: [N, H, B, 4].
        mass: kg, 0 for balls that are not there, [N, B].
        gravity: m/s^2 downwards at each frame, [N, H].
    """
    kinetic = 0.5 * states[..., 2:].square().sum(-1)
    return ((kinetic + gravity[..., None] * states[..., 1]) * mass[:, None]).sum(-1)


def momentum(states: Tensor, mass: Tensor) -> Tensor:
    """Returns the sum over balls of m v, in kg m/s: [N, H, 2]."""
    return (states[..., 2:] * mass[:, None, :, None]).sum(2)


def logged_energy(found: Tensor, true: Tensor) -> Tensor:
    """Returns the log's energy term of features [N, H, 25], which takes the wrong slice."""
    both = [part[..., LOGGED_SLICE].square().sum(-1) for part in (found, true)]
    return (both[0] - both[1]).square().mean()


def logged_momentum(found: Tensor, true: Tensor) -> Tensor:
    """Returns the log's momentum term of features [N, H, 25], which takes the wrong slice."""
    both = [part[..., LOGGED_SLICE].sum(-1) for part in (found, true)]
    return (both[0] - both[1]).square().mean()


class Balance:
    """Factors that make terms of different units comparable.

    `start` divides each term by its value before training. `relobralo` does so and multiplies by
    weights that grow for terms which have fallen less than others (ReLoBRaLo; Bischof and Kraus
    2021), with memory `ALPHA` and temperature `TEMPERATURE`; with probability 1 - `RHO` a step
    compares with the start rather than with the step before. `none` leaves the terms as they are.

    Args:
        kind: `start`, `relobralo` or `none`.
        start: each term's value before training, by name.
        seed: of the comparisons with the start.
    """

    ALPHA, RHO, TEMPERATURE = 0.999, 0.99, 1.0

    def __init__(self, kind: str, start: Mapping[str, float], seed: int) -> None:
        self.kind, self.seed = kind, seed
        self.start = dict(start)
        self.weights = dict.fromkeys(start, 1.0)
        self.last = dict(start)

    def factor(self, name: str) -> float:
        """The factor of a term now."""
        if self.kind == "none":
            return 1.0
        # A term that begins at 0 has nothing to be compared with.
        return self.weights[name] / (self.start[name] or 1.0)

    def after_step(self, step: int, values: Mapping[str, float]) -> None:
        """Takes the values of all terms, without factors, in the step that was just done."""
        if self.kind != "relobralo":
            return
        names = list(self.start)
        # The sampler's stream is [seed, step].
        back = np.random.default_rng([self.seed, step, 1]).random() >= self.RHO
        before = [self.weights[name] for name in names]
        from_start = _shares([values[name] for name in names], [self.start[name] for name in names], self.TEMPERATURE)
        from_last = _shares([values[name] for name in names], [self.last[name] for name in names], self.TEMPERATURE)
        kept = from_start if back else before
        self.weights = {
            name: self.ALPHA * old + (1 - self.ALPHA) * new
            for name, old, new in zip(names, kept, from_last, strict=True)
        }
        self.last = {name: values[name] for name in names}

    def state_dict(self) -> dict[str, Any]:
        """Returns the values at the start and of the last step, and the weights."""
        return {"start": self.start, "weights": self.weights, "last": self.last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.start, self.weights, self.last = (dict(state[name]) for name in ("start", "weights", "last"))


def _shares(now: Sequence[float], before: Sequence[float], temperature: float) -> list[float]:
    """Softmax of the ratios now / before over the temperature, times their number."""
    ratios = torch.tensor(now, dtype=torch.float64) / torch.tensor(before, dtype=torch.float64).clamp(min=1e-12)
    shares = torch.softmax(ratios / temperature, 0) * len(now)
    return [float(share) for share in shares]
