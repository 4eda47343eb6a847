"""The guards of this family: physics terms that read the wrong numbers, or swamp the data term."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from leadline.finding import Finding
from leadline.task import Batch, Task
from leadline.training.guards.guard import Guard, Interval, News
from trainables.physics.features import PER_BALL
from trainables.physics.task import PhysicsTask

__all__ = ["Swamped", "WrongNumbers"]

QUANTITIES = ("x", "y", "vx", "vy", "mass", "radius", "kinetic energy", "potential energy")
"""The features of a ball, in the log's order, of which a state has the first four."""

SWAMPED = 100.0
"""Gradient of the physics terms over that of the data term, beyond which the latter does not count.

Sound runs have 0.5 to 22, terms in the log's pixels 1e11; its logged losses, 1389 and 9.6, 145.
"""


class WrongNumbers(Guard):
    """Demands that physics terms depend on what they are terms of: the velocities of every ball.

    It differentiates each term, once, by a prediction that is the truth with noise. Momentum is a
    function of vx and vy; energy of y as well. The features of the log's layout hold energies too,
    which are predictions in their own right and are no velocities. The number is the count of
    features that a term reads and should not, or does not read and should.
    """

    name = "physics_slices"

    def started(self, task: Task) -> None:
        """Looks at the terms of the untrained model."""
        super().started(task)
        self._news = News()
        self._found = list(self._look(task)) if isinstance(task, PhysicsTask) and task.terms else []

    def _look(self, task: PhysicsTask) -> Iterator[Finding]:
        batch = task.batch(0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            with torch.no_grad():
                output = task.model(batch["seen"], batch["flight"], batch["balls"], batch["world"])
            noisy = (output + torch.randn_like(output)).requires_grad_()
        with torch.enable_grad():
            for name, term in task.physics_terms(noisy, batch).items():
                (gradient,) = torch.autograd.grad(term, noisy, retain_graph=True)
                yield self._judge(name, gradient)

    def _judge(self, name: str, gradient: Tensor) -> Finding:
        read = gradient.abs().sum((0, 1))
        each = read.view(-1, 4) if gradient.ndim == 4 else read[1:].view(-1, PER_BALL)
        needed, allowed = {"vx", "vy"}, {"vx", "vy"} | ({"y"} if name == "energy" else set())
        missed, strange = [], []
        for ball, values in enumerate(each.tolist(), 1):
            for quantity, value in zip(QUANTITIES, values, strict=False):
                if quantity in needed and value == 0:
                    missed.append(f"{quantity} of ball {ball}")
                elif quantity not in allowed and value != 0:
                    strange.append(f"{quantity} of ball {ball}")
        wrong = bool(missed or strange)
        parts = [f"reads {', '.join(strange)}"] * bool(strange) + [f"does not read {', '.join(missed)}"] * bool(missed)
        sentence = f"The term {name} {' and '.join(parts)}." if wrong else f"The term {name} reads the velocities."
        return Finding(self.name, wrong, float(len(missed) + len(strange)), sentence, name)

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Reports what was found at the start."""
        return self._news.of(self._found)

    def state_dict(self) -> dict[str, Any]:
        """Returns what was said."""
        return {"told": self._news.told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._news.told = dict(state["told"])


class Swamped(Guard):
    """Watches whether the gradient of the physics terms leaves anything of the data term's.

    Fires where the norm of the former is more than `SWAMPED` times that of the latter, in the mean
    over the logarithms of an interval's looks. The number is that ratio.
    """

    name = "physics_balance"
    looks: ClassVar[int] = 4

    def __init__(self) -> None:
        self._logs: list[float] = []
        self._news = News()

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """Compares the two gradients; the step's own is left alone."""
        physics = [term for name, term in terms.items() if name != "data" and term.requires_grad]
        if not physics:
            return
        parameters = [p for p in self.task.model.parameters() if p.requires_grad]
        own, other = (_norm(term, parameters) for term in (terms["data"], torch.stack(physics).sum()))
        if own > 0 and other > 0:
            self._logs.append(float(torch.log(other / own)))

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Reports on the interval's looks."""
        if not self._logs:
            return ()
        ratio = float(torch.tensor(self._logs).mean().exp())
        self._logs = []
        sentence = f"The gradient of the physics terms is {ratio:.3g} times that of the data term" + (
            ", which therefore hardly counts: their units are not balanced." if ratio > SWAMPED else "."
        )
        return self._news.of([Finding(self.name, ratio > SWAMPED, ratio, sentence, "data")])

    def state_dict(self) -> dict[str, Any]:
        """Returns the looks since the last report, and what was said."""
        return {"logs": self._logs, "told": self._news.told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._logs = list(state["logs"])
        self._news.told = dict(state["told"])


def _norm(term: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    found = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
    return torch.stack([g.square().sum() for g in found if g is not None]).sum().sqrt()
