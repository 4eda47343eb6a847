"""Forests: differences with their intervals, one below the other on one axis with a zero line.

They are drawn as SVG without a script. Positions are in percent of the width, so that a forest
fits any window with its text at full size.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leadline.analysis import scores
from leadline.analysis.report import short
from leadline.analysis.report.answers import Answer
from leadline.analysis.sweep import Sweep
from leadline.ledger.verdicts import Comparison, Verdict
from leadline.measure import Measure, sign

__all__ = [
    "Axis",
    "Forest",
    "Line",
    "against_trivial",
    "between",
    "difference",
    "in_unit",
    "relative",
    "round_values",
    "so_far",
]

UNEQUAL = 3.0
"""How far the trivial predictors' values of two strata must be apart, as a factor, before
differences are shown relative to them."""
BEYOND = 12.0
"""A line that reaches further than so many times the middle one is cut off at the plot's edge."""
ROOM = 0.04
"""The share of the width that stays free at each end."""


@dataclass(frozen=True)
class Line:
    """One line of a forest.

    Attributes:
        label: what is compared.
        measure: the difference with its interval, in the unit of the axis.
        words: the difference as it is written.
        verdict: what may be claimed; it decides the colour.
        margin: the largest difference that would not matter; None without one.
        mark: a value to compare with, drawn as a tick; None without one.
    """

    label: str
    measure: Measure
    words: str
    verdict: Verdict
    margin: float | None = None
    mark: float | None = None

    @property
    def kind(self) -> str:
        """The verdict in one word, for the style: `better`, `mixed`, `worse` or `open`."""
        known = {Verdict.BETTER: "better", Verdict.MIXED: "mixed", Verdict.WORSE: "worse"}
        return known.get(self.verdict, "open")


