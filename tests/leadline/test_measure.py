"""Plain values that lose nothing on their way through JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leadline.config import ConfigError
from leadline.measure import Measure, Metric, Report, as_measures, sign
from leadline.statistics import mean_over_units


def same(one: Measure, other: Measure) -> bool:
    """Equal, where NaN equals NaN."""
    return one.n == other.n and np.array_equal(
        (one.value, one.low, one.high), (other.value, other.low, other.high), equal_nan=True
    )


NUMBERS = st.floats(allow_infinity=False)


@given(
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.integers(0, 10**6),
    st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(tuple),
)
def test_a_measure_comes_back_through_json(
    value: float, low: float, high: float, n: int, units: tuple[float, ...]
) -> None:
    measure = Measure(value, n, low, high, units)
    plain = json.loads(json.dumps(measure.to_dict(units=True), allow_nan=False))
    assert same(Measure.from_dict(plain), measure)
    assert Measure.from_dict(plain).units == units
    assert "units" not in measure.to_dict()


def test_infinity_is_written_as_no_number() -> None:
    assert Measure.exact(math.inf).to_dict() == {"value": None, "low": None, "high": None, "n": 1}


def test_a_report_comes_back_through_json() -> None:
    metrics = {
        "validation/a": mean_over_units([1.0, 2.0]),
        "test/a": mean_over_units([3.0, 5.0]),
        "validation/b": Measure.exact(math.nan),
    }
    report = Report(40, 1280, 0.5, 0.25, metrics, {"loss": math.nan, "rate": 0.5}, "attempt-01/step-000000040")
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    back = Report.from_dict(plain)
    assert back.to_dict() == report.to_dict()
    assert math.isnan(back.facts["loss"])
    assert math.isnan(back.metrics["validation/b"].value)
    assert (
        [back.value(name) for name in ("validation/a", "test/a")]
        == [report.value(name) for name in ("validation/a", "test/a")]
        == [1.5, 4.0]
    )
    assert math.isnan(back.value("validation/b"))
    assert (back.metrics["test/a"].units, back.metrics["validation/a"].units) == ((3.0, 5.0), ())
    assert (back.step, back.samples, back.seconds, back.overhead, back.checkpoint) == (
        40,
        1280,
        0.5,
        0.25,
        report.checkpoint,
    )


def test_numbers_of_numpy_become_plain() -> None:
    """A checkpoint that is read without unpickling takes no others."""
    measure = Measure(np.float64(0.5), 3, np.float32(0.25), np.float64(1.0))  # type: ignore[arg-type]
    assert [type(value) for value in (measure.value, measure.low, measure.high)] == [float] * 3


def test_a_smaller_value_is_the_better_one_after_its_sign() -> None:
    for mode, better, worse in (("min", 1.0, 2.0), ("max", 2.0, 1.0)):
        assert sign(mode) * better < sign(mode) * worse


def test_a_unit_that_is_no_number_is_stored_as_none_and_comes_back_as_nan() -> None:
    plain = json.loads(
        json.dumps(Measure(0.5, 3, 0, 1, (0.5, math.nan, math.inf)).to_dict(units=True), allow_nan=False)
    )
    assert plain["units"] == [0.5, None, None]
    assert np.array_equal(Measure.from_dict(plain).units, (0.5, math.nan, math.nan), equal_nan=True)


def test_counts_and_units_of_numpy_and_torch_become_plain() -> None:
    given: Any = {"value": torch.tensor(0.5), "n": np.int64(2), "low": 0, "high": 1, "units": np.array([0.25, 0.75])}
    measure = Measure(**given)
    assert (measure.value, measure.n, measure.units) == (0.5, 2, (0.25, 0.75))
    assert [type(value) for value in (measure.value, measure.n, *measure.units)] == [float, int, float, float]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"value": "0.5"}, "Measure: value: expected a number (got a str)"),
        ({"high": None}, "Measure: high: expected a number (got None)"),
        ({"n": -1}, "Measure: n: expected a whole number from 0 to 2**63 - 1 (got -1)"),
        ({"n": 2.5}, "Measure: n: expected a whole number from 0 to 2**63 - 1 (got 2.5)"),
        ({"units": ("a",)}, "Measure: units: expected a number (got a str)"),
        ({"units": 3}, "Measure: units: expected a number for each unit (got an int)"),
    ],
)
def test_what_is_no_number_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Measure(**{"value": 0.5, "n": 2, "low": 0, "high": 1, **given})
    assert str(refused.value) == words


METRICS = (Metric("mse", "min", "rows", ""), Metric("mae", "min", "rows", ""))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"mse": 0.5},
            "evaluate: mse: expected a Measure, such as leadline.mean_over_units(...) (got a float)",
        ),
        ({"rmse": Measure.exact(1)}, "evaluate: returned 'rmse', which is no metric; the metrics are mse, mae"),
        (None, "evaluate: expected a Measure for each of mse, mae, by name (got None)"),
        (0.5, "evaluate: expected a Measure for each of mse, mae, by name (got a float)"),
    ],
)
def test_what_a_family_returns_is_measures_by_its_metrics(given: Any, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        as_measures(given, METRICS, "evaluate")
    assert str(refused.value) == words
    assert as_measures({"mse": Measure.exact(1)}, METRICS, "evaluate") == {"mse": Measure.exact(1)}
