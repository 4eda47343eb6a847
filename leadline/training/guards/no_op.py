"""No-ops: a loss term or a stage of the curriculum that changes no gradient is not there, whatever its name promises."""

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
"""Looks at a term without which nothing is said of it."""
ENOUGH_OF_A_STAGE = 8
"""The same for a stage: one that adds something rare leaves many a batch as it was."""
PAIRS = 4
"""Pairs of batches that wait for the report, at most."""
ROWS = 256
"""Rows on which gradients are compared, at most; fewer where a micro-batch has fewer, so that they fit where training does."""
EQUAL = 1e-6
"""Difference of gradients, as a share of the largest value, that sums in another order may make."""


def _trained(task: Task) -> list[Tensor]:
    """Every parameter that an optimizer moves."""
    groups = [group for optimizer in task.optimizers for group in optimizer.param_groups]
    return list({id(p): p for group in groups for p in group["params"] if p.requires_grad}.values())


def _gradient(loss: Tensor, parameters: list[Tensor], *, keep: bool) -> list[Tensor]:
    """Of the parameters that the loss depends on, the others' being None."""
    if not loss.requires_grad:
        return []
    return [g for g in torch.autograd.grad(loss, parameters, retain_graph=keep, allow_unused=True) if g is not None]


class NoOpTerm(Guard):
    """Each loss term must change the gradient at least once.

    Fires while all looks, 3 or more of them at a value other than 0, have found a gradient of exactly zero. A term that was
    exactly 0 itself is as yet satisfied, as a hinge may be: it counts from half of the budget on, if it never changed the
    gradient before; so does a term whose weight is 0. A term that has changed the gradient once is not looked at again. The
    number is the count of looks.
    """

    name = "no_op_term"
    looks: ClassVar[int] = 2

    def __init__(self) -> None:
        self._idle: dict[str, int] = {}
        self._inert: dict[str, int] = {}
        """Those of the looks at which the term was not 0."""
        self._alive: set[str] = set()
        self._news = News()

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """Whether each term in doubt has a gradient and a value, decided at once: a look costs a backward pass for each in doubt."""
        parameters = _trained(self.task)
        for name, term in terms.items():
            if name not in self._alive:
                found = [gradient.any() for gradient in _gradient(term, parameters, keep=True)]
                moved, valued = bool(found and torch.stack(found).any()), bool(term.detach().any())
                self._idle[name] = self._idle.get(name, 0) + 1
                self._inert[name] = self._inert.get(name, 0) + valued
                if moved:
                    self._alive.add(name)

    def report(self, interval: Interval) -> Iterable[Finding]:
        """On each term in doubt, and those that were until now."""
        return self._news.of(self._findings(late=2 * interval.step >= interval.budget))

    def _findings(self, late: bool) -> Iterator[Finding]:
        for name, looks in self._idle.items():
            inert = self._inert[name]
            if name in self._alive:
                yield Finding(self.name, False, looks, f"{name} changes the gradient.", name)
            elif inert >= ENOUGH_OF_A_TERM or (late and looks >= ENOUGH_OF_A_TERM):
                never = "was 0 on each" if not inert else "changed the gradient on none"
                more = ", so it never taught anything" if not inert else ""
                yield Finding(self.name, True, looks, f"{name} {never} of {looks} steps looked at{more}.", name)

    def state_dict(self) -> dict[str, Any]:
        """Counts, and what was said."""
        return {"idle": self._idle, "inert": self._inert, "alive": sorted(self._alive), "told": self._news.told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._idle, self._inert = dict(state["idle"]), dict(state.get("inert", state["idle"]))
        self._alive, self._news.told = set(state["alive"]), dict(state["told"])


class NoOpStage(Guard):
    """A stage of the curriculum must change the rows or the gradient against the stage before it.

    Compares `Task.staged_batch` in both stages on steps of the new one; where rows differ (they may do so in a tensor that
    the loss never reads), the gradients of the same model under both decide, at the report: what the task notes for its
    `after_step` is spent by then, and the rest is put back. Tensors whose difference has changed the gradient once are
    known to be read, and need no gradients any more. Fires where all looks, 8 or more, find no difference; a stage that has
    made one is not looked at again, and of a curriculum of many stages one is looked at in an interval. The number is the
    count of looks.
    """

    name = "no_op_stage"

    def __init__(self) -> None:
        self._stage: int | None = None
        self._former: int | None = None
        self._rows = 0
        self._busy: int | None = None
        self._pairs: list[tuple[int, Batch, Batch]] = []
        self._alike: dict[int, int] = {}
        self._different: set[int] = set()
        self._read: set[frozenset[str]] = set()
        self._news = News()

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """Compares rows; those that differ wait for the report."""
        stage = self.task.stage(step)
        if stage != self._stage:
            self._former, self._stage = self._stage, stage
        decided = stage in self._different or self._alike.get(stage, 0) >= ENOUGH_OF_A_STAGE
        busy = len(self._pairs) == PAIRS or self._busy not in (None, stage)
        if self._former is None or decided or busy:
            return
        self._busy, self._rows = stage, min(ROWS, len(next(iter(batch.values()))))
        new, old = self.task.staged_batch(step, stage), self.task.staged_batch(step, self._former)
        differing = _differing(new, old)
        if not differing:
            self._alike[stage] = self._alike.get(stage, 0) + 1
        elif any(read <= differing for read in self._read):
            self._different.add(stage)
        else:
            self._pairs.append((stage, new, old))

    def report(self, interval: Interval) -> Iterable[Finding]:
        """On each stage that has been looked at often enough."""
        progress = min(interval.step, interval.budget - 1) / interval.budget
        for stage, new, old in self._pairs:
            same = None if stage in self._different else self._same_gradient(new, old, progress)
            if same:
                self._alike[stage] = self._alike.get(stage, 0) + 1
            elif same is not None:
                self._different.add(stage)
                self._read.add(_differing(new, old))
        self._pairs.clear()
        self._busy = None
        return self._news.of(self._findings())

    def _findings(self) -> Iterator[Finding]:
        for stage, looks in self._alike.items():
            if stage in self._different:
                yield Finding(self.name, False, looks, f"Stage {stage} changes the gradient.", f"stage {stage}")
            elif looks >= ENOUGH_OF_A_STAGE:
                sentence = f"Stage {stage} changed neither rows nor gradient against the stage before it on {looks} steps looked at."
                yield Finding(self.name, True, looks, sentence, f"stage {stage}")

    def _same_gradient(self, new: Batch, old: Batch, progress: float) -> bool | None:
        """Of the rows around the first that differs; None if all is zero."""
        first = _first_difference(new, old) // self._rows * self._rows
        parts = [{name: tensor[first : first + self._rows] for name, tensor in batch.items()} for batch in (new, old)]
        one, other = _gradients(self.task, parts, progress)
        scale = max((float(gradient.abs().max()) for gradient in one + other), default=0.0)
        if scale == 0:
            return None
        return len(one) == len(other) and all(
            float((a - b).abs().max()) <= EQUAL * scale for a, b in zip(one, other, strict=True)
        )

    def state_dict(self) -> dict[str, Any]:
        """Where the curriculum stands, counts, and what was said."""
        found = {"alike": self._alike, "different": sorted(self._different), "read": sorted(map(sorted, self._read))}
        return {"stage": self._stage, "former": self._former, **found, "told": self._news.told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._stage, self._former, self._alike = state["stage"], state["former"], dict(state["alike"])
        self._different, self._news.told = set(state["different"]), dict(state["told"])
        self._read = set(map(frozenset, state["read"]))


def _differing(new: Batch, old: Batch) -> frozenset[str]:
    """Names of the tensors in which two batches differ."""
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


def _gradients(task: Task, batches: list[Batch], progress: float) -> list[list[Tensor]]:
    """Of the loss on each batch, with the same random numbers and buffers; the task's state is put back."""
    state = copy.deepcopy(task.state_dict())
    found = []
    try:
        for batch in batches:
            with aside(task.model, training=True), torch.enable_grad():
                loss = torch.stack(list(task.losses(task.model, batch, progress).values())).sum()
                found.append(_gradient(loss, _trained(task), keep=False))
            if state:
                task.load_state_dict(copy.deepcopy(state))
    finally:
        if state:
            task.load_state_dict(state)
    return found
