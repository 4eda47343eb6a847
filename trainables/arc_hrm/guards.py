"""The family's guard: on answers that hardly depend on the board."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from leadline.finding import Finding
from leadline.training.guards.aside import aside
from leadline.training.guards.guard import Guard, Interval, News
from trainables.arc_hrm.scoring import answers
from trainables.arc_hrm.task import ArcHRMTask
from trainables.puzzles.puzzle import I64

__all__ = ["NearConstant", "spread"]

FEWEST_SHARE = 0.1
"""The spread of answers, as a share of that of the labels, below which they are a constant."""
BOARDS = 64
"""The validation boards that are answered, evenly spaced."""


def spread(boards: I64) -> float:
    """Returns how much boards, int64 [boards, cells], differ from each other.

    It is the mean over cells of the share of boards that differ there from the most frequent token.
    """
    most = np.stack([(boards == token).sum(0) for token in np.unique(boards)]).max(0)
    return float(1 - most.mean() / len(boards))


class NearConstant(Guard):
    """Fires where the answers to different boards are nearly one answer.

    A constant, such as all PAD, has a high share of right cells where most cells are PAD: the log's
    71.4 % are the score of that constant, and stood for 193,000 steps. The guard on input
    sensitivity wants outputs to differ at all; this one wants them to differ about as much as the
    labels do. The number is the spread of the answers over that of the labels.
    """

    name = "near_constant"

    def __init__(self) -> None:
        self._news = News()

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Answers some validation boards and compares how much answers and labels differ."""
        task = cast(ArcHRMTask, self.task)
        boards = task.data.validation
        index = np.unique(np.linspace(0, len(boards) - 1, min(BOARDS, len(boards))).round().astype(np.int64))
        rows = task.data.puzzle.rows(boards, index)
        wanted = spread(rows["labels"])
        if wanted == 0:
            return []
        with aside(task.model, training=False):
            got = spread(answers(task.net, rows, task.device).tokens)
        failed = got < FEWEST_SHARE * wanted
        sentence = (
            f"Answers to {len(index)} boards differ in {got:.1%} of their cells from the most frequent one, "
            f"labels in {wanted:.1%}"
        )
        hint = ": the score is about that of a constant." if failed else "."
        return self._news.of([Finding(self.name, failed, got / wanted, sentence + hint)])

    def state_dict(self) -> dict[str, Any]:
        """Returns what was said."""
        return {"told": self._news.told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._news.told = dict(state["told"])
