"""A sweep whose first rung does not order trials as the end does goes on without early stopping."""

from __future__ import annotations

import dataclasses
import io
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
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
from leadline.engine.asha import Asha
from leadline.engine.director import Assignment, Director
from leadline.engine.display import Display
from leadline.engine.trust import Trust
from leadline.ledger import leaderboard
from leadline.ledger.events import Event, Noted, Opened, Proposed, Reported
from leadline.ledger.history import History
from leadline.ledger.leaderboard_table import leaderboard_table
from leadline.ledger.leaderboard_text import Board
from leadline.ledger.rungs import LEAST_FINISHED, OFF
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


def _note(events: list[Event]) -> int:
    """The position of the one remark that early stopping was switched off."""
    (found,) = [i for i, event in enumerate(events) if isinstance(event, Noted) and event.text.startswith(OFF)]
    return found


def _actions(events: list[Event], action: str) -> list[Reported]:
    return [event for event in events if isinstance(event, Reported) and event.action == action]


def test_no_trial_is_stopped_once_the_first_rung_is_not_trusted(turned: list[Event]) -> None:
    at = _note(turned)
    before, after = turned[:at], turned[at:]
    finished = Counter(trial.stratum for trial in History.of(before).search_trials() if trial.status == "finished")
    assert sum(count * (count - 1) // 2 for count in finished.values()) >= 66, "the pairs of twelve trials"
    finished[History.of(turned).trials[_actions(before, "finish")[-1].trial].stratum] -= 1
    assert sum(count * (count - 1) // 2 for count in finished.values()) < 66
    assert _actions(before, "stop")
    assert _actions(after, "stop") == []
    history = History.of(turned)
    last = _actions(before, "finish")[-1].trial
    why = f"rung 1 orders the {finished.total() + 1} finished trials with tau -1.00"
    assert history.stopping_off.startswith(f"{OFF}: when trial {last} had finished, {why}, below 0.4 (since 20")
    spared = [event.reason for event in _actions(after, "continue") if "worse than the cut-off" in event.reason]
    assert len(spared) > 10
    assert all(reason.startswith("rung 1: ") and reason.endswith(f"; not stopped, as {why}") for reason in spared)
    assert violations(turned) == []


def test_a_rung_that_orders_them_as_the_end_does_goes_on_stopping() -> None:
    events = Steady(CHOSEN).run().events
    history = History.of(events)
    assert violations(events) == []
    assert len([trial for trial in history.search_trials() if trial.status == "finished"]) > LEAST_FINISHED
    assert history.stopping_off == ""
    assert history.noted == {}


@pytest.mark.parametrize(("stopping", "off"), [("always", ""), ("never", f"{OFF}, as was asked for (stopping never)")])
def test_who_asks_decides(stopping: Any, off: str) -> None:
    events = Turning(dataclasses.replace(CHOSEN, stopping=stopping)).run().events
    assert bool(_actions(events, "stop")) == (stopping == "always")
    history = History.of(events)
    assert history.stopping_off == off
    assert history.noted == {}
    assert violations(events) == []


@settings(max_examples=8, deadline=None)
@given(cut=st.integers(1, 400), order=st.integers(0, 3))
def test_a_sweep_that_is_cut_anywhere_decides_as_its_ledger_says(cut: int, order: int) -> None:
    """Also where its driver is killed between the report that decides and the remark."""
    before = Turning(CHOSEN, seed=order).run(cut).events[:cut]
    after = Director(CHOSEN, STUDY.space)
    after.replay(before)
    noted = [event for event in before if isinstance(event, Noted)]
    resumed = Turning(CHOSEN, seed=order + 1, past=before).run().events
    assert violations(resumed) == []
    assert bool(after._untrusted) >= bool(noted)
    assert resumed[_note(resumed)].time > 0


def test_the_remark_comes_late_where_the_driver_was_killed_before_it(turned: list[Event]) -> None:
    at = _note(turned)
    resumed = Turning(CHOSEN, past=turned[:at]).run().events
    assert _note(resumed) == at + 1, "after the opening"
    assert isinstance(resumed[at], Opened)
    late, once = resumed[at + 1], turned[at]
    assert isinstance(late, Noted)
    assert isinstance(once, Noted)
    assert late.text == once.text
    assert [(e.trial, e.action) for e in _actions(resumed, "stop")] == [
        (e.trial, e.action) for e in _actions(turned, "stop")
    ]


def test_replay_leaves_everything_as_it_was(turned: list[Event]) -> None:
    one = Turning(CHOSEN).run()
    other = Director(CHOSEN, STUDY.space)
    other.replay(one.events)
    assert _timeless(one.events) == _timeless(turned)
    assert (other._untrusted, other._distrust) == (one.director._untrusted, one.director._distrust)
    assert other.asha == one.director.asha
    assert other.history == one.director.history


def test_a_resumed_sweep_may_be_told_otherwise(turned: list[Event]) -> None:
    """And back: what was found out is not forgotten, nor noted again."""
    more = dataclasses.replace(CHOSEN, trials=110, stopping="always")
    stopped = Turning(more, past=turned).run().events
    assert _actions(stopped[len(turned) :], "stop")
    assert History.of(stopped).stopping_off == ""
    again = Turning(dataclasses.replace(more, trials=140, stopping="auto"), past=stopped).run().events
    assert _actions(again[len(stopped) :], "stop") == []
    assert History.of(again).stopping_off.startswith(OFF)
    _note(again)
    assert violations(again) == []


def test_an_older_sweep_that_is_resumed_with_auto_is_looked_at_at_once() -> None:
    older = Turning(dataclasses.replace(CHOSEN, stopping="always")).run().events
    resumed = Turning(dataclasses.replace(CHOSEN, trials=100), past=older).run().events
    assert _note(resumed) == len(older) + 1
    assert _actions(resumed[len(older) :], "stop") == []
    assert violations(resumed) == []


def test_a_longer_budget_does_not_bring_stopping_back(turned: list[Event]) -> None:
    longer = Turning(dataclasses.replace(CHOSEN, budget=9, trials=90), past=turned).run()
    reported = [event for event in longer.events[len(turned) :] if isinstance(event, Reported)]
    assert {event.action for event in reported} == {"continue", "finish"}
    assert violations(longer.events) == []
    ended = len(_actions(reported, "finish"))  # type: ignore[arg-type]
    assert longer.director._trust._rungs[1].n == ended, "ends of the shorter budget are forgotten"


def _finished(count: int, tau: int, strata: int = 1, rung: int = 1) -> Trust:
    trust = Trust()
    for trial in range(count):
        trust.finished(str(trial % strata), {rung: float(trial)}, float(tau * trial))
    return trust


def test_twelve_trials_are_the_fewest_that_decide() -> None:
    assert _finished(LEAST_FINISHED - 1, -1).lost() == ""
    assert _finished(LEAST_FINISHED, -1).lost() == "rung 1 orders the 12 finished trials with tau -1.00"
    assert _finished(LEAST_FINISHED, 1).lost() == ""


def test_trials_of_different_strata_are_not_compared() -> None:
    """Each stratum's first rung is in the order of the end, though all trials together are not."""
    trust = Trust()
    for trial in range(20):
        stratum, place = divmod(trial, 10)
        trust.finished(str(stratum), {1: place + 100 * stratum}, place - 100 * stratum)
    assert trust.lost() == ""
    assert _finished(LEAST_FINISHED, -1, strata=LEAST_FINISHED).lost() == "", "no pair to compare"
    assert _finished(2 * LEAST_FINISHED, -1, strata=LEAST_FINISHED).lost() == "", "12 pairs, whose order is chance"
    assert _finished(2 * LEAST_FINISHED, -1, strata=2).lost(), "132 pairs"


def test_the_first_rung_is_the_first_that_has_judged_enough() -> None:
    """Trials of an arm without stages are judged at rung 1, those of the others at rung 4 first."""
    trust = _finished(LEAST_FINISHED, 1, rung=4)
    for trial in range(LEAST_FINISHED - 1):
        trust.finished("joint", {1: float(trial), 4: float(trial)}, float(-trial))
    assert trust.lost() == "rung 4 orders the 23 finished trials with tau 0.09"
    trust.finished("joint", {1: 0.0, 4: 0.0}, 0.0)
    assert trust.lost().startswith("rung 1 orders the 12 finished trials with tau -")


@pytest.mark.parametrize(("tau", "least", "most"), [(0.2, 0.95, 1.0), (0.8, 0.0, 0.2)])
def test_how_often_stopping_ends_by_the_tau_over_all_trials(tau: float, least: float, most: float) -> None:
    """Of sweeps of 90 trials with a rung at a third of the budget, in which values are normal."""
    generator, r = np.random.default_rng(0), math.sin(math.pi * tau / 2)
    lost = 0
    for _ in range(100):
        asha, trust = Asha(grace=1, reduction=3, budget=3), Trust()
        for trial, (first, other) in enumerate(generator.normal(size=(90, 2))):
            if asha.report(trial, 1, first).action == "continue":
                trust.finished("", asha.judged(trial), r * first + math.sqrt(1 - r * r) * other)
                if trust.lost():
                    lost += 1
                    break
    assert least <= lost / 100 <= most


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
    assert plan.judging_rungs(dataclasses.replace(staged, stopping="never"), 1) == []
    assert plan.expected_search(dataclasses.replace(BASE, stopping="never")) == BASE.budget


def test_the_option() -> None:
    def chosen(*words: str) -> Settings:
        return options.settings(STUDY, options.parse(STUDY, words, ""))

    assert chosen().stopping == "auto"
    assert chosen("--stopping", "never").stopping == "never"
    resumed = options.parse(STUDY, ["--resume", "x", "--stopping", "always"], "")
    assert options.resumed_settings(BASE, STUDY, resumed).stopping == "always"
    with pytest.raises(ConfigError, match=r"^stopping: .*sometimes"):
        chosen("--stopping", "sometimes")


def test_a_stopping_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^stopping: must be auto, always or never \(got 'sometimes'\)$"):
        dataclasses.replace(BASE, stopping="sometimes")  # type: ignore[arg-type]


def test_every_view_says_that_stopping_is_off_and_since_when(turned: list[Event], tmp_path: Path) -> None:
    ledger = Ledger(Folder.at(str(tmp_path)) / "ledger")
    for event in turned:
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
    director = Director(CHOSEN, STUDY.space)
    director.replay(turned)
    assert Display(director, "toy", Console(file=io.StringIO())).line().endswith(f"; {OFF}")


def test_tau_is_told_of_each_rung_and_stratum_by_finished_trials(turned: list[Event]) -> None:
    history = History.of(turned)
    finished = [trial for trial in history.search_trials() if trial.status == "finished"]
    found = {(one.rung, one.stratum): one.tau for one in early_stopping.agreement(history)}
    assert list(found) == [(1, "1"), (1, "2"), (1, None)]
    assert found[1, None].n == len(finished) == found[1, "1"].n + found[1, "2"].n
    assert found[1, None].value == -1
    few = History.of(Simulation(BASE).run().events)
    ((_, one), *_) = [(row, row.tau) for row in early_stopping.agreement(few)]
    assert one.n < early_stopping.FEWEST
    assert one.value != one.value, "too few for a tau"
