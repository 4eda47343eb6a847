"""Which checkpoints a trial keeps."""

from __future__ import annotations

import math

import pytest

from leadline.measure import Measure, Report
from leadline.retention import LATEST, MOST_KEPT, kept


def reports(*values: float) -> list[Report]:
    found = []
    for number, value in enumerate(values):
        found.append(Report(number, number, 0.0, 0.0, {"validation/x": Measure.exact(value)}, {}, f"step {number}"))
    return found


@pytest.mark.parametrize(
    ("mode", "values", "names"),
    [
        ("min", [3, 1, 2, 4, 5], {1, 3, 4}),
        ("max", [3, 1, 2, 4, 5], {3, 4}),
        ("min", [1, 1, 2, 2], {0, 2, 3}),  # of equal ones the first
        ("min", [math.nan, 2, math.inf, 3], {1, 2, 3}),
        ("min", [math.nan, math.nan, math.nan], {1, 2}),
        ("min", [], set()),
    ],
)
def test_the_latest_and_the_best(mode: str, values: list[float], names: set[int]) -> None:
    found = kept(reports(*values), "validation/x", "min" if mode == "min" else "max")
    assert found == {f"step {number}" for number in names}
    assert len(found) <= MOST_KEPT == LATEST + 1


def test_a_report_without_the_metric_or_a_checkpoint_counts_for_nothing() -> None:
    first, second = reports(1.0, 2.0)
    bare = Report(2, 2, 0.0, 0.0, {}, {}, None)
    assert kept([first, second, bare], "validation/x", "min", latest=1) == {"step 0"}
    assert kept([bare], "validation/x", "min") == set()
