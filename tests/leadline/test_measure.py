"""Plain values that lose nothing on their way through JSON."""

from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leadline.measure import Measure, Report, sign
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
