"""Intervals over independent units and training replicates, and what may be claimed from them.

A unit is what the metric says: an orbit, a board. A replicate is a training run from another seed.
"""

from __future__ import annotations

import functools
import math
import statistics
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from leadline.measure import Measure

__all__ = [
    "LEAST_DIFFERING",
    "LEAST_REPLICATES",
    "LEAST_UNITS",
    "Concordance",
    "TwoWay",
    "best_by_luck",
    "differing",
    "expected_gain",
    "lacking",
    "mean_over_units",
    "over_replicates",
    "rule_of_three",
    "two_way",
    "two_way_mean",
]

Array = npt.NDArray[np.float64]

LEAST_UNITS = 100
"""Fresh test units below which nothing is claimed."""
LEAST_REPLICATES = 5
"""Training replicates below which nothing is claimed."""
LEAST_DIFFERING = 6
"""Units that must differ before an interval is trusted to exclude a value.

With 5, a two-sided sign test has p = 2 / 2^5 = 6 % at best.
"""
SEED = 20260
"""Seed of all resampling, fixed so that equal values have equal intervals."""
CELLS = 1 << 20
"""Cells [resamples, units] that are drawn at a time, which bounds the memory."""
NORMAL = NormalDist()


def lacking(replicates: int, units: int, unit: str = "units", least: int = 0) -> str:
    """Says what is missing for a claim, as in `3 of 5 replicates`; empty where nothing is.

    Args:
        replicates: training replicates that there are.
        units: test units that there are.
        unit: what the units are called.
        least: units that are needed, where that is more than `LEAST_UNITS`.
    """
    needed = max(LEAST_UNITS, least)
    few = [f"{replicates} of {LEAST_REPLICATES} replicates"] if replicates < LEAST_REPLICATES else []
    few += [f"{units} test {unit} where {needed} are needed"] if units < needed else []
    return " and ".join(few)


def rule_of_three(n: int) -> float:
    """The upper 95 % limit of a share of which none was seen in `n` independent units.

    Source: Hanley and Lippman-Hand 1983.
    """
    return min(1.0, 3.0 / n)


def mean_over_units(
    values: Sequence[float] | Array, bounds: tuple[float, float] = (-math.inf, math.inf), resamples: int = 1000
) -> Measure:
    """The mean over independent units, with a 95 % bootstrap interval.

    The interval is that of the percentile method (Efron and Tibshirani 1993, ch. 13).

    Args:
        values: one value per independent unit (orbit, board, task), shape [n].
        bounds: smallest and largest possible value of a unit.
        resamples: bootstrap samples; the generator's seed is fixed, so equal values give equal
            intervals.

    Where fewer than `LEAST_DIFFERING` units lie off a bound, the bootstrap knows next to nothing of
    those that were not seen: the interval then reaches from that bound by the rule of three at
    least, 3/n of the range, where the range is finite.
    """
    units = np.asarray(values, dtype=np.float64)
    n = int(units.size)
    if n == 0 or not np.all(np.isfinite(units)):
        return Measure(math.nan, n, math.nan, math.nan)
    mean = float(units.mean())
    low = high = mean
    if np.ptp(units) > 0:
        draws = np.random.default_rng(SEED).integers(0, n, size=(resamples, n))
        low, high = np.quantile(units[draws].mean(axis=1), [0.025, 0.975])
    return Measure(mean, n, *_reaching(float(low), float(high), units, bounds), tuple(units.tolist()))


def _reaching(low: float, high: float, units: Array, bounds: tuple[float, float]) -> tuple[float, float]:
    """The interval, widened where nearly all units [n] lie on a bound."""
    spread = rule_of_three(len(units)) * (bounds[1] - bounds[0])
    if not math.isfinite(spread):
        return low, high
    if np.count_nonzero(units - bounds[0]) < min(LEAST_DIFFERING, len(units)):
        high = max(high, bounds[0] + spread)
    if np.count_nonzero(units - bounds[1]) < min(LEAST_DIFFERING, len(units)):
        low = min(low, bounds[1] - spread)
    return low, high


def differing(differences: Array) -> int:
    """Counts units of [replicates, units] whose mean over replicates is not 0.

    Apart from rounding: a millionth of the largest mean counts as 0.
    """
    means = np.abs(differences.mean(axis=0))
    return int(np.count_nonzero(means > 1e-6 * means.max()))


