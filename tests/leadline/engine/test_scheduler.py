"""Whom a rung may stop: fewer, the worse it predicts the end; and which rungs judge at all."""

from __future__ import annotations

import dataclasses
import io
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from leadline import Sweep
from leadline.analysis import early_stopping
from leadline.analysis.report import document
from leadline.config import ConfigError
from leadline.curriculum import Curriculum, Vocabulary
from leadline.engine import options, plan
from leadline.engine.director import Assignment, Director
from leadline.engine.scheduler import FIRST, LEAST_SHARE, MOST_SHARE, Scheduler
from leadline.ledger import leaderboard
from leadline.ledger.events import Event, Noted, Proposed, Reported
from leadline.ledger.history import History
from leadline.ledger.leaderboard_table import leaderboard_table
from leadline.ledger.leaderboard_text import Board
from leadline.ledger.rungs import OFF
from leadline.ledger.segments import Ledger
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Report
from leadline.storage import Folder
from tests.leadline.engine.test_director import BASE, Simulation, _timeless
from tests.leadline.ledger_audit import violations
from tests.leadline.toy import Toy, ToyConfig
from tests.leadline.toy_study import STUDY

CHOSEN = dataclasses.replace(BASE, trials=80, budget=3, confirm=0, sampler="random")
"""Two strata, of which about a third of the trials goes on at rung 1 and finishes at 3."""


class Staged(Toy):
    """The toy family with a curriculum whose last stage begins after two thirds of the budget."""

    name = "staged"

    def curriculum(self, config: ToyConfig) -> Curriculum:
        return Curriculum.of(("first:1/3", "second:1/3", "last:1/3"), Vocabulary())


class Changed(Staged):
    """The same family after its code was changed."""

    def curriculum(self, config: ToyConfig) -> Curriculum:
        return Curriculum.of(("joint:1",), Vocabulary())


STAGED, CHANGED = Staged(), Changed()


class Turning(Simulation):
    """Trials whose order at the end is the reverse of that at every rung."""

    def report(self, assignment: Assignment, step: int) -> Report:
        offset = assignment.config["offset"]
        value = offset if step >= assignment.config["steps"] else 1 - offset
        return Report(step, step, float(step), 0.0, {"validation/error": Measure(value, 4, value, value)})


class Steady(Simulation):
    """Trials whose order is the same from first to last."""

    def report(self, assignment: Assignment, step: int) -> Report:
        value = assignment.config["offset"] + 1 / step
        return Report(step, step, float(step), 0.0, {"validation/error": Measure(value, 4, value, value)})


@pytest.fixture(scope="module")
def turned() -> list[Event]:
    return Turning(CHOSEN).run().events


def _actions(events: list[Event], action: str) -> list[Reported]:
    return [event for event in events if isinstance(event, Reported) and event.action == action]


def _worse(events: list[Event]) -> list[Reported]:
    """The reports of search trials at rung 1 that ASHA would have ended."""
    return [event for event in events if isinstance(event, Reported) and "rung 1: " in event.reason
            and "worse than the cut-off" in event.reason]  # fmt: skip


def test_the_worse_a_rung_predicts_the_more_trials_go_on_all_the_same(turned: list[Event]) -> None:
    steady = Steady(CHOSEN).run().events
    spared = {name: [event.action == "continue" for event in _worse(events) if event.trial >= FIRST]
              for name, events in (("turning", turned), ("steady", steady))}  # fmt: skip
    assert sum(spared["turning"]) / len(spared["turning"]) > 0.6
    assert 0 < sum(spared["steady"]) / len(spared["steady"]) < 0.25
    assert violations(turned) == violations(steady) == []


def test_the_reason_says_how_well_the_rung_predicts(turned: list[Event]) -> None:
    reasons = [event.reason for event in _worse(turned) if event.action == "continue"]
    words = r"not stopped, as (\d+)% of trials are not judged there: rung 1 predicts the end with tau -1.00 over (\d+) "
    last = re.search(words, reasons[-1])
    assert last
    assert int(last[1]) == 80, "the most"
    assert int(last[2]) > 12


