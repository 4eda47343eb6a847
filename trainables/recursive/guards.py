"""Guards on boards taught two answers, and on an encoder that few of its rows train."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from leadline.finding import Finding
from leadline.task import Batch
from leadline.training.guards.guard import Guard, Interval, News
from trainables.recursive.encoder_task import ETRMTask
from trainables.recursive.model import Rollout
from trainables.recursive.task import RecursiveTask

__all__ = ["STARVED", "Contradiction", "StarvedEncoder"]

CONTRADICTED = 0.1
"""The share of boards taught two answers from which on the labels are not theirs."""
NOTHING = -1
"""Stands where the loss pulls towards no token."""

STARVED = 0.5
"""The share of rows below which the encoder starves.

A detached cache covers 1 / (mean segments of a board): the log's had 0.09 at 11.3 segments, and
re-encoding has 1.
"""


class _Taught(NamedTuple):
    """What one step teaches of the boards in its slots.

    Attributes:
        boards: what the network reads of each, by part, [slots, ...].
        answers: the tokens that the loss pulls towards, int64 [slots, tokens], or `NOTHING`.
    """

    boards: tuple[Tensor, ...]
    answers: Tensor

    def against(self, before: _Taught) -> Tensor:
        """Counts slots that have the board they had, and those taught another answer, int64 [2]."""
        pairs = zip(self.boards, before.boards, strict=True)
        same = torch.stack([(one == other).view(len(one), -1).all(1) for one, other in pairs]).all(0)
        known = (self.answers != NOTHING) & (before.answers != NOTHING)
        other = ((self.answers != before.answers) & known).any(1)
        return torch.stack([same.sum(), (same & other).sum()])


class Contradiction(Guard):
    """Fires where a board that a slot goes on with is taught another answer than before.

    Its labels are then those of other boards, such as the batch's that were offered to the slot and
    dropped, as in the log of January 2026. What is taught is read off the gradient on the logits,
    whatever the task believes: cross entropy pulls up the label's alone. The number is the share of
    boards that two looks have met.
    """

    name = "contradiction"

    def __init__(self) -> None:
        self._hook: RemovableHandle | None = None
        self._now: _Taught | None = None
        self._before: _Taught | None = None
        self._counts: list[Tensor] = []
        self._news = News()

    def before_forward(self, step: int) -> None:
        """Listens to the first call of the model that follows, which is of the first slots."""
        self._now = None
        self._hook = self.task.model.register_forward_hook(self._keep, with_kwargs=True)

    def _keep(self, model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], said: Rollout) -> None:
        shown = cast(RecursiveTask, self.task).net.shown
        boards = (*inputs[:2], *(named[name] for name in shown))
        said.logits.register_hook(functools.partial(self._learn, boards))  # type: ignore[no-untyped-call]
        self._unhook()

    def _unhook(self) -> None:
        if self._hook is not None:
            self._hook.remove()
        self._hook = None

    def _learn(self, boards: tuple[Tensor, ...], gradient: Tensor) -> None:
        """Reads the answers off the gradient on the logits, [1, slots, tokens, vocabulary]."""
        pull, answers = gradient[0].min(-1)
        self._now = _Taught(boards, answers.masked_fill(pull >= 0, NOTHING))

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """Stops listening, as what follows may be calls for other slots."""
        self._unhook()

    def before_update(self, step: int) -> None:
        """Compares what was taught with what the look before has seen."""
        if self._now is not None and self._before is not None:
            self._counts.append(self._now.against(self._before))
        self._before = self._now

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Reports on the boards that were met again since the report before."""
        boards, other = torch.stack(self._counts).sum(0).tolist() if self._counts else (0, 0)
        self._counts.clear()
        if not boards:
            return []
        failed = other >= CONTRADICTED * boards
        sentence = f"Of {boards} boards met again at a later look, {other} were taught another answer than before"
        hint = ": the loss has the labels of other boards." if failed else "."
        return self._news.of([Finding(self.name, failed, other / boards, sentence + hint)])

    def state_dict(self) -> dict[str, Any]:
        """Returns what was said."""
        return {"told": self._news.told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._news.told = dict(state["told"])


class StarvedEncoder(Guard):
    """Fires where less than half of the trained rows gave the encoder a gradient.

    The number is their share in the interval, as `ETRMTask.coverage` has measured it from the
    gradients.
    """

    name = "starved_encoder"

    def __init__(self) -> None:
        self._news = News()

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Reports on the interval's rows."""
        covered, rows = cast(ETRMTask, self.task).coverage.tolist()
        share = covered / max(1.0, rows)
        starved = share < STARVED
        sentence = f"The encoder had a gradient from {share:.2f} of the {rows:.0f} rows trained on"
        more = ": it starves, as behind a detached cache; encode at every call." if starved else "."
        return self._news.of([Finding(self.name, starved, share, sentence + more)])

    def state_dict(self) -> dict[str, Any]:
        """Returns what was said."""
        return {"told": self._news.told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._news.told = dict(state["told"])