@dataclass(frozen=True)
class TwoWay:
    """An estimate over replicates and units, and its bootstrap distribution.

    Attributes:
        value: the estimate; NaN where a value was not finite.
        n: units.
        error: standard error, from the variances of the replicates' means and of the units' means;
            they both hold the interaction, so it is a little too large rather than too small.
        freedom: its degrees of freedom (Satterthwaite 1946): few where the spread between few
            replicates dominates.
        draws: estimates of the bootstrap samples, float64 [resamples].
    """

    value: float
    n: int
    error: float
    freedom: float
    draws: Array

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The interval by percentiles of the bootstrap, moved outwards.

        They are moved as far as Student's t lies beyond the normal (Hesterberg 2015, sec. 5.3).

        The plain percentiles of five replicates cover the truth in about 80 % of cases instead of
        95 %.
        """
        spread = float(self.draws.std())
        if not spread > 0:
            return self.value, self.value
        level = NORMAL.cdf(-_student(0.5 + confidence / 2, self.freedom) * self.error / spread)
        low, high = np.quantile(self.draws, [level, 1 - level])
        return min(float(low), self.value), max(float(high), self.value)

    def detectable(self, power: float = 0.8, confidence: float = 0.95) -> float:
        """The smallest true difference that a test would find with this power (Bloom 1995).

        The test is two-sided, at the level 1 - confidence. The difference is `multiplier` standard
        errors, which at 5 % is 2.8 with many degrees of freedom and more with few. It is NaN where
        nothing varies.
        """
        return self.multiplier(power, confidence) * self.error if self.error > 0 else math.nan

    def multiplier(self, power: float = 0.8, confidence: float = 0.95) -> float:
        """The minimum detectable difference in standard errors."""
        return _student(0.5 + confidence / 2, self.freedom) + _student(power, self.freedom)

    def measure(self) -> Measure:
        """The value with its 95 % interval."""
        return Measure(self.value, self.n, *self.interval())


def _student(probability: float, freedom: float) -> float:
    """The quantile of Student's t with `freedom` degrees of freedom, for a probability above 0.5.

    t = sqrt(f) tan(a), where the angle a has a density proportional to cos(a)^(f - 1).
    """
    angle = np.linspace(0.0, math.pi / 2, 20001)
    density = np.cos(angle) ** (min(freedom, 1e4) - 1.0)
    below = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return math.sqrt(min(freedom, 1e4)) * math.tan(float(np.interp(2 * probability - 1, below / below[-1], angle)))


def two_way(*blocks: Array, resamples: int = 4000) -> TwoWay:
    """The sum of the blocks' means, with replicates and units resampled independently.

    This is the "pigeonhole bootstrap" of Owen 2007.

    Args:
        blocks: values per training replicate and unit, shape [replicates, units] each, on the same
            units. Replicates of different blocks are drawn separately: a paired difference is one
            block of differences, an unpaired one is two blocks, the second with its sign changed.
        resamples: bootstrap samples, drawn with a fixed seed. Equal blocks are not resampled again:
            a report asks for most several times.
    """
    return _two_way(
        resamples, *((block.shape, np.ascontiguousarray(block, dtype=np.float64).tobytes()) for block in blocks)
    )


@functools.lru_cache(maxsize=128)
def _two_way(resamples: int, *plain: tuple[tuple[int, ...], bytes]) -> TwoWay:
    """`two_way` of blocks that are given as shape and bytes, which a cache can look up."""
    blocks = [np.frombuffer(values).reshape(shape) for shape, values in plain]
    n = blocks[0].shape[1]
    value = float(sum(block.mean() for block in blocks))
    if not math.isfinite(value):
        return TwoWay(math.nan, n, math.nan, 1.0, np.full(1, math.nan))
    parts = [(_variance(block.mean(axis=1)), len(block)) for block in blocks]
    parts.append((_variance(np.sum([block.mean(axis=0) for block in blocks], axis=0)), n))
    total = sum(variance for variance, _ in parts)
    freedom = total**2 / sum(variance**2 / (count - 1) for variance, count in parts if variance) if total else 1.0
    generator = np.random.default_rng(SEED)
    # In parts, as [resamples, units] indices would not fit the memory for many units.
    rows = max(1, CELLS // n)
    draws = (
        [_draw(blocks, generator, min(rows, resamples - start)) for start in range(0, resamples, rows)]
        if total
        else [np.full(1, value)]
    )
    return TwoWay(value, n, math.sqrt(total), freedom, np.concatenate(draws))


def _variance(means: Array) -> float:
    """The estimated variance of a mean of independent values; 0 of one value or without spread."""
    return float(means.var(ddof=1)) / len(means) if len(means) > 1 and np.ptp(means) > 0 else 0.0


def _draw(blocks: Sequence[Array], generator: np.random.Generator, count: int) -> Array:
    """Draws `count` bootstrap estimates of the sum of the blocks' means, float64 [count]."""
    n = blocks[0].shape[1]
    columns = generator.integers(0, n, size=(count, n))
    found = np.zeros(count)
    for block in blocks:
        shares = generator.multinomial(len(block), np.full(len(block), 1 / len(block)), size=count) / len(block)
        found += np.take_along_axis(shares @ block, columns, axis=1).mean(axis=1)
    return found


