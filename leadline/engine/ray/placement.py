"""Everything that uses Ray Tune, around one object, `Placement`. Tune only places attempts.

Its checkpoints, loggers, snapshots, retries and signal handlers are off; its scratch folder is new
at each start and thrown away. A failed attempt comes back as a new proposal, so that retry and
resume are the same thing.
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

_NUMBER = "assignment"
"""The key of Tune's configuration that holds the `AttemptSpec` as plain values."""
_PAYLOAD = "report"
"""The key of Tune's result that holds a report as JSON text."""
ATTEMPTS = 400
"""How many attempts one driver places before another driver goes on.

With each attempt, the memory that Ray takes in the driver grows by some 35 KiB, and never shrinks.
"""
FOR_EACH_PLACE = 100
"""The least number of attempts that one driver places for each trial that trains at a time.

Places are idle while a driver waits for its last attempts, so a handover must be rare.
"""
MOST_PENDING = 64
"""The largest number of processes that Tune starts at a time."""
PENDING_SECONDS = 60.0
"""Seconds after which an attempt that has not begun is waiting for room, not for a process."""
TAKEN_SECONDS = 1.0
"""How long a trial's end waits at most until the process that ended before is reused."""
BRIEFLY = 0.02
"""Seconds that Tune's event loop waits for the ledger before it does something else.

They are enough for a local disk.
"""


def reservation(request: Request, chosen: Mapping[str, str]) -> tune.PlacementGroupFactory:
    """What Tune reserves for an attempt.

    This is the place of its one worker, or a small share of a CPU for the process that leads its
    worker group.

    Args:
        request: what the trial asks for.
        chosen: a selector of the nodes that may be used, as `Nodes.placed_on` gives it.
    """
    grouped = request.workers > 1
    # The workers of a group take 0.99 of their CPUs each, which leaves room for the leading
    # process.
    bundle = {"CPU": 0.01 * request.cpus} if grouped else request.worker
    if request.most_workers > 1 and not grouped:
        bundle = {**bundle, "CPU": 0.99 * request.cpus}
    further: dict[str, Any] = {"bundle_label_selector": [dict(chosen)]} if chosen else {}
    return tune.PlacementGroupFactory([bundle], **further)


def _reserved(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune reserves for the attempt that a configuration of Tune's describes."""
    spec = AttemptSpec(**config[_NUMBER])
    return reservation(Request(spec.cpus, spec.gpus, spec.workers, most_workers=spec.most_workers), spec.placed_on)


class TrialProcess(tune.Trainable):
    """A process of Tune's, which trains one attempt after another; each `step` is one report."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begins an attempt."""
        self.spec = AttemptSpec(**config[_NUMBER])
        self.node = this_process().node
        train = one_process if self.spec.workers == 1 else worker_group
        self.reports = train(self.spec)

    def step(self) -> dict[str, Any]:
        """Trains until the next report and returns it.

        The report travels as text, because Tune spends much time on flattening and inspecting
        dictionaries.
        """
        try:
            report, warned, places = next(self.reports)
        except StopIteration:
            raise RuntimeError(f"trial {self.spec.trial}: trained to its end, yet nobody ended it") from None
        told = {
            "report": report.to_dict(),
            "warned": warned,
            "places": [asdict(place) for place in places],
            "led_from": self.node,
        }
        return {_PAYLOAD: json.dumps(told, allow_nan=False)}

    def __repr__(self) -> str:
        """The name on Ray's page of actors.

        Ray asks for it once, and the process goes on to other trials, so it names the sweep alone.
        """
        return f"TrialProcess({self.spec.sweep})"

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begins the next attempt in the same process."""
        self.cleanup()
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        """Ends the training and frees the model."""
        self.reports.close()  # type: ignore[attr-defined]


class _Searcher(Searcher):
    """Gives Tune the attempts that `Placement` hands out."""

    def __init__(self, placement: Placement) -> None:
        super().__init__()
        self._placement = placement

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        return self._placement.suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._placement.ended(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Does nothing, as Tune's snapshots are not used."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing, as Tune's snapshots are not used."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Scheduler(FIFOScheduler):
    """Passes reports and failures to `Placement`, and ends trials once their ends are stored."""

    def __init__(self, placement: Placement) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._placement = placement

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if self._placement.reported(trial, result[_PAYLOAD]):
            return str(TrialScheduler.CONTINUE)
        ended = self._placement.recorded_ends()
        self._stop(tune_controller, [other for other in ended if other is not trial])
        # NOOP leaves the trial standing until its end is stored.
        return str(TrialScheduler.STOP if trial in ended else TrialScheduler.NOOP)

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
    """A traceback without the colours that Ray puts into it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).strip()


