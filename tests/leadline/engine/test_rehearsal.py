"""Decisions played on known curves are those of the sweep whose curves they are."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leadline.commands.dispatch import main
from leadline.engine import plan
from leadline.engine.director import Assignment, Director
from leadline.engine.rehearsal import Curve, continued, curves, play, scaled
from leadline.ledger.events import Event
from leadline.ledger.history import History
from leadline.ledger.segments import Ledger
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Report
from leadline.storage import Folder
from tests.leadline.engine.test_director import BASE
from tests.leadline.toy_study import STUDY

CHOSEN = dataclasses.replace(BASE, trials=40, sampler="random", confirm=0)


def _value(offset: float, step: int, number: int) -> float:
    """A curve that crosses others: it falls, and is off by what its number and the step say."""
    return offset + 1 / step + 0.3 * float(np.random.default_rng([number, step]).normal()) / step


def _timed(settings: Settings, workers: int) -> tuple[list[Event], dict[int, Curve]]:
    """A sweep whose trials take a second a step, and the curves that its trials would have to the end."""
    events: list[Event] = []
    director, whole = Director(settings, STUDY.space, events.append), dict[int, Curve]()
    director.opened({})
    running: list[tuple[float, int, Assignment, int]] = []
    now = 0.0
    while True:
        while len(running) < workers and isinstance(found := director.next(), Assignment):
            director.started(found.trial, found.attempt)
            running.append((now + 1, len(whole), found, 1))
            stratum = director.history.trials[found.trial].stratum
            points = tuple(
                (step, _value(found.config["offset"], step, found.trial)) for step in range(1, settings.budget + 1)
            )
            whole[found.trial] = Curve(found.trial, stratum, points, 1.0)
        if not running:
            return events, whole
        running.sort(key=lambda one: one[:2])
        now, place, assignment, step = running.pop(0)
        value = whole[assignment.trial].points[step - 1][1]
        metrics = {"validation/error": Measure(value, 4, value, value)}
        if director.reported(assignment.trial, Report(step, step, float(step), 0.0, metrics)).action == "continue":
            running.append((now + 1, place, assignment, step + 1))


@pytest.mark.parametrize("scheduler", ["asha", "weighed", "brackets", "none"])
@pytest.mark.parametrize("workers", [1, 3])
def test_under_its_own_settings_a_sweep_is_played_as_it_was(scheduler: Any, workers: int) -> None:
    settings = dataclasses.replace(CHOSEN, scheduler=scheduler)
    events, whole = _timed(settings, workers)
    history = History.of(events)
    played = play(list(whole.values()), settings, workers)
    assert played.spent == {trial.number: trial.step for trial in history.search_trials()}
    assert {one.trial for one in played.finished} == {
        trial.number for trial in history.search_trials() if trial.status == "finished"
    }
    assert played.seconds == sum(played.spent.values())
    assert played.stopped() == sum(trial.status == "stopped" for trial in history.search_trials())
    for stratum in "12":
        best = min(
            (trial for trial in history.search_trials() if trial.stratum == stratum and trial.status == "finished"),
            key=lambda trial: trial.value("validation/error"),
        )
        assert played.best(stratum, "min") == whole[best.number]


def test_the_curves_of_a_sweep_are_what_its_trials_reported() -> None:
    events, whole = _timed(CHOSEN, 2)
    found = curves(History.of(events))
    assert len(found) == 40
    assert all(one.points == whole[one.trial].points[: len(one.points)] for one in found)
    assert {one.seconds for one in found} == {1.0}


def test_more_workers_take_less_time_and_other_choices_other_trials() -> None:
    _, whole = _timed(CHOSEN, 1)
    one, four = (
        play(list(whole.values()), dataclasses.replace(CHOSEN, scheduler="none"), workers) for workers in (1, 4)
    )
    assert (one.elapsed, four.elapsed) == (40 * 9, 10 * 9)
    assert one.stopped() == 0
    every = dataclasses.replace(CHOSEN, scheduler="asha")
    asha = play(list(whole.values()), every, 1)
    assert asha.seconds < play(list(whole.values()), dataclasses.replace(every, reduction=2), 1).seconds
    assert asha.stopped() > 15


def test_a_stopped_curve_goes_on_as_one_that_was_as_good_there() -> None:
    donors = [Curve(n, "", ((1, 10.0 * n), (2, 10.0 * n - 1), (4, 10.0 * n - 5)), 1.0) for n in (1, 2, 3, 9)]
    ends = {
        continued(Curve(7, "", ((1, 19.0),), 2.0), donors, 4, np.random.default_rng(seed)).points for seed in range(20)
    }
    assert ends == {((1, 19.0), (2, 18.0), (4, 14.0))}, "each of the nearest falls by five"
    whole = donors[0]
    assert continued(whole, donors, 4, np.random.default_rng(0)) is whole
    lost = Curve(8, "", ((1, float("nan")),), 1.0)
    assert continued(lost, donors, 4, np.random.default_rng(0)) is lost
    assert scaled(whole, 4, 8).points == ((2, 10.0), (4, 9.0), (8, 5.0))


def test_a_curve_is_continued_within_what_finished_ones_have_shown() -> None:
    """A shift by the difference where it was stopped would carry this one from 6 to below -2."""
    finished = [Curve(at, "1", ((1, 8 + at / 10), (9, 0.1 + at / 100)), 1.0) for at in range(4)]
    for seed in range(20):
        made = continued(Curve(4, "1", ((1, 6.0),), 1.0), finished, 9, np.random.default_rng(seed))
        assert made.points[0] == (1, 6.0)
        assert made.spent == 9
        assert 0.1 <= made.last <= 0.13


def test_a_finished_curve_that_reports_later_continues_none() -> None:
    """It has no value to compare with where the other was stopped, and would give NaN."""
    late = [Curve(at, "1", ((3, 1.0), (9, 0.1)), 1.0) for at in range(3)]
    early = Curve(3, "1", ((1, 2.0), (9, 1.0)), 1.0)
    made = continued(Curve(4, "1", ((1, 2.0),), 1.0), [*late, early], 9, np.random.default_rng(0))
    assert made.points == ((1, 2.0), (9, 1.0))


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "results" / "toy"
    ledger = Ledger(Folder.at(str(folder)) / "ledger")
    for event in _timed(CHOSEN, 3)[0]:
        ledger.append(event)
    ledger.close()
    return folder


def test_afterwards_the_command_says_what_other_choices_would_have_done(
    sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["rehearse", str(sweep), "--what-if", "scheduler=none", "--draws", "5"]) == 0
    said = capsys.readouterr().out
    stopped = sum(trial.status == "stopped" for trial in History.of(_timed(CHOSEN, 3)[0]).search_trials())
    rows = [[cell.strip() for cell in line.strip("│|").split("│")] for line in said.splitlines() if "│" in line]
    assert {row[0]: row[1] for row in rows} == {"as it is": str(stopped), "scheduler none": "0"}
    assert f"{stopped} of the curves are continued" in " ".join(said.split())


def test_before_the_command_says_what_a_study_would_cost(
    sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    words = [
        "rehearse",
        "tests.leadline.toy_study:STUDY",
        "--results",
        str(sweep.parent),
        "--draws",
        "4",
        "--price",
        "2",
    ]
    assert main(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "from the curves of 1 sweep of this study (toy)" in said
    assert "no earlier replicates" in said
    assert "money" in said


def test_curves_of_other_strata_are_put_together_and_counted_once(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tests.leadline.toy_study:STUDY", "--options", "level=3,4", "--draws", "2", "--what-if", "replicates=3"]
    assert main(["rehearse", *words, "--results", str(sweep.parent)]) == 0
    stopped = sum(trial.status == "stopped" for trial in History.of(_timed(CHOSEN, 3)[0]).search_trials())
    said = " ".join(capsys.readouterr().out.split())
    assert f"whose strata are others and were put together; {stopped} of 40 curves are continued" in said


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["{sweep}", "--what-if", "trials=3"],
            "what-if: trials: a sweep that has run takes reduction, grace, scheduler",
        ),
        (["{sweep}", "--what-if", "reduction=1"], "reduction: must be at least 2 (got 1)"),
        (
            ["{sweep}", "--what-if", "colour=1"],
            "what-if: expected one of reduction, grace, scheduler, trials, replicates",
        ),
        (["{sweep}", "--options", "--trials 3"], "options: are those of a study; a sweep that has run takes --what-if"),
        (["nothing.py"], "study: there is no file nothing.py"),
        (["{broken}"], "study: raised SyntaxError: "),
        (["tests.leadline.toy_study:STUDY", "--options", "--trials '3"], "options: a quotation mark has no other"),
        (
            ["tests.leadline.toy_study:STUDY", "--results", "{empty}"],
            "results: no sweep of tests.leadline.toy:TOY with a finished",
        ),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], line: str, sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.py").write_text("STUDY = (")
    places = {"sweep": sweep, "empty": tmp_path / "empty", "broken": tmp_path / "broken.py"}
    assert main(["rehearse", *(word.format(**places) for word in words)]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"error: {line}")
    assert "\n" not in said


def test_the_plan_says_where_tpe_hardly_learns() -> None:
    few = dataclasses.replace(BASE, strata=(1,), trials=8, startup=5)
    assert plan.few_proposals(few) == "TPE proposes 3 of the 8 trials, after 5 at random: the search is random"
    assert plan.few_proposals(dataclasses.replace(few, trials=14)) != ""
    assert plan.few_proposals(dataclasses.replace(few, trials=15)) == ""
    apart = dataclasses.replace(few, trials=16, strata=(1, 2))
    assert plan.few_proposals(apart).startswith("TPE proposes 3 of the 8 trials of a stratum")
    assert plan.few_proposals(dataclasses.replace(few, sampler="random")) == ""