def two_way_mean(values: Array, bounds: tuple[float, float] = (-math.inf, math.inf), resamples: int = 4000) -> Measure:
    """The mean over replicates and units, with a 95 % interval from the two-way bootstrap.

    Args:
        values: one value per training replicate and independent unit, shape [replicates, units].
        bounds: smallest and largest possible value: the rule of three holds on the units, as in
            `mean_over_units`.
        resamples: bootstrap samples.

    `n` counts the units. With one replicate the interval is that of the units alone.
    """
    found = two_way(values, resamples=resamples).measure()
    if not math.isfinite(found.value):
        return found
    return Measure(found.value, found.n, *_reaching(found.low, found.high, values.mean(axis=0), bounds))


def over_replicates(scores: Sequence[Measure]) -> Measure:
    """Combines one metric of several replicates of a trial, all scored on the same units.

    With values per unit it is the two-way bootstrap. Where nearly all units have the least value,
    it reaches up as far as the widest of the replicates' own intervals, which know the metric's
    bounds, and down likewise where they have the largest. Without values per unit (a percentile
    over all steps) it is the replicates' spread and the mean width of their own intervals, added in
    quadrature.
    """
    units = [score.units for score in scores]
    if not all(units) or len({len(values) for values in units}) > 1:
        return _without_units(scores)
    found = two_way_mean(np.array(units))
    if not math.isfinite(found.value):
        return found
    means = np.mean(units, axis=0)
    low = found.low
    high = found.high
    if np.count_nonzero(means - means.min()) < LEAST_DIFFERING:
        high = max(high, *(score.high for score in scores))
    if np.count_nonzero(means - means.max()) < LEAST_DIFFERING:
        low = min(low, *(score.low for score in scores))
    return Measure(found.value, found.n, low, high)


def _without_units(scores: Sequence[Measure]) -> Measure:
    """Combines replicates of which only the values and their intervals are known."""
    found = two_way_mean(np.array([[score.value] for score in scores]))
    below = math.hypot(found.value - found.low, float(np.mean([score.value - score.low for score in scores])))
    above = math.hypot(found.high - found.value, float(np.mean([score.high - score.value for score in scores])))
    return Measure(found.value, min(score.n for score in scores), found.value - below, found.value + above)


def best_by_luck(spread: float, count: int) -> float:
    """How far the best of `count` equally good configurations scores beyond their mean, by luck.

    Args:
        spread: standard deviation of a configuration's score from seed to seed.
        count: configurations looked at.

    The expected minimum of normal draws by the formula of Blom (1958): the quantile at (1 - 3/8) /
    (count + 1/4).
    """
    return -NORMAL.inv_cdf(0.625 / (count + 0.25)) * spread if count > 1 else 0.0