def test_the_first_trials_are_judged_by_every_rung(turned: list[Event]) -> None:
    first = [event for event in _worse(turned) if event.trial < FIRST]
    assert first
    assert {event.action for event in first} == {"stop"}


@pytest.mark.parametrize(("scheduler", "off"), [("asha", ""), ("none", f"{OFF}, as was asked for (scheduler none)")])
def test_who_asks_decides(scheduler: Any, off: str) -> None:
    events = Turning(dataclasses.replace(CHOSEN, scheduler=scheduler)).run().events
    assert {event.action for event in _worse(events)} == {"stop" if scheduler == "asha" else "continue"}
    history = History.of(events)
    assert history.stopping_off == off
    assert violations(events) == []


@settings(max_examples=8, deadline=None)
@given(cut=st.integers(1, 400), order=st.integers(0, 3))
def test_a_sweep_that_is_cut_anywhere_decides_as_its_ledger_says(cut: int, order: int) -> None:
    before = Turning(CHOSEN, seed=order).run(cut).events[:cut]
    assert violations(Turning(CHOSEN, seed=order + 1, past=before).run().events) == []


def test_replay_leaves_everything_as_it_was(turned: list[Event]) -> None:
    one = Turning(CHOSEN).run()
    other = Director(CHOSEN, STUDY.space)
    other.replay(one.events)
    assert _timeless(one.events) == _timeless(turned)
    assert other._scheduler.share(1) == one.director._scheduler.share(1) == MOST_SHARE
    assert other.asha == one.director.asha
    assert other.history == one.director.history


def test_a_resumed_sweep_may_be_told_otherwise(turned: list[Event]) -> None:
    more = dataclasses.replace(CHOSEN, trials=110, scheduler="asha")
    stopped = Turning(more, past=turned).run().events
    assert {event.action for event in _worse(stopped[len(turned) :])} == {"stop"}
    again = Turning(dataclasses.replace(more, trials=140, scheduler="weighed"), past=stopped).run().events
    assert "continue" in {event.action for event in _worse(again[len(stopped) :])}
    assert violations(again) == []


def test_a_longer_budget_asks_anew(turned: list[Event]) -> None:
    longer = Turning(dataclasses.replace(CHOSEN, budget=9, trials=90), past=turned).run()
    assert violations(longer.events) == []
    ended = len(_actions(longer.events[len(turned) :], "finish"))
    assert longer.director._scheduler._rungs[1].n == ended, "ends of the shorter budget are forgotten"


def test_what_an_earlier_version_recorded_of_stopping_holds(turned: list[Event], tmp_path: Path) -> None:
    """Its `auto` ended early stopping for good, with a remark."""
    text = f"{OFF}: when trial 30 had finished, rung 1 orders the 12 finished trials with tau -1.00, below 0.4"
    opened = Settings.from_dict(
        {key: value for key, value in CHOSEN.to_dict().items() if key != "scheduler"} | {"stopping": "auto"}
    )
    assert opened.scheduler == "weighed"
    past = [*turned, Noted(text=text, time=1.0)]
    resumed = Turning(dataclasses.replace(CHOSEN, trials=110), past=past).run().events
    late = _worse(resumed[len(past) :])
    assert late
    assert {event.action for event in late} == {"continue"}
    assert all(event.reason.endswith(text) for event in late)
    history = History.of(resumed)
    assert history.stopping_off.startswith(OFF)
    ledger = Ledger(Folder.at(str(tmp_path)) / "ledger")
    for event in resumed:
        ledger.append(event)
    ledger.close()
    sweep = Sweep.open(tmp_path)
    off = sweep.history.stopping_off
    assert f"<strong>{off[:1].upper()}{off[1:]}.</strong>" in document.page(sweep)
    console = Console(width=200, file=io.StringIO())
    console.print(leaderboard_table(sweep.history, "toy"))
    assert off in console.file.getvalue()  # type: ignore[attr-defined]
    assert off in Board(sweep.history, "toy").text()
    assert leaderboard.board(sweep.history, "toy")["stopping_off"] == off


