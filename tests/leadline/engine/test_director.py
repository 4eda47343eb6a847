"""The director without Ray: a simulated sweep drives it, and a cut ledger is replayed into a new one."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline.analysis import early_stopping, frame, optuna_study
from leadline.config import ConfigError
from leadline.engine import plan
from leadline.engine.director import Assignment, Director
from leadline.engine.search import Space
from leadline.engine.warning_counts import MOST, REST
from leadline.ledger import leaderboard
from leadline.ledger.events import Closed, Event, Judged, Noted, Opened, Proposed, Reported, Started
from leadline.ledger.format import lines
from leadline.ledger.history import History
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Report
from tests.leadline.toy_study import STUDY

BASE = Settings(
    study="toy", family="tests.leadline.toy:TOY", metric="error", mode="min", sampler="tpe", scale="laptop", stratify="level", strata=(1, 2),  # noqa: E501
    trials=12, budget=9, grace=1, reduction=3, startup=2, seed=5, confirm=1, replicates=2, fields={}, overrides={}, concurrent=3,  # noqa: E501
)  # fmt: skip


def _report(config: dict[str, Any], step: int, test: bool) -> Report:
    """A made-up curve that depends on the configuration alone."""
    value = config["offset"] + 1 / (step + 10 * config["lr"]) + (config["seed"] % 97) / 1e4
    units = tuple(value + unit / 100 for unit in range(4))
    metrics = {"validation/error": Measure(value, 4, value - 0.1, value + 0.1)}
    if test and step == config["steps"]:
        metrics["test/error"] = Measure(value + 0.015, 4, value - 0.1, value + 0.1, units)
    return Report(step, step, float(step), 0.0, metrics)


def _opening(code: str) -> dict[str, Any]:
    """The manifest of a driver with this code of the family."""
    return {"code": {"family": {"fingerprint": code}}} if code else {}


class Simulation:
    """Places what the director assigns, in a seeded random order."""

    def __init__(
        self, chosen: Settings, seed: int = 0, past: list[Event] | None = None, space: Space = STUDY.space
    ) -> None:
        self.events: list[Event] = list(past or [])
        self.director = Director(chosen, space, self.events.append)
        self.director.replay(past or [])
        self.random = random.Random(seed)
        self.live: dict[int, tuple[Assignment, int]] = {}

    def report(self, assignment: Assignment, step: int) -> Report:
        return _report(assignment.config, step, assignment.test)

    def run(self, events: int = 10**9, code: str = "") -> Simulation:
        self.director.opened(_opening(code))
        while len(self.events) < events:
            found = self.director.next() if len(self.live) < (self.director.settings.concurrent or 1) else "wait"
            if isinstance(found, Assignment):
                self.director.started(found.trial, found.attempt)
                self.live[found.trial] = (found, found.known)
            elif found == "done" and not self.live:
                break
            if self.live:
                self._step()
        return self

    def _step(self) -> None:
        number = self.random.choice(sorted(self.live))
        assignment, step = self.live[number]
        decision = self.director.reported(number, self.report(assignment, step + 1))
        if decision.action == "continue":
            self.live[number] = (assignment, step + 1)
        else:
            del self.live[number]


def _timeless(events: list[Event]) -> list[Event]:
    return [dataclasses.replace(event, time=0.0) for event in events if not isinstance(event, Opened)]


def test_a_sweep_ends_with_every_trial_closed_and_its_finalists_confirmed() -> None:
    history = Simulation(BASE).run().director.history
    assert len(history.search_trials()) == 12
    assert not any(trial.open for trial in history.trials.values())
    assert {trial.stratum for trial in history.search_trials()} == {"1", "2"}
    assert any(trial.status == "stopped" and "cut-off" in trial.reason for trial in history.search_trials())
    board = leaderboard.board(history, "toy")
    assert [row["stratum"] for row in board["confirmed"]] == ["1", "2"]
    assert all(row["replicates"] == 2 and row["low"] < row["value"] < row["high"] for row in board["confirmed"])


def test_replicates_have_seeds_of_their_own_that_the_strata_share() -> None:
    history = Simulation(BASE).run().director.history
    seeds = {
        stratum: [t.config["seed"] for t in history.trials.values() if t.of is not None and t.stratum == stratum]
        for stratum in "12"
    }
    assert seeds["1"] == seeds["2"]
    assert len({*seeds["1"], *(t.config["seed"] for t in history.search_trials())}) == 3


def test_the_same_seed_gives_the_same_ledger_but_for_clocks() -> None:
    assert _timeless(Simulation(BASE).run().events) == _timeless(Simulation(BASE).run().events)


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(1, 150), order=st.integers(0, 10))
def test_replay_leaves_rungs_searchers_and_trials_as_they_were(cut: int, order: int) -> None:
    before = Simulation(BASE, seed=order).run(cut)
    after = Director(BASE, STUDY.space)
    after.replay(before.events)
    assert {s: a.table for s, a in after.asha.items()} == {s: a.table for s, a in before.director.asha.items()}
    for stratum in ("1", "2"):
        one, two = (d._search[stratum].told() for d in (before.director, after))
        assert [(t.state, t.params, t.values, t.intermediate_values) for t in one] == [
            (t.state, t.params, t.values, t.intermediate_values) for t in two
        ]
    assert [t.number for t in after.running()] == []


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 120), order=st.integers(0, 5))
def test_a_sweep_cut_anywhere_and_resumed_loses_and_doubles_nothing(cut: int, order: int) -> None:
    before = Simulation(BASE, seed=order).run(cut)
    resumed = Simulation(BASE, seed=order + 1, past=before.events).run()
    history = resumed.director.history
    assert len(history.search_trials()) == BASE.trials
    assert not any(trial.open for trial in history.trials.values())
    seen = [(event.trial, event.report.step) for event in resumed.events if isinstance(event, Reported)]
    assert len(seen) == len(set(seen))
    proposals = [event.trial for event in resumed.events if isinstance(event, Proposed)]
    assert len(proposals) == len(set(proposals))


def test_one_at_a_time_a_cut_sweep_ends_as_the_whole_one() -> None:
    single = dataclasses.replace(BASE, concurrent=1)
    whole = Simulation(single).run()
    for cut in (3, 17, 40, 77):
        resumed = Simulation(single, past=Simulation(single).run(cut).events).run()
        assert leaderboard.board(resumed.director.history, "x") == leaderboard.board(whole.director.history, "x")


def test_an_extended_sweep_goes_on_with_new_numbers() -> None:
    first = Simulation(BASE).run()
    more = Simulation(dataclasses.replace(BASE, trials=18), past=first.events).run()
    assert len(more.director.history.search_trials()) == 18
    assert set(first.director.history.trials) <= set(more.director.history.trials)


def test_a_nan_report_stops_the_trial_and_never_ranks() -> None:
    director = Director(BASE, STUDY.space)
    director.opened({})
    found = director.next()
    assert isinstance(found, Assignment)
    director.started(found.trial, found.attempt)
    nan = Report(1, 1, 1.0, 0.0, {"validation/error": Measure(math.nan, 4, math.nan, math.nan)})
    decision = director.reported(found.trial, nan)
    assert (decision.action, decision.reason) == ("stop", "step 1: the objective is nan")
    assert leaderboard.finalists(director.history, found.config["level"], 3) == []
    assert leaderboard.board(director.history, "x")["rows"][0]["marks"] == ["not finite"]


def test_a_failing_trial_is_tried_again_a_bounded_number_of_times() -> None:
    director = Director(dataclasses.replace(BASE, max_failures=1), STUDY.space)
    director.opened({})
    numbers = []
    for again in (True, False):
        found = director.next()
        assert isinstance(found, Assignment)
        numbers.append((found.trial, found.attempt))
        director.started(found.trial, found.attempt)
        assert director.failed(found.trial, "Traceback: boom") is again
    assert numbers == [(0, 1), (0, 2)]
    assert director.history.trials[0].status == "failed"
    assert "boom" in leaderboard.board(director.history, "x")["rows"][0]["reason"]


def test_a_loss_after_a_report_does_not_count_and_one_before_any_does() -> None:
    events = list[Event]()
    director = Director(dataclasses.replace(BASE, max_failures=1, trials=1, confirm=0), STUDY.space, events.append)
    director.opened({})

    def attempt(reports: int, error: str = "lost: the process or its machine went away") -> bool:
        found = director.next()
        assert isinstance(found, Assignment)
        director.started(found.trial, found.attempt)
        for _ in range(reports):
            assert (
                director.reported(0, _report(found.config, director.history.trials[0].step + 1, False)).action
                == "continue"
            )
        return director.failed(0, error)

    assert [attempt(2), attempt(1), attempt(0), attempt(1)] == [True] * 4
    assert attempt(0, "preempted: node two goes away"), "announced, whether or not it brought a report"
    node = "The actor died unexpectedly before finishing this task.\nThe actor died because its node has died. Node Id: 2d5f"  # noqa: E501
    assert attempt(0, node)
    assert attempt(
        0, "RuntimeError: worker group ended: Training failed\nThe worker group startup timed out after 60.0 seconds"
    )
    trial = director.history.trials[0]
    assert (trial.attempts, trial.failures, trial.excused, trial.status) == (7, 6, 5, "waiting")
    assert not attempt(0)
    assert History.of(events).trials[0] == director.history.trials[0]
    assert trial.status == "failed"


def test_a_trial_that_changed_its_workers_is_marked() -> None:
    director = Director(dataclasses.replace(BASE, trials=1, confirm=0), STUDY.space)
    director.opened({})
    marks = []
    for workers in (2, 2, 1):
        found = director.next()
        assert isinstance(found, Assignment)
        director.started(0, found.attempt, workers)
        director.failed(0, "preempted: its node goes away")
        marks.append(leaderboard.marks(director.history, director.history.trials[0]))
    assert marks == [[], [], ["trained by 2 and 1 workers in turn"]]


def test_an_infeasible_proposal_is_recorded_and_passed_over() -> None:
    chosen = dataclasses.replace(BASE, enqueue=({"lr": 0.05},), overrides={})

    def space(trial: Any, scale: str) -> dict[str, Any]:
        lr = trial.suggest_float("lr", 0.01, 0.1)
        return {"lr": lr, "offset": 0.5 if lr == 0.05 else 13.0}

    director = Director(chosen, space)
    director.opened({})
    found = director.next()  # the enqueued one is possible
    assert isinstance(found, Assignment)
    director.started(found.trial, found.attempt)
    assert director.next() == "wait"
    history = director.history
    assert [trial.status for trial in history.search_trials()] == ["running"] + ["failed"] * 11
    assert all(trial.reason == "infeasible: offset: 13 is impossible" for trial in history.search_trials()[1:])


def test_a_report_that_is_known_already_changes_nothing() -> None:
    simulation = Simulation(dataclasses.replace(BASE, concurrent=1)).run(8)
    director = simulation.director
    trial = director.running()[0]
    count = len(simulation.events)
    assert director.reported(trial.number, _report(trial.config, trial.step, False)).action == "continue"
    assert len(simulation.events) == count


@pytest.mark.parametrize(("chosen", "later"), [("auto", 64), ("1/2", 64), (32, 32), (0, 0)])
def test_a_later_attempt_trains_with_the_micro_batch_that_was_measured(chosen: int | str, later: int) -> None:
    """Where the ledger knows it; a number that was chosen stays as it is."""
    director = Director(dataclasses.replace(BASE, fields={"micro_batch": chosen}), STUDY.space)
    director.opened({})
    first = director.next()
    assert isinstance(first, Assignment)
    director.started(first.trial, first.attempt)
    assert first.config["micro_batch"] == chosen
    report = dataclasses.replace(_report(first.config, 1, first.test), facts={"micro_batch": 64.0})
    director.reported(first.trial, report)
    director.failed(first.trial, "lost")
    again = director.next()
    assert isinstance(again, Assignment)
    assert (again.trial, again.attempt) == (first.trial, 2)
    assert again.config == {**first.config, "micro_batch": later}


def test_the_target_ends_the_search_and_finalists_are_confirmed() -> None:
    history = Simulation(dataclasses.replace(BASE, trials=40, target=0.5)).run().director.history
    assert any(t.status == "finished" and t.value("validation/error") <= 0.5 for t in history.search_trials())
    assert len(history.search_trials()) < 40
    assert leaderboard.confirmations(history)[0]["replicates"] == 2


def test_a_reached_target_is_remembered_by_replay() -> None:
    chosen = dataclasses.replace(BASE, trials=40, target=0.5)
    whole = Simulation(chosen).run()
    again = Director(chosen, STUDY.space)
    again.replay(whole.events)
    assert again.stopping == whole.director.stopping != ""
    assert again.next() == "done"


def test_a_configuration_that_would_change_the_data_is_infeasible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.leadline.toy.Toy.data_key", lambda self, config: f"sleep {config.sleep}")
    with pytest.raises(ConfigError, match="sleep: would change the data"):
        BASE.configure({"sleep": 1.0}, 1, 0)
    assert BASE.configure({"lr": 0.5}, 1, 0)


def test_a_replicate_that_diverges_is_stopped() -> None:
    simulation = Simulation(BASE).run()
    run = next(trial for trial in simulation.director.history.trials.values() if trial.of is not None)
    run.status, run.reports = "running", []
    nan = Report(1, 1, 1.0, 0.0, {"validation/error": Measure(math.nan, 4, math.nan, math.nan)})
    assert simulation.director.reported(run.number, nan).action == "stop"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"trials": 0}, "trials"),
        ({"budget": 1, "grace": 2}, "steps"),
        ({"reduction": 1}, "reduction"),
        ({"confirm": -1}, "confirm"),
        ({"cpus_per_trial": 0}, "cpus-per-trial"),
        ({"gpus_per_trial": 1.5}, "gpus-per-trial"),
        ({"time_limit": -1.0}, "time-limit"),
    ],
)
def test_impossible_settings_are_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{field}: "):
        dataclasses.replace(BASE, **change)


def test_enqueued_trials_count_towards_the_share_of_their_stratum() -> None:
    entries = tuple({"level": 2, "lr": lr, "offset": 0.5} for lr in (0.01, 0.02, 0.03, 0.04))
    history = Simulation(dataclasses.replace(BASE, enqueue=entries)).run().director.history
    strata = [trial.stratum for trial in history.search_trials()]
    assert (strata.count("1"), strata.count("2")) == (6, 6)
    assert strata[:8] == ["2"] * 4 + ["1"] * 4


def _playing(space: Any, events: list[Event]) -> Director:
    director = Director(dataclasses.replace(BASE, confirm=0), space, events.append)
    director.replay(list(events))
    director.opened({})
    while isinstance(found := director.next(), Assignment):
        director.started(found.trial, found.attempt)
        for step in range(1, BASE.budget + 1):
            if director.reported(found.trial, _report(found.config, step, found.test)).action != "continue":
                break
    return director


def test_a_value_of_numpys_beyond_the_limit_is_an_infeasible_trial_like_any_other() -> None:
    def space(trial: Any, scale: str) -> dict[str, Any]:
        return {**STUDY.space(trial, scale), "level": np.int64(1), "offset": np.int64(1024 if trial.number % 2 else 1)}

    events = list[Event]()
    history = _playing(space, events).history
    failed = [trial for trial in history.trials.values() if trial.status == "failed"]
    assert len(failed) == BASE.trials // 2
    assert {trial.reason for trial in failed} == {
        "infeasible: offset: input should be less than or equal to 100 (got 1024)"
    }
    assert json.loads(lines([event.to_dict() for event in events]).splitlines()[-1])


def test_a_space_that_fails_now_and_then_costs_those_trials_alone_and_can_be_mended() -> None:
    def failing(trial: Any, scale: str) -> dict[str, Any]:
        fields = STUDY.space(trial, scale)
        return {**fields, "sleep": 0.0 if fields["offset"] < 0.6 else 1 / 0}

    events = list[Event]()
    live = _playing(failing, events)
    history = live.history
    failed = [trial for trial in history.trials.values() if trial.status == "failed"]
    assert len(history.trials) == BASE.trials
    assert {trial.params["offset"] >= 0.6 for trial in failed} == {True}
    assert failed[0].reason.startswith("infeasible: space: raised ZeroDivisionError: division by zero (test_director")
    assert json.loads(lines([event.to_dict() for event in events]).splitlines()[-1])

    def mended(trial: Any, scale: str) -> dict[str, Any]:
        return {**STUDY.space(trial, scale), "sleep": 0.0}

    for space in (failing, mended):
        again = Director(BASE, space)
        again.replay(events)
        for stratum, search in again._search.items():
            before = live._search[stratum].told()
            assert [(t.state, t.params) for t in search.told()] == [(t.state, t.params) for t in before]


def _two(trial: Any, scale: str) -> dict[str, Any]:
    """A search space of two configurations."""
    return {"lr": 0.1, "offset": trial.suggest_categorical("offset", [0.25, 0.5])}


ONE = dataclasses.replace(BASE, strata=(1,), trials=8, confirm=2)


def test_a_repeated_configuration_is_not_trained_again() -> None:
    simulation = Simulation(ONE, space=_two).run()
    history = simulation.director.history
    trained = [trial for trial in history.search_trials() if trial.attempts]
    repeats = [trial for trial in history.search_trials() if not trial.attempts]
    assert (len(trained), len(repeats)) == (2, 6)
    first = {trial.config["offset"]: trial.number for trial in trained}
    for trial in repeats:
        said = f"the same configuration as trial {first[trial.config['offset']]}, which is trained for both"
        assert (trial.status, trial.reason, leaderboard.marks(history, trial)) == ("stopped", said, [said])
    assert simulation.director.next() == "done"
    assert {trial.of for trial in history.trials.values()} - {None} <= set(first.values())
    told = [trial.user_attrs["trial"] for trial in simulation.director._search["1"].told()]
    assert told == [trial.number for trial in trained], "the searcher learns nothing of what never ran"
    assert [row["trial"] for row in leaderboard.board(history, "x")["rows"]][2:] == [one.number for one in repeats]
    (row,) = [row for row in early_stopping.stopped(history) if row.cause == early_stopping.REPEATED]
    assert row.trials == [trial.number for trial in repeats]
    assert list(frame.table(history)["reason"][repeats[0].number : repeats[0].number + 1]) == [repeats[0].reason]
    made = optuna_study.study(history, "1").trials
    assert [trial.number for trial in made if trial.state.name == "FAIL"] == [trial.number for trial in repeats]


def test_a_sweep_of_one_configuration_trains_it_once() -> None:
    simulation = Simulation(dataclasses.replace(ONE, confirm=0), space=lambda trial, scale: {"lr": 0.1}).run()
    assert [event.trial for event in simulation.events if isinstance(event, Started)] == [0]
    assert len(simulation.director.history.search_trials()) == 8


def test_an_enqueued_configuration_is_not_trained_twice() -> None:
    chosen = dataclasses.replace(ONE, enqueue=({"lr": 0.1, "offset": 0.5},) * 3, trials=3, confirm=0)
    simulation = Simulation(chosen).run()
    assert [event.trial for event in simulation.events if isinstance(event, Started)] == [0]


def test_a_driver_lost_before_it_stopped_a_repetition_does_so_when_it_is_back() -> None:
    whole = Simulation(dataclasses.replace(ONE, concurrent=1), space=_two).run()
    cut = next(index for index, event in enumerate(whole.events) if isinstance(event, Judged))
    again = Simulation(dataclasses.replace(ONE, concurrent=1), past=whole.events[:cut], space=_two).run()
    assert _timeless(again.events) == _timeless(whole.events)


def test_a_configuration_that_failed_is_tried_again_where_it_is_proposed_again() -> None:
    chosen = dataclasses.replace(ONE, enqueue=({"lr": 0.1, "offset": 0.5},) * 2, trials=2, confirm=0, max_failures=0)
    director = Director(chosen, STUDY.space)
    director.opened({})
    for number in (0, 1):
        found = director.next()
        assert isinstance(found, Assignment)
        assert found.trial == number
        director.started(number, 1)
        director.failed(number, "Traceback: boom")
    assert director.next() == "done"


def test_a_configuration_is_trained_again_by_other_code_of_its_family() -> None:
    """The trials of the code before are marked, and their results stand for no other trial."""
    past = Simulation(ONE, space=_two).run(code="old").events
    longer = dataclasses.replace(ONE, trials=16)
    assert plan.complete(longer, _two, past, _opening("old"))
    assert not plan.complete(longer, _two, past, _opening("new"))
    history = Simulation(longer, past=past, space=_two).run(code="new").director.history
    old, new = history.search_trials()[:8], history.search_trials()[8:]
    first = {trial.identity: trial.number for trial in new if trial.attempts}
    assert sum(trial.attempts > 0 for trial in new) == len({trial.identity for trial in new}) == len(first)
    assert {trial.identity for trial in new} <= {trial.identity for trial in old}
    for trial in [trial for trial in new if not trial.attempts]:
        assert trial.reason == f"the same configuration as trial {first[trial.identity]}, which is trained for both"
    finished = [trial for trial in leaderboard.ranked(history, "1") if trial.status == "finished"]
    assert len(finished) > len({trial.identity for trial in finished})
    chosen = [trial.identity for trial in leaderboard.finalists(history, "1", 16)]
    assert sorted(chosen) == sorted({trial.identity for trial in finished})


def test_finalists_of_an_older_ledger_are_distinct(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(Director, "_twin", lambda self, trial: None)
        past = Simulation(dataclasses.replace(ONE, confirm=0), space=_two).run().events
    history = History.of(past)
    best = [trial for trial in leaderboard.ranked(history, "1") if trial.status == "finished"]
    assert best[0].identity == best[1].identity
    chosen = leaderboard.finalists(history, "1", 2)
    assert chosen[0] is best[0]
    assert len({trial.identity for trial in chosen}) == len(chosen)
    resumed = Simulation(dataclasses.replace(ONE, trials=9), past=past, space=_two).run().director.history
    assert resumed.trials[8].reason.startswith("the same configuration as trial ")
    assert [trial.reason for trial in resumed.search_trials()[:8]] == [t.reason for t in history.search_trials()]


def test_a_warning_of_every_step_is_recorded_when_it_comes_and_when_the_attempt_ends() -> None:
    """Its text may name the step; a later attempt goes on counting, also after a replay."""
    events = list[Event]()
    director = Director(dataclasses.replace(ONE, trials=1, confirm=0), STUDY.space, events.append)
    director.opened({})

    def attempt(director: Director) -> None:
        found = director.next()
        assert isinstance(found, Assignment)
        director.started(0, found.attempt)
        for step in (found.known + 1, found.known + 2):
            director.warned(
                0, {f"step {step}: loss is 0.{step}": 1000, "only once": int(step == 1)} if step < 3 else {}
            )
            director.warned(0, {f"step {step}: loss is 1e-{step}": 1000})
            director.reported(0, _report(found.config, step, False))

    attempt(director)
    director.failed(0, "lost: the process or its machine went away")
    assert director.history.notes == ["trial 0: step 1: loss is 0.1 (4,000 times)", "trial 0: only once"]
    assert director.news[:2] == ["trial 0: note: step 1: loss is 0.1", "trial 0: note: only once"]
    again = Director(director.settings, STUDY.space, events.append)
    again.replay(list(events))
    attempt(again)
    again.failed(0, "lost: the process or its machine went away")
    assert again.history.notes == ["trial 0: step 1: loss is 0.1 (6,000 times)", "trial 0: only once"]
    noted = [(event.trial, event.count) for event in events if isinstance(event, Noted)]
    assert noted == [(0, 1000), (0, 1), (0, 4000), (0, 6000)]
    assert History.of(events).notes == again.history.notes


def test_the_counts_of_running_trials_are_recorded_when_the_driver_ends() -> None:
    events = list[Event]()
    director = Director(ONE, STUDY.space, events.append)
    director.opened({})
    for number in (0, 1):
        director.next()
        director.started(number, 1)
        for _ in range(3):
            director.warned(number, {"odd": 2})
    director.closed("interrupted")
    assert History.of(events).notes == ["trial 0: odd (6 times)", "trial 1: odd (6 times)"]
    assert isinstance(events[-1], Closed)


def test_an_error_with_half_a_surrogate_pair_can_be_printed() -> None:
    director = Director(ONE, STUDY.space)
    director.opened({})
    director.next()
    director.started(0, 1)
    director.failed(0, "OSError: \udcff.txt")
    assert "\\udcff.txt" in director.news[0].encode().decode()
    assert director.history.trials[0].reason == "OSError: \\udcff.txt"


def test_of_very_many_different_warnings_the_first_are_told() -> None:
    director = Director(ONE, STUDY.space)
    director.opened({})
    director.next()
    director.warned(0, {"a" * length: 1 for length in range(1, 71)})
    assert len(director.history.notes) == MOST + 1
    assert director.history.notes[-1] == f"trial 0: {REST}"
    director._recount(0)
    assert director.history.notes[-1] == f"trial 0: {REST} (20 times)"


def test_a_note_that_an_older_ledger_repeats_is_shown_once() -> None:
    history = History.of([Noted(text="trial 3: odd", time=1.0)] * 4000 + [Noted(text="even", time=1.0)])
    assert history.notes == ["trial 3: odd (4,000 times)", "even"]