class Concordance:
    """Kendall's tau-b between two values of each unit, over the pairs of units within a group.

    tau-b = (concordant - discordant pairs) / sqrt(pairs untied in the first value * pairs untied in
    the second), each summed over the groups (Kendall 1945). Units are added one by one, at a cost
    that grows with their number, since a director asks after each.
    """

    def __init__(self) -> None:
        self._values: dict[str, tuple[array[float], array[float]]] = {}
        self._sums = np.zeros(3)
        """Concordant less discordant pairs, and pairs untied in the first and the second value."""

    def add(self, group: str, first: float, second: float) -> None:
        """Adds a unit with its two values, which are finite."""
        values = self._values.setdefault(group, (array("d"), array("d")))
        self._sums += _pairs(first, second, *values)
        for known, value in zip(values, (first, second), strict=True):
            known.append(value)

    @property
    def n(self) -> int:
        """The units, over all groups."""
        return sum(len(first) for first, _ in self._values.values())

    @property
    def pairs(self) -> int:
        """The pairs of units within a group, over all groups."""
        return sum(len(first) * (len(first) - 1) // 2 for first, _ in self._values.values())

    @property
    def tau(self) -> float:
        """Kendall's tau-b; NaN where all pairs are tied in a value, or there is none."""
        return float(_tau(self._sums))

    def measure(self) -> Measure:
        """The tau with a 95 % interval from leaving out one unit at a time.

        It is the jackknife's standard error (Efron and Tibshirani 1993, ch. 11) with Student's t.
        Of normal pairs it covers the truth in 93 to 97 % of cases from 12 units on. The interval is
        NaN where leaving one out changes nothing, as where all pairs agree.
        """
        n = self.n
        parts = [_pairs(x, y, *values) for values in self._values.values() for x, y in zip(*values, strict=True)]
        without = _tau(self._sums - np.reshape(parts, (-1, 3)))
        error = math.sqrt((n - 1) / n) * math.sqrt(np.sum((without - np.mean(without)) ** 2)) if n > 2 else math.nan
        half = _student(0.975, n - 2) * error if error > 0 else math.nan
        tau = self.tau
        # Not `max` and `min` of Python, which lose a NaN.
        return Measure(tau, n, float(np.maximum(tau - half, -1.0)), float(np.minimum(tau + half, 1.0)))


def _pairs(first: float, second: float, firsts: array[float], seconds: array[float]) -> Array:
    """What the pairs of one unit with others add to the three sums of `Concordance`."""
    one, other = np.sign(first - np.asarray(firsts)), np.sign(second - np.asarray(seconds))
    return np.array([one @ other, one @ one, other @ other])


def _tau(sums: Array) -> Array:
    """tau-b of sums [..., 3] as `Concordance` has them, of shape [...]."""
    untied = np.sqrt(sums[..., 1] * sums[..., 2])
    return np.divide(sums[..., 0], untied, out=np.full_like(untied, math.nan), where=untied > 0)


def expected_gain(values: Sequence[float], more: float, scatter: float = 0.0) -> float:
    """By how much the best of all is expected to fall with `more` further draws.

    The mean best of k of n values is exact for each k. From n/4 to n/2 values and from there to n
    it falls by two amounts, whose ratio, held within 1/4 and 1, is taken for that of each doubling
    from here on: no shape is assumed of the values' distribution but how its lower end thins out.

    Where a value scatters by itself, the best of many owes part of its lead to luck: of a fall,
    only the share of the values' variance that the scatter does not explain is true.

    Args:
        values: finite values, at least four; smaller is better.
        more: further draws.
        scatter: the standard deviation of a value that is drawn again.
    """
    n = len(values)
    spread = statistics.stdev(values)
    if spread <= scatter:
        return 0.0
    quarter, half, whole = (_mean_best(sorted(values), k) for k in (max(1, n // 4), n // 2, n))
    last = half - whole
    ratio = min(max(last / (quarter - half), 0.25), 1.0) if quarter > half else 0.25
    doublings = math.log2((n + more) / n)
    times = doublings if ratio == 1 else ratio * (1 - ratio**doublings) / (1 - ratio)
    return (1 - (scatter / spread) ** 2) * last * times


def _mean_best(ordered: Sequence[float], k: int) -> float:
    """The mean of the least of k values over all ways to choose these from values in order."""
    n = len(ordered)
    ways = [math.comb(n - 1 - place, k - 1) for place in range(n)]
    return sum(value * (way / math.comb(n, k)) for value, way in zip(ordered, ways, strict=True))
