"""One driver's life: opens the ledger, starts Ray, places trials, closes the books."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from leadline.config import ConfigError
from leadline.engine import plan
from leadline.engine.address import Address
from leadline.engine.director import Director
from leadline.engine.display import Display, console
from leadline.engine.manifest import manifest
from leadline.engine.mirror import Mirror
from leadline.engine.provenance import Code
from leadline.engine.ray import environment
from leadline.engine.ray.shared_data import SharedData
from leadline.engine.retention import Retention
from leadline.engine.search import Space
from leadline.engine.summary import FirstStep, Summary
from leadline.engine.supervisor import DONE, FAILED, INTERRUPTED, TWICE_SECONDS, Parent, resume_command
from leadline.engine.tensorboard_files import TensorBoardFiles
from leadline.engine.waiting import waiting
from leadline.ledger.events import Closed
from leadline.ledger.history import Trial
from leadline.ledger.lease import Lease
from leadline.ledger.reader import Scan
from leadline.ledger.segments import Ledger, LedgerError
from leadline.ledger.settings import Settings
from leadline.standard_streams import flush
from leadline.storage import Folder, StorageError

if TYPE_CHECKING:
    from leadline.engine.ray.live_leaderboard import LiveLeaderboard
    from leadline.engine.ray.nodes import Nodes
    from leadline.engine.ray.placement import Placement
    from leadline.engine.ray.room import Request
    from leadline.ledger.leaderboard_text import Place

__all__ = ["Driver"]

INTERRUPT_SECONDS = 10.0
"""How long an interrupted driver waits for Ray before it closes the ledger and leaves."""
LETTING_GO_SECONDS = 2.0
"""How long a driver that leaves without Ray may take to tell the autoscaler."""
CLOSING_SECONDS = 5.0
"""How long a driver that leaves without Ray waits for the ledger to store its last event."""
RETENTION_SECONDS = 5.0
"""How long the end of a sweep waits for the removal of superseded checkpoints, and then for
TensorBoard's files."""
ROOM_SECONDS = 10.0
"""Seconds between two checks of the free room on a local disk."""
PULSE_SECONDS = 0.25
"""Seconds between two checks that Ray's own processes are alive."""


