"""What the placement tells Tune, without Tune: nothing takes effect before the ledger has it, and
nobody is kept waiting for that.
"""

from __future__ import annotations

import dataclasses
import io
import json
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from ray.tune.execution.tune_controller import TuneController
from ray.tune.search import Searcher
from ray.tune.utils.object_cache import _ObjectCache
from rich.console import Console

from leadline.engine.director import Director
from leadline.engine.display import Display
from leadline.engine.ray import placement
from leadline.engine.ray.placement import Placement
from leadline.ledger.events import Event
from leadline.ledger.leaderboard_text import Place
from leadline.ledger.segments import LedgerError
from leadline.storage import Folder
from tests.leadline.engine.test_director import BASE, _report
from tests.leadline.in_process_sweep import Places
from tests.leadline.toy_study import STUDY

SETTINGS = dataclasses.replace(BASE, trials=4, confirm=0, concurrent=2)


class Stage:
    """A placement over a ledger that stores when it is told to."""

    def __init__(self, concurrent: int = 2, **further: Any) -> None:
        self.events = list[Event]()
        self.stored = 10**9
        self.waits = list[float]()
        self.over = list[int]()
        self.director = Director(
            dataclasses.replace(SETTINGS, concurrent=concurrent, **further), STUDY.space, self._record
        )
        self.director.opened({})
        self.places = Places(concurrent)
        self.placement = Placement(
            self.director,
            self._stored,
            self.places,
            Folder.at("/nowhere"),
            lambda config: ("", b""),
            self.over.append,
            lambda: None,
        )

    def _record(self, event: Event) -> int:
        self.events.append(event)
        return len(self.events)

    def _stored(self, position: int, within: float) -> bool:
        self.waits.append(within)
        return position <= self.stored

    def report(self, trial_id: str, step: int, node: str = "one", led_from: str = "") -> bool:
        """Whether the trial goes on after a report of that step."""
        assignment = self.placement._live[trial_id].assignment
        told = {"report": _report(assignment.config, step, False).to_dict(), "warned": {}, "led_from": led_from or node}
        payload = json.dumps({**told, "places": [asdict(Place(node, node, 1))]})
        return self.placement.reported(SimpleNamespace(trial_id=trial_id), payload)

    def end(self, trial_id: str) -> list[str]:
        """Trains to the end, after a step of Tune's; what may be stopped then."""
        step, before = 1, self.ends()
        while self.report(trial_id, step):
            step += 1
        return before + self.ends()

    def ends(self) -> list[str]:
        """What may be stopped now."""
        return [trial.trial_id for trial in self.placement.recorded_ends()]


def given(found: Any) -> int:
    """The number of the trial that was handed out."""
    assert isinstance(found, dict)
    return int(found["assignment"]["trial"])


def test_a_start_is_held_back_until_it_is_stored_while_others_train() -> None:
    stage = Stage()
    assert given(stage.placement.suggest("a")) == 0
    stage.stored = len(stage.events)
    assert stage.placement.suggest("b") is None
    recorded = len(stage.events)
    assert [event.type for event in stage.events[-2:]] == ["proposed", "started"]
    assert stage.placement.suggest("c") is None
    assert len(stage.events) == recorded, "asked again, it proposes nothing else"
    stage.stored = recorded
    assert given(stage.placement.suggest("d")) == 1
    assert max(stage.waits) <= placement.BRIEFLY


def test_where_nothing_trains_the_start_is_waited_for() -> None:
    """Tune would sleep over a None."""
    stage = Stage()
    stage.stored = 0

    def stores(position: int, within: float) -> bool:
        stage.stored += 1
        return position <= stage.stored

    stage.placement._stored = stores
    assert given(stage.placement.suggest("a")) == 0


def test_an_end_takes_effect_once_it_is_stored() -> None:
    stage = Stage()
    stage.placement.suggest("a")
    stage.stored = len(stage.events)
    assert stage.end("a") == []
    assert stage.placement.recorded_ends() == []
    assert stage.over == []
    stage.stored = len(stage.events)
    assert [trial.trial_id for trial in stage.placement.recorded_ends()] == ["a"]
    assert stage.placement.recorded_ends() == [], "each once"
    stage.placement.ended("a")
    assert stage.over == [0]


def both_end(stage: Stage) -> None:
    """Of two trials, while neither end is stored; then they are."""
    for trial_id in "ab":
        stage.placement.suggest(trial_id)
    assert stage.ends() == []
    stage.stored = len(stage.events)
    for trial_id in "ab":
        assert stage.end(trial_id) == []
    stage.stored = 10**9


