"""The guards on no-ops: loss terms, and stages of a curriculum, that change no gradient.

Such a term or stage is not there, whatever its name promises.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from leadline.finding import Finding
from leadline.task import Batch, Task
from leadline.training.guards.aside import aside
from leadline.training.guards.guard import Guard, Interval, News

__all__ = ["NoOpStage", "NoOpTerm"]

ENOUGH_OF_A_TERM = 3
"""Looks at a term that are needed before anything is said of it."""
ENOUGH_OF_A_STAGE = 8
"""Looks at a stage that are needed: one that adds something rare changes few batches."""
PAIRS = 4
"""The most pairs of batches that wait for the report."""
ROWS = 256
"""The most rows on which gradients are compared.

They are fewer where a micro-batch has fewer, so that they fit the memory wherever training does.
"""
EQUAL = 1e-6
"""Difference of gradients, as a share of the largest value, that rounding may make."""


def _trained(task: Task) -> list[Tensor]:
    """Lists every parameter that an optimizer moves, each once."""
    groups = [group for optimizer in task.optimizers for group in optimizer.param_groups]
    return list({id(p): p for group in groups for p in group["params"] if p.requires_grad}.values())


def _gradient(loss: Tensor, parameters: list[Tensor], *, keep: bool) -> list[Tensor]:
    """The gradients of those parameters on which the loss depends."""
    if not loss.requires_grad:
        return []
    found = torch.autograd.grad(loss, parameters, retain_graph=keep, allow_unused=True)
    return [gradient for gradient in found if gradient is not None]


class NoOpTerm(Guard):
    """Demands of each loss term that it changes the gradient at least once.

    Fires while all looks, 3 or more of them at a value other than 0, have found a gradient of
    exactly zero. A term that was exactly 0 itself is as yet satisfied, as a hinge may be: it counts
    from half of the budget on (in the last stage of a curriculum), if it never changed the gradient
    before; so does a term whose weight is 0. A term that has changed the gradient once is not
    looked at again. The number is the count of looks.
    """

    name = "no_op_term"
    looks: ClassVar[int] = 2

    def __init__(self) -> None:
        self._idle: dict[str, int] = {}
        self._inert: dict[str, int] = {}
        """The number of looks at which a term was not 0."""
        self._alive: set[str] = set()
        self._news = News()

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """Looks whether each term in doubt has a gradient and a value.

        It costs a backward pass for each of them, so a term that has once had a gradient is left
        alone.
        """
        parameters = _trained(self.task)
        for name, term in terms.items():
            if name not in self._alive:
                found = [gradient.any() for gradient in _gradient(term, parameters, keep=True)]
                moved = bool(found and torch.stack(found).any())
                valued = bool(term.detach().any())
                self._idle[name] = self._idle.get(name, 0) + 1
                self._inert[name] = self._inert.get(name, 0) + valued
                if moved:
                    self._alive.add(name)

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Reports on each term in doubt, and on those that were in doubt until now."""
        clock = self.task.clock
        # A term of a later stage has had no time yet.
        last = clock is None or clock.at(interval.step - 1).index == len(clock.curriculum.stages) - 1
        return self._news.of(self._findings(late=last and 2 * interval.step >= interval.budget))

    def _findings(self, late: bool) -> Iterator[Finding]:
        """Findings on all terms; `late` says that each term has had time enough."""
        for name, looks in self._idle.items():
            inert = self._inert[name]
            if name in self._alive:
                yield Finding(self.name, False, looks, f"{name} changes the gradient.", name)
            elif inert >= ENOUGH_OF_A_TERM or (late and looks >= ENOUGH_OF_A_TERM):
                never = "was 0 on each" if not inert else "changed the gradient on none"
                more = ", so it never taught anything" if not inert else ""
                yield Finding(self.name, True, looks, f"{name} {never} of {looks} steps looked at{more}.", name)

    def state_dict(self) -> dict[str, Any]:
        """Returns the counts, and what was said."""
        return {"idle": self._idle, "inert": self._inert, "alive": sorted(self._alive), "told": self._news.told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._idle = dict(state["idle"])
        self._inert = dict(state.get("inert", state["idle"]))
        self._alive = set(state["alive"])
        self._news.told = dict(state["told"])


class NoOpStage(Guard):
    """Demands of each stage of a curriculum that it changes the rows or the gradient.

    It compares `Task.staged_batch` in this stage and the one before, on steps of this one. Where
    rows differ (they may do so in a tensor that the loss never reads), or the task has a clock (by
    which stages may differ in their loss alone), the gradients of the same model under both
    decide, at the report: what the task notes for its `after_step` is spent by
    then, and the rest is put back. Tensors whose difference has changed the gradient once are known
    to be read, and need no gradients any more. Fires where all looks, 8 or more, find no
    difference; a stage that has made one is not looked at again, and of a curriculum of many stages
    one is looked at in an interval. The number is the count of looks. A stage that ends
    undecided is named, too. A number or a choice that a stage sets and nothing that trains has
    asked for (`StageClock.asked`) fires as well.
    """

    name = "no_op_stage"

    def __init__(self) -> None:
        self._stage: int | None = None
        self._former: int | None = None
        self._rows = 0
        self._busy: int | None = None
        self._pairs: list[tuple[tuple[int, int], Batch, Batch]] = []
        self._alike: dict[int, int] = {}
        self._different: set[int] = set()
        self._read: set[frozenset[str]] = set()
        self._unjudged: set[int] = set()
        self._asked: set[str] = set()
        self._news = News()

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """Compares the rows of both stages; batches that differ wait for the report."""
        stage = self.task.stage(step)
        if stage != self._stage:
            self._former, self._stage = self._stage, stage
        decided = stage in self._different or self._alike.get(stage, 0) >= ENOUGH_OF_A_STAGE
        busy = len(self._pairs) == PAIRS or self._busy not in (None, stage)  # one stage an interval
        if self._former is None or decided or busy:
            return
        if self.task.clock and self.task.clock.curriculum.differ_unseen(stage, self._former):
            self._different.add(stage)
            return
        self._busy, self._rows = stage, min(ROWS, len(next(iter(batch.values()))))
        new, old = self.task.staged_batch(step, stage), self.task.staged_batch(step, self._former)
        differing = _differing(new, old)
        if not differing and self.task.clock is None:
            self._alike[stage] = self._alike.get(stage, 0) + 1
        elif any(read <= differing for read in self._read):
            self._different.add(stage)
        else:
            self._pairs.append(((stage, self._former), new, old))

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Compares gradients, and reports on each stage that has been looked at often enough."""
        progress = min(interval.step, interval.budget - 1) / interval.budget
        for (stage, former), new, old in self._pairs:
            same = None if stage in self._different else self._same_gradient({stage: new, former: old}, progress)
            if same:
                self._alike[stage] = self._alike.get(stage, 0) + 1
            elif same is not None:
                self._different.add(stage)
                self._read |= {read} if (read := _differing(new, old)) else set()
        self._pairs.clear()
        self._busy = None
        return [*self._news.of([*self._findings(), *self._unread(interval)]), *self._unlooked(interval)]

    def _unlooked(self, interval: Interval) -> Iterator[Finding]:
        """Says once of each stage that has ended that it was looked at too rarely to be judged."""
        clock = self.task.clock
        if clock is None:
            return
        now = clock.at(interval.step).index if interval.step < interval.budget else len(clock.curriculum.stages)
        for stage in range(1, now):
            looks = self._alike.get(stage, 0)
            if stage not in self._different | self._unjudged and looks < ENOUGH_OF_A_STAGE:
                self._unjudged.add(stage)
                name = clock.curriculum.stages[stage].name
                sentence = (
                    f"Of stage {stage} ({name}) no difference was seen on {looks} looks, "
                    f"too few to judge it: {ENOUGH_OF_A_STAGE} are needed, and a report has at most {PAIRS}."
                )
                yield Finding(self.name, False, looks, sentence, f"stage {stage}")

    def _unread(self, interval: Interval) -> Iterator[Finding]:
        """Findings on what stages set that have begun: whether anything has asked for it."""
        clock = self.task.clock
        if clock is None:
            return
        self._asked |= clock.asked
        for index in range(clock.at(interval.step - 1).index + 1):
            stage = clock.curriculum.stages[index]
            for key in stage.given:
                unread = key not in self._asked
                has = "nothing that trains has" if unread else "training has"
                sentence = f"Stage {index} ({stage.name}) sets {key}, which {has} read."
                yield Finding(self.name, unread, 0, sentence, f"stage {index}: {key}")

    def _findings(self) -> Iterator[Finding]:
        """Findings on all stages, whether they are news or not."""
        for stage, looks in self._alike.items():
            clock = self.task.clock
            named = f"Stage {stage}" + (f" ({clock.curriculum.stages[stage].name})" if clock else "")
            if stage in self._different:
                yield Finding(self.name, False, looks, f"{named} changes the gradient.", f"stage {stage}")
            elif looks >= ENOUGH_OF_A_STAGE:
                sentence = (
                    f"{named} changed neither rows nor gradient against the stage before it on {looks} steps looked at."
                )
                yield Finding(self.name, True, looks, sentence, f"stage {stage}")

    def _same_gradient(self, batches: Mapping[int, Batch], progress: float) -> bool | None:
        """Whether two stages have equal gradients, on the rows around the first that differs.

        None if all of them are zero, which says nothing.
        """
        first = _first_difference(*batches.values()) // self._rows * self._rows
        parts = {
            stage: {name: tensor[first : first + self._rows] for name, tensor in batch.items()}
            for stage, batch in batches.items()
        }
        one, other = _gradients(self.task, parts, progress)
        scale = max((float(gradient.abs().max()) for gradient in one + other), default=0.0)
        if scale == 0:
            return None
        return len(one) == len(other) and all(
            float((a - b).abs().max()) <= EQUAL * scale for a, b in zip(one, other, strict=True)
        )

    def state_dict(self) -> dict[str, Any]:
        """Returns where the curriculum stands, the counts, and what was said."""
        found = {"alike": self._alike, "different": sorted(self._different), "read": sorted(map(sorted, self._read))}
        said = {"unjudged": sorted(self._unjudged), "asked": sorted(self._asked), "told": self._news.told}
        return {"stage": self._stage, "former": self._former, **found, **said}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._stage = state["stage"]
        self._former = state["former"]
        self._alike = dict(state["alike"])
        self._different = set(state["different"])
        self._news.told = dict(state["told"])
        self._read = set(map(frozenset, state["read"]))
        self._unjudged = set(state.get("unjudged", ()))
        self._asked = set(state.get("asked", ()))


def _differing(new: Batch, old: Batch) -> frozenset[str]:
    """The names of the tensors in which two batches differ."""
    both = new.keys() & old.keys()
    return frozenset(new.keys() ^ old.keys()) | {name for name in both if not torch.equal(new[name], old[name])}


def _first_difference(new: Batch, old: Batch) -> int:
    """The first row in which two batches differ; 0 where their shapes do."""
    firsts = []
    for name in new.keys() & old.keys():
        if new[name].shape != old[name].shape:
            return 0
        rows = (new[name] != old[name]).reshape(len(new[name]), -1).any(1).nonzero()
        firsts += rows[:1, 0].tolist()
    return min(firsts, default=0)


def _gradients(task: Task, batches: Mapping[int, Batch], progress: float) -> list[list[Tensor]]:
    """The gradients of the loss on each stage's batch, with equal random numbers and buffers.

    The task's state is put back.
    """
    state = copy.deepcopy(task.state_dict())
    found = []
    try:
        for stage, batch in batches.items():
            with aside(task.model, training=True), torch.enable_grad(), task.pretending(stage):
                loss = torch.stack(list(task.losses(task.model, batch, progress).values())).sum()
                found.append(_gradient(loss, _trained(task), keep=False))
            if state:
                task.load_state_dict(copy.deepcopy(state))
    finally:
        if state:
            task.load_state_dict(state)
    return found
