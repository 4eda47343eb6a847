"""A trained network with its configuration and data, for the other modules to question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leadline.analysis.sweep import Sweep, TrialView
from leadline.config import ConfigError
from leadline.measure import Measure
from leadline.plain import plural
from trainables.collatz.baselines import potentials
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CollatzData
from trainables.collatz.family import COLLATZ
from trainables.collatz.features import F64, I64, features
from trainables.collatz.metrics import Potential

__all__ = [
    "FIRST_SEED",
    "Change",
    "Subject",
    "fresh_seeds",
    "network_potential",
    "opened",
    "sum_potential",
    "training",
    "values_of",
]

FIRST_SEED = 7_000_000
"""The seed of the first replicate; the others follow.

It is far from the seeds of searches, which may have picked a trial for its seed.
"""

SUM = "sum of ln T^k"
"""The name of the zero-parameter formula among the baselines."""

Change = Callable[[Tensor], Tensor]
"""A change of the inputs, float32 [rows, width] to the same shape; it returns a new tensor."""

_ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Subject:
    """A network in eval mode on the CPU; `name` is what titles call it."""

    name: str
    config: CollatzConfig
    data: CollatzData
    model: nn.Module

    @staticmethod
    def of(view: TrialView, config: CollatzConfig) -> Subject:
        """Returns the trial with the weights of its checkpoint.

        Raises:
            ValueError: if it has no intact checkpoint.
        """
        model = view.load()
        return Subject(f"{view.sweep.name}, trial {view.number}", config, COLLATZ.build_data(config), model)

    def potential(self, change: Change | None = None) -> Potential:
        """Returns the network's V, of changed inputs if a change is given."""
        return network_potential(self.config, self.data, self.model, change)

    def formula(self) -> Potential:
        """Returns the zero-parameter sum at the network's lookahead."""
        return sum_potential(self.data, self.config.lookahead)


def opened(sweep: str, number: int) -> tuple[TrialView, CollatzConfig]:
    """Opens a trial of a sweep and its configuration, without reading weights.

    Raises:
        ConfigError: if the sweep trained another family, or the configuration is no longer
            accepted.
        ValueError: if there is no such sweep or trial.
    """
    found = Sweep.open(sweep)
    family = found.settings.family
    if family != COLLATZ.name:
        raise ConfigError(f"sweep: {found.name} trained {family}; this command reads sweeps of {COLLATZ.name}")
    view = found.trial(number)
    return view, COLLATZ.config(view.config)


def training(networks: int, steps: int) -> str:
    """Writes `trains 14 networks of 2000 steps`, said before a command trains for minutes."""
    return f"trains {plural(networks, 'network')} of {plural(steps, 'step')}"


def fresh_seeds(replicates: int) -> list[int]:
    """Returns the seeds of replicates.

    They are the same for everything that is compared, so that rows and first weights are paired.
    """
    return [FIRST_SEED + r for r in range(replicates)]


def network_potential(
    config: CollatzConfig, data: CollatzData, model: nn.Module, change: Change | None = None
) -> Potential:
    """Returns V of nodes, float32 [rows].

    `change` sees the inputs of all nodes of a call together.
    """

    def values(index: I64) -> npt.NDArray[np.float32]:
        x = torch.from_numpy(features(data.nodes, index, config.lookahead, config.features))
        with torch.no_grad():
            parts = [model(part) for part in torch.split(x if change is None else change(x), _ROWS_AT_ONCE)]
        return np.asarray(torch.cat(parts).numpy())

    return values


def sum_potential(data: CollatzData, lookahead: int) -> Potential:
    """Returns the sum of ln T^j(n) over j = 0..lookahead, as a function of orbit nodes."""
    return potentials(data, lookahead)[SUM]


def values_of(measure: Measure) -> F64:
    """Returns the values of the units behind a mean, float64 [n]; NaN if one was not finite."""
    return np.array(measure.units) if measure.units else np.full(measure.n, np.nan)