def test_of_two_that_end_at_once_each_leaves_its_process_to_another_attempt() -> None:
    """Tune keeps one process for whatever comes next, and ends those that are given up while it is kept."""
    both_end(stage := Stage())
    assert stage.ends() == ["a"]
    stage.placement.ended("a")
    stage.stored = len(stage.events)
    assert stage.placement.suggest("c") is None
    assert stage.ends() == [], "there is one to take it, whose start is not stored yet"
    stage.stored = 10**9
    assert given(stage.placement.suggest("c")) == 2
    assert stage.ends() == [], "it takes it in this step"
    assert stage.placement.suggest("d") is None
    assert stage.ends() == ["b"]


@pytest.mark.parametrize(
    "why",
    [
        "nothing is left to place",
        "there is no room",
        "nobody takes it",
        "it halts",
        "groups are not reused",
        "its share is spent",
    ],
)
def test_an_end_does_not_wait_for_what_does_not_come(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    further = (
        {"trials": 2}
        if why.startswith("nothing")
        else {"most_workers_per_trial": 2}
        if why.startswith("groups")
        else {}
    )
    stage = Stage(**further)
    if why.startswith("groups"):
        stage.places.free = 4
        both_end(stage)
        assert stage.ends() == ["a", "b"]
        return
    both_end(stage)
    assert stage.ends() == ["a"]
    assert stage.ends() == []
    stage.placement.ended("a")
    if why == "its share is spent":
        monkeypatch.setattr(placement, "ATTEMPTS", 2)
        monkeypatch.setattr(placement, "FOR_EACH_PLACE", 1)
    if why == "nobody takes it":
        monkeypatch.setattr(placement, "TAKEN_SECONDS", 0.0)
    elif why == "it halts":
        stage.placement.halt = True
    else:
        stage.places.free = 0 if why.startswith("there") else 2
        assert stage.placement.suggest("c") in (None, Searcher.FINISHED)
    assert stage.ends() == ["b"]


def test_an_attempt_has_as_many_workers_as_have_room() -> None:
    stage = Stage(2, workers_per_trial=1, most_workers_per_trial=3)
    stage.places.free = 4

    def workers(trial_id: str) -> int | None:
        found = stage.placement.suggest(trial_id)
        return found["assignment"]["workers"] if isinstance(found, dict) else None

    assert [workers("a"), workers("b"), workers("c")] == [3, 1, None]
    stage.end("a")
    stage.placement.ended("a")
    assert workers("d") == 3


@pytest.mark.parametrize(("batch", "free", "found"), [(64, 9, 8), (64, 7, 4), (64, 1, 2), (None, 7, 7)])
def test_workers_share_a_batch(batch: int | None, free: int, found: int) -> None:
    settings = dataclasses.replace(SETTINGS, workers_per_trial=2, most_workers_per_trial=8)
    assert settings.workers({"batch": batch}, free) == found


@pytest.mark.parametrize(("free", "moved"), [(3, ["b", "c"]), (2, ["b"]), (1, [])])
def test_trials_move_from_a_node_that_goes_away_where_there_is_room(free: int, moved: list[str]) -> None:
    stage = Stage(3)
    for trial_id, node in (("a", "one"), ("b", "two"), ("c", "two")):
        stage.placement.suggest(trial_id)
        assert stage.ends() == []
        assert stage.report(trial_id, 1, node=node)
    stage.places.going, stage.places.free = {"two"}, free
    assert stage.report("a", 2, node="one"), "it may stay"
    assert [trial_id for trial_id in ("b", "c") if not stage.report(trial_id, 2, node="two")] == moved
    trials = stage.director.history.trials.values()
    assert [(trial.status, trial.cause) for trial in trials if trial.status == "waiting"] == [
        ("waiting", "preempted")
    ] * len(moved)
    assert {trial.step for trial in trials} == {2}, "what it had reported stands"
    said = [
        f"trial {'abc'.index(one)}: moved: its node goes away; it goes on from this checkpoint elsewhere"
        for one in moved
    ]
    assert stage.director.news == said
    console = Console(record=True, width=160, file=io.StringIO())
    Display(stage.director, "a", console).close()
    assert console.export_text() == "".join(f"note: {line}\n" for line in said)
    for number, trial_id in enumerate(moved, 1):
        assert stage.ends() == [trial_id]
        stage.placement.ended(trial_id)
        assert given(stage.placement.suggest(f"{trial_id}, again")) == number, "also while others are still on the node"
        assert stage.ends() == [], "it takes the process of the one before"
    assert stage.placement.suggest("d") is None


def test_no_new_trial_takes_the_room_of_those_that_are_to_move() -> None:
    stage = Stage(3)
    for trial_id, node in (("a", "one"), ("b", "two"), ("c", "two")):
        stage.placement.suggest(trial_id)
        assert stage.report(trial_id, 1, node=node)
    stage.places.going = {"two"}
    assert stage.placement.suggest("d") is None
    assert not stage.report("b", 2, node="two")
    assert given(stage.placement.suggest("d")) == 1
    assert not stage.report("c", 2, node="two")
    assert given(stage.placement.suggest("e")) == 2
    assert stage.placement.suggest("f") is None, "also while Tune has not ended what has moved"
    stage.placement.ended("b")
    stage.placement.ended("c")
    assert stage.placement.suggest("f") is None


def test_one_trial_at_a_time_moves_too() -> None:
    stage = Stage(3)
    stage.places.most = 1
    stage.placement.suggest("a")
    assert stage.report("a", 1, node="two")
    stage.places.going = {"two"}
    assert stage.placement.suggest("b") is None
    assert not stage.report("a", 2, node="two")
    assert given(stage.placement.suggest("b")) == 0


def test_a_group_of_which_a_part_goes_away_goes_on_with_the_rest() -> None:
    stage = Stage(1, workers_per_trial=1, most_workers_per_trial=2)
    stage.places.free = 2
    stage.placement.suggest("a")
    assert stage.report("a", 1, node="one")
    stage.placement._live["a"].places.append(Place("two", "two", 2, ()))
    stage.places.going, stage.places.free = {"two"}, 1
    assert stage.placement._to_move(stage.placement._live["a"])


def test_a_group_moves_with_whoever_leads_it() -> None:
    stage = Stage(1, workers_per_trial=2)
    stage.places.free = 4
    stage.placement.suggest("a")
    assert stage.report("a", 1, node="one", led_from="two")
    stage.places.going = {"two"}
    assert not stage.report("a", 2, node="one", led_from="two")
    assert stage.director.history.trials[0].cause == "preempted"


def test_what_an_earlier_attempt_says_late_is_not_taken_for_the_next_one() -> None:
    stage = Stage(2)
    stage.placement.suggest("a")
    assert stage.report("a", 1, node="two")
    stage.places.going = {"two"}
    assert not stage.report("a", 2, node="two")
    assert given(stage.placement.suggest("b")) == 0
    stage.placement.failed("a", "lost: the process or its machine went away")
    trial = stage.director.history.trials[0]
    assert (trial.status, trial.attempts, trial.failures) == ("running", 2, 0)


def test_a_ledger_that_fails_ends_the_run() -> None:
    stage = Stage()
    stage.placement.suggest("a")

    def fails(position: int, within: float) -> bool:
        raise LedgerError("ledger: cannot write")

    stage.placement._stored = fails
    assert stage.end("a") == []
    assert isinstance(stage.placement.error, LedgerError)
    assert stage.placement.halt


def test_a_store_that_refuses_a_trial_halts_the_sweep() -> None:
    stage = Stage()
    stage.placement.suggest("a")
    stage.placement.failed(
        "a", "Traceback\nleadline.storage.StorageError: /x: given up after 120 s: No space left on device"
    )
    stage.placement.ended("a")
    assert stage.placement.halt
    assert "No space left on device" in stage.director.halting
    assert stage.director.history.trials[0].status == "waiting"
    assert stage.placement.suggest("b") == Searcher.FINISHED
    assert stage.over == [], "the trial goes on one day"


def test_after_its_share_of_attempts_a_driver_hands_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "ATTEMPTS", 2)
    monkeypatch.setattr(placement, "FOR_EACH_PLACE", 1)
    stage = Stage()
    assert [given(stage.placement.suggest(name)) for name in "ab"] == [0, 1]
    assert stage.end("a") == ["a"]
    stage.placement.ended("a")
    assert stage.placement.suggest("c") is None, "the other one trains on"
    assert not stage.placement.spent
    stage.end("b")
    stage.placement.ended("b")
    assert stage.placement.suggest("d") == Searcher.FINISHED
    assert stage.placement.spent
    assert not stage.placement.finished
    left = [trial.number for trial in stage.director.history.trials.values() if trial.status == "waiting"]
    assert left == [2], "proposed once, and left to the next driver"


