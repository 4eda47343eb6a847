"""A finished sweep takes more: longer budgets, changed code, a changed search space. Without Ray,
on real checkpoints where it matters.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.distributions import FloatDistribution, distribution_to_json

from leadline import Sweep
from leadline.commands import dispatch
from leadline.config import ConfigError
from leadline.engine import options
from leadline.engine.director import Assignment, Director
from leadline.engine.recorded_params import Recorded, changed
from leadline.engine.search import Space
from leadline.ledger import leaderboard
from leadline.ledger.confirmed import cut_short, lost
from leadline.ledger.events import Event, Reported
from leadline.ledger.history import History
from leadline.ledger.layout import trial_folder
from leadline.ledger.settings import Settings
from leadline.measure import Report
from leadline.storage import Folder
from tests.leadline.engine.test_director import BASE as WEIGHED
from tests.leadline.engine.test_director import Simulation
from tests.leadline.in_process_sweep import play
from tests.leadline.ledger_audit import audit, violations
from tests.leadline.toy_study import STUDY

BASE = dataclasses.replace(WEIGHED, scheduler="asha")
"""Every rung judges every trial, so that what goes on at a longer budget is the best alone."""


def _extended(steps: int, first: Settings = BASE) -> tuple[list[Event], Simulation]:
    """A finished sweep's events, and the same one gone on to a longer budget."""
    before = Simulation(first).run().events
    return before, Simulation(dataclasses.replace(first, budget=steps), past=before).run()


def test_survivors_go_on_from_where_they_were_and_the_rest_stay_with_a_reason() -> None:
    before, after = _extended(27)
    old, new = History.of(before), after.director.history
    finished = [trial for trial in old.search_trials() if trial.status == "finished"]
    later = [new.trials[trial.number] for trial in finished]
    on, stayed = ([trial for trial in later if (trial.step > 9) is further] for further in (True, False))
    assert on, "the best goes on"
    assert stayed, "not all do"
    for trial in on:
        first = next(
            event
            for event in after.events[len(before) :]
            if isinstance(event, Reported) and event.trial == trial.number
        )
        assert first.report.step == 10
        assert (trial.config["steps"], trial.extended) == (27, [9])
        assert "extended from 9" in leaderboard.marks(new, trial)
    for trial in stayed:
        assert (trial.status, trial.step, trial.config["steps"]) == ("stopped", 9, 9)
        assert trial.reason.startswith("rung 9: ")
        assert trial.reason.endswith("; it stays at 9, as the budget was raised to 27")
    assert {trial.number for trial in old.search_trials()} - {trial.number for trial in later} == {
        trial.number
        for trial in new.search_trials()
        if trial.status == "stopped" and trial.reason == old.trials[trial.number].reason
    }
    assert violations(after.events) == []


def test_where_the_old_budget_was_no_rung_all_that_finished_go_on_to_the_next() -> None:
    """As under the longer budget from the beginning: between two rungs nobody is judged."""
    first = dataclasses.replace(BASE, budget=6)
    before, after = _extended(27, first)
    finished = [trial.number for trial in History.of(before).search_trials() if trial.status == "finished"]
    assert all(after.director.history.trials[number].step >= 9 for number in finished)
    assert list(after.director.asha["1"].table) == [1, 3, 9]
    assert violations(after.events) == []


def test_confirmed_is_what_was_trained_to_the_new_budget() -> None:
    before, after = _extended(27)
    old, history = History.of(before), after.director.history
    for stratum in ("1", "2"):
        (finalist,) = leaderboard.finalists(history, stratum, 1)
        runs = history.replicates(finalist.number)
        assert [run.step for run in runs] == [27, 27]
        kept = [run for run in runs if run.number in old.trials]
        assert all(run.extended == [9] for run in kept)
        assert all([report.step for report in run.reports if "test/error" in report.metrics] == [9, 27] for run in kept)
        assert leaderboard.confirmations(history, stratum)[0]["replicates"] == 2
    assert any(run.extended for run in history.trials.values() if run.of is not None), "a finalist was one before"
    assert any("extended from 9 (" in mark for row in leaderboard.confirmations(history) for mark in row["marks"])


def test_replicates_of_a_trial_that_is_no_finalist_any_more_stay() -> None:
    _, after = _extended(27)
    history = after.director.history
    finalists = {trial.number for stratum in ("1", "2") for trial in leaderboard.finalists(history, stratum, 1)}
    others = [run for run in history.trials.values() if run.of is not None and run.of not in finalists]
    for run in others:
        assert (run.status, run.step, run.reason) == ("stopped", 9, "the budget of 9 has been raised to 27")
    assert len(history.replicates(min(finalists))) == BASE.replicates


