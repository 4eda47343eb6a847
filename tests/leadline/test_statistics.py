"""Intervals that hold what they promise, and what luck alone would do."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.measure import Measure
from leadline.statistics import (
    Concordance,
    best_by_luck,
    differing,
    lacking,
    mean_over_units,
    over_replicates,
    rule_of_three,
    two_way,
    two_way_mean,
)

UNITS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


def same(one: Measure, other: Measure) -> bool:
    """Equal, where NaN equals NaN."""
    return one.n == other.n and np.array_equal(
        (one.value, one.low, one.high), (other.value, other.low, other.high), equal_nan=True
    )


@given(UNITS)
def test_the_value_is_the_mean_and_lies_within_its_interval(units: list[float]) -> None:
    measure = mean_over_units(units, resamples=50)
    assert measure.value == float(np.mean(units))
    assert measure.low <= measure.value <= measure.high
    assert measure.n == len(units)
    assert list(measure.units) == units


def test_equal_values_give_equal_intervals_whatever_ran_before() -> None:
    units = np.random.default_rng(3).normal(size=50)
    first = mean_over_units(units)
    np.random.default_rng(4).normal(size=50)
    np.random.seed(7)
    assert mean_over_units(units) == first
    assert mean_over_units(units[::-1]) != first, "the bootstrap draws by position"


@pytest.mark.parametrize(("n", "least"), [(20, 0.88), (80, 0.91)])
def test_the_interval_covers_the_truth(n: int, least: float) -> None:
    """Standard normal units: the percentile bootstrap is known to be a little too narrow when n is small."""
    generator = np.random.default_rng(11)
    measures = [mean_over_units(generator.normal(size=n), resamples=400) for _ in range(600)]
    covered = np.mean([m.low <= 0 <= m.high for m in measures])
    assert least <= covered <= 0.97
    width = np.mean([m.high - m.low for m in measures])
    assert width == pytest.approx(2 * 1.96 / math.sqrt(n), rel=0.1)


@pytest.mark.parametrize(
    ("value", "bounds", "low", "high"),
    [
        (0.0, (0.0, 1.0), 0.0, 0.03),
        (1.0, (0.0, 1.0), 0.97, 1.0),
        (0.0, (0.0, 4.0), 0.0, 0.12),
        (0.5, (0.0, 1.0), 0.5, 0.5),
        (0.0, (0.0, math.inf), 0.0, 0.0),
        (0.0, (-math.inf, math.inf), 0.0, 0.0),
    ],
)
def test_the_rule_of_three_where_all_units_sit_on_a_bound(
    value: float, bounds: tuple[float, float], low: float, high: float
) -> None:
    measure = mean_over_units([value] * 100, bounds)
    assert [measure.value, measure.low, measure.high] == pytest.approx([value, low, high])
    assert measure.n == 100


@pytest.mark.parametrize("n", [1, 2])
def test_few_units_on_a_bound_reach_no_further_than_the_other(n: int) -> None:
    assert mean_over_units([1.0] * n, (0.0, 1.0)).low == 0.0
    assert mean_over_units([0.0] * n, (0.0, 1.0)).high == 1.0


@pytest.mark.parametrize("units", [[], [1.0, math.nan], [math.inf, 1.0]])
def test_no_number_from_no_units_or_units_that_are_none(units: list[float]) -> None:
    measure = mean_over_units(units)
    assert same(measure, Measure(math.nan, len(units), math.nan, math.nan))
    assert measure.units == ()


def test_one_replicate_has_the_interval_of_its_units() -> None:
    units = np.random.default_rng(5).normal(size=40)
    both, plain = two_way_mean(units[None]), mean_over_units(units)
    assert both.value == pytest.approx(plain.value)
    assert both.n == 40
    assert both.high - both.low == pytest.approx(plain.high - plain.low, rel=0.15)


def test_replicates_that_differ_widen_the_interval() -> None:
    generator = np.random.default_rng(6)
    units = generator.normal(size=(1, 40)).repeat(5, axis=0)
    shifted = units + np.linspace(-2, 2, 5)[:, None]
    same_each, different = two_way_mean(units), two_way_mean(shifted)
    assert different.value == pytest.approx(same_each.value)
    assert different.high - different.low > 2 * (same_each.high - same_each.low)
    assert two_way_mean(shifted) == different


@pytest.mark.parametrize(("replicates", "units", "noise"), [(1.0, 1.0, 0.1), (1.0, 0.1, 0.1), (0.05, 1.0, 0.5)])
def test_the_two_way_interval_covers_the_truth(replicates: float, units: float, noise: float) -> None:
    """Five replicates, whichever of the spreads dominates; plain percentiles cover about 80 % where
    it is the replicates'.
    """
    generator = np.random.default_rng(12)
    hits, plain = [], []
    for _ in range(250):
        values = (
            replicates * generator.normal(size=(5, 1))
            + units * generator.normal(size=(1, 30))
            + noise * generator.normal(size=(5, 30))
        )
        found = two_way(values, resamples=1000)
        low, high = found.interval()
        hits.append(low <= 0 <= high)
        low, high = np.quantile(found.draws, [0.025, 0.975])
        plain.append(low <= 0 <= high)
    assert 0.89 <= np.mean(hits) <= 0.99
    assert np.mean(plain) <= np.mean(hits)


def test_no_number_from_a_replicate_that_diverged() -> None:
    assert same(two_way_mean(np.array([[1.0, 2.0], [math.nan, 1.0]])), Measure(math.nan, 2, math.nan, math.nan))


def test_pairing_finds_a_small_constant_difference_under_a_large_spread_of_units() -> None:
    generator = np.random.default_rng(13)
    units = 10 * generator.normal(size=(1, 120))
    one = units + 0.02 * generator.normal(size=(5, 120))
    other = units - 0.05 + 0.02 * generator.normal(size=(5, 120))
    paired = two_way(one - other)
    low, high = paired.interval()
    assert 0 < low < 0.05 < high < 0.08
    apart = two_way_mean(other)
    assert apart.low < one.mean() < apart.high, "the second arm's own interval is far too wide to tell"


def test_replicates_of_two_blocks_are_drawn_separately_and_units_together() -> None:
    generator = np.random.default_rng(14)
    units = 10 * generator.normal(size=(1, 120))
    one, other = (
        units + generator.normal(size=(count, 1)) + 0.01 * generator.normal(size=(count, 120)) for count in (5, 8)
    )
    found = two_way(one, -other)
    assert found.value == pytest.approx(one.mean() - other.mean())
    expected = math.sqrt(one.mean(axis=1).var(ddof=1) / 5 + other.mean(axis=1).var(ddof=1) / 8)
    assert found.error == pytest.approx(expected, rel=0.01)
    assert 4 < found.freedom < 11
    assert found.draws.std() == pytest.approx(expected, rel=0.15)


def test_paired_seeds_matter_where_seeds_dominate() -> None:
    generator = np.random.default_rng(15)
    seeds = generator.normal(size=(6, 1))
    one, other = (seeds + shift + 0.1 * generator.normal(size=(6, 100)) for shift in (0.0, 0.2))
    paired, separate = two_way(one - other), two_way(one, -other)
    assert paired.value == pytest.approx(separate.value)
    assert paired.interval()[1] < 0
    assert separate.interval()[1] > 0
    assert separate.error > 5 * paired.error


@pytest.mark.parametrize(
    ("value", "bounds", "low", "high"),
    [
        (0.0, (0.0, 1.0), 0.0, 0.03),
        (1.0, (0.0, 1.0), 0.97, 1.0),
        (0.0, (0.0, math.inf), 0.0, 0.0),
        (0.5, (0.0, 1.0), 0.5, 0.5),
    ],
)
def test_the_rule_of_three_counts_units_and_not_replicates(
    value: float, bounds: tuple[float, float], low: float, high: float
) -> None:
    measure = two_way_mean(np.full((7, 100), value), bounds)
    assert [measure.value, measure.low, measure.high, measure.n] == pytest.approx([value, low, high, 100])


def test_the_rule_of_three_covers_rare_events() -> None:
    """A rate of 3/n shows no event in about 5 % of samples of n units."""
    n = 200
    seen = np.random.default_rng(16).random((20000, n)) < rule_of_three(n)
    assert np.mean(~seen.any(axis=1)) == pytest.approx(0.05, abs=0.006)
    assert rule_of_three(2) == 1.0


def test_replicates_that_never_fail_keep_the_intervals_that_know_the_bound() -> None:
    clean = [mean_over_units([0.0] * 150, (0.0, 1.0)) for _ in range(5)]
    assert over_replicates(clean) == Measure(0.0, 150, 0.0, 0.02)
    once = mean_over_units([1.0] + [0.0] * 149, (0.0, 1.0))
    found = over_replicates([*clean[1:], once])
    assert found.value == pytest.approx(1 / 750)
    assert found.high > found.value


def test_a_percentile_has_the_spread_of_replicates_and_of_units_in_quadrature() -> None:
    alike = [Measure(1.0, 40, 0.7, 1.4)] * 5
    found = over_replicates(alike)
    assert (found.value, found.n) == (1.0, 40)
    assert [found.low, found.high] == pytest.approx([0.7, 1.4])
    apart = [Measure(1.0 + shift, 40, 0.7 + shift, 1.4 + shift) for shift in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    wide = over_replicates(apart)
    alone = two_way_mean(np.array([[score.value] for score in apart]))
    assert wide.low == pytest.approx(1 - math.hypot(1 - alone.low, 0.3))
    assert wide.high == pytest.approx(1 + math.hypot(alone.high - 1, 0.4))


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    generator = np.random.default_rng(17)
    error = math.sqrt(0.2**2 / 40 + 1 / 100)
    shift = two_way(generator.normal(size=(40, 100))).multiplier() * error
    assert shift == pytest.approx(2.8 * error, rel=0.03)
    found = []
    for _ in range(300):
        values = shift + 0.2 * generator.normal(size=(40, 1)) + generator.normal(size=(1, 100)).repeat(40, axis=0)
        found.append(two_way(values, resamples=300).interval()[0] > 0)
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)


def test_few_replicates_need_a_larger_difference() -> None:
    values = np.arange(5.0)[:, None].repeat(120, axis=1)
    assert two_way(values).freedom == pytest.approx(4)
    assert two_way(values).multiplier() == pytest.approx(2.776 + 0.941, abs=0.002), (
        "Student's t with 4 degrees of freedom"
    )


def test_wider_confidence_gives_a_wider_interval_and_the_same_data_the_same_one() -> None:
    values = np.random.default_rng(18).normal(size=(5, 60))
    found = two_way(values)
    (low, high), (low90, high90) = found.interval(), found.interval(0.9)
    assert low < low90 < found.value < high90 < high
    assert two_way(values).interval() == (low, high)


@pytest.mark.parametrize("count", [2, 10, 60])
def test_luck_against_a_simulation(count: int) -> None:
    best = np.random.default_rng(19).normal(5.0, 0.3, size=(20000, count)).min(axis=1).mean()
    assert best_by_luck(0.3, count) == pytest.approx(5.0 - best, rel=0.05), "Blom's formula is 4 % too large for two"


def test_no_luck_in_one_configuration_or_without_spread() -> None:
    assert best_by_luck(0.3, 1) == 0
    assert best_by_luck(0.0, 50) == 0


@pytest.mark.parametrize(
    ("replicates", "units", "missing"),
    [
        (5, 100, ""),
        (4, 100, "4 of 5 replicates"),
        (5, 99, "99 test orbits where 100 are needed"),
        (1, 7, "1 of 5 replicates and 7 test orbits where 100 are needed"),
    ],
)
def test_what_a_claim_needs(replicates: int, units: int, missing: str) -> None:
    assert lacking(replicates, units, "orbits") == missing


@pytest.mark.parametrize(("nonzero", "reaches"), [(0, True), (1, True), (5, True), (6, False)])
def test_a_few_units_off_a_bound_do_not_narrow_the_rule_of_three(nonzero: int, reaches: bool) -> None:
    units = np.zeros(128)
    units[:nonzero] = 1e-3
    alone = mean_over_units(units, (0.0, 1.0))
    together = over_replicates([mean_over_units(units * scale, (0.0, 1.0)) for scale in (1.0, 1.1, 0.9)])
    turned = mean_over_units(1 - units, (0.0, 1.0))
    assert (alone.high == pytest.approx(3 / 128)) == reaches
    assert (together.high == pytest.approx(3 / 128)) == reaches
    assert (turned.low == pytest.approx(1 - 3 / 128)) == reaches
    assert alone.low <= alone.value


def test_units_differ_apart_from_rounding() -> None:
    differences = np.array([[0.0, 1e-3, -1e-3, 1e-12], [0.0, 1e-3, 1e-3, 1e-12]])
    assert differing(differences) == 1
    assert differing(np.zeros((2, 3))) == 0


PAIRS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25)


def _concordance(units: Sequence[tuple[str, float, float]]) -> Concordance:
    found = Concordance()
    for unit in units:
        found.add(*unit)
    return found


def _tau(units: Sequence[tuple[str, float, float]]) -> float:
    """As it is defined: every pair is looked at."""
    pairs = [(a[1] - b[1], a[2] - b[2]) for a, b in itertools.combinations(units, 2) if a[0] == b[0]]
    first, second = sum(x != 0 for x, _ in pairs), sum(y != 0 for _, y in pairs)
    if not first or not second:
        return math.nan
    return float(sum(np.sign(x) * np.sign(y) for x, y in pairs) / math.sqrt(first * second))


def test_tau_of_two_orders_and_of_ties() -> None:
    """The second is the example in SciPy's documentation of `kendalltau`."""
    swapped = [1, 2, 4, 3]
    assert _concordance([("", i, y) for i, y in enumerate(swapped)]).tau == pytest.approx(4 / 6)
    tied = zip([12, 2, 1, 12, 2], [1, 4, 7, 1, 0], strict=True)
    assert _concordance([("", x, y) for x, y in tied]).tau == pytest.approx(-0.47140452079103173)