class Driver:
    """One driver's life: opens the ledger, starts Ray, places trials, closes the books.

    Args:
        space: the search space.
        settings: what was asked for.
        folder: the sweep's folder.
        name: the sweep's name, which is also that of its folder below `storage`.
        storage: the place of all sweeps, as the user typed it.
        lease: the right to write to the sweep's folder.
        parent: the parent of this process.
        address: where the sweep runs.
        temporary: the folder for the files of a Ray of this driver's own, with a short path.
        code: the code that it runs.
        changed: why the sweep cannot go on as under its last driver, in words.
        checkpoint: bytes that a checkpoint may have.
        known: what has been read of the ledger, and the director that it was replayed into.
    """

    def __init__(
        self,
        space: Space,
        settings: Settings,
        folder: Folder,
        name: str,
        storage: str,
        lease: Lease,
        parent: Parent,
        address: Address,
        temporary: str,
        code: Code,
        changed: Sequence[str] = (),
        checkpoint: int = 0,
        known: tuple[Scan, Director] | None = None,
    ) -> None:
        self.space = space
        self.settings = settings
        self.folder = folder
        self.name = name
        self.storage = storage
        self.lease = lease
        self.parent = parent
        self.resume = resume_command(storage, name, address.named)
        self.address = address
        self.temporary = temporary
        self.nodes: Nodes | None = None
        self.console = console()
        self.ledger = Ledger(
            folder / "ledger", known=known[0] if known else None, patience=settings.storage_patience, say=self._say
        )
        self.director = (
            known[1] if known and not self.ledger.reread else plan.replayed(settings, space, self.ledger.past)
        )
        self.director.record = self.ledger.append
        self.ledger.past.clear()  # it stands in the director's history now
        self.files = TensorBoardFiles(self.director, self.folder)
        self.code = code
        self.changed = changed
        self.checkpoint = checkpoint
        self.interrupts = 0
        self._interrupted = 0.0
        self._room_seen = 0.0
        self._leaving: threading.Timer | None = None
        self._stopping_ray = threading.Event()
        self._storage_answers = True
        self.mirror: Mirror | None = None
        self.placement: Placement | None = None
        self.live: list[LiveLeaderboard] = []
        self.began = parent.began
        self.marks: dict[str, float] = {"start of Python, imports and checks": time.time()}

    def go(self) -> int:
        """Runs to the end and returns the exit code."""
        self._say(f"sweep {self.name} in {self.folder}")
        for warning in plan.warnings_of(self.settings, self.space):
            self._say(f"note: {warning}")
        for words in self.changed:
            self._say(f"note: {words}")
        self._take_signals()
        self.lease.asked = self._asked
        if self.parent.replaces and self.lease.stop_was_asked():
            self._asked()
        if self.address.kind == "join":
            # The cluster is joined first, so that what it refuses is refused before anything is
            # recorded.
            self._say(f"joining the cluster at {self.address.text}")
            try:
                with self._waiting(f"the cluster at {self.address.text}"):
                    self.nodes = self._join()
            except (KeyboardInterrupt, SystemExit):
                begun = bool(self.director.history.manifests)
                self._say(f"interrupted; go on with: {self.resume}" if begun else "interrupted before it began")
                return INTERRUPTED
        how = "failed"
        try:
            with self._waiting(f"{self.folder} to take the ledger and the code"):
                self._open()
            how = self._train(self.parent.scratch)
        except (KeyboardInterrupt, SystemExit):  # Ray raises SystemExit on a signal while it starts
            how = "interrupted"
        except LedgerError:
            pass  # `_close` cannot write to it either, and says why
        except Exception:
            if self.interrupts:
                how = "interrupted"  # a signal to the whole process group ends Ray too
            else:
                self._leave_if_lost()
                self._say(traceback.format_exc())
        self._stopping_ray.set()
        with self._waiting("Ray to let go of the machines, and the ledger to be stored"):
            if self.nodes:
                self.nodes.close()
            how = self._close(how)
        code = self._end(how)
        # While Ray stops it may end this process, as may any touch of Ray afterwards: what was
        # printed is out by then, and the parent knows how the driver has ended.
        flush()
        self.parent.ended(code)
        with self._waiting("Ray to stop"):
            environment.stop()
        return code

    def conclude(self) -> int:
        """Does what is left where a driver has died, or not reached the mirror, at the very end.

        It writes the views, and completes the mirror.
        """
        self._begin_mirror()
        self._summary().views()
        self._close_mirror()
        return DONE

    def _open(self) -> None:
        """Records that this driver runs the sweep, and why it is not what it was.

        The code is kept before the ledger names it.
        """
        try:
            self.code.keep(self.folder, self.settings.storage_patience, self._say)
        except StorageError as error:
            self._say(str(error))
            raise LedgerError(str(error)) from None
        self.director.opened(manifest(self.code))
        for words in self.changed:
            self.director.noted(words)
        for remark in self.director.remarks:
            self._say(f"note: {remark}")
        self.ledger.commit()
        self._begin_mirror()
        self.parent.running(self.name, self.storage, self.settings.time_limit, self.address.named)

    def _begin_mirror(self) -> None:
        if self.settings.mirror:
            self.mirror = Mirror(self.ledger, self.director, self.folder, self.settings.mirror, self._say)

    def _close_mirror(self, at_most: float | None = None) -> None:
        if self.mirror:
            self._say(self.mirror.close(self.settings.storage_patience, at_most))

    def _train(self, scratch: str) -> str:
        """Places all trials.

        Returns how it ended: "done", "failed", "interrupted", "time limit" or "handed over".
        """
        self._say("building the data" if self.nodes else "starting Ray and building the data")
        shared = SharedData(self.director, plan.first_configurations(self.settings, self.space))
        preparing = threading.Thread(target=shared.prepare, name="data")
        preparing.start()
        if self.nodes is None:
            with self._waiting("Ray to start"):
                self.nodes = self._start()
        from leadline.engine.ray.placement import Placement

        self._say(f"note: {self.nodes.title}")
        threading.Thread(target=self._watch, name="ray", daemon=True).start()
        if self.interrupts:
            raise KeyboardInterrupt
        self._take_signals()  # again, because Ray has put its own handlers in place
        self.marks["Ray"] = time.time()
        with self._waiting("the data, their audit and the scores of trivial predictors"):
            preparing.join()
            if not (shared.ready() and shared.share()):
                return "failed"
        self.director.admits = shared.admit
        self.marks["data and baselines"] = time.time()
        display, self.live = Display(self.director, self.name, self.console), self._live_leaderboards()
        retention = Retention(self.director, self.folder)
        first = contextlib.ExitStack()

        def over(trial: int) -> None:
            retention.ended(trial)
            self.files.ended(trial)

        def tick() -> None:
            if self.director.first_step:
                first.close()
            display.tick()
            for shown in self.live:
                shown.tick()
            retention.tick()
            self._tick()

        placement = Placement(self.director, self.ledger.stored, self.nodes, self.folder, shared.reference, over, tick)
        self.placement = placement
        self.parent.placing()
        try:
            first.enter_context(self._waiting("the first report of a trial, whose process has to start"))
            placement.run(scratch)
        finally:
            first.close()
            display.close()
            with self._waiting("superseded checkpoints to be removed"):
                retention.close(RETENTION_SECONDS)
            self.files.close(RETENTION_SECONDS)
        if self.director.halting:
            return "failed"
        if placement.finished:
            return "done"
        if placement.spent and not self.interrupts:
            return "handed over"
        return "interrupted" if self.interrupts else "time limit"

    def _live_leaderboards(self) -> list[LiveLeaderboard]:
        """Opens the leaderboard in the cluster's dashboard and prints where to look for it.

        Returns none where there is no dashboard.
        """
        if self.address.kind == "alone":
            return []
        from leadline.engine.ray.live_leaderboard import LiveLeaderboard

        def places() -> Mapping[int, Sequence[Place]]:
            return self.placement.places() if self.placement else {}

        shown = LiveLeaderboard(self.director, self.name, str(self.folder), self._say, places)
        for line in shown.links():
            self._say(line)
        return [shown]

    def _request(self) -> Request:
        from leadline.engine.ray.room import Request

        settings = self.settings
        return Request(
            cpus=settings.cpus_per_trial,
            gpus=settings.gpus_per_trial,
            workers=settings.workers_per_trial,
            where=settings.where,
            most_workers=settings.most_workers,
        )

    def _start(self) -> Nodes:
        """Starts Ray on this machine alone."""
        environment.prepare()
        try:
            from leadline.engine.ray import placement  # noqa: F401
            from leadline.engine.ray.machine import Machine

            return Machine(self._request(), plan.at_a_time(self.settings), self.temporary, self.parent.scratch)
        except (ConfigError, ImportError) as error:  # another driver would meet the same
            self._say(f"error: {error}; once that is mended, go on with: {self.resume}")
            self._leave()
        except Exception as error:
            self._say(traceback.format_exc())
            self._leave(f"could not start Ray ({type(error).__name__})")

    def _join(self) -> Nodes:
        """Joins the cluster on which this process runs as a job."""
        environment.prepare(cluster=True)
        from leadline.engine.ray.cluster import Cluster
        from leadline.engine.ray.gauges import export_often

        export_often()
        return Cluster(
            self.address.text,
            self._request(),
            self.settings.concurrent,
            self.folder,
            self._wanted,
            not self.parent.replaces,
        )

    def _wanted(self) -> int:
        """The number of trials that the sweep could train at a time.

        These are the trials that run or wait, and those that are still to be proposed.
        """
        tally = self.director.tally
        return tally.open + max(0, self.settings.trials - tally.searched.total())

    def _tick(self) -> None:
        assert self.placement is not None
        assert self.nodes is not None
        for line in self.nodes.news():
            self.director.noted(line)
            self._say(f"note: {line}")
        now = time.time()
        limit = self.settings.time_limit
        if limit is not None and now - self.began > limit:
            self.placement.halt = True
        if self.folder.local and now - self._room_seen > ROOM_SECONDS:
            self._room_seen = now
            if short := plan.short_of_room(self.folder, self.nodes.slots() * self.checkpoint):
                self.director.halting = short
                self.placement.halt = True

    def _take_signals(self) -> None:
        """Takes the signals that end the sweep; the process is the driver's own until it ends.

        SIGTERM, which spot nodes and schedulers send, is treated as Ctrl-C.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.parent.heard()
        now = time.monotonic()
        if self.interrupts and now - self._interrupted < TWICE_SECONDS:
            return
        self._interrupted = now
        # No exception is raised here: to Tune it would look like the failure of a trial.
        if self.interrupts:
            self.interrupts += 1
            threading.Thread(target=self._leave, name="leave").start()
            return
        self._stop(f"\nstopping: Ray may take {INTERRUPT_SECONDS:g} s to end trials; once more to stop at once")

    def _asked(self) -> None:
        """Stops the sweep because `leadline stop` has asked for it."""
        if not self.interrupts:
            self._stop("asked to stop")

    def _stop(self, words: str) -> None:
        self.interrupts += 1
        # While Ray starts it must not be disturbed; `_train` looks at `interrupts` afterwards.
        if self.placement is not None:
            self.placement.halt = True
        with contextlib.suppress(OSError):  # the reader of the output may have been stopped by the same signal
            print(words, file=sys.stderr)
        leave = threading.Timer(INTERRUPT_SECONDS, self._leave)
        leave.daemon = True
        leave.start()
        self._leaving = leave

    def _watch(self) -> None:
        """Ends the driver as soon as one of Ray's own processes has ended.

        It runs in a thread of its own: a driver that has lost Ray would otherwise wait a minute for
        it, or be ended by it in the middle.
        """
        while not self._stopping_ray.wait(PULSE_SECONDS):
            self._leave_if_lost()

    def _leave_if_lost(self) -> None:
        from leadline.engine.ray.machine import dead

        if self.nodes and (lost := dead(self.nodes.processes)) and not self._stopping_ray.is_set():
            self._leave(f"has lost Ray, whose {lost} was ended")

    def _leave(self, lost: str = "") -> NoReturn:
        """Closes the books without Ray, which is gone or does not answer, and ends this process.

        It may be called in any thread.
        """
        again = lost
        code = FAILED
        if self.interrupts:  # the parent must not start another driver
            again = ""
            code = INTERRUPTED
        try:
            if self.placement is not None:
                self.placement.halt = True
            if self.nodes:
                letting_go = threading.Thread(target=self.nodes.close, daemon=True)
                letting_go.start()
                letting_go.join(LETTING_GO_SECONDS)
            # The main thread may be changing the history, so nothing but the ledger is written to.
            if self.director.history.opened and not self.director.history.closed:
                how = "interrupted" if self.interrupts else "failed"
                self.ledger.stored(self.ledger.append(Closed(how=how, time=time.time())), CLOSING_SECONDS)
            self.lease.release()
        except (LedgerError, OSError):
            pass  # the ledger is then as if this process had been killed, which a resume can take
        finally:
            with contextlib.suppress(Exception):
                self.console.show_cursor()
                if self.interrupts:
                    self._say(f"interrupted; go on with: {self.resume}")
            self.parent.ended(code, again)
            os._exit(code)

    def _close(self, how: str) -> str:
        """Closes the ledger and returns how the driver has ended."""
        if self._leaving:
            self._leaving.cancel()
        if how == "done" and self._failed() and len(self._failed()) == len(self.director.history.search_trials()):
            how = "failed"
        try:
            self.director.closed(how)
            self.ledger.close()
        except LedgerError as error:
            self._say(f"{error}")
            how = "failed"
            self._storage_answers = False
        for shown in self.live:  # closed last, so that they show how the sweep has ended
            shown.close()
        return how

    def _failed(self) -> list[Trial]:
        return [trial for trial in self.director.history.search_trials() if trial.status == "failed"]

    def _end(self, how: str) -> int:
        """Writes the views and says how it went."""
        if how == "handed over":
            self.parent.ended(FAILED, "has placed its share of the trials", planned=True)
            return FAILED
        summary = self._summary()
        summary.views()
        # A user who has interrupted does not wait for it, nor a time limit, nor a store that is
        # gone.
        patient = self._storage_answers and how not in ("interrupted", "time limit")
        self._close_mirror(None if patient else INTERRUPT_SECONDS)
        if how == "failed":
            summary.explain(self._failed())
        if how == "interrupted":
            self._say(f"interrupted; go on with: {self.resume}")
        if how == "time limit":
            self._say(f"time limit reached; go on with: {self.resume} --time-limit TIME")
        return {"failed": FAILED, "interrupted": INTERRUPTED}.get(how, DONE)

    def _summary(self) -> Summary:
        timing = FirstStep(self.began, self.marks, self.director.first_step)
        return Summary(
            self.director,
            self.folder,
            self.files,
            self.name,
            self.console,
            self.resume,
            timing,
            stored=self._storage_answers,
        )

    def _waiting(self, what: str) -> contextlib.AbstractContextManager[None]:
        return waiting(what, self._say)

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
