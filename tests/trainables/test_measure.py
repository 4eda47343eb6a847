"""Intervals that hold what they promise, and plain values that lose nothing."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.measure import Measure, Report, mean_over_units, two_way_mean

UNITS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


def same(one: Measure, other: Measure) -> bool:
    """Equal, where NaN equals NaN."""
    return one.n == other.n and np.array_equal((one.value, one.low, one.high), (other.value, other.low, other.high), equal_nan=True)


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
def test_the_rule_of_three_where_all_units_sit_on_a_bound(value: float, bounds: tuple[float, float], low: float, high: float) -> None:
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


def test_the_two_way_interval_covers_the_truth() -> None:
    """Replicate and unit effects of equal variance; five replicates are few, and the bootstrap too narrow by about sqrt(4/5)."""
    generator = np.random.default_rng(12)
    hits = []
    for _ in range(200):
        values = generator.normal(size=(5, 1)) + generator.normal(size=(1, 20)) + 0.1 * generator.normal(size=(5, 20))
        measure = two_way_mean(values, resamples=200)
        hits.append(measure.low <= 0 <= measure.high)
    assert 0.78 <= np.mean(hits) <= 0.98


def test_no_number_from_a_replicate_that_diverged() -> None:
    assert same(two_way_mean(np.array([[1.0, 2.0], [math.nan, 1.0]])), Measure(math.nan, 2, math.nan, math.nan))


NUMBERS = st.floats(allow_infinity=False)


@given(NUMBERS, NUMBERS, NUMBERS, st.integers(0, 10**6), st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(tuple))
def test_a_measure_comes_back_through_json(value: float, low: float, high: float, n: int, units: tuple[float, ...]) -> None:
    measure = Measure(value, n, low, high, units)
    plain = json.loads(json.dumps(measure.to_dict(units=True), allow_nan=False))
    assert same(Measure.from_dict(plain), measure)
    assert Measure.from_dict(plain).units == units
    assert "units" not in measure.to_dict()


def test_infinity_is_written_as_no_number() -> None:
    assert Measure.exact(math.inf).to_dict() == {"value": None, "low": None, "high": None, "n": 1}


def test_a_report_comes_back_through_json() -> None:
    metrics = {"validation/a": mean_over_units([1.0, 2.0]), "test/a": mean_over_units([3.0, 5.0]), "validation/b": Measure.exact(math.nan)}
    report = Report(40, 1280, 0.5, 0.25, metrics, {"loss": math.nan, "rate": 0.5}, "attempt-01/step-000000040")
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    back = Report.from_dict(plain)
    assert back.to_dict() == report.to_dict()
    assert math.isnan(back.facts["loss"])
    assert math.isnan(back.metrics["validation/b"].value)
    assert (back.metrics["test/a"].units, back.metrics["validation/a"].units) == ((3.0, 5.0), ())
    assert (back.step, back.samples, back.seconds, back.overhead, back.checkpoint) == (40, 1280, 0.5, 0.25, report.checkpoint)
