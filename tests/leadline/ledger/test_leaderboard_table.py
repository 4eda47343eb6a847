from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from leadline.ledger import leaderboard
from leadline.ledger.history import Baseline, History
from leadline.ledger.leaderboard_table import leaderboard_table
from leadline.ledger.ranges import LEGEND, edges, words
from leadline.measure import Measure, Report
from tests.leadline.engine.test_director import BASE, Simulation


def shown(history: History, width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(leaderboard_table(history, "toy", 2, width))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("width", [80, 120, 160])
def test_no_value_is_cut_off_on_any_terminal(width: int) -> None:
    history = Simulation(BASE).run().director.history
    text = shown(history, width)
    assert "…" not in text
    for heading in ("trial", "value", "n", "step", "confirmed", "best trivial on test"):
        assert heading in text
    assert max(map(len, text.splitlines())) <= width


def with_counts(report: Report, count: int) -> Report:
    return dataclasses.replace(report, metrics={**report.metrics, "test/wrong": Measure.exact(count, 50)})


def test_counts_are_shown_with_their_smallest_and_largest_value() -> None:
    history = Simulation(dataclasses.replace(BASE, beside=("wrong",))).run().director.history
    replicates = [trial for trial in history.trials.values() if trial.kind == "replicate" and trial.stratum == "1"]
    for count, trial in zip((3, 8), replicates, strict=True):
        trial.reports[-1] = with_counts(trial.reports[-1], count)
    assert "5.5 (3 to 8)" in shown(history, 160)
    assert "5.5" not in shown(history, 80), "a narrow terminal has fewer columns"


@pytest.mark.parametrize(("units", "words"), [((9.0, 9.1, 9.2, 9.3), ""), ((), ", unpaired")])
def test_what_a_finalist_is_compared_with_on_test(units: tuple[float, ...], words: str) -> None:
    history = Simulation(BASE).run().director.history
    history.baselines = [Baseline("nine", stratum, {"test/error": Measure(9.15, 4, 9, 9.3, units)}) for stratum in "12"]
    lines = [line.rstrip() for line in shown(history, 200).splitlines() if "(nine)" in line]
    assert len(lines) == 2
    few = f"9.15 (nine): no claim, only 2 of 5 replicates and 4 test units where 100 are needed{words}"
    assert all(line.endswith(few) for line in lines), "four units and two replicates are too few"


def test_a_budget_in_samples_is_counted_in_samples() -> None:
    history = Simulation(BASE).run().director.history
    for trial in history.trials.values():
        trial.reports = [dataclasses.replace(report, samples=7000 * report.step) for report in trial.reports]
    assert "7000" not in shown(history, 160)
    history.opened = dataclasses.replace(history.settings, unit="samples")
    text = shown(history, 160)
    assert str(7000 * max(trial.step for trial in history.search_trials())) in text
    assert ("samples" in text, "step" in text) == (True, False)


def test_a_metric_that_nothing_has_gets_no_column() -> None:
    """A family's optional one, where no configuration of the sweep has it."""
    history = Simulation(dataclasses.replace(BASE, beside=("wrong", "never"))).run().director.history
    assert "wrong" not in shown(history, 160)
    trial = next(iter(history.trials.values()))
    trial.reports[-1] = with_counts(trial.reports[-1], 3)
    assert "wrong" in shown(history, 160)
    assert "never" not in shown(history, 160)


def test_what_does_not_fit_is_left_out_rather_than_cut_off() -> None:
    names = ("wrong", "w" * 30, "right")
    history = Simulation(dataclasses.replace(BASE, beside=names)).run().director.history
    for trial in history.trials.values():
        more = {f"validation/{name}": Measure.exact(3, 50) for name in names}
        trial.reports[-1] = dataclasses.replace(trial.reports[-1], metrics={**trial.reports[-1].metrics, **more})
    fitting = {}
    for width in range(80, 230, 10):
        text = shown(history, width).partition("confirmed: ")[0]
        fitting[width] = [name for name in names if name in text]
        assert "…" not in text
        assert "marks" in text
    assert (fitting[80], fitting[220]) == ([], list(names))
    assert [names[0], names[2]] in fitting.values(), "what is narrow takes the room that the wide one needs"


def test_what_was_searched_is_shown_where_there_is_room_and_never_cut() -> None:
    history = Simulation(BASE).run().director.history
    best = [trial for stratum in "12" for trial in leaderboard.ranked(history, stratum)[:2]]
    assert any(edges(trial) for trial in best)
    expected = [word for trial in best for word in words(trial).split()]
    widths = {}
    for width in range(60, 200, 5):
        text = shown(history, width)
        widths[width] = "searched" in text
        assert [word for word in text.split() if word.startswith(("lr=", "offset="))] == (
            expected if widths[width] else []
        ), width
        assert (LEGEND in " ".join(text.split())) == widths[width]
    assert (widths[60], widths[195]) == (False, True)
