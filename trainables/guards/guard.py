"""What a guard is, what it gets to see, and the watch that calls all guards of a trial."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainables.finding import Finding
from trainables.measure import Measure

if TYPE_CHECKING:
    from trainables.family import Batch, Task

__all__ = ["Guard", "Interval", "Watch", "looks_at"]

LOOKS = 16
"""Steps of an interval between two reports that guards look into, where it has as many."""


@dataclass(frozen=True)
class Interval:
    """What has happened since the report before.

    Attributes:
        step: optimizer steps done, of the whole trial.
        steps: optimizer steps of this interval.
        budget: optimizer steps of a whole trial.
        seconds: training seconds of this interval, without evaluation, saving and guards.
        losses: the loss of every step, float64 [steps].
        rates: learning rate of each parameter group of each optimizer, as it stands now.
        objective: the family's objective on validation; NaN where this worker does not evaluate.
        minimise: whether smaller is better.
    """

    step: int
    steps: int
    budget: int
    seconds: float
    losses: npt.NDArray[np.float64]
    rates: tuple[float, ...]
    objective: Measure
    minimise: bool


class Guard:
    """Watches a trial for one way in which its score could mislead.

    The three hooks are called in the order of their definition, on the steps that `looks_at` names; `report` at every
    evaluation. A guard changes nothing: neither gradients nor the generators' states, whatever it computes.
    `state_dict` holds what must survive a resume, as plain values and tensors.
    """

    name: ClassVar[str]

    def started(self, task: Task) -> None:
        """The trial's task is built, and nothing trained."""
        self.task = task

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """The loss terms of step `step` (from 0) are computed, their graph is alive."""

    def before_update(self, step: int) -> None:
        """Gradients are in place."""

    def after_update(self, step: int) -> None:
        """The optimizers have stepped."""

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Findings that are new, or whose number has changed."""
        return ()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""


def looks_at(step: int, every: int) -> bool:
    """Whether guards look into step `step` (from 0), a report coming every `every` steps: the first two, and `LOOKS` of an interval.

    Which ones is a fixed pseudo-random choice (Knuth's multiplicative hash), so that no period of the training hides from it.
    """
    return step < 2 or (step * 2654435761 % 2**32) * every < LOOKS * 2**32


class Watch:
    """All guards of one trial, and the time that they take."""

    def __init__(self, guards: Sequence[Guard], task: Task, every: int) -> None:
        self.guards, self._every = list(guards), every
        self.seconds = 0.0
        self._losses: list[Tensor] = []
        for guard in self.guards:
            guard.started(task)

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """See `Guard`."""
        if looks_at(step, self._every):
            began = time.perf_counter()
            for guard in self.guards:
                guard.before_backward(step, batch, terms)
            self.seconds += time.perf_counter() - began

    def before_update(self, step: int) -> None:
        """See `Guard`."""
        if looks_at(step, self._every):
            began = time.perf_counter()
            for guard in self.guards:
                guard.before_update(step)
            self.seconds += time.perf_counter() - began

    def after_update(self, step: int, loss: Tensor) -> None:
        """See `Guard`; `loss` is the step's, detached, and stays on its device until the report."""
        self._losses.append(loss)
        if looks_at(step, self._every):
            began = time.perf_counter()
            for guard in self.guards:
                guard.after_update(step)
            self.seconds += time.perf_counter() - began

    def losses(self) -> npt.NDArray[np.float64]:
        """The loss of every step since the last call, float64 [steps]."""
        found = torch.stack(self._losses).double().cpu().numpy() if self._losses else np.zeros(0)
        self._losses.clear()
        return np.asarray(found)

    def report(self, interval: Interval) -> list[Finding]:
        """What all guards have to say."""
        began = time.perf_counter()
        found = [finding for guard in self.guards for finding in guard.report(interval)]
        self.seconds += time.perf_counter() - began
        return found

    def state_dict(self) -> dict[str, Any]:
        """By guard."""
        return {guard.name: guard.state_dict() for guard in self.guards}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """A guard that the state does not know begins afresh."""
        for guard in self.guards:
            if guard.name in state:
                guard.load_state_dict(state[guard.name])