class _Scattered(Simulation):
    """Values scatter from seed to seed, and from budget to budget."""

    def report(self, assignment: Assignment, step: int) -> Report:
        report = super().report(assignment, step)
        key = [assignment.trial, step, *map(ord, str(self.director.settings.seed))]
        more = float(np.random.default_rng(key).normal(scale=0.2)) if assignment.test else 0.0
        metrics = {
            name: dataclasses.replace(one, value=one.value + more, low=one.low + more, high=one.high + more)
            for name, one in report.metrics.items()
        }
        return dataclasses.replace(report, metrics=metrics)


def test_runs_of_the_shorter_budget_beyond_those_that_are_needed_are_not_lost_ones() -> None:
    """The winner of a race may have had more runs than it needs, which do not go on."""
    surplus = 0
    for seed in range(12):
        chosen = dataclasses.replace(WEIGHED, confirm=3, replicates=5, concurrent=4, seed=seed, trials=16)
        before = _Scattered(chosen, seed).run().events
        after = _Scattered(dataclasses.replace(chosen, budget=27), seed, past=before).run()
        history = after.director.history
        assert after.director.next() == "done"
        for stratum in leaderboard.strata(history):
            first = leaderboard.confirmed(history, stratum)[0]
            runs = history.replicates(first.number)
            assert sum(run.status == "finished" for run in runs) >= 5
            surplus += any(cut_short(history, run) for run in runs)
            assert lost(history, first, "test/error") == []
    assert surplus, "there was nothing to see here"


def test_before_the_first_new_report_nothing_is_confirmed() -> None:
    """The values of the old budget are in the ledger, and in no table of the new one."""
    director = Director(dataclasses.replace(BASE, budget=27), STUDY.space)
    director.replay(Simulation(BASE).run().events)
    assert leaderboard.confirmations(director.history)
    director.opened({})
    assert leaderboard.confirmations(director.history) == []
    assert director.remarks[0].startswith("the budget is now 27 steps: of ")


def test_the_study_is_then_one_in_which_the_extended_trials_run() -> None:
    director = Director(dataclasses.replace(BASE, budget=27), STUDY.space)
    director.replay(Simulation(BASE).run().events)
    director.opened({})
    going = {trial.number for trial in director.history.search_trials() if trial.open}
    states = {
        trial.user_attrs["trial"]: trial.state.name for search in director._search.values() for trial in search.told()
    }
    assert going == {number for number, state in states.items() if state == "RUNNING"}
    assert "COMPLETE" not in states.values()


def test_a_reached_target_counts_at_the_new_budget() -> None:
    chosen = dataclasses.replace(BASE, trials=40, target=0.5)
    before = Simulation(chosen).run()
    assert before.director.stopping
    director = Director(dataclasses.replace(chosen, budget=27), STUDY.space)
    director.replay(before.events)
    director.opened({})
    assert director.stopping == ""
    found = director.next()
    assert isinstance(found, Assignment)
    assert (found.config["steps"], found.known) == (27, 9)


def test_another_target_is_another_end() -> None:
    chosen = dataclasses.replace(BASE, trials=40, target=0.5)
    before = Simulation(chosen).run()
    after = Simulation(dataclasses.replace(chosen, target=-1.0), past=before.events).run()
    assert len(after.director.history.search_trials()) == 40
    assert violations(after.events) == []


def test_a_trial_that_waits_when_the_target_is_reached_is_not_left_open() -> None:
    director = Director(dataclasses.replace(BASE, target=0.5), STUDY.space)
    director.opened({})
    found = director.next()
    assert isinstance(found, Assignment)
    director.started(found.trial, found.attempt)
    director.failed(found.trial, "lost: gone")
    director.stopping = "target 0.5 reached by trial 7 with 0.4"
    assert director.next() == "done"
    trial = director.history.trials[found.trial]
    assert (trial.status, trial.reason) == ("stopped", director.stopping)


def _resumed(recorded: Settings, *arguments: str) -> Settings:
    return options.resumed_settings(recorded, STUDY, options.parse(STUDY, ["--resume", "x", *arguments], ""))


def test_the_budget_may_grow_and_not_shrink() -> None:
    assert _resumed(BASE, "--steps", "27").budget == 27
    assert _resumed(BASE, "--steps", "9") == BASE
    with pytest.raises(ConfigError, match=r"^steps: 8 is below the 9 of x; take more, or begin a new sweep$"):
        _resumed(BASE, "--steps", "8")


# A changed search space.


def widened(trial: Any, scale: str) -> dict[str, Any]:
    return {"lr": trial.suggest_float("lr", 1e-4, 0.3, log=True), "offset": trial.suggest_float("offset", 0.0, 1.0)}


def narrowed(trial: Any, scale: str) -> dict[str, Any]:
    return {"lr": trial.suggest_float("lr", 1e-3, 2e-3, log=True), "offset": trial.suggest_float("offset", 0.0, 1.0)}


