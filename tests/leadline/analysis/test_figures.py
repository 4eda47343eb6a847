from __future__ import annotations

import dataclasses
import html
import importlib
import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest

from leadline import Sweep
from leadline.analysis import progress, scores
from leadline.analysis.report import figures
from leadline.analysis.report.figures import base, search
from leadline.ledger import leaderboard
from leadline.ledger.history import Baseline, History
from leadline.measure import Measure, Metric
from tests.leadline.analysis.demo import DEMO

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
        reading = scores.confirmed(history, stratum, "hinge")
        assert reading is not None
        assert sorted(y for x, y in zip(points.x, points.y, strict=True) if x == stratum) == sorted(
            s.value for s in reading.scores
        )


def test_means_have_intervals_and_counts_least_and_most(history: History) -> None:
    mean = traces(history)["confirmed on test"]
    reading = scores.confirmed(history, "10", "hinge")
    assert reading is not None
    assert not reading.exact
    assert mean.y[0] == reading.measure.value
    assert mean.error_y.array[0] == pytest.approx(reading.measure.high - reading.measure.value)
    counts = scores.confirmed(history, "10", "logged_violations")
    assert counts is not None
    assert counts.exact
    values = [score.value for score in counts.scores]
    assert (counts.measure.low, counts.measure.high) == (min(values), max(values))
    assert counts.words == f"{min(values):g} to {max(values):g} in 5 replicates"
    assert traces(history, "logged_violations")["confirmed on test"].y[0] == counts.measure.value


def test_no_value_no_figure(history: History) -> None:
    assert figures.answer(history, "nothing") is None


def test_metrics_that_are_shown(history: History) -> None:
    assert scores.shown(history) == ["hinge"]
    history.opened = dataclasses.replace(history.settings, beside=("logged_violations", "nothing"))
    history.baselines.append(Baseline("sum", "10", {"test/common_hinge": Measure.exact(0.5, 9)}))
    assert scores.shown(history) == ["hinge", "logged_violations", "common_hinge"]


def test_coverage_is_that_of_test(history: History) -> None:
    assert scores.coverage(history)[0] == []
    measures = {"validation/coverage": Measure.exact(0.25, 9), "test/coverage": Measure.exact(0.75, 9)}
    history.baselines.append(Baseline("sum", "100", measures))
    assert scores.coverage(history) == ([("100", 0.75)], DEMO.metric("coverage").doc)


def test_roles_come_from_the_ledger_where_it_has_them(history: History) -> None:
    """No metric is known by its name: an outside family's are, by what it said of them."""
    names = ("common_hinge", "coverage", "alike", "seen")
    history.baselines.append(Baseline("sum", "10", {f"test/{name}": Measure.exact(0.5, 9) for name in names}))
    alike = Metric("alike", "min", "rows", "on the rows of all", role="common")
    seen = Metric("seen", "min", "rows", "what is seen", role="coverage")
    history.opened = dataclasses.replace(history.settings, metrics={one.name: one.to_dict() for one in (alike, seen)})
    history.opened = dataclasses.replace(history.settings, family="elsewhere")
    assert scores.shown(history) == ["hinge", "alike"]
    assert scores.coverage(history) == ([("10", 0.5)], "what is seen")
    assert scores.metric(history, "alike") == alike
    history.opened = dataclasses.replace(history.settings, metrics={})
    assert scores.shown(history) == ["hinge"]
    assert scores.coverage(history) == ([], "")
    assert scores.metric(history, "alike") == Metric("alike", "min", "independent units", "")


def test_an_oracle_far_below_leaves_the_axis_to_others(history: History) -> None:
    scale = {"worst": 1e3, "oracle: good": 0.1, "oracle: exact": 1e-9}
    history.baselines = [
        Baseline(name, stratum, {"test/hinge": Measure.exact(value, 9)})
        for name, value in scale.items()
        for stratum in ("10", "100")
    ]
    drawn = figures.answer(history)
    assert drawn is not None
    assert drawn.layout.yaxis.type == "log"
    assert {"worst", "oracle: good"} <= set(traces(history))
    assert "oracle: exact" not in traces(history)


