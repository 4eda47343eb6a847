"""The guard on an encoder that is trained by too few of the rows that use its output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from leadline.finding import Finding
from leadline.training.guards.guard import Guard, Interval, News
from trainables.recursive.encoder_task import ETRMTask

__all__ = ["STARVED", "StarvedEncoder"]

STARVED = 0.5
"""The share of rows below which the encoder starves.

A detached cache covers 1 / (mean segments of a board): the log's had 0.09 at 11.3 segments, and
re-encoding has 1.
"""


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