@dataclass(frozen=True)
class Axis:
    """A linear axis from `low` to `high`, whose positions are in percent of a width."""

    low: float
    high: float

    @staticmethod
    def of(values: Iterable[float]) -> Axis:
        """Returns the axis that holds some finite values; where they are equal, one around them."""
        found = list(values)
        low, high = min(found), max(found)
        if low == high:
            low, high = low - (abs(low) or 1.0), high + (abs(high) or 1.0)
        return Axis(low, high)

    def at(self, value: float) -> float:
        """Returns the position of a value, no further out than the ends."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(100 * (ROOM + (1 - 2 * ROOM) * share), 2)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """The positions of about four round values, with their texts."""
        return [(self.at(value), short.short(value)) for value in round_values(self.low, self.high)]


def round_values(low: float, high: float) -> list[float]:
    """Returns about four round values from `low` to `high`, which is greater.

    There are none where the distance is too small or too large for a number.
    """
    least = (high - low) / 4
    if not short.NOTHING < least < math.inf:
        return []
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
    first = math.ceil(low / step)
    return [step * place for place in range(first, math.floor(high / step) + 1)]


@dataclass(frozen=True)
class Forest:
    """Lines on one axis.

    Attributes:
        title: what is compared, in words.
        unit: what the axis shows.
        lower_is_better: whether the left side is the better one.
        lines: the lines, from top to bottom.
        zero: whether the values are differences, so that the axis has a zero line.
    """

    title: str
    unit: str
    lower_is_better: bool
    lines: list[Line]
    zero: bool = True

    @property
    def axis(self) -> Axis:
        """The axis: it holds all values, and intervals as far as they are not far beyond others."""
        reach = [max(abs(line.measure.low), abs(line.measure.high)) for line in self.lines]
        most = BEYOND * (statistics.median(reach) or max(reach) or 1.0) if self.zero else math.inf
        ends = [end for line in self.lines for end in (line.measure.low, line.measure.high)]
        margins = [line.margin for line in self.lines if line.margin]
        ends += [end for margin in margins for end in (-margin, margin)] if self.zero else []
        ends += [0.0] if self.zero else [line.mark for line in self.lines if line.mark is not None]
        return Axis.of(max(-most, min(most, end)) for end in ends)

    @property
    def ends(self) -> tuple[str, str]:
        """The words at the left and the right end of the axis."""
        left, right = ("better", "worse") if self.lower_is_better else ("worse", "better")
        return f"← {left}", f"{right} →"


def between(comparisons: Sequence[Comparison]) -> list[Forest]:
    """Returns the forests of comparisons between strata, one for each metric.

    Comparisons without an estimate have no line.
    """
    metrics = dict.fromkeys(one.metric for one in comparisons)
    found = [(metric, [one for one in comparisons if one.metric == metric and _finite(one)]) for metric in metrics]
    return [
        Forest(
            f"{metric}: the first less the second",
            f"difference in {metric}",
            of[0].mode == "min",
            [_between(one) for one in of],
        )
        for metric, of in found
        if of
    ]


def _between(found: Comparison) -> Line:
    assert found.difference is not None, "only comparisons with an estimate have a line"
    label = " less ".join(f"{side.stratum} {short.interval(side.measure)}" for side in (found.a, found.b))
    return Line(label, found.difference, short.interval(found.difference), found.verdict, found.margin)


def _finite(found: Comparison) -> bool:
    measure = found.difference
    return measure is not None and all(map(math.isfinite, (measure.value, measure.low, measure.high)))


def difference(found: Comparison) -> Measure | None:
    """Returns a finalist less a trivial predictor, with its interval; None where it is not finite.

    Where the ledger has no values per unit, it is the finalist's own interval less the predictor's
    value.
    """
    made = found.difference
    if made is None:
        own, other = found.a.measure, found.b.measure.value
        made = Measure(own.value - other, own.n, own.low - other, own.high - other)
    return made if all(map(math.isfinite, (made.value, made.low, made.high))) else None


def relative(found: Sequence[Answer]) -> bool:
    """Returns whether differences are given in percent of the trivial predictor's value.

    They are where these values are positive and far apart, since equal differences then mean
    unequal things, and some could not be seen on a common axis.
    """
    values = [answer.versus.b.measure.value for answer in found if answer.versus]
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) > UNEQUAL * min(finite)


def in_unit(measure: Measure, of: float | None) -> Measure:
    """Returns a difference in percent of a value; as it is where that is None."""
    if of is None:
        return measure
    scaled = [100 * value / of for value in (measure.value, measure.low, measure.high)]
    return Measure(scaled[0], measure.n, scaled[1], scaled[2])


def against_trivial(sweep: Sweep, found: Sequence[Answer]) -> list[Forest]:
    """Returns the forest of the confirmed winners against the best trivial predictors.

    There is none where no winner has been compared with one.
    """
    share = relative(found)
    lines = []
    for answer in found:
        made = difference(answer.versus) if answer.versus else None
        if answer.versus and made:
            shown = in_unit(made, answer.versus.b.measure.value if share else None)
            words = short.interval(shown) + (" %" if share else "")
            lines.append(Line(_name(sweep, answer.stratum), shown, words, answer.verdict))
    metric = sweep.settings.metric
    unit = f"difference in {metric}" + (", in % of the trivial predictor's value" if share else "")
    title = f"{metric}: the confirmed winner less the best trivial predictor"
    return [Forest(title, unit, sweep.settings.mode == "min", lines)] if lines else []


def so_far(sweep: Sweep) -> list[Forest]:
    """Returns the values on validation of the best trial of each stratum; they are no differences.

    A mark is at the best trivial predictor. There is none where no trial has finished.
    """
    name, lines = sweep.settings.metric, []
    for stratum in sweep.strata:
        reading = scores.chosen(sweep.history, stratum, name)
        if reading and _all_finite(reading.measure):
            trivial = scores.trivial(sweep.history, stratum, name, "validation")
            beside = f"; trivial {short.short(trivial[1].value)}" if trivial else ""
            words = short.interval(reading.measure) + beside
            mark = trivial[1].value if trivial else None
            lines.append(Line(_name(sweep, stratum), reading.measure, words, Verdict.NO_CLAIM, mark=mark))
    title = f"{name} on validation, by which the trial was chosen; the grey mark is the best trivial predictor"
    return [Forest(title, name, sign(sweep.settings.mode) > 0, lines, zero=False)] if lines else []


def _all_finite(measure: Measure) -> bool:
    return all(map(math.isfinite, (measure.value, measure.low, measure.high)))


def _name(sweep: Sweep, stratum: str) -> str:
    settings = sweep.settings
    if settings.arms:  # which have names of their own
        return stratum
    return f"{settings.stratify} {stratum}" if settings.stratify else settings.study
