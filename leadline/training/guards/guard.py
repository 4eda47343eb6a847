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

from leadline.finding import Finding, as_findings
from leadline.measure import Measure
from leadline.task import Batch, Task

__all__ = ["APART", "LOOKS", "Guard", "GuardRunner", "Interval", "News", "generators_kept", "gpus", "looks_at"]

LOOKS = 16
"""Steps between two reports that guards look into, where there are enough of them."""

APART = 8
"""Steps from one look to the next, on average, at least.

Looks at all steps would cost a tenth of the training.
"""


@dataclass(frozen=True)
class Interval:
    """The steps since the report before, as guards see them when they report.

    Attributes:
        step: optimizer steps done, of the whole trial.
        steps: optimizer steps of this interval.
        budget: optimizer steps of a whole trial.
        seconds: training seconds of this interval, without evaluation, saving and guards.
        losses: the loss of every step, float64 [steps].
        rates: learning rate of each parameter group of each optimizer, as it stands now.
        objective: the metric that selects checkpoints, on validation or on the part of it that each
            report is scored on; NaN where this worker does not evaluate.
        minimise: whether smaller is better.
        scoring: seconds of scoring validation at the end of this interval.
    """

    step: int
    steps: int
    budget: int
    seconds: float
    losses: npt.NDArray[np.float64]
    rates: tuple[float, ...]
    objective: Measure
    minimise: bool
    scoring: float = 0.0


class Guard:
    """Watches a trial for one way in which its score could mislead.

    `before_forward`, `before_backward`, `before_update` and `after_update` are called in this
    order, on the steps that `looks_at` names; `report` is called at every evaluation. A guard
    overrides what it needs.

    A guard changes nothing, neither gradients nor weights, whatever it computes; `GuardRunner` puts
    torch's generators back. One that raises is left out from then on, and its last finding says so.
    """

    name: ClassVar[str]
    """The guard's name in findings; no two guards of a trial have the same."""
    looks: ClassVar[int] = LOOKS
    """Steps between two reports that the guard looks into, on average; see `looks_at`.

    A guard whose look costs much takes fewer than `LOOKS`.
    """

    def started(self, task: Task) -> None:
        """Called once, when the trial's task is built and nothing is trained."""
        self.task = task

    def before_forward(self, step: int) -> None:
        """Called when the batch of step `step` (from 0) is made and the model has not seen it."""

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """Called when the loss terms of step `step` are computed and their graph is alive.

        Args:
            step: the optimizer step, from 0.
            batch: the rows; of the first micro-batch alone, where there are several.
            terms: the loss terms on these rows.
        """

    def before_update(self, step: int) -> None:
        """Called when the gradients are in place."""

    def after_update(self, step: int) -> None:
        """Called when the optimizers and schedulers have stepped."""

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Returns findings that are new, or whose number has changed; `News` helps to tell."""
        return ()

    def state_dict(self) -> dict[str, Any]:
        """Returns what must survive a resume, as plain values and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned; called when an attempt resumes."""


class News:
    """Remembers what a guard has said, so that only news is said again.

    News is a fault that is new or whose number has changed, and a finding that takes a fault back.
    """

    def __init__(self) -> None:
        self.told: dict[str, float] = {}
        """The number of the fault that was told last and stands, by subject."""

    def of(self, findings: Iterable[Finding]) -> list[Finding]:
        """Picks the news among a guard's findings on all its subjects."""
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
    """Whether guards look into step `step` (from 0), where a report comes every `every` steps.

    They look into the first two steps and, on average, into `looks` steps of an interval, but at
    most into an eighth of its steps and at least into one. Which ones is a fixed choice (Knuth's
    multiplicative hash), in which the steps of any period have their equal share, so that nothing
    periodic in the training hides from it. The steps of fewer looks are among those of more.
    """
    return step < 2 or (step * 2654435761 % 2**32) * every < min(looks, max(1.0, every / APART)) * 2**32


def gpus(model: nn.Module) -> list[torch.device]:
    """The GPUs that hold the model's parameters."""
    return sorted({parameter.device for parameter in model.parameters() if parameter.is_cuda}, key=str)


@contextlib.contextmanager
def generators_kept(devices: Iterable[torch.device]) -> Iterator[None]:
    """Puts torch's generators back at the end: that of the CPU and those of these GPUs.

    It is faster than `torch.random.fork_rng`.
    """
    host = torch.get_rng_state()
    others = [(device, torch.cuda.get_rng_state(device)) for device in devices]
    try:
        yield
    finally:
        torch.set_rng_state(host)
        for device, state in others:
            torch.cuda.set_rng_state(state, device)


class GuardRunner:
    """Calls all guards of one trial, and counts the seconds that they take.

    A guard that raises must not end a training that would have gone on. It is left out, and its
    last finding says so.

    Args:
        guards: the guards.
        task: the trial's task.
        every: optimizer steps between two reports.
    """

    def __init__(self, guards: Sequence[Guard], task: Task, every: int) -> None:
        self.guards = list(guards)
        self._every = every
        self._gpus = gpus(task.model)
        self.seconds = 0.0
        self._losses: list[Tensor] = []
        self._left_out: list[Finding] = []
        self._ask(self.guards, lambda guard: guard.started(task))

    def before_forward(self, step: int) -> None:
        """Calls `before_forward` of the guards that look into the step."""
        if looks_at(step, self._every):
            self._ask(self._looking(step, Guard.before_forward), lambda guard: guard.before_forward(step))

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """Calls `before_backward` of the guards that look into the step."""
        if looks_at(step, self._every):
            self._ask(
                self._looking(step, Guard.before_backward), lambda guard: guard.before_backward(step, batch, terms)
            )

    def before_update(self, step: int) -> None:
        """Calls `before_update` of the guards that look into the step."""
        if looks_at(step, self._every):
            self._ask(self._looking(step, Guard.before_update), lambda guard: guard.before_update(step))

    def after_update(self, step: int, loss: Tensor) -> None:
        """Calls `after_update` of the guards that look into the step, and keeps its loss.

        Args:
            step: the optimizer step, from 0.
            loss: the step's loss, detached; it stays on its device until the report.
        """
        self._losses.append(loss)
        if looks_at(step, self._every):
            self._ask(self._looking(step, Guard.after_update), lambda guard: guard.after_update(step))

    def _looking(self, step: int, hook: Callable[..., None]) -> list[Guard]:
        """The guards that override the hook and look into the step."""
        own = [guard for guard in self.guards if getattr(type(guard), hook.__name__) is not hook]
        return [guard for guard in own if looks_at(step, self._every, guard.looks)]

    def _ask(self, guards: Sequence[Guard], question: Callable[[Guard], object]) -> None:
        """Asks guards a question on the clock; torch's generators are as before."""
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
        """Leaves a guard out from now on, with a finding that says why."""
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
        """Collects the findings of all guards."""
        found: list[Finding] = []
        self._ask(self.guards, lambda guard: found.extend(as_findings(guard.report(interval), "report")))
        found, self._left_out = found + self._left_out, []
        return found

    def state_dict(self) -> dict[str, Any]:
        """Returns the states by guard.

        Guards that were left out are not among them: a resumed trial gives them another chance.
        """
        found: dict[str, Any] = {}
        self._ask(self.guards, lambda guard: found.update({guard.name: guard.state_dict()}))
        return found

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned; a guard that is not in it begins afresh."""
        known = [guard for guard in self.guards if guard.name in state]
        self._ask(known, lambda guard: guard.load_state_dict(state[guard.name]))
