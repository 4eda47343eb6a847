"""All that touches Ray Tune, around one object, `Placement`. Tune only places.

Its checkpoints, loggers, snapshots, retries and signal handlers are off; its scratch folder is new at each start and thrown
away. A failed attempt comes back as a new proposal, so that retry and resume are the same thing.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from leadline.engine.director import Assignment, Director
from leadline.engine.ray.nodes import Nodes, nodes_of
from leadline.engine.ray.private import count_kills_as_failures, unstage
from leadline.engine.ray.room import Request
from leadline.engine.ray.workers import AttemptSpec, one_process, this_process, worker_group
from leadline.ledger.history import Trial
from leadline.ledger.layout import trial_folder
from leadline.ledger.leaderboard_text import Place
from leadline.measure import Report
from leadline.storage import Folder

__all__ = ["Placement", "reservation"]

_NUMBER, _PAYLOAD = "assignment", "report"
ATTEMPTS = 400
"""How many attempts one driver places before another goes on: Ray's part of it grows by some 35 KiB with each, and never shrinks."""
FOR_EACH_PLACE = 100
"""How many it places at least for each trial that trains at a time: places are idle while it waits for its last ones."""
MOST_PENDING = 64
"""Processes that Tune starts at a time, at most."""
PENDING_SECONDS = 60.0
"""After which an attempt that has not begun waits for room, rather than for its process to start."""
TAKEN_SECONDS = 1.0
"""How long a trial's end waits at most for another attempt to take the process of the one that has ended before it."""
BRIEFLY = 0.02
"""Seconds that Tune's event loop gives the ledger before it turns to something else: a local disk is done by then."""


def reservation(request: Request, chosen: Mapping[str, str]) -> tune.PlacementGroupFactory:
    """What Tune reserves for the next trial: its one worker's place, or a crumb for whoever leads its worker group.

    Args:
        chosen: labels of the nodes that may be used, as `Nodes.placed_on` gives them.
    """
    grouped = request.workers > 1
    bundle = (
        {"CPU": 0.01 * request.cpus} if grouped else request.worker
    )  # k workers on a node leave room for it: they take 0.99 each
    if request.most_workers > 1 and not grouped:
        bundle = {**bundle, "CPU": 0.99 * request.cpus}
    further: dict[str, Any] = {"bundle_label_selector": [dict(chosen)]} if chosen else {}
    return tune.PlacementGroupFactory([bundle], **further)