@pytest.mark.parametrize(
    ("before", "now"), [("always", "asha"), ("never", "none"), ("auto", "weighed"), (None, "asha")]
)
def test_older_ledgers_say_it_in_other_words(before: str | None, now: str) -> None:
    recorded = {key: value for key, value in CHOSEN.to_dict().items() if key != "scheduler"}
    recorded |= {"stopping": before} if before else {}
    assert Settings.from_dict(recorded).scheduler == now
    assert Settings.unknown(recorded) == []


def _known(count: int, tau: int, strata: int = 1, rung: int = 1) -> Scheduler:
    scheduler = Scheduler(0)
    for trial in range(count):
        scheduler.finished(str(trial % strata), {rung: float(trial)}, float(tau * trial))
    return scheduler


def test_the_share_that_is_not_judged() -> None:
    assert Scheduler(0).share(1) == pytest.approx(0.2), "0.8 less the 0.6 that is taken for tau"
    assert _known(4, 1).share(1) == LEAST_SHARE
    assert _known(4, -1).share(1) == MOST_SHARE
    half = Scheduler(0)
    for trial, end in enumerate([1, 0, 3, 2, 4]):  # two of ten pairs disagree: tau 0.6
        half.finished("", {1: float(trial)}, float(end))
    assert half.share(1) == pytest.approx(0.8 - (4 * 0.6 + 5 * 0.6) / 9)
    assert _known(20, -1, rung=4).share(1) == pytest.approx(0.2), "each rung by what it predicted itself"
    assert _known(20, 0).share(1) == pytest.approx(0.2), "all ends are equal: no order to miss"
    assert _known(20, -1, strata=20).share(1) == pytest.approx(0.2), "no pair within a stratum"


def test_brackets_spread_trials_over_first_rungs_at_equal_cost() -> None:
    scheduler, rungs = Scheduler(3), [1, 3, 9]
    first = Counter(
        tuple(rung for rung in rungs if not scheduler.spares("brackets", trial, rung, rungs, 27))
        for trial in range(4000)
    )
    assert set(first) == {(1, 3, 9), (3, 9), (9,), ()}
    costs = {(1, 3, 9): 4, (3, 9): 9, (9,): 18, (): 27}
    spent = [first[judged] * cost for judged, cost in costs.items()]
    assert max(spent) / min(spent) < 1.3
    assert scheduler.spares("brackets", 0, 1, rungs, 27) == Scheduler(3).spares("brackets", 0, 1, rungs, 27)
    events = Steady(dataclasses.replace(CHOSEN, scheduler="brackets")).run().events
    words = {event.reason.rpartition("; ")[2] for event in _worse(events) if event.action == "continue"}
    assert words == {"not stopped, as it is of the bracket that is judged from 3 on"}


def test_no_trial_is_stopped_before_its_last_stage_has_begun() -> None:
    chosen = dataclasses.replace(BASE, family=f"{__name__}:STAGED", trials=30, budget=27, confirm=1)
    events = Simulation(chosen).run().events
    assert {event.judged_from for event in events if isinstance(event, Proposed) and event.kind == "search"} == {2 / 3}
    assert {event.judged_from for event in events if isinstance(event, Proposed) and event.kind == "replicate"} == {0.0}
    reasons = [event.reason for event in events if isinstance(event, Reported) and event.reason.startswith("rung ")]
    assert len(reasons) > 30
    assert all(reason.endswith("is not judged, as the last stage has not begun") for reason in reasons), (
        "the rungs are 1, 3 and 9, and the last stage begins at 18"
    )
    assert violations(events) == []
    longer = dataclasses.replace(chosen, grace=2, budget=27)  # rungs 2, 6 and 18, after which it begins
    assert _actions(Simulation(longer).run().events, "stop") == []
    sooner = dataclasses.replace(chosen, grace=1, reduction=19, budget=27)  # rungs 1 and 19
    events = Simulation(sooner).run().events
    assert {event.report.step for event in _actions(events, "stop")} == {19}
    assert violations(events) == []
    assert [row.rung for row in early_stopping.stopped(History.of(events))] == [19], "nobody is judged at rung 1"


