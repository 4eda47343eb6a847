"""Success along a ladder of sigmas, where the basin's edge is seen."""

from __future__ import annotations

import dataclasses

import pytest

from leadline.analysis import scores
from leadline.analysis.report import document, figures
from leadline.analysis.report.figures import base
from leadline.ledger.history import History
from leadline.measure import Measure, Metric, Series
from tests.analysis.recursive.sigma_sweep import CONTROL, NOISY, made
from trainables.recursive.metrics import LADDER


def test_a_ladder_is_read_on_test_for_the_confirmed_best_of_each_arm() -> None:
    sweep = made({CONTROL: 0.5, NOISY: 0.7})
    (ladder,) = figures.ladders(sweep.history)
    assert (ladder.name, ladder.splits) == ("success", "test")
    assert [float(rung) for rung in ladder.rungs] == list(LADDER)
    for stratum in (CONTROL, NOISY):
        read = [one.measure.value for one in ladder.rows[stratum] if one]
        assert read == sorted(read, reverse=True)
        assert read[0] == scores.confirmed(sweep.history, stratum, "success_1e-05").measure.value  # type: ignore[union-attr]
    lines = {line.name: line for line in ladder.drawn.data}
    assert list(lines) == [CONTROL, NOISY]
    assert list(lines[NOISY].x) == list(LADDER)
    assert lines[NOISY].y[0] > lines[CONTROL].y[0]
    assert all(width > 0 for width in lines[NOISY].error_y.array)
    assert ladder.drawn.layout.xaxis.type == "log"


def test_a_stratum_keeps_its_colour_and_symbol_where_one_before_it_is_not_shown() -> None:
    history = made({CONTROL: 0.5, NOISY: 0.7}).history
    colour, symbol = base.look(history, NOISY)
    assert base.look(history, CONTROL)[0] != colour
    history.trials = {number: trial for number, trial in history.trials.items() if trial.stratum == NOISY}
    (ladder,) = figures.ladders(history)
    (line,) = ladder.drawn.data
    assert (line.name, line.line.color, line.marker.symbol) == (NOISY, colour, symbol)


def test_before_confirmation_it_is_read_on_validation() -> None:
    sweep = made()
    sweep.history.trials = {
        number: trial for number, trial in sweep.history.trials.items() if trial.of is None or trial.stratum == NOISY
    }
    (ladder,) = figures.ladders(sweep.history)
    assert ladder.splits == "validation and test"
    for trial in sweep.history.trials.values():
        trial.reports[-1].metrics.pop("validation/success_1e-01", None)  # type: ignore[attr-defined]
    (ladder,) = figures.ladders(sweep.history)
    assert {stratum: cells for stratum, *cells in ladder.table}[CONTROL][-1] == "-"
    assert len(ladder.drawn.data[0].x) == len(LADDER) - 1


@pytest.mark.parametrize(
    "names",
    [
        ["success_1e-05", "success_1e-04"],
        ["logged_27", "logged_703", "logged_626331"],
        ["a_1e-05", "b_1e-04", "c_1e-03"],
    ],
)
def test_other_metrics_are_no_ladder(names: list[str]) -> None:
    history: History = made().history
    for trial in history.trials.values():
        measures = {f"test/{name}": Measure.exact(1.0) for name in names}
        object.__setattr__(
            trial.reports[-1], "metrics", {**measures, **{f"validation/{name}": Measure.exact(1.0) for name in names}}
        )
    assert figures.ladders(history) == []


def test_the_report_shows_figure_and_table() -> None:
    page = document.page(made())
    assert "success by strength" in page
    assert "success_1e-05 to success_1e-01: where a line falls, the basin ends." in page
    assert '<th scope="col">1e-04</th>' in page


def test_the_ledger_says_the_series_where_the_family_is_not_installed() -> None:
    sweep = made({CONTROL: 0.5, NOISY: 0.7})
    (installed,) = figures.ladders(sweep.history)
    sweep.history.opened = dataclasses.replace(sweep.settings, family="elsewhere", family_target="")
    (recorded,) = figures.ladders(sweep.history)
    assert (recorded.series, recorded.metrics, recorded.table) == (installed.series, installed.metrics, installed.table)
    page = document.page(sweep)
    assert "success_1e-05 to success_1e-01" in page
    assert "n counts boards" in page


def test_an_old_ledger_leaves_it_to_the_family() -> None:
    sweep = made({CONTROL: 0.5, NOISY: 0.7})
    (recorded,) = figures.ladders(sweep.history)
    sweep.history.opened = dataclasses.replace(sweep.settings, metrics={})
    (asked,) = figures.ladders(sweep.history)
    assert (recorded.series, recorded.metrics, recorded.table) == (asked.series, asked.metrics, asked.table)
    sweep.history.opened = dataclasses.replace(sweep.settings, family="elsewhere", family_target="")
    assert figures.ladders(sweep.history) == []
    assert "by strength" not in document.page(sweep)


def test_a_page_is_the_same_whether_the_ledger_or_the_family_says_what_metrics_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time", lambda: 1e9)
    recorded, asked = made(), made()
    asked.history.opened = dataclasses.replace(asked.settings, metrics={})
    assert document.page(recorded) == document.page(asked)


def test_a_series_may_begin_at_nothing_and_have_a_unit() -> None:
    """Strengths that a logarithmic axis has no place for, under names that say nothing of them."""
    sweep = made()
    names = ("calm", "windy", "stormy")
    wind = {
        name: Metric(name, "max", "boats", "share that floats", series=Series("floating", at, "wind", "m/s"))
        for name, at in zip(names, (0.0, 12.5, 30.0), strict=True)
    }
    sweep.history.opened = dataclasses.replace(
        sweep.settings, metrics={name: one.to_dict() for name, one in wind.items()}
    )
    for trial in sweep.history.trials.values():
        split = "validation" if trial.of is None else "test"
        measures = {f"{split}/{name}": Measure(0.5, 9, 0.4, 0.6) for name in ("stormy", "calm", "windy")}
        object.__setattr__(trial.reports[-1], "metrics", {**trial.reports[-1].metrics, **measures})
    (ladder,) = figures.ladders(sweep.history)
    assert (ladder.name, ladder.metrics, ladder.rungs) == ("floating", list(names), ["0", "12.5", "30"])
    assert (ladder.drawn.layout.xaxis.type, ladder.drawn.layout.xaxis.title.text) == ("linear", "wind (m/s)")
    page = document.page(sweep)
    assert "<h3>floating by wind</h3>" in page
    assert "by the metrics calm to stormy.</p>" in page