@given(PAIRS)
def test_tau_is_that_of_the_pairs_within_groups(units: list[tuple[str, int, int]]) -> None:
    found = _concordance(units)
    assert found.n == len(units)
    assert found.tau == pytest.approx(_tau(units), nan_ok=True)


@given(PAIRS.filter(lambda units: len(units) > 2))
def test_the_interval_of_tau_is_the_jackknifes(units: list[tuple[str, int, int]]) -> None:
    found = _concordance(units).measure()
    without = [_tau(units[:i] + units[i + 1 :]) for i in range(len(units))]
    n = len(units)
    error = math.sqrt((n - 1) / n * sum((tau - np.mean(without)) ** 2 for tau in without))
    if not error > 1e-9:
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        return
    # The quantile that the interval took, from its half that is not cut off at -1 or 1.
    for half, bound in ((found.value - found.low, -1), (found.high - found.value, 1)):
        quantile = 12.706 if n == 3 else 1.96  # of Student's t with 1 degree of freedom, and of the normal
        assert half >= min(quantile * error, abs(bound - found.value)) * 0.999
        assert -1 <= found.low <= found.value <= found.high <= 1


def test_the_interval_of_tau_covers_the_truth() -> None:
    """Of normal pairs with correlation r, tau is 2/pi arcsin r; 12 trials are the fewest that decide."""
    generator, truth = np.random.default_rng(3), 0.4
    r = math.sin(math.pi * truth / 2)
    hits = 0
    for _ in range(400):
        first = generator.normal(size=12)
        second = r * first + math.sqrt(1 - r * r) * generator.normal(size=12)
        found = _concordance([("", x, y) for x, y in zip(first, second, strict=True)]).measure()
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 400 <= 0.98