class _Stopper(tune.Stopper):
    """Ends Tune's run once `Placement.halt` is set."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._placement.halt

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Tick(tune.Callback):
    """Calls `Placement.tick` at each step of Tune's event loop."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._placement.tick()

    def __getstate__(self) -> dict[str, Any]:
        return {}


@dataclass
class _Live:
    """An attempt that Tune has; the places where it trains are known from its first report on."""

    assignment: Assignment
    workers: int
    places: list[Place] = field(default_factory=list)
    led_from: str = ""
    """The node of Tune's own process, which for a worker group may have none of the workers."""
    since: float = field(default_factory=time.monotonic)

    def on(self, nodes: Set[str]) -> int:
        """How many of the attempt's workers are on these nodes."""
        return sum(place.node in nodes for place in self.places)


class Placement:
    """Carries the director's assignments to processes of Ray Tune, and their reports back.

    A proposal, a start and an end take effect once the ledger has stored them, and Tune's event
    loop does not wait for that: a trial that is to end stands still until its end is stored, and a
    proposal is held back while other trials train.

    Args:
        director: decides what to place and what reports mean.
        stored: whether the event at a position is stored, after waiting so many seconds at most.
        nodes: the nodes on which attempts are placed.
        folder: the sweep's folder.
        data: puts the data of a configuration into the object store: configuration -> (key, pickled
            reference).
        over: called with the number of a trial that has ended, once its process is done with it.
        tick: called often. Like `over` it is called on Tune's event loop, and must be quick.
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
        self.director = director
        self.nodes = nodes
        self.folder = folder
        self.tick = tick
        self._data = data
        self._stored = stored
        self._over = over
        self.halt = False
        """Set to end the run when Tune looks next; live trials then stay unfinished."""
        self.finished = False
        """Whether the director had nothing more to place."""
        self.spent = False
        """Whether there is more to place, which another driver should do."""
        self._placed = 0
        self.error: BaseException | None = None
        self._live: dict[str, _Live] = {}
        self._reused = director.settings.most_workers == 1
        """Whether a process goes on to other attempts, which that of a worker group does not."""
        self._next: tuple[int, Assignment, dict[str, Any]] | None = None
        """The position that must be stored first, the attempt to hand out, its configuration."""
        self._ending: list[tuple[int, Any]] = []
        """Tune's trials that are to end, each after the ledger position of its end."""
        self._vacated = 0.0
        """When a place was given up that the next attempt has not taken yet.

        It is 0 where there is no such place, or no attempt to take it.
        """
        self._handed = False
        """Whether an attempt was handed out in the present step of Tune's event loop."""
        self._dry = False
        """Whether there was nothing to hand out the last time that there was room."""
        self._scratch = ""

    def run(self, scratch: str) -> None:
        """Places attempts until the director has no more, or `halt` is set.

        Raises:
            Exception: what the director, or the ledger behind it, raised.
        """
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        count_kills_as_failures()
        self._scratch = scratch
        # Without this, Tune would start one process at a time.
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
        """The next attempt for Tune; None to be asked again; FINISHED if there are no more.

        None is only returned while something runs, since Tune would otherwise sleep.
        """
        found: dict[str, Any] | str | None = None
        if not self._live:  # Tune calls nothing else until it is given an attempt
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
            if self._live or self.halt:  # otherwise nothing runs that would be kept waiting here
                return None
        self._next = None
        self._handed = True
        self._live[trial_id] = _Live(assignment, config[_NUMBER]["workers"])
        return config

    def reported(self, trial: Any, payload: str) -> bool:
        """Takes a trial's report and returns whether the trial goes on."""
        live = self._live.get(trial.trial_id)
        if live is None or self.error:
            return False
        plain = json.loads(payload)
        number = live.assignment.trial
        live.places = [Place(**{**place, "gpus": tuple(place["gpus"])}) for place in plain["places"]]
        live.led_from = plain["led_from"]

        def judge() -> bool:
            self.director.warned(number, plain["warned"])
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
        """Tune's trials whose end is stored by now, each returned once; to be called in each step.

        When several trials end together, Tune reuses one of their processes and kills the rest. So
        as long as there is something to place, trials are ended one after the other, each when the
        process of the one before is taken.
        """
        ended: list[Any] = []
        handed = self._handed
        self._handed = False
        if handed and self._reused:  # the attempt takes the process later in this step
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
        """Records that an attempt ended by an exception or with its process."""
        live = self._live.get(trial_id)
        if live is not None and live.assignment.attempt == self._trial(live).attempts:
            self.nodes.look()
            self._guarded(lambda: self.director.failed(live.assignment.trial, self._stuck(live.assignment) or error))
            self.halt = self.halt or bool(self.director.halting)

    def ended(self, trial_id: str) -> None:
        """Takes note that Tune is done with an attempt, whose place is free."""
        live = self._live.pop(trial_id, None)
        if live is not None and not self._trial(live).open:
            self._over(live.assignment.trial)

    def _trial(self, live: _Live) -> Trial:
        return self.director.history.trials[live.assignment.trial]

    def stranded(self, trials: Iterable[Any]) -> list[Any]:
        """Tune's trials that wait for a place on nodes that have changed since.

        Some or all of the nodes that such a trial may be placed on are gone, while there are new
        ones on which it may not be placed. A trial that has lost only some of its nodes counts
        after `PENDING_SECONDS`.
        """
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
        """How many workers, and how many trials, still fit.

        Workers on nodes that go away take no room from others.

        Args:
            kept: whether room is kept into which the trials on these nodes can move.
            without: an attempt that is counted as gone, because it would give its places back.
        """
        leaving = self.nodes.leaving()
        least = self.director.settings.workers_per_trial
        held = [self._next[2][_NUMBER]["workers"]] if self._next else []
        for live in self._live.values():
            stay = live.workers - live.on(leaving)
            if live is not without:
                held.append(max(stay, least) if kept and self._goes(live, leaving) else stay)
        return self.nodes.workers() - sum(held), self.nodes.slots() - sum(map(bool, held))

    def _fits(self, trials: int, room: tuple[int, int]) -> bool:
        return room[0] >= trials * self.director.settings.workers_per_trial and room[1] >= trials

    def _goes(self, live: _Live, leaving: Set[str]) -> bool:
        """Whether a running attempt trains on a node that goes away, or is led from it."""
        trial = self._trial(live)
        trains = trial.status == "running" and trial.attempts == live.assignment.attempt
        return trains and bool(live.on(leaving) or live.led_from in leaving)

    def _waiting(self) -> int:
        return len(self.director.tally.of("waiting"))

    def _waiting_for_leaving(self) -> bool:
        """Whether a trial waits while a node goes away; it comes before those that train there."""
        return bool(self.nodes.leaving()) and self._waiting() > 0

    def _to_move(self, live: _Live) -> bool:
        """Whether an attempt is on a node that goes away and can move.

        It can if there is room elsewhere for it and for all trials that wait.
        """
        return self._goes(live, self.nodes.leaving()) and self._fits(self._waiting() + 1, self._room(without=live))

    def places(self) -> dict[int, Sequence[Place]]:
        """The places of each trial's processes, by the trial's number; may be called in any thread.

        Only trials that have reported are there.
        """
        return {live.assignment.trial: live.places for live in list(self._live.values()) if live.places}

    def _spec(self, assignment: Assignment, free: int) -> AttemptSpec:
        """What the process of an attempt needs, if so many workers fit."""
        settings = self.director.settings
        key, reference = self._data(assignment.config)
        return AttemptSpec(
            trial=assignment.trial,
            attempt=assignment.attempt,
            family=settings.family_place,  # a node may not know the name
            config=assignment.config,
            folder=self._trial_folder(assignment.trial),
            data_key=key,
            data=reference,
            cpus=settings.cpus_per_trial,
            gpus=settings.gpus_per_trial,
            workers=settings.workers(assignment.config, free),
            metric=settings.metric,
            rungs=settings.rung_steps(assignment.config),
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
        """The stacks of a process that was ended because it stood still.

        The text is empty if the process ended otherwise, or was not on this machine.
        """
        found = [
            path.read_text()
            for path in sorted(Path(self._scratch, "stacks").glob(f"{Path(self._stacks(assignment)).name}.*"))
        ]
        stacks = "\n".join(text.strip() for text in found if text)
        seconds = self.director.settings.stuck_after
        if not stacks:
            return ""
        return f"{stacks}\nstuck: no step for {seconds:g} s, so the process was ended; its stacks stand above"

    def _trial_folder(self, trial: int) -> str:
        return (self.folder / trial_folder(trial)).uri

    def _guarded(self, action: Callable[[], Any]) -> Any:
        """Runs the action of a hook; an exception is kept, and ends the run.

        If Tune saw the exception, it would take it for a failure of the trial, which would be
        trained again.
        """
        try:
            return action()
        except BaseException as error:
            self.error = error
            self.halt = True
            return None