def _reserved(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune reserves for an attempt."""
    spec = AttemptSpec(**config[_NUMBER])
    return reservation(Request(spec.cpus, spec.gpus, spec.workers, most_workers=spec.most_workers), spec.placed_on)


class TrialProcess(tune.Trainable):
    """A process of Tune's that trains one attempt after another; each `step` is one report."""

    def setup(self, config: dict[str, Any]) -> None:
        """Takes on an attempt."""
        self.spec = AttemptSpec(**config[_NUMBER])
        self.node = this_process().node
        train = one_process if self.spec.workers == 1 else worker_group
        self.reports = train(self.spec)

    def step(self) -> dict[str, Any]:
        """Trains until the next report. It travels as text: Tune flattens and inspects dictionaries at length."""
        try:
            report, notes, places = next(self.reports)
        except StopIteration:
            raise RuntimeError(f"trial {self.spec.trial}: trained to its end, yet nobody ended it") from None
        told = {
            "report": report.to_dict(),
            "notes": notes,
            "places": [asdict(place) for place in places],
            "led_from": self.node,
        }
        return {_PAYLOAD: json.dumps(told)}

    def __repr__(self) -> str:
        """Ray shows it on its page of actors; it takes it once, and the process goes on to other trials."""
        return f"TrialProcess({self.spec.sweep})"

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes on the next attempt in the same process."""
        self.cleanup()
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        """Ends the training and lets go of the model."""
        self.reports.close()  # type: ignore[attr-defined]


class _Searcher(Searcher):
    def __init__(self, placement: Placement) -> None:
        super().__init__()
        self._placement = placement

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        return self._placement.suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._placement.ended(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Tune's snapshots are not used."""

    def restore(self, checkpoint_path: str) -> None:
        """Tune's snapshots are not used."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Scheduler(FIFOScheduler):
    def __init__(self, placement: Placement) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._placement = placement

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if self._placement.reported(trial, result[_PAYLOAD]):
            return str(TrialScheduler.CONTINUE)
        ended = self._placement.recorded_ends()
        self._stop(tune_controller, [other for other in ended if other is not trial])
        return str(
            TrialScheduler.STOP if trial in ended else TrialScheduler.NOOP
        )  # the latter leaves it standing where it is

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        for trial in self._placement.stranded(tune_controller.get_live_trials()):
            self._placement.failed(
                trial.trial_id, "preempted: the nodes that it could be placed on went away before it began"
            )
            unstage(tune_controller, trial)
            tune_controller.stop_trial(trial)
        self._stop(tune_controller, self._placement.recorded_ends())
        return super().choose_trial_to_run(tune_controller)

    def _stop(self, tune_controller: Any, trials: list[Any]) -> None:
        for trial in trials:
            tune_controller.stop_trial(trial)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        written = Path(trial.error_file) if trial.error_file else None
        lost = "lost: the process or its machine went away"
        self._placement.failed(trial.trial_id, _plain(written.read_text()) if written and written.exists() else lost)

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _plain(text: str) -> str:
    """Without the colours that Ray puts into a traceback."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).strip()


class _Stopper(tune.Stopper):
    def __init__(self, placement: Placement) -> None:
        self._placement = placement

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._placement.halt

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Tick(tune.Callback):
    def __init__(self, placement: Placement) -> None:
        self._placement = placement

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._placement.tick()

    def __getstate__(self) -> dict[str, Any]:
        return {}


@dataclass
class _Live:
    """An attempt that Tune has; where it trains is known from its first report on."""

    assignment: Assignment
    workers: int
    places: list[Place] = field(default_factory=list)
    led_from: str = ""
    """The node of Tune's own process; that of a worker group may have none of its workers."""
    since: float = field(default_factory=time.monotonic)

    def on(self, nodes: Set[str]) -> int:
        """How many of its workers are on these nodes."""
        return sum(place.node in nodes for place in self.places)


class Placement:
    """Carries the director's assignments to processes of Ray Tune, and their reports back.

    A proposal, a start and an end take effect once the ledger has them, without keeping Tune's event loop: a trial that
    is to end stands still until its end is stored, a proposal is held back while others train.

    Args:
        director: decides.
        stored: whether the event of a position is stored, after waiting so many seconds at most.
        nodes: where attempts are placed.
        folder: the sweep's folder.
        data: puts the data of a configuration into the object store: configuration -> (key, pickled reference).
        over: told the number of a trial that has ended, when its process has done with it.
        tick: called often. Both are on Tune's event loop, and must be quick.
    """

    def __init__(
        self,
        director: Director,
        stored: Callable[[int, float], bool],
        nodes: Nodes,
        folder: Folder,
        data: Callable[[dict[str, Any]], tuple[str, bytes]],
        over: Callable[[int], None],
        tick: Callable[[], None],
    ) -> None:
        self.director, self.nodes, self.folder, self.tick = director, nodes, folder, tick
        self._data, self._stored, self._over = data, stored, over
        self.halt = False
        """Set to end the run as soon as Tune looks: live trials stay unfinished."""
        self.finished = False
        """Whether the director has had no more to place."""
        self.spent = False
        """Whether there is more to place, and another driver should do it."""
        self._placed = 0
        self.error: BaseException | None = None
        self._live: dict[str, _Live] = {}
        self._reused = director.settings.most_workers == 1
        """Whether a process goes on to other attempts: worker groups do not."""
        self._next: tuple[int, Assignment, dict[str, Any]] | None = None
        """The attempt to hand out, and the position that must be stored before."""
        self._ending: list[tuple[int, Any]] = []
        """Tune's trials that have ended, each with the position of its end."""
        self._vacated = 0.0
        """When a place was given up that the next attempt has not taken yet; 0 where there is none, or none to take it."""
        self._handed = False
        """Whether an attempt was handed out in this step of Tune's."""
        self._dry = False
        """Whether there was nothing to hand out when there was last room."""
        self._scratch = ""

    def run(self, scratch: str) -> None:
        """Places attempts until the director has no more, or `halt` is set.

        Raises:
            Exception: whatever the director, or the ledger behind it, raised.
        """
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        count_kills_as_failures()
        self._scratch = scratch
        # Tune would otherwise start one process at a time.
        os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(MOST_PENDING))
        tuner = tune.Tuner(
            tune.with_resources(TrialProcess, _reserved),
            tune_config=tune.TuneConfig(
                search_alg=_Searcher(self), scheduler=_Scheduler(self), num_samples=-1, reuse_actors=self._reused
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=scratch,
                stop=_Stopper(self),
                callbacks=[_Tick(self)],
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                verbose=0,
            ),
        )
        tuner.fit()
        if self.error is not None:
            raise self.error

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next attempt, None to be asked again, or FINISHED. None only while something runs, or Tune would sleep."""
        found: dict[str, Any] | str | None = None
        if not self._live:  # Tune would look at nothing else until it is given something
            self._guarded(self.tick)
        if not (self.halt or self.error):
            found = self._guarded(lambda: self._hand_out(trial_id))
        if self.halt or self.error:
            return str(Searcher.FINISHED) if not self._live else None
        return found

    def _hand_out(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._next is None:
            free, _ = room = self._room(kept=True)
            if not self._fits(1, room) and not (self._waiting_for_leaving() and self._fits(1, self._room())):
                self._vacated = 0.0
                return None
            assignment = self.director.next()
            share = max(ATTEMPTS, FOR_EACH_PLACE * self.nodes.slots())
            self._dry = not isinstance(assignment, Assignment) or self._placed >= share
            if self._dry:
                self._vacated = 0.0
            if not isinstance(assignment, Assignment):
                self.finished = assignment == "done"
                return str(Searcher.FINISHED) if self.finished else None
            if self._dry:
                self.spent = not self._live
                return str(Searcher.FINISHED) if self.spent else None
            self._placed += 1
            spec = self._spec(assignment, max(free, self.director.settings.workers_per_trial))
            self.director.started(assignment.trial, assignment.attempt, spec.workers)
            self._next = self.director.position, assignment, {_NUMBER: asdict(spec)}
        position, assignment, config = self._next
        while not self._stored(position, BRIEFLY):
            if self._live or self.halt:  # else nothing runs, and nobody is kept waiting here
                return None
        self._next = None
        self._handed = True
        self._live[trial_id] = _Live(assignment, config[_NUMBER]["workers"])
        return config

    def reported(self, trial: Any, payload: str) -> bool:
        """Whether the trial goes on after this report."""
        live = self._live.get(trial.trial_id)
        if live is None or self.error:
            return False
        plain, number = json.loads(payload), live.assignment.trial
        live.places = [Place(**{**place, "gpus": tuple(place["gpus"])}) for place in plain["places"]]
        live.led_from = plain["led_from"]

        def judge() -> bool:
            for note in plain["notes"]:
                self.director.noted(f"trial {number}: {note}")
                self.director.news.append(f"trial {number}: note: {note}")
            goes_on = self.director.reported(number, Report.from_dict(plain["report"])).action == "continue"
            if goes_on and self._to_move(live):
                self.director.failed(number, "preempted: its node goes away; it goes on from this checkpoint elsewhere")
                return False
            return goes_on

        if self._guarded(judge):
            return True
        self._ending.append((self.director.position, trial))
        return False

    def recorded_ends(self) -> list[Any]:
        """Tune's trials whose end is stored by now, each named once; to be asked in each step.

        When several trials end together, Tune reuses one of their processes and kills the rest. So as long as there is something
        to place they are given up one after the other, each when the one before is taken.
        """
        ended, handed, self._handed = [], self._handed, False
        if handed and self._reused:  # it takes the process later in this step
            self._vacated = 0.0
            return []
        while (
            self._ending and not self._taken_soon() and self._guarded(lambda: self._stored(self._ending[0][0], BRIEFLY))
        ):
            ended.append(self._ending.pop(0)[1])
            self._vacated = time.monotonic() if self._reused and not self._dry else 0.0
        return ended

    def _taken_soon(self) -> bool:
        return bool(self._vacated) and not self.halt and time.monotonic() - self._vacated < TAKEN_SECONDS

    def failed(self, trial_id: str, error: str) -> None:
        """An attempt ended by an exception or with its process."""
        live = self._live.get(trial_id)
        if live is not None and live.assignment.attempt == self._trial(live).attempts:
            self.nodes.look()
            self._guarded(lambda: self.director.failed(live.assignment.trial, self._stuck(live.assignment) or error))
            self.halt = self.halt or bool(self.director.halting)

    def ended(self, trial_id: str) -> None:
        """Tune is done with the attempt; its place is free."""
        live = self._live.pop(trial_id, None)
        if live is not None and not self._trial(live).open:
            self._over(live.assignment.trial)

    def _trial(self, live: _Live) -> Trial:
        return self.director.history.trials[live.assignment.trial]

    def stranded(self, trials: Iterable[Any]) -> list[Any]:
        """Tune's trials that wait for a place, of whose nodes some or all are gone, while there are others on which they may not be."""
        waiting = [trial for trial in trials if trial.status == "PENDING" and trial.trial_id in self._live]
        now = nodes_of(self.nodes.placed_on()) if waiting else set()
        late = time.monotonic() - PENDING_SECONDS
        found = []
        for trial in waiting:
            then = nodes_of(trial.config[_NUMBER]["placed_on"])
            if then - now and now - then and (not then & now or self._live[trial.trial_id].since < late):
                found.append(trial)
        return found

    def _room(self, *, kept: bool = False, without: _Live | None = None) -> tuple[int, int]:
        """How many workers still fit, and trials; what is on nodes that go away takes no room from others.

        Args:
            kept: whether room is kept for the trials there, to which they may move.
            without: an attempt that would give its places back.
        """
        leaving, least = self.nodes.leaving(), self.director.settings.workers_per_trial
        held = [self._next[2][_NUMBER]["workers"]] if self._next else []
        for live in self._live.values():
            stay = live.workers - live.on(leaving)
            if live is not without:
                held.append(max(stay, least) if kept and self._goes(live, leaving) else stay)
        return self.nodes.workers() - sum(held), self.nodes.slots() - sum(map(bool, held))

    def _fits(self, trials: int, room: tuple[int, int]) -> bool:
        return room[0] >= trials * self.director.settings.workers_per_trial and room[1] >= trials

    def _goes(self, live: _Live, leaving: Set[str]) -> bool:
        """Whether an attempt that nobody has ended trains on a node that goes away, or is led from there."""
        trial = self._trial(live)
        trains = trial.status == "running" and trial.attempts == live.assignment.attempt
        return trains and bool(live.on(leaving) or live.led_from in leaving)

    def _waiting(self) -> int:
        return sum(trial.status == "waiting" for trial in self.director.history.trials.values())

    def _waiting_for_leaving(self) -> bool:
        """Whether a trial waits while a node goes away: it comes before those that train there."""
        return bool(self.nodes.leaving()) and self._waiting() > 0

    def _to_move(self, live: _Live) -> bool:
        """Whether it is on a node that goes away, and has room elsewhere, also when those that wait have taken theirs."""
        return self._goes(live, self.nodes.leaving()) and self._fits(self._waiting() + 1, self._room(without=live))

    def places(self) -> dict[int, Sequence[Place]]:
        """Where the trials train that have reported, by number, each of its processes; may be asked in any thread."""
        return {live.assignment.trial: live.places for live in list(self._live.values()) if live.places}

    def _spec(self, assignment: Assignment, free: int) -> AttemptSpec:
        """What the process of an attempt needs, where so many workers fit."""
        settings = self.director.settings
        key, reference = self._data(assignment.config)
        return AttemptSpec(
            trial=assignment.trial,
            attempt=assignment.attempt,
            family=settings.family_target or settings.family,  # a node may not know the name
            config=assignment.config,
            folder=self._trial_folder(assignment.trial),
            data_key=key,
            data=reference,
            cpus=settings.cpus_per_trial,
            gpus=settings.gpus_per_trial,
            workers=settings.workers(assignment.config, free),
            metric=settings.metric,
            test=assignment.test,
            known=assignment.known,
            stuck_after=settings.stuck_after,
            patience=settings.storage_patience,
            stacks=self._stacks(assignment),
            sweep=self.folder.path.rpartition("/")[2],
            placed_on=self.nodes.placed_on(),
            most_workers=settings.most_workers,
        )

    def _stacks(self, assignment: Assignment) -> str:
        return f"{self._scratch}/stacks/{assignment.trial:04d}-{assignment.attempt:02d}"

    def _stuck(self, assignment: Assignment) -> str:
        """The stacks of a process that stood still and was ended for it; empty where that was not it, or not on this machine."""
        found = [
            path.read_text()
            for path in sorted(Path(self._scratch, "stacks").glob(f"{Path(self._stacks(assignment)).name}.*"))
        ]
        stacks = "\n".join(text.strip() for text in found if text)
        seconds = self.director.settings.stuck_after
        return (
            f"{stacks}\nstuck: no step for {seconds:g} s, so the process was ended; its stacks stand above"
            if stacks
            else ""
        )

    def _trial_folder(self, trial: int) -> str:
        return (self.folder / trial_folder(trial)).uri

    def _guarded(self, action: Callable[[], Any]) -> Any:
        """An exception in a hook would be taken for a failure of the trial and retrained: it is kept, and ends the run."""
        try:
            return action()
        except BaseException as error:
            self.error = error
            self.halt = True
            return None
