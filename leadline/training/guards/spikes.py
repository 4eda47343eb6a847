"""Whether the training loss or the objective has jumped, and whether it has come back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from leadline.finding import Finding
from leadline.training.guards.guard import Guard, Interval

__all__ = ["Spikes"]

BLOCKS, BLOCK = 8, 16
"""Single minibatches' losses are heavy-tailed: means of at most 8 blocks an interval, of at least 16 steps where it has them."""
ERRORS = 2.0
"""Standard errors by which a block's mean must be above that level: one odd minibatch is no spike."""


@dataclass
class _Series:
    """One quantity against its own recent past, the `past` values that were no spikes.

    A spike is worse than their median by a factor of more than `factor`, by more than `deviations` scaled median absolute
    deviations, and by more than the share `floor` of the range seen so far: what is almost 0 may double without harm.
    """

    kept: int
    needed: int
    factor: float
    deviations: float
    trend: bool
    """Whether a few values far apart are expected to have a trend, so that only the changes of their differences are noise."""
    floor: float
    past: list[float] = field(default_factory=list)
    lowest: float = math.inf
    highest: float = -math.inf
    spike: int = -1
    """Step at which the present spike began; -1 without one."""
    level: float = math.nan
    peak: float = math.nan

    def add(self, step: int, value: float, minimise: bool, least: float) -> str:
        """Takes the next value, `least` being what it is at the best by its interval: "began", "back" or nothing."""
        if not math.isfinite(value):
            return ""
        before = self.spike >= 0
        jumped = len(self.past) >= self.needed and self._jumped(value, minimise, least)
        self.lowest, self.highest = min(self.lowest, value), max(self.highest, value)
        if not jumped:
            self.past = [*self.past, value][-self.kept :]
            self.spike = -1
            return "back" if before else ""
        if not before:
            self.spike, self.level, self.peak = step, float(np.median(self.past)), value
            return "began"
        self.peak = max(self.peak, value) if minimise else min(self.peak, value)
        return ""

    def _jumped(self, value: float, minimise: bool, least: float) -> bool:
        level = float(np.median(self.past))
        rise, sure = (value - level, least - level) if minimise else (level - value, level - least)
        bar = max(self.deviations * self._deviation(), self.floor * (self.highest - self.lowest))
        return sure > 0 and rise > bar and _times(value, level, minimise) > self.factor

    def _deviation(self) -> float:
        """1.4826 times the median absolute deviation, which is sigma for a normal distribution; sqrt(2) of it in differences."""
        values, scale = (np.diff(self.past), math.sqrt(2)) if self.trend else (np.asarray(self.past), 1.0)
        return 1.4826 / scale * float(np.median(np.abs(values - np.median(values))))

    def times(self, minimise: bool) -> float:
        """The spike's size as a factor over the level before."""
        return _times(self.peak, self.level, minimise)


def _times(value: float, level: float, minimise: bool) -> float:
    """How many times worse a worse value is: value / level where both are positive and minimised, level / value where maximised."""
    base = abs(level if minimise else value)
    return 1 + abs(value - level) / base if base else math.inf


def _mean(block: npt.NDArray[np.float64]) -> tuple[float, float]:
    """A block's mean, and what it is at least."""
    if not len(block) or not np.all(np.isfinite(block)):
        return math.nan, math.nan
    return float(block.mean()), float(block.mean() - ERRORS * block.std() / math.sqrt(len(block)))


class Spikes(Guard):
    """Fires while the training loss (block means, more than 3 times its level) or the objective (1.5 times) stands far above its past.

    The number is the factor over the level before. A spike that has come back is reported as such and is no fault; one that has
    not is reported again at the end of the budget.
    """

    name = "spikes"

    def __init__(self) -> None:
        self._series = {
            "loss": _Series(kept=16, needed=8, factor=3.0, deviations=6.0, trend=False, floor=1e-4),
            "objective": _Series(kept=3, needed=3, factor=1.5, deviations=3.0, trend=True, floor=0.05),
        }

    def report(self, interval: Interval) -> Iterator[Finding]:
        """At most one finding on the loss and one on the objective."""
        loss = False
        began = interval.step - len(interval.losses)
        for block in np.array_split(interval.losses, max(1, min(BLOCKS, len(interval.losses) // BLOCK))):
            mean, least = _mean(block)
            loss |= bool(self._series["loss"].add(began, mean, True, least))
            began += len(block)
        yield from self._say("loss", loss, interval)
        measure = interval.objective
        least = measure.low if interval.minimise else measure.high
        changed = bool(self._series["objective"].add(interval.step, measure.value, interval.minimise, least))
        yield from self._say("objective", changed, interval)

    def _say(self, subject: str, changed: bool, interval: Interval) -> Iterator[Finding]:
        series = self._series[subject]
        minimise = interval.minimise or subject == "loss"
        spiking = series.spike >= 0
        if not changed and not (spiking and interval.step >= interval.budget):
            return
        what = f"the {subject} went from {series.level:.3g} to {series.peak:.3g}"
        where = f" at step {series.spike}, and has not come back by step {interval.step}" if spiking else ""
        back = "" if spiking else f", and is back at {series.past[-1]:.3g} by step {interval.step}"
        yield Finding(self.name, spiking, series.times(minimise), f"{what}{where}{back}", subject)

    def state_dict(self) -> dict[str, Any]:
        """Of each series: its recent past, its range, and the spike that it is in."""
        return {name: asdict(series) for name, series in self._series.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._series = {name: _Series(**plain) for name, plain in state.items()}