def test_the_best_trivial_predictor_follows_the_metric(history: History) -> None:
    lines = (("low", -2.0), ("high", -1.0), ("oracle: all", 9.0))
    history.baselines = [Baseline(name, "10", {"test/margin_p5": Measure.exact(value, 9)}) for name, value in lines]
    found = scores.trivial(history, "10", "margin_p5", "test")
    assert found is not None
    assert found[0] == "high"


def test_a_stratum_has_one_colour_and_symbol_in_the_figures_of_all_parameters(history: History) -> None:
    looks = {stratum: base.look(history, stratum) for stratum in ("10", "100")}
    assert len(set(looks.values())) == 2
    lines = [line for drawn in figures.parameters(history) for line in drawn.data]
    assert len(lines) == 3 * 2
    for line in lines:
        assert (line.marker.color, {one.removesuffix("-open") for one in line.marker.symbol}) == (
            looks[line.name][0],
            {looks[line.name][1]},
        )


def test_curves_show_the_rungs(history: History) -> None:
    for drawn in figures.curves(history):
        assert [shape.x0 for shape in drawn.layout.shapes] == [100, 200]


def test_curves_show_the_stages_of_a_curriculum(history: History) -> None:
    best = progress.best(history, "10")
    assert best is not None
    best.config["stages"] = ["basic:1/2", "hard:1/2:shift=1"]
    middle = len(best.reports) // 2
    for place, report in enumerate(best.reports):
        report.facts["stage"] = float(place >= middle)
    drawn = figures.curves(history)[0]
    assert [note.text for note in drawn.layout.annotations][:2] == ["basic", "hard"]
    assert history.spent(best.reports[middle - 1]) in [shape.x0 for shape in drawn.layout.shapes]
    (curve,) = [trace for trace in drawn.data if "the best" in trace.hovertext[0]]
    assert [symbol == "diamond" for symbol in curve.marker.symbol] == [
        place == middle - 1 for place in range(len(best.reports))
    ]
    assert ", basic: " in curve.hovertext[0]
    assert ", hard: " in curve.hovertext[-1]


@pytest.mark.parametrize("hostile", ["<b>x</b>", "%{y}", 'a "b" & c'])
def test_strata_are_shown_as_they_stand(history: History, hostile: str) -> None:
    history.opened = dataclasses.replace(history.settings, strata=("10", hostile))
    for trial in history.trials.values():
        trial.stratum = trial.stratum.replace("100", hostile)
    history.baselines = [
        dataclasses.replace(line, stratum=line.stratum.replace("100", hostile)) for line in history.baselines
    ]
    drawn = figures.answer(history)
    assert drawn is not None
    shown = html.escape(hostile, quote=False)
    assert list(drawn.layout.xaxis.categoryarray) == ["10", shown]
    for trace in drawn.data:
        assert trace.hovertemplate is None, "which would put the value in the place of %{y}"
        assert {*trace.x} <= {"10", shown}
        assert any(shown in words for words in trace.hovertext)


def test_hover_texts_say_the_unit_of_the_budget(history: History) -> None:
    trial = history.trials[0]
    steps = trial.reports[-1].step
    unit: Literal["steps", "samples"]
    for unit, words in (
        ("steps", f"at step {steps}<br>"),
        ("samples", f"at {32 * steps:,} samples (step {steps})<br>"),
    ):
        history.opened = dataclasses.replace(history.settings, unit=unit)
        for figure in (figures.curves(history)[0], *figures.parameters(history)):
            assert any("trial 0" in text and words in text for trace in figure.data for text in _texts(trace))
        assert (
            figures.curves(history)[0].layout.xaxis.title.text
            == f"{'optimizer' if unit == 'steps' else 'training'} {unit}"
        )


