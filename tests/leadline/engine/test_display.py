"""What is shown of a running sweep."""

from __future__ import annotations

import dataclasses
import io
import re

import pytest
from rich.console import Console

from leadline.engine.director import Assignment, Director
from leadline.engine.display import Display
from leadline.ledger import leaderboard
from leadline.ledger.ranges import words
from tests.leadline.engine.test_director import BASE, Simulation, _report
from tests.leadline.toy_study import STUDY


def test_the_time_left_is_what_reports_say_that_the_rest_costs() -> None:
    """However long it took until they came. Of 4 trials, each spends 19/6 of the budget on average."""
    director = Director(dataclasses.replace(BASE, strata=(1,), trials=4, confirm=0), STUDY.space)
    director.opened({})
    display = Display(director, "x", Console(file=io.StringIO()))

    def left() -> str:
        found = re.search(r", (\S+) of training left\]", display.line())
        assert found
        return found[1]

    def start() -> Assignment:
        found = director.next()
        assert isinstance(found, Assignment)
        director.started(found.trial, 1)
        return found

    first = start()
    assert left() == "?"
    director.reported(0, dataclasses.replace(_report(first.config, 1, False), seconds=8.0, overhead=2.0))
    assert left() == "~1:33", "8 s for each of 4 * 19/6 - 1 steps; the pause for scores is no training"
    start()
    assert left() == "~0:46", "with two at a time"


@pytest.mark.parametrize("width", [60, 100, 160])
def test_the_live_table_has_the_best_and_what_runs_with_what_was_searched(width: int) -> None:
    director = Simulation(BASE).run(60).director
    running, history = director.running(), director.history
    assert running
    console = Console(file=io.StringIO(), width=width)
    console.print(Display(director, "x", console).tables())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    best, _, now = text.partition("running now")
    shown = [line.split() for line in now.splitlines()]
    for trial in running:
        row = next(row for row in shown if row[:2] == [str(trial.number), trial.stratum])
        assert row[2] == str(trial.step)
    if width == 160:
        assert all(words(history.finalist(trial)) in now for trial in running)
        leaders = [leaderboard.ranked(history, stratum)[0] for stratum in "12"]
        assert all(words(trial) in best for trial in leaders if trial.measure("validation/error"))
    assert "…" not in text
    assert max(map(len, text.splitlines()[1:])) <= width


def test_a_line_says_at_once_how_a_sweep_stands() -> None:
    console = Console(file=io.StringIO(), width=160)
    director = Simulation(BASE).run(20).director
    Display(director, "x", console).tick()
    assert "x: " in console.file.getvalue()  # type: ignore[attr-defined]
