"""Replay, proved on random sweeps: cut anywhere, any number of times, a sweep goes on as if nothing
had happened. Without Ray.

LEADLINE_REPLAYS=N plays N sweeps instead of the default's; the sweeps are the same in every run.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadline.checkpoint import checkpoint_name
from leadline.engine.director import Assignment, Director
from leadline.ledger.events import Event, Reported, parse
from leadline.ledger.history import History
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Report
from tests.leadline.engine.test_director import BASE
from tests.leadline.ledger_audit import violations

EXAMPLES = int(os.environ.get("LEADLINE_REPLAYS", "200"))
EFFECTS = ("started", "judged")
FAILURES = (
    "Traceback: ValueError: boom",
    "lost: the process or its machine went away",
    "torch.OutOfMemoryError: CUDA out of memory.",
    "StorageError: no answer",
)


def wide(trial: Any, scale: str) -> dict[str, Any]:
    """Conditional: a branch may lack what all other trials have; an offset of 13 is infeasible."""
    fields = {"lr": trial.suggest_float("lr", 1e-3, 0.3, log=True)}
    if trial.suggest_categorical("kind", ["smooth", "stepped", None]) == "stepped":
        return {**fields, "offset": trial.suggest_int("step", 11, 14)}
    return {
        **fields,
        "offset": trial.suggest_float("offset", 0.0, 1.0),
        "sleep": trial.suggest_float("sleep", 0.0, 0.5, step=0.25),
    }


def few(trial: Any, scale: str) -> dict[str, Any]:
    """Few configurations, so that most proposals repeat one; an offset of 13 is infeasible."""
    return {"lr": 0.1, "offset": trial.suggest_int("step", 11, 14)}


class Cut(Exception):
    """The driver is gone."""


def snapshot(director: Director) -> str:
    """All that a director decides by, value for value; running trials as the waiting ones that they are after a cut."""
    studies = {
        stratum: [
            (
                trial.state,
                trial.params,
                trial.distributions,
                trial.values,
                trial.intermediate_values,
                trial.user_attrs,
            )
            for trial in search.told()
        ]
        for stratum, search in director._search.items()
    }
    rungs = {stratum: (asha.budget, asha.table) for stratum, asha in director.asha.items()}
    state = [plain(director.history), rungs, studies, director.stopping, director._finished, director._due]
    return "\n".join(map(repr, state)).replace("'status': 'running'", "'status': 'waiting'")


def plain(history: History) -> dict[str, Any]:
    """All that a history holds; compared as text, since NaN equals nothing."""
    trials = [
        {**vars(trial), "reports": [report.to_dict() for report in trial.reports]} for trial in history.trials.values()
    ]
    return {**vars(history), "trials": trials}


class Watched(Director):
    """Takes a snapshot after event number `at`."""

    at = -1
    seen = ""
    folded = 0

    def _fold(self, event: Event, live: bool = False) -> None:
        super()._fold(event, live)
        self.folded += 1
        if self.folded == self.at:
            self.seen = snapshot(self)


class World:
    """A sweep's storage, and the processes that train for the driver that lives now.

    `ledger` is what is stored; `stores` what the checkpoints of each trial hold: reports, the last
    of them perhaps not recorded.
    """

    def __init__(self, seed: int, space: Any) -> None:
        self.space = space
        self.random = random.Random(seed)
        self.ledger: list[Event] = []
        self.stores: dict[int, list[Report]] = {}
        self.seen = ""

    def life(self, chosen: Settings, die_after: int) -> bool:
        """One driver: until so many events after it began, or to the end. Returns whether it came to the end.

        The ledger keeps a part of what was recorded: all but the last reports, of which nothing had come yet.
        """
        begun = len(self.ledger)
        kept = begun + self.random.randint(max(0, die_after - 6), die_after)
        recorded = list(self.ledger)

        def record(event: Event) -> None:
            if len(recorded) >= begun + die_after or (len(recorded) >= kept and not isinstance(event, Reported)):
                raise Cut
            recorded.append(parse(json.loads(json.dumps(event.to_dict()))))

        director = Watched(chosen, self.space, record)
        director.at = kept
        director.replay(self.ledger)
        if self.ledger and self.seen:
            assert snapshot(director) == self.seen
        try:
            self._train(director, lambda: len(recorded) > kept)
        except Cut:
            self.ledger = recorded[:kept]
            self.seen = director.seen or snapshot(director)
            return False
        self.ledger, self.seen = recorded, snapshot(director)
        assert repr(plain(History.of(recorded))) == repr(plain(director.history))
        return True

    def _train(self, director: Watched, too_late: Any) -> None:
        director.opened({})
        live: dict[int, tuple[Assignment, int]] = {}
        while True:
            free = len(live) < (director.settings.concurrent or 1)
            found = director.next() if free and not director.halting else "wait"
            if isinstance(found, Assignment):
                director.started(found.trial, found.attempt)
                self._begin(found, live)
            elif found == "done" and not live:
                break
            if live:
                self._step(director, live, too_late)
            elif director.halting:
                raise Cut
        director.closed("done")

    def _begin(self, assignment: Assignment, live: dict[int, tuple[Assignment, int]]) -> None:
        """An attempt goes on from the newest intact checkpoint, sometimes the one before, and says
        first what it holds.
        """
        store = self.stores.setdefault(assignment.trial, [])
        if store and self.random.random() < 0.15:
            store.pop()
        assert all(report.step <= assignment.config["steps"] for report in store)
        first = next((index for index, report in enumerate(store) if report.step > assignment.known), len(store))
        live[assignment.trial] = assignment, self.random.choice([0, first])

    def _step(self, director: Watched, live: dict[int, tuple[Assignment, int]], too_late: Any) -> None:
        number = self.random.choice(sorted(live))
        assignment, index = live[number]
        store = self.stores[number]
        director.warned(number, {f"step {index}: odd": 1, "odd": 2} if index % 3 == 1 else {})
        if self.random.random() < 0.06:
            if too_late():
                raise Cut
            director.failed(number, self.random.choice(FAILURES))
            del live[number]
            return
        if index == len(store):
            done = store[-1].step if store else 0
            assert done < assignment.config["steps"], "trained to its end, yet nobody ended it"
            store.append(self._report(assignment, done + 1))
            if self.random.random() < 0.1:
                return  # published, and not reported yet
        decision = director.reported(number, store[index])
        if decision.action == "continue":
            live[number] = assignment, index + 1
        else:
            assert director.reported(number, store[index]).action == "stop", (
                "Tune may ask again before it ends a process"
            )
            if too_late():
                raise Cut
            del live[number]

    def _report(self, assignment: Assignment, step: int) -> Report:
        """Values that tie now and then; attempts that train a step again come to another value,
        which must not count.
        """
        config = assignment.config
        value = round(
            config["offset"] + 1 / (step + 10 * config["lr"]) + (config["seed"] % 97) / 1e3,
            self.random.choice([1, 2, 12]),
        )
        value = self.random.choice([math.nan, math.inf, -math.inf]) if self.random.random() < 0.03 else value
        metrics = {"validation/error": Measure(value, 4, value - 0.1, value + 0.1)}
        if assignment.test and step == config["steps"]:
            metrics["test/error"] = Measure(value + 0.01, 4, value, value + 0.1, (value,) * 4)
        name = checkpoint_name(assignment.attempt, step)
        return Report(step, 4 * step, self.random.random(), 0.0, metrics, {"loss": math.nan}, name)


QUESTIONS = st.fixed_dictionaries(
    {
        "strata": st.sampled_from([(1,), (1, 2), (3, 1, 2)]),
        "trials": st.integers(1, 10),
        "grace": st.just(1),
        "budget": st.sampled_from([1, 2, 4, 6, 9]),
        "reduction": st.integers(2, 4),
        "startup": st.integers(1, 3),
        "concurrent": st.integers(1, 4),
        "mode": st.sampled_from(["min", "max"]),
        "sampler": st.sampled_from(["tpe", "tpe", "random"]),
        "max_failures": st.integers(0, 2),
        "confirm": st.integers(0, 2),
        "replicates": st.integers(1, 2),
        "target": st.sampled_from([None, 0.4, 1.0]),
        "enqueue": st.sampled_from([(), ({"lr": 0.1, "kind": "smooth"},)]),
        "seed": st.integers(0, 2**31),
    }
)
LIVES = st.lists(st.integers(1, 60), max_size=6)
"""After how many events each driver dies; the one after them lives to the end."""
EXTENSIONS = st.sampled_from(
    [{}, {}, {"trials": 3}, {"budget": 3}, {"budget": 5, "trials": 2}, {"target": 0.2}, {"replicates": 1, "budget": 1}]
)
"""What a finished sweep is asked for beyond."""


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(
    question=QUESTIONS,
    space=st.sampled_from([wide, wide, few]),
    seed=st.integers(0, 2**31),
    lives=LIVES,
    extension=EXTENSIONS,
    later=LIVES,
)
def test_a_sweep_cut_anywhere_goes_on_as_if_nothing_had_happened(
    question: dict[str, Any], space: Any, seed: int, lives: list[int], extension: dict[str, Any], later: list[int]
) -> None:
    chosen = dataclasses.replace(BASE, **question)
    if space is few:
        chosen = dataclasses.replace(chosen, enqueue=())
    world = World(seed, space)
    _live(world, chosen, lives)
    if extension:
        more = {name: value if name == "target" else getattr(chosen, name) + value for name, value in extension.items()}
        _live(world, dataclasses.replace(chosen, **more), later)
    assert violations(world.ledger, space) == []


def _live(world: World, chosen: Settings, lives: Sequence[int]) -> None:
    for events in lives:
        if world.life(chosen, events):
            break
    while not world.life(chosen, 10**6):
        """A store that refuses has halted it."""
    trials = History.of(world.ledger).trials.values()
    assert not [trial.number for trial in trials if trial.open]
