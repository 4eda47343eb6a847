from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis import Sweep, figures, readings
from analysis.figures.answer import front
from sweeps.ledger.history import Baseline, History
from trainables.measure import Measure

Build = Any


@pytest.fixture
def history(finished: Path) -> History:
    return Sweep.open(finished).history


def traces(history: History, metric: str = "") -> dict[str, Any]:
    drawn = figures.answer(history, metric)
    assert drawn is not None
    return {trace.name: trace for trace in drawn.data}


def test_every_replicate_is_a_point(history: History) -> None:
    points = traces(history)["replicates on test"]
    assert len(points.x) == 2 * 5, "the best finalist of each stratum"
    for stratum in ("10", "100"):
        reading = readings.confirmed(history, stratum, "hinge")
        assert reading is not None
        assert sorted(y for x, y in zip(points.x, points.y, strict=True) if x == stratum) == sorted(s.value for s in reading.scores)


def test_means_have_intervals_and_counts_least_and_most(history: History) -> None:
    mean = traces(history)["confirmed on test"]
    reading = readings.confirmed(history, "10", "hinge")
    assert reading is not None
    assert not reading.exact
    assert mean.y[0] == reading.measure.value
    assert mean.error_y.array[0] == pytest.approx(reading.measure.high - reading.measure.value)
    counts = readings.confirmed(history, "10", "logged_violations")
    assert counts is not None
    assert counts.exact
    values = [score.value for score in counts.scores]
    assert (counts.measure.low, counts.measure.high) == (min(values), max(values))
    assert counts.words == f"{min(values):g} to {max(values):g} in 5 replicates"
    assert traces(history, "logged_violations")["confirmed on test"].y[0] == counts.measure.value


def test_the_front_never_rises(history: History) -> None:
    found = [reading for stratum in ("10", "100") if (reading := readings.confirmed(history, stratum, "hinge"))]
    assert found[1].measure.value < found[0].measure.value
    assert [one.stratum for one in front(history, "hinge", found)] == ["10", "100"]
    assert [one.stratum for one in front(history, "hinge", found[::-1])] == ["100", "100"]
    assert [one.stratum for one in front(history, "margin_p5", found)] == ["10", "10"], "of which more is better"


def test_there_is_a_front_over_numbers_alone(history: History) -> None:
    name = "front: best confirmed up to here"
    assert name in traces(history)
    for trial in history.trials.values():
        trial.stratum = {"10": "some", "100": "more"}[trial.stratum]
    history.settings["strata"] = ["some", "more"]
    assert name not in traces(history)


def test_no_value_no_figure(history: History) -> None:
    assert figures.answer(history, "nothing") is None


def test_metrics_that_are_shown(history: History) -> None:
    assert readings.shown(history) == ["hinge"]
    history.settings["beside"] = ["logged_violations", "nothing"]
    history.baselines.append(Baseline("sum", "10", {"test/common_hinge": Measure.exact(0.5, 9)}))
    assert readings.shown(history) == ["hinge", "logged_violations", "common_hinge"]


def test_coverage_is_that_of_test(history: History) -> None:
    assert readings.coverage(history) == []
    measures = {"validation/coverage": Measure.exact(0.25, 9), "test/coverage": Measure.exact(0.75, 9)}
    history.baselines.append(Baseline("sum", "100", measures))
    assert readings.coverage(history) == [("100", 0.75)]


def test_the_best_trivial_predictor_follows_the_metric(history: History) -> None:
    lines = (("low", -2.0), ("high", -1.0), ("oracle: all", 9.0))
    history.baselines = [Baseline(name, "10", {"test/margin_p5": Measure.exact(value, 9)}) for name, value in lines]
    found = readings.trivial(history, "10", "margin_p5", "test")
    assert found is not None
    assert found[0] == "high"


def test_curves_show_the_rungs(history: History) -> None:
    for drawn in figures.curves(history):
        assert [shape.x0 for shape in drawn.layout.shapes] == [100, 200]


def test_names_from_the_ledger_are_escaped(history: History) -> None:
    history.settings["stratify"] = "<a href='javascript:x'>f</a>"
    for trial in history.trials.values():
        trial.params["<a href='javascript:y'>p</a>"] = trial.number
    history.baselines.append(Baseline("<a href='javascript:z'>b</a>", "10", {"test/hinge": Measure.exact(0.5, 9)}))
    drawn = [figures.answer(history), *figures.curves(history), *figures.parameters(history), figures.parallel(history, "10")[0]]
    for figure in drawn:
        assert figure is not None
        assert "<a href" not in json.dumps(figure.to_plotly_json(), default=list)