def _texts(trace: Any) -> list[str]:
    return [trace.hovertext] if isinstance(trace.hovertext, str) else list(trace.hovertext)


def number_of(said: str) -> int:
    """The trial that a hover text is of."""
    found = re.match(r"trial (\d+)", said)
    assert found
    return int(found[1])


def test_lines_of_many_trials_are_thinned_and_none_is_lost(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best have a line each; the others share one, with a gap between two of them."""
    monkeypatch.setattr(importlib.import_module(figures.curves.__module__), "NAMED", 2)
    drawn = figures.curves(history)[0]
    ranked = [trial for trial in leaderboard.ranked(history, "10") if trial.reports]
    assert len(ranked) > 3
    lines = [trace for trace in drawn.data if trace.mode == "lines+markers"]
    assert [number_of(line.hovertext[0]) for line in lines] == [trial.number for trial in ranked[1::-1]]
    shared = [trace for trace in drawn.data if trace.mode == "lines" and None in trace.x]
    points = {
        (number_of(said), at, value)
        for trace in shared
        for at, value, said in zip(trace.x, trace.y, trace.hovertext, strict=True)
        if at is not None
    }
    assert points == {
        (trial.number, history.spent(report), report.metrics["validation/hinge"].value)
        for trial in ranked[2:]
        for report in trial.reports
    }
    ends = [said for trace in drawn.data if trace.mode == "markers" for said in trace.hovertext]
    assert sorted(number_of(said) for said in ends) == sorted(trial.number for trial in ranked[2:])


def test_parallel_lines_are_thinned_and_none_is_lost(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = figures.parallel(history, "10")
    monkeypatch.setattr(search, "NAMED", 1)
    thinned, _ = figures.parallel(history, "10")
    assert whole is not None
    assert thinned is not None
    assert len(thinned.data) == 2 < len(whole.data)
    assert thinned.data[-1].y == whole.data[-1].y
    assert [y for y in thinned.data[0].y if y is not None] == [y for line in whole.data[:-1] for y in line.y]


def test_a_diverged_trial_does_not_flatten_the_others(history: History) -> None:
    stopped = next(trial for trial in history.search_trials() if trial.status == "stopped" and trial.stratum == "10")
    stopped.reports[0] = dataclasses.replace(
        stopped.reports[0], metrics={"validation/hinge": Measure(1e6, 96, 9e5, 2e6)}
    )
    first, second = figures.curves(history)
    assert first.layout.yaxis.range[1] < 10
    assert "above this scale, to 1e+06" in first.layout.annotations[0].text
    assert not any("1e+06" in note.text for note in second.layout.annotations)


def test_the_scale_is_no_finer_than_the_interval_of_the_best(history: History) -> None:
    best = progress.best(history, "10")
    assert best is not None
    measure = Measure(best.value("validation/hinge"), 96, -7.0, 7.0)
    best.reports[-1] = dataclasses.replace(best.reports[-1], metrics={"validation/hinge": measure})
    low, high = figures.curves(history)[0].layout.yaxis.range
    assert low < -7 < 7 < high


def test_names_from_the_ledger_are_escaped(history: History) -> None:
    history.opened = dataclasses.replace(history.settings, stratify="<a href='javascript:x'>f</a>")
    for trial in history.trials.values():
        trial.params["<a href='javascript:y'>p</a>"] = trial.number
    history.baselines.append(Baseline("<a href='javascript:z'>b</a>", "10", {"test/hinge": Measure.exact(0.5, 9)}))
    drawn = [
        figures.answer(history),
        *figures.curves(history),
        *figures.parameters(history),
        figures.parallel(history, "10")[0],
    ]
    assert figures.importance(history, "10")[1].startswith("<a href='javascript:x'>f</a> 10: "), "the page escapes it"
    for figure in drawn:
        assert figure is not None
        assert "<a href" not in json.dumps(figure.to_plotly_json(), default=list)