def test_a_replay_asks_no_family_when_the_last_stage_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = dataclasses.replace(BASE, family=f"{__name__}:STAGED", trials=30, budget=27, grace=1, reduction=19)
    one = Simulation(chosen).run()
    monkeypatch.setattr(Staged, "curriculum", Changed.curriculum)
    other = Director(chosen, STUDY.space)
    other.replay(one.events)
    assert other.asha == one.director.asha
    assert sum(map(len, other.asha["1"].early.values())) > 0


def test_a_family_whose_curriculum_raises_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, config: ToyConfig) -> Curriculum:
        raise LookupError("no such stage")

    monkeypatch.setattr(Staged, "curriculum", broken)
    director = Simulation(dataclasses.replace(BASE, family=f"{__name__}:STAGED", trials=2, confirm=0)).run().director
    (first, _) = director.history.search_trials()
    assert first.infeasible
    assert first.brief.startswith("infeasible: curriculum: raised LookupError: no such stage")


def test_the_plan_knows_which_rungs_judge() -> None:
    staged = dataclasses.replace(BASE, family=f"{__name__}:STAGED", strata=(1,), trials=9, reduction=8)
    assert plan.judging_rungs(staged, 1) == [8]
    text = plan.describe(staged, STUDY.space)
    assert "rungs       1, 8 of 9 steps; one in 8 goes on\n  1: judged at 8 alone, after the last stage" in text
    late = plan.describe(dataclasses.replace(staged, grace=3), STUDY.space)
    assert "  1: judged at none, as the last stage begins after them" in late
    assert plan.expected_search(staged) == 8 + 1 / 8
    assert plan.judging_rungs(dataclasses.replace(staged, scheduler="none"), 1) == []
    assert plan.expected_search(dataclasses.replace(BASE, scheduler="none")) == BASE.budget


def test_the_option() -> None:
    def chosen(*words: str) -> Settings:
        return options.settings(STUDY, options.parse(STUDY, words, ""))

    assert chosen().scheduler == "weighed"
    assert chosen("--scheduler", "none").scheduler == "none"
    resumed = options.parse(STUDY, ["--resume", "x", "--scheduler", "asha"], "")
    assert options.resumed_settings(BASE, STUDY, resumed).scheduler == "asha"
    with pytest.raises(ConfigError, match=r"^scheduler: .*sometimes"):
        chosen("--scheduler", "sometimes")
    with pytest.raises(ConfigError, match=r"^scheduler: must be weighed, asha, brackets or none \(got 'sometimes'\)$"):
        dataclasses.replace(BASE, scheduler="sometimes")  # type: ignore[arg-type]


def test_tau_is_told_of_each_rung_and_stratum_by_finished_trials(turned: list[Event]) -> None:
    history = History.of(turned)
    finished = [trial for trial in history.search_trials() if trial.status == "finished"]
    found = {(one.rung, one.stratum): one.tau for one in early_stopping.agreement(history)}
    assert list(found) == [(1, "1"), (1, "2"), (1, None)]
    assert found[1, None].n == len(finished) == found[1, "1"].n + found[1, "2"].n
    assert found[1, None].value == -1
    kept = {(one.rung, one.stratum): (one.best, one.kept) for one in early_stopping.agreement(history)}
    tenths = {stratum: math.ceil(found[1, stratum].n / 10) for stratum in "12"}
    assert kept == {(1, "1"): (tenths["1"], 0), (1, "2"): (tenths["2"], 0), (1, None): (sum(tenths.values()), 0)}
    few = History.of(Simulation(BASE).run().events)
    ((_, one), *_) = [(row, row.tau) for row in early_stopping.agreement(few)]
    assert one.n < early_stopping.FEWEST
    assert one.value != one.value, "too few for a tau"


def test_a_study_may_say_that_a_size_stops_nothing() -> None:
    """Where its rung is known to predict badly; the command line has the last word."""
    scales = {name: dataclasses.replace(scale, scheduler="none") for name, scale in STUDY.scales.items()}
    study = dataclasses.replace(STUDY, scales=scales)
    assert options.settings(study, options.parse(study, [], "")).scheduler == "none"
    assert options.settings(study, options.parse(study, ["--scheduler", "asha"], "")).scheduler == "asha"
