"""The guard on spikes: whether the loss or the objective has jumped, and whether it came back."""

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

# The losses of single minibatches are heavy-tailed, so means of blocks of steps are looked at.
BLOCKS = 8
"""The most blocks of an interval."""
BLOCK = 16
"""The fewest steps of a block, where the interval has them."""
ERRORS = 2.0
"""Standard errors that are taken off a block's mean, so that one odd minibatch is no spike."""


@dataclass
class _Series:
    """A quantity that is compared with its own recent past, the values that were no spikes.

    A spike is worse than their median by a factor of more than `factor`, by more than `deviations`
    scaled median absolute deviations, and by more than the share `floor` of the range seen so far:
    what is almost 0 may double without harm.

    Attributes:
        kept: how many values of the past are kept.
        needed: values without which nothing is a spike.
        factor: see above.
        deviations: see above.
        trend: whether a few values far apart are expected to have a trend, so that only the changes
            of their differences are noise.
        floor: see above.
        past: the latest values that were no spikes.
        lowest: the lowest value so far.
        highest: the highest value so far.
        spike: the step at which the present spike began; -1 without one.
        level: the median before the latest spike.
        peak: the worst value of the latest spike.
    """

    kept: int
    needed: int
    factor: float
    deviations: float
    trend: bool
    floor: float
    past: list[float] = field(default_factory=list)
    lowest: float = math.inf
    highest: float = -math.inf
    spike: int = -1
    level: float = math.nan
    peak: float = math.nan

    def add(self, step: int, value: float, minimise: bool, least: float) -> str:
        """Takes the next value and says whether a spike begins or ends with it.

        Args:
            step: the step of the value.
            value: the value; one that is not finite is passed over.
            minimise: whether smaller is better.
            least: the best that the value can be, by its interval.

        Returns:
            "began", "back" or an empty text.
        """
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
        """Whether a value is a spike against the past."""
        level = float(np.median(self.past))
        direction = 1.0 if minimise else -1.0
        rise = direction * (value - level)
        sure = direction * (least - level)
        bar = max(self.deviations * self._deviation(), self.floor * (self.highest - self.lowest))
        return sure > 0 and rise > bar and _times(value, level, minimise) > self.factor

    def _deviation(self) -> float:
        """The noise of the past: 1.4826 times the median absolute deviation.

        That is sigma for a normal distribution. Differences of two values have sqrt(2) of it.
        """
        values = np.diff(self.past) if self.trend else np.asarray(self.past)
        scale = math.sqrt(2) if self.trend else 1.0
        return 1.4826 / scale * float(np.median(np.abs(values - np.median(values))))

    def times(self, minimise: bool) -> float:
        """The spike's size as a factor over the level before."""
        return _times(self.peak, self.level, minimise)


def _times(value: float, level: float, minimise: bool) -> float:
    """How many times worse a worse value is than a level.

    Of positive numbers it is value / level where they are minimised, level / value where maximised.
    """
    base = abs(level if minimise else value)
    return 1 + abs(value - level) / base if base else math.inf


def _mean(block: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The mean of a block of losses, and the least that it is by `ERRORS`; NaN if not finite."""
    if not len(block) or not np.all(np.isfinite(block)):
        return math.nan, math.nan
    return float(block.mean()), float(block.mean() - ERRORS * block.std() / math.sqrt(len(block)))


class Spikes(Guard):
    """Fires while the training loss or the objective stands far above its recent past.

    For block means of the loss, that is more than 3 times their level; for the objective, 1.5
    times.

    The number is the factor over the level before. A spike that has come back is reported as such
    and is no fault; one that has not is reported again at the end of the budget.
    """

    name = "spikes"

    def __init__(self) -> None:
        self._series = {
            "loss": _Series(kept=16, needed=8, factor=3.0, deviations=6.0, trend=False, floor=1e-4),
            "objective": _Series(kept=3, needed=3, factor=1.5, deviations=3.0, trend=True, floor=0.05),
        }

    def report(self, interval: Interval) -> Iterator[Finding]:
        """Reports at most one finding on the loss and one on the objective."""
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
        """The finding on a series where a spike began or ended, or stands at the budget's end."""
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
        """Returns, of each series, its recent past, its range, and the spike that it is in."""
        return {name: asdict(series) for name, series in self._series.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._series = {name: _Series(**plain) for name, plain in state.items()}
