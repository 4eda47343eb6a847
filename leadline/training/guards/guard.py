"""What a guard is, what it gets to see, and `GuardRunner`, which calls all guards of a trial."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leadline.finding import Finding
from leadline.measure import Measure
from leadline.task import Batch, Task

__all__ = ["APART", "LOOKS", "Guard", "GuardRunner", "Interval", "News", "generators_kept", "gpus", "looks_at"]

LOOKS = 16
"""Steps of an interval between two reports that guards look into, where it is long enough."""

APART = 8
"""Steps from one look to the next, on average, at least: looks at all steps would cost a tenth of the training."""


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

    The four hooks are called in the order of their definition, on the steps that `looks_at` names; `report` at every
    evaluation. A guard changes nothing: neither gradients nor weights, whatever it computes; `GuardRunner`
    puts torch's generators back. One that raises is left out from then on. `state_dict` holds what must
    survive a resume, as plain values and tensors.
    """

    name: ClassVar[str]
    looks: ClassVar[int] = LOOKS
    """Steps of an interval that it looks into, on average: `LOOKS` or, where a look is not worth its cost, fewer; see `looks_at`."""

    def started(self, task: Task) -> None:
        """The trial's task is built, and nothing trained."""
        self.task = task

    def before_forward(self, step: int) -> None:
        """The batch of step `step` (from 0) is made; the model has not seen it."""

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """The loss terms of step `step` are computed, their graph is alive; of its first micro-batch, where there are several."""

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


class News:
    """Lets a fault pass when it is new or its number has changed, and a finding that takes a fault back."""

    def __init__(self) -> None:
        self.told: dict[str, float] = {}
        """By subject, the number of the fault that was told last and stands."""

    def of(self, findings: Iterable[Finding]) -> list[Finding]:
        """Those of a guard's findings on all its subjects that are news."""
        news = []
        for finding in findings:
            before = self.told.get(finding.subject)
            if finding.failed and before != finding.number:
                self.told[finding.subject] = finding.number
                news.append(finding)
            elif not finding.failed and before is not None:
                del self.told[finding.subject]
                news.append(finding)
        return news


def looks_at(step: int, every: int, looks: int = LOOKS) -> bool:
    """Whether guards look into step `step` (from 0), a report coming every `every` steps.

    They do so into the first two and, on average, into `looks` of an interval, but at most into an eighth of its steps and at
    least into one. Which ones is a fixed choice (Knuth's multiplicative hash), in which the steps of any period have their equal
    share, so that no period of the training hides from it. Those of fewer looks are among those of more.
    """
    return step < 2 or (step * 2654435761 % 2**32) * every < min(looks, max(1.0, every / APART)) * 2**32


def gpus(model: nn.Module) -> list[torch.device]:
    """The GPUs that hold the model's parameters."""
    return sorted({parameter.device for parameter in model.parameters() if parameter.is_cuda}, key=str)


@contextlib.contextmanager
def generators_kept(devices: Iterable[torch.device]) -> Iterator[None]:
    """Puts torch's generators back at the end: that of the CPU and those of these GPUs. (Faster than `torch.random.fork_rng`.)"""
    host, others = torch.get_rng_state(), [(device, torch.cuda.get_rng_state(device)) for device in devices]
    try:
        yield
    finally:
        torch.set_rng_state(host)
        for device, state in others:
            torch.cuda.set_rng_state(state, device)


class GuardRunner:
    """All guards of one trial, and the time that they take.

    A guard that raises must not end a training that would have gone on: it is left out, which its last finding says.
    """

    def __init__(self, guards: Sequence[Guard], task: Task, every: int) -> None:
        self.guards, self._every, self._gpus = list(guards), every, gpus(task.model)
        self.seconds = 0.0
        self._losses: list[Tensor] = []
        self._left_out: list[Finding] = []
        self._ask(self.guards, lambda guard: guard.started(task))

    def before_forward(self, step: int) -> None:
        """See `Guard`."""
        if looks_at(step, self._every):
            self._ask(self._looking(step, Guard.before_forward), lambda guard: guard.before_forward(step))

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """See `Guard`."""
        if looks_at(step, self._every):
            self._ask(
                self._looking(step, Guard.before_backward), lambda guard: guard.before_backward(step, batch, terms)
            )

    def before_update(self, step: int) -> None:
        """See `Guard`."""
        if looks_at(step, self._every):
            self._ask(self._looking(step, Guard.before_update), lambda guard: guard.before_update(step))

    def after_update(self, step: int, loss: Tensor) -> None:
        """See `Guard`; `loss` is the step's, detached, and stays on its device until the report."""
        self._losses.append(loss)
        if looks_at(step, self._every):
            self._ask(self._looking(step, Guard.after_update), lambda guard: guard.after_update(step))

    def _looking(self, step: int, hook: Callable[..., None]) -> list[Guard]:
        """Those that have the hook and look into the step."""
        own = [guard for guard in self.guards if getattr(type(guard), hook.__name__) is not hook]
        return [guard for guard in own if looks_at(step, self._every, guard.looks)]

    def _ask(self, guards: Sequence[Guard], question: Callable[[Guard], object]) -> None:
        if not guards:
            return
        began = time.perf_counter()
        with generators_kept(self._gpus):
            for guard in list(guards):
                try:
                    question(guard)
                except Exception as error:
                    self._leave_out(guard, error)
        self.seconds += time.perf_counter() - began

    def _leave_out(self, guard: Guard, error: Exception) -> None:
        self.guards.remove(guard)
        reason = (str(error).splitlines() or [""])[0]
        sentence = f"This guard failed and no longer watches: {type(error).__name__}: {reason}"
        self._left_out.append(Finding(guard.name, False, math.nan, sentence, "the guard itself"))

    def losses(self) -> npt.NDArray[np.float64]:
        """The loss of every step since the last call, float64 [steps]."""
        found = torch.stack(self._losses).double().cpu().numpy() if self._losses else np.zeros(0)
        self._losses.clear()
        return np.asarray(found)

    def report(self, interval: Interval) -> list[Finding]:
        """What all guards have to say."""
        found: list[Finding] = []
        self._ask(self.guards, lambda guard: found.extend(guard.report(interval)))
        found, self._left_out = found + self._left_out, []
        return found

    def state_dict(self) -> dict[str, Any]:
        """By guard; without those that were left out, which a resumed trial gives another chance."""
        found: dict[str, Any] = {}
        self._ask(self.guards, lambda guard: found.update({guard.name: guard.state_dict()}))
        return found

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """A guard that the state does not know begins afresh."""
        known = [guard for guard in self.guards if guard.name in state]
        self._ask(known, lambda guard: guard.load_state_dict(state[guard.name]))