def test_a_driver_of_many_places_hands_over_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "ATTEMPTS", 2)
    monkeypatch.setattr(placement, "FOR_EACH_PLACE", 3)
    stage = Stage(concurrent=1, trials=9)
    for number, name in enumerate("abc"):
        assert given(stage.placement.suggest(name)) == number
        stage.end(name)
        stage.placement.ended(name)
    assert stage.placement.suggest("d") == Searcher.FINISHED
    assert stage.placement.spent


def test_a_share_that_ends_with_the_sweep_is_no_handing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "ATTEMPTS", SETTINGS.trials)
    monkeypatch.setattr(placement, "FOR_EACH_PLACE", 1)
    stage = Stage(concurrent=1)
    for name in "abcd":
        stage.placement.suggest(name)
        stage.end(name)
        stage.placement.ended(name)
    assert stage.placement.suggest("e") == Searcher.FINISHED
    assert (stage.placement.finished, stage.placement.spent) == (True, False)


def test_what_a_trial_warns_of_is_recorded_and_told() -> None:
    stage = Stage()
    stage.placement.suggest("a")
    report = _report(stage.placement._live["a"].assignment.config, 1, False).to_dict()
    payload = json.dumps(
        {"report": report, "warned": {"damaged checkpoint, going back one: x": 1}, "places": [], "led_from": ""}
    )
    stage.placement.reported(SimpleNamespace(trial_id="a"), payload)
    assert stage.director.history.notes == ["trial 0: damaged checkpoint, going back one: x"]
    console = Console(record=True, width=160, file=io.StringIO())
    Display(stage.director, "a", console).close()
    assert console.export_text() == "note: trial 0: damaged checkpoint, going back one: x\n"