def poorer(trial: Any, scale: str) -> dict[str, Any]:
    return {"lr": trial.suggest_float("lr", 1e-3, 0.3, log=True)}


def richer(trial: Any, scale: str) -> dict[str, Any]:
    return {**STUDY.space(trial, scale), "sleep": trial.suggest_float("sleep", 0.0, 0.1)}


def other_kind(trial: Any, scale: str) -> dict[str, Any]:
    return {"lr": trial.suggest_categorical("lr", ["low", "high"]), "offset": trial.suggest_float("offset", 0.0, 1.0)}


def derived(trial: Any, scale: str) -> dict[str, Any]:
    return {**STUDY.space(trial, scale), "sleep": 0.25}


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (
            narrowed,
            r"^lr: trial \d+ has 0\.\d+, outside \[0\.001, 0\.002\] log, the space's range now; put the space back, or begin",  # noqa: E501
        ),
        (poorer, r"^offset: trial 0 has 0\.\d+, and the space no longer asks for it; put"),
        (richer, r"^sleep: trial 0 has none, and the space now asks for one from \[0, 0\.1\]; put"),
        (other_kind, r"^lr: trial 0 has 0\.\d+, outside \{low, high\}, the space's range now; put"),
        (derived, r"^sleep: trial 0 has 0\.0, and the space makes 0\.25 of the same parameters now; put"),
    ],
)
def test_a_space_in_which_old_trials_do_not_fit_is_explained(space: Space, said: str) -> None:
    director = Director(BASE, space)
    with pytest.raises(ConfigError, match=said) as caught:
        director.replay(Simulation(BASE).run().events)
    assert "\n" not in str(caught.value)


def test_ranges_that_differ_beyond_three_digits_are_told_apart() -> None:
    was, now = (distribution_to_json(FloatDistribution(low, 0.2, log=True)) for low in (0.0123456, 0.0123123))
    assert changed("lr", was, now) == "space changed: lr was [0.01235, 0.2] log, is [0.01231, 0.2] log"
    asked = Recorded({"lr": 0.20004}, 3)
    with pytest.raises(
        ConfigError, match=r"^lr: trial 3 has 0\.20004, outside \[0\.012346, 0\.20001\] log, the space's"
    ):
        asked.known("lr", FloatDistribution(0.0123456, 0.20001, log=True))


def test_a_wider_space_is_accepted_aloud_and_once() -> None:
    before = Simulation(BASE).run().events
    said = "space changed: lr was [0.001, 0.3] log, is [0.0001, 0.3] log"
    director, events = None, list(before)
    for remarks in ([said], []):
        director = Director(dataclasses.replace(BASE, trials=16), widened, events.append)
        director.replay(list(events))
        director.opened({})
        assert director.remarks == remarks
    assert director is not None
    history = director.history
    assert history.notes == [said]
    assert [trial.params for trial in history.search_trials()] == [
        trial.params for trial in History.of(before).search_trials()
    ]
    assert isinstance(director.next(), Assignment)


# On real checkpoints.


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of the toy family, its budget no rung, extended to one that is three times as long."""
    folder = tmp_path_factory.mktemp("extended") / "sweep"
    chosen = dataclasses.replace(BASE, trials=6, grace=3, budget=9)
    play(Folder.at(str(folder)), chosen)
    play(Folder.at(str(folder)), dataclasses.replace(chosen, budget=27))
    return folder


def test_an_extended_sweep_stands_any_audit(whole: Path) -> None:
    assert audit(Folder.at(str(whole))) == []


def test_an_extended_trial_went_on_from_its_checkpoint(whole: Path) -> None:
    sweep = Sweep.open(whole)
    extended = [view for view in sweep.trials if view.trial.extended and view.status == "finished"]
    assert {view.trial.kind for view in extended} == {"search", "replicate"}
    for view in extended:
        assert [report.step for report in view.reports] == list(range(3, 28, 3))
        log = (whole / trial_folder(view.number) / "attempt-02" / "log.txt").read_text()
        assert "resumed from attempt-01/step-000000009" in log
        assert "the budget was 9 steps and is 27 now" in log
        assert view.config["steps"] == 27
        assert view.checkpoint().record["config"] == view.config
        assert not view.load().training
    stayed = [view for view in sweep.trials if view.status == "stopped" and "it stays at 9" in view.trial.reason]
    assert stayed
    assert all(view.checkpoint().record["config"]["steps"] == view.config["steps"] == 9 for view in stayed)


def test_an_extended_trial_from_its_row_is_said_to_be_another_run(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = next(view.number for view in Sweep.open(whole).trials if view.trial.extended)
    assert dispatch.main(["train", "--from", str(whole), str(number)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(
        f"note: trial {number} began with a budget of 9; this run has the last one's schedules from its first step"
    )
    assert "step 27/27" in said
