"""The curve of the objective over strata that are numbers, drawn as SVG without a script.

Positions across are in percent of the width, and down in pixels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from leadline.analysis import scores
from leadline.analysis.report import forest, short
from leadline.analysis.report.figures.base import scale
from leadline.analysis.sweep import Sweep

__all__ = ["Curve", "Point", "curve"]

TOP, BOTTOM = 18.0, 232.0
"""The pixels of the greatest and of the least value."""


@dataclass(frozen=True)
class Point:
    """What is known of one stratum, as pixels down; None where there is nothing.

    Attributes:
        stratum: the stratum.
        x: the position across, in percent.
        value, low, high: the confirmed mean on test and its interval.
        replicates: the single replicates.
        chosen: the best trial on validation.
        trivial: the best trivial predictor, on test where something is confirmed.
    """

    stratum: str
    x: float
    value: float | None
    low: float | None
    high: float | None
    replicates: tuple[float, ...]
    chosen: float | None
    trivial: float | None


@dataclass(frozen=True)
class Curve:
    """The curve.

    Attributes:
        metric: the objective.
        field: the stratifying field.
        split: the split that trivial predictors are shown on.
        points: a point for each stratum, in order.
        ticks: pixels down and texts of the scale.
    """

    metric: str
    field: str
    split: str
    points: list[Point]
    ticks: list[tuple[float, str]]

    def lines(self, name: str) -> list[tuple[float, float, float, float]]:
        """Returns the pieces (x, y, x, y) that join the points' `value` or `trivial`."""
        found = [(point.x, getattr(point, name)) for point in self.points if getattr(point, name) is not None]
        return [(*one, *other) for one, other in itertools.pairwise(found)]


class _Scale:
    """A linear or logarithmic scale that holds some values."""

    def __init__(self, values: Sequence[float]) -> None:
        self.log = scale(values)["type"] == "log"
        at = [self._at(value) for value in values]
        self.low, self.high = min(at), max(at)
        if self.low == self.high:
            self.low, self.high = self.low - 1, self.high + 1

    def _at(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def pixel(self, value: float | None) -> float | None:
        """Returns the pixel of a value, no further than the plot; None where it has none."""
        if value is None or not math.isfinite(value):
            return None
        at = self.low if self.log and value <= 0 else self._at(value)
        share = (min(max(at, self.low), self.high) - self.low) / (self.high - self.low)
        return round(BOTTOM - share * (BOTTOM - TOP), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """The pixels and texts of some round values."""
        if self.log:
            powers = range(math.ceil(self.low), math.floor(self.high) + 1)
            values = [10.0**power for power in powers[:: max(1, len(powers) // 4)]]
            values = values if len(values) > 1 else [10**self.low, 10**self.high]
        else:
            values = forest.round_values(self.low, self.high)
        return [(at, short.short(value)) for value in values if (at := self.pixel(value)) is not None]


def curve(sweep: Sweep) -> Curve | None:
    """Returns the curve over strata; None where they are no growing numbers, or without values."""
    strata, name = sweep.strata, sweep.settings.metric
    try:
        numbers = [float(stratum) for stratum in strata]
    except ValueError:
        return None
    if len(strata) < 2 or numbers != sorted(numbers):
        return None
    history = sweep.history
    confirmed = {stratum: scores.confirmed(history, stratum, name) for stratum in strata}
    chosen = {stratum: scores.chosen(history, stratum, name) for stratum in strata}
    split = "test" if any(confirmed.values()) else "validation"
    trivial = {stratum: scores.trivial(history, stratum, name, split) for stratum in strata}
    readings = [found for found in [*confirmed.values(), *chosen.values()] if found]
    values = [score.value for found in readings for score in [*found.scores, found.measure]]
    values += [found[1].value for found in trivial.values() if found]
    finite = [value for value in values if math.isfinite(value)]
    if not readings or not finite:
        return None
    ends = [end for found in confirmed.values() if found for end in (found.measure.low, found.measure.high)]
    along = _Scale([*finite, *(end for end in ends if math.isfinite(end) and (end > 0 or min(finite) <= 0))])
    points = []
    for place, stratum in enumerate(strata):
        found, best, other = confirmed[stratum], chosen[stratum], trivial[stratum]
        pixels = [along.pixel(score.value) for score in found.scores] if found and len(found.scores) > 1 else []
        points.append(
            Point(
                stratum,
                round(9 + 91 * (place + 0.5) / len(strata), 2),
                along.pixel(found.measure.value) if found else None,
                along.pixel(found.measure.low) if found else None,
                along.pixel(found.measure.high) if found else None,
                tuple(pixel for pixel in pixels if pixel is not None),
                along.pixel(best.measure.value) if best else None,
                along.pixel(other[1].value) if other else None,
            )
        )
    return Curve(name, sweep.settings.stratify or "stratum", split, points, along.ticks)
