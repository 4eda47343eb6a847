"""The guard on what validation costs: whether scoring takes longer than training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from leadline.finding import Finding
from leadline.training.guards.guard import Guard, Interval

__all__ = ["ValidationCost"]

LEAST = 5.0
"""Seconds of scoring below which nothing is said, so that trials of seconds are quiet."""
WHOLE = 1.0
"""Seconds of scoring for one of training from which on it costs more than the training."""


class ValidationCost(Guard):
    """Fires while scoring validation has taken longer than training.

    The number is the ratio of both, over the whole trial.
    """

    name = "validation_cost"

    def __init__(self) -> None:
        self._scoring = self._training = 0.0
        self._dear = False

    def report(self, interval: Interval) -> Iterator[Finding]:
        """Reports when scoring costs more than training, when no longer, and at the end."""
        self._scoring += interval.scoring
        self._training += interval.seconds
        ratio = self._scoring / max(self._training, 1e-9)
        before, self._dear = self._dear, self._scoring > LEAST and ratio > WHOLE
        if self._dear != before or (self._dear and interval.step >= interval.budget):
            spent = f"scoring validation took {self._scoring:.3g} s by step {interval.step}"
            cure = ": report less often, or score fewer rows" if self._dear else ""
            yield Finding(self.name, self._dear, ratio, f"{spent}, training {self._training:.3g} s{cure}")

    def state_dict(self) -> dict[str, Any]:
        """Returns the seconds so far and what was said."""
        return {"scoring": self._scoring, "training": self._training, "dear": self._dear}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._scoring, self._training = state["scoring"], state["training"]
        self._dear = state["dear"]
