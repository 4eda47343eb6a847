"""The guard on throughput: whether the trial is as fast as it was."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from leadline.finding import Finding
from leadline.training.guards.guard import Guard, Interval

__all__ = ["Throughput"]

SLOWER = 3.0
"""Factor against the trial's own median from which on it is slow.

Machines are shared, and less than that is noise.
"""
LOST = 1.0
"""Seconds that the slowness must have cost: an interval of milliseconds says nothing."""
EARLIER = 3
"""Earlier intervals that are needed before one is judged."""
KEPT = 64
"""The most earlier intervals of which the median is taken."""


class Throughput(Guard):
    """Fires where steps per second fall to a third of the median of the trial's own past.

    The number is the ratio of both.

    Slow is not stuck: the trial goes on, and the finding is taken back when it is fast again. Slow
    intervals do not enter the median.
    """

    name = "throughput"

    def __init__(self) -> None:
        self._rates: list[float] = []
        self._slow = False
        self._warming = False

    def report(self, interval: Interval) -> Iterator[Finding]:
        """Reports when the trial becomes slow, and when it recovers."""
        warming, self._warming = self._warming, False
        if warming or not interval.steps or interval.seconds <= 0:
            return
        rate = interval.steps / interval.seconds
        usual = statistics.median(self._rates) if len(self._rates) >= EARLIER else rate
        lost = interval.seconds - interval.steps / usual
        slow = rate * SLOWER < usual and (self._slow or lost > LOST)
        if not slow:
            self._rates = [*self._rates, rate][-KEPT:]
        if slow != self._slow:
            self._slow = slow
            word = "slow, not stuck" if slow else "recovered"
            yield Finding(
                self.name,
                slow,
                rate / usual,
                f"{rate:.3g} steps/s at step {interval.step} against {usual:.3g} before: {word}",
            )

    def state_dict(self) -> dict[str, Any]:
        """Returns the steps per second of earlier intervals, and whether the last one was slow."""
        return {"rates": self._rates, "slow": self._slow}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned.

        A new process warms up, so its first interval is not judged.
        """
        self._rates = list(state["rates"])
        self._slow = state["slow"]
        self._warming = True
