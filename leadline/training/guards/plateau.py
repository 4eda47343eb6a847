"""The guard on plateaus: whether the objective still improves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from leadline.finding import Finding
from leadline.training.guards.guard import Guard, Interval

__all__ = ["Plateau"]

SHARE = 0.4
"""Share of the budget that is a plateau if nothing has improved over it."""
BIT = 0.01
"""Share of the best value's size by which a value must be better to count as an improvement.

Where all that was gained since the first report is less than that size, it is a share of the gain.
"""


class Plateau(Guard):
    """Fires where the objective has not improved over the last 40 % of the budget.

    The number is the share of the budget since it last did.

    A best value of exactly 0 (minimised) or 1 (maximised) leaves nothing to improve.
    """

    name = "plateau"

    def __init__(self) -> None:
        self._first = self._best = math.nan
        self._since = 0
        self._said = False

    def report(self, interval: Interval) -> Iterator[Finding]:
        """Reports when the plateau is reached, when it is left, and at the end of the budget."""
        value = interval.objective.value
        if not math.isfinite(value):
            return
        if self._improves(value, interval.minimise):
            self._best, self._since = value, interval.step
            if self._said:
                self._said = False
                yield Finding(
                    self.name, False, 0.0, f"the objective improves again: {value:.4g} at step {interval.step}"
                )
            return
        share = (interval.step - self._since) / interval.budget
        stuck = share >= SHARE and self._best != (0.0 if interval.minimise else 1.0)
        if stuck and (not self._said or interval.step >= interval.budget):
            self._said = True
            yield Finding(self.name, True, share, self._sentence(interval, share))

    def _improves(self, value: float, minimise: bool) -> bool:
        """Whether a value is an improvement of the best one; the first value is."""
        if math.isnan(self._best):
            self._first = value
            return True
        gain = self._best - value if minimise else value - self._best
        return gain > BIT * min(abs(self._best), abs(self._best - self._first))

    def _sentence(self, interval: Interval, share: float) -> str:
        """The plateau in words."""
        when = f"since step {self._since} of {interval.budget}, {share:.0%} of the budget"
        values = f"best {self._best:.4g}, now {interval.objective.value:.4g}"
        return f"no improvement of the objective by more than {BIT:.0%} {when}: {values}"

    def state_dict(self) -> dict[str, Any]:
        """Returns the first and the best value, the step of the best, and what was said."""
        return {"first": self._first, "best": self._best, "since": self._since, "said": self._said}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._first = state["first"]
        self._best = state["best"]
        self._since = state["since"]
        self._said = state["said"]