def test_an_attempt_whose_nodes_are_gone_before_it_began_is_lost() -> None:
    stage = Stage()

    class Moving(Places):
        ids = "a,b"

        def placed_on(self) -> dict[str, str]:
            return {"ray.io/node-id": f"in({self.ids})"}

    stage.placement.nodes = moving = Moving(2)
    config = stage.placement.suggest("x")
    assert isinstance(config, dict)
    trials = [
        SimpleNamespace(trial_id="x", status="PENDING", config=config),
        SimpleNamespace(trial_id="y", status="PENDING", config=config),
    ]
    assert stage.placement.stranded(trials) == []
    for ids in ("b", "a,b,c"):
        moving.ids = ids
        assert stage.placement.stranded(trials) == [], "it may still be placed, and on no others while it waits"
    moving.ids = "b,c"
    assert stage.placement.stranded(trials) == [], "its process may be starting"
    stage.placement._live["x"].since -= placement.PENDING_SECONDS + 1
    assert stage.placement.stranded(trials) == trials[:1], "the other is no attempt of this driver"
    stage.placement._live["x"].since += placement.PENDING_SECONDS + 1
    moving.ids = "c"
    assert stage.placement.stranded(trials) == trials[:1]
    moving.ids = ""
    assert stage.placement.stranded(trials) == [], "where there is no node at all it may come back"
    trials[0].status = "RUNNING"
    moving.ids = "c"
    assert stage.placement.stranded(trials) == []


def test_a_stranded_attempt_leaves_no_claim_in_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tune's controller as it is, of whose parts only the cache of processes is there."""
    stage = Stage()
    stage.placement.suggest("x")
    trial: Any = Mock(trial_id="x", status="PENDING", placement_group_factory="on a and b")
    controller, stopped = TuneController.__new__(TuneController), list[Any]()
    controller._staged_trials, controller._actor_cache = {trial}, _ObjectCache()
    controller._actor_cache.increase_max(trial.placement_group_factory)
    for name, found in {"get_live_trials": [trial], "get_trials": []}.items():
        monkeypatch.setattr(controller, name, lambda found=found: found)
    monkeypatch.setattr(controller, "stop_trial", stopped.append)
    monkeypatch.setattr(stage.placement, "stranded", lambda trials: trials)
    assert placement._Scheduler(stage.placement).choose_trial_to_run(controller) is None
    assert stopped == [trial]
    assert not controller._staged_trials
    assert controller._actor_cache.total_max_objects == 0
    assert stage.director.history.trials[0].cause == "preempted"
