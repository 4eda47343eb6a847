"""Ray: one driver's life: opens the ledger, starts Ray, places trials, closes the books."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, cast

from rich.console import Console

from leadline.engine import environment, plan
from leadline.engine.address import Address
from leadline.engine.director import Director
from leadline.engine.display import Display
from leadline.engine.manifest import differences, manifest
from leadline.engine.ray.shared_data import Shelf
from leadline.engine.retention import Retention
from leadline.engine.search import Space
from leadline.engine.supervisor import DONE, FAILED, INTERRUPTED, Parent, resume_command
from leadline.ledger import leaderboard, tensorboard
from leadline.ledger.events import Closed
from leadline.ledger.history import History, Trial
from leadline.ledger.layout import trial_folder
from leadline.ledger.leaderboard_table import leaderboard_table
from leadline.ledger.lease import Lease
from leadline.ledger.reader import Scan
from leadline.ledger.segments import Ledger, LedgerError
from leadline.ledger.settings import Settings
from leadline.ledger.wording import last_line
from leadline.storage import Folder

if TYPE_CHECKING:
    from leadline.engine.ray.live_leaderboard import Watch
    from leadline.engine.ray.nodes import Nodes, Request
    from leadline.engine.ray.placement import Placement

__all__ = ["Driver"]

INTERRUPT_SECONDS = 10.0
"""How long an interrupted driver waits for Ray before it closes the ledger and leaves."""
LETTING_GO_SECONDS = 2.0
"""How long it waits for the cluster to be told that it needs no more nodes."""
CLOSING_SECONDS = 5.0
"""How long it then waits for the ledger."""
RETENTION_SECONDS = 5.0
"""How long the end of a sweep waits for the removal of superseded checkpoints."""
ROOM_SECONDS = 10.0
"""How often the room on a local disk is looked at."""
TWICE_SECONDS = 0.3
"""Signals that come closer together are one, sent to the parent and to its children."""
PULSE_SECONDS = 0.25
"""How often Ray's own processes are looked at."""


class _Console(Console):
    """Goes silent where nobody reads any more, as after `| head`: the sweep goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Driver:
    """One driver's life: opens the ledger, starts Ray, places trials, closes the books.

    Args:
        name: of the sweep, in `folder` below `storage`.
        address: where it runs.
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
        checkpoint: int = 0,
        known: tuple[Scan, Director] | None = None,
    ) -> None:
        self.settings, self.folder, self.name, self.storage = settings, folder, name, storage
        self.lease, self.parent, self.resume = lease, parent, resume_command(storage, name)
        self.address, self.nodes = address, cast("Nodes | None", None)
        self.console = _Console() if sys.stdout.isatty() else _Console(width=160)
        self.ledger = Ledger(
            folder / "ledger", known=known[0] if known else None, patience=settings.storage_patience, say=self._say
        )
        self.director = (
            known[1] if known and not self.ledger.reread else plan.replayed(settings, space, self.ledger.past)
        )
        self.director.record = self.ledger.append
        self.ledger.past.clear()  # it stands in the director's history now
        self.checkpoint = checkpoint
        self.interrupts = 0
        self._interrupted = self._room_seen = 0.0
        self._leaving: threading.Timer | None = None
        self._stopping_ray = threading.Event()
        self._storage_answers = True
        self.placement: Placement | None = None
        self.watches: list[Watch] = []
        self.began = parent.began
        self.marks: dict[str, float] = {"start of Python, imports and checks": time.time()}

    def go(self) -> int:
        """Runs to the end and returns the exit code."""
        self._say(f"sweep {self.name} in {self.folder}")
        for warning in plan.warnings_of(self.settings):
            self._say(f"note: {warning}")
        self._take_signals()
        self.lease.asked = self._asked
        if self.parent.replaces and self.lease.stop_was_asked():
            self._asked()
        if self.address.kind == "join":  # what it refuses is refused before anything is recorded
            try:
                self.nodes = self._join()
            except (KeyboardInterrupt, SystemExit):
                self._say(
                    f"interrupted; go on with: {self.resume}"
                    if self.director.history.manifests
                    else "interrupted before it began"
                )
                return INTERRUPTED
        how = "failed"
        try:
            self._open()
            how = self._train(self.parent.scratch)
        except (KeyboardInterrupt, SystemExit):  # the latter by Ray, on a signal while it starts
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
        if self.nodes:
            self.nodes.close()
        how = self._close(how)
        if (
            self.address.kind == "join"
        ):  # one connection is closed soon, and whoever touches Ray afterwards ends this process
            code = self._end(how)
            _stop_ray()
            return code
        # Ray takes its time to stop and the views to be written: they need nothing of each other. While Ray stops it may end this process.
        stopping = threading.Thread(target=_stop_ray, name="stop-ray")
        stopping.start()
        try:
            return self._end(how)
        finally:
            stopping.join()

    def conclude(self) -> int:
        """Writes the views of a sweep whose driver has died when all else was done."""
        self._views(self.director.history)
        return DONE

    def _open(self) -> None:
        """Records that this driver runs the sweep, and says aloud where it need not go on bit for bit as the one before."""
        past, now = self.director.history.manifests[-1:], manifest()
        self.director.opened(now)
        for changed in differences(past[0], now) if past else []:
            self.director.noted(f"resumed, and no longer bit for bit what it was: {changed}")
            self._say(f"note: resumed, and no longer bit for bit what it was: {changed}")
        for remark in self.director.remarks:
            self._say(f"note: {remark}")
        self.ledger.commit()
        self.parent.running(self.name, self.storage, self.settings.time_limit)

    def _train(self, scratch: str) -> str:
        """Places all trials. Returns how it ended: done, failed, interrupted, time limit or handed over."""
        shelf = Shelf(self.director)
        preparing = threading.Thread(target=shelf.prepare, name="data")
        preparing.start()
        if self.nodes is None:
            self.nodes = self._start(scratch)
        from leadline.engine.ray import placement

        self._say(f"note: {self.nodes.title}")
        threading.Thread(target=self._watch, name="ray", daemon=True).start()
        if self.interrupts:
            raise KeyboardInterrupt
        self._take_signals()  # again: Ray has put its own handlers in place
        self.marks["Ray"] = time.time()
        preparing.join()
        if not shelf.ready():
            return "failed"
        self.marks["data and baselines"] = time.time()
        display, self.watches = Display(self.director, self.name, self.console), self._watches()
        retention = Retention(self.director, self.folder)

        def tick() -> None:
            display.tick()
            for watch in self.watches:
                watch.tick()
            retention.tick()
            self._tick()

        placement = placement.Placement(
            self.director, self.ledger.stored, self.nodes, self.folder, shelf.reference, retention.ended, tick
        )
        self.placement = placement
        try:
            placement.run(scratch)
        finally:
            display.close()
            retention.close(RETENTION_SECONDS)
        if self.director.halting:
            return "failed"
        if placement.finished:
            return "done"
        if placement.spent and not self.interrupts:
            return "handed over"
        return "interrupted" if self.interrupts else "time limit"

    def _watches(self) -> list[Watch]:
        """The leaderboard in the cluster's dashboard, and where to look for it."""
        if self.address.kind == "alone":
            return []
        from leadline.engine.ray.live_leaderboard import Watch

        watch = Watch(
            self.director,
            self.name,
            str(self.folder),
            self._say,
            lambda: self.placement.places() if self.placement else {},
        )
        for line in watch.links():
            self._say(line)
        return [watch]

    def _request(self) -> Request:
        from leadline.engine.ray.nodes import Request

        settings = self.settings
        workers = settings.workers_per_trial, settings.most_workers
        return Request(settings.cpus_per_trial, settings.gpus_per_trial, workers[0], settings.where, workers[1])

    def _start(self, scratch: str) -> Nodes:
        """Ray, on this machine alone."""
        environment.prepare()
        from leadline.engine.ray.nodes import Machine

        try:
            return Machine(self._request(), plan.at_a_time(self.settings), scratch)
        except Exception as error:
            self._say(traceback.format_exc())
            self._leave(f"could not start Ray ({type(error).__name__})")

    def _join(self) -> Nodes:
        """The cluster, whose job this is."""
        environment.prepare(cluster=True)
        from leadline.engine.ray.gauges import export_often
        from leadline.engine.ray.nodes import Cluster

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
        """Trials that the sweep could train at a time: those that run or wait, and those that are still to be proposed."""
        trials = list(self.director.history.trials.values())
        to_come = self.settings.trials - sum(trial.kind == "search" for trial in trials)
        return sum(trial.open for trial in trials) + max(0, to_come)

    def _tick(self) -> None:
        assert self.placement is not None
        assert self.nodes is not None
        for line in self.nodes.news():
            self.director.noted(line)
            self._say(f"note: {line}")
        now, limit = time.time(), self.settings.time_limit
        if limit is not None and now - self.began > limit:
            self.placement.halt = True
        if self.folder.local and now - self._room_seen > ROOM_SECONDS:
            self._room_seen = now
            if short := plan.short_of_room(self.folder, self.nodes.slots() * self.checkpoint):
                self.director.halting = short
                self.placement.halt = True

    def _take_signals(self) -> None:
        """SIGTERM, which spot nodes and schedulers send, is treated as Ctrl-C. The process is the driver's own until it ends."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.interrupts and now - self._interrupted < TWICE_SECONDS:
            return
        self._interrupted = now
        if self.interrupts:  # an exception here would look to Tune like the failure of a trial
            self.interrupts += 1
            threading.Thread(target=self._leave, name="leave").start()
            return
        self._stop("\nstopping; once more to stop at once")

    def _asked(self) -> None:
        """By `python -m analysis stop`."""
        if not self.interrupts:
            self._stop("asked to stop")

    def _stop(self, words: str) -> None:
        self.interrupts += 1
        if self.placement is not None:
            self.placement.halt = True  # while Ray starts it must not be disturbed: `_train` looks afterwards
        with contextlib.suppress(OSError):  # whoever reads may have been stopped by the same signal
            print(words, file=sys.stderr)
        leave = threading.Timer(INTERRUPT_SECONDS, self._leave)
        leave.daemon = True
        leave.start()
        self._leaving = leave

    def _watch(self) -> None:
        """In a thread of its own: a driver that has lost Ray would wait for it a minute, or be ended by it in the middle."""
        while not self._stopping_ray.wait(PULSE_SECONDS):
            self._leave_if_lost()

    def _leave_if_lost(self) -> None:
        from leadline.engine.ray.placement import dead

        if self.nodes and (lost := dead(self.nodes.processes)) and not self._stopping_ray.is_set():
            self._leave(f"has lost Ray, whose {lost} was ended")

    def _leave(self, lost: str = "") -> NoReturn:
        """Closes the books without Ray, which is gone or does not answer, and ends this process, from whatever thread."""
        again, code = ("", INTERRUPTED) if self.interrupts else (lost, FAILED)
        try:
            if self.placement is not None:
                self.placement.halt = True
            if self.nodes:
                letting_go = threading.Thread(target=self.nodes.close, daemon=True)
                letting_go.start()
                letting_go.join(LETTING_GO_SECONDS)
            if (
                self.director.history.opened and not self.director.history.closed
            ):  # which the main thread may be changing, so nothing but the ledger is touched
                how = "interrupted" if self.interrupts else "failed"
                self.ledger.stored(self.ledger.append(Closed(how=how, time=time.time())), CLOSING_SECONDS)
            self.lease.release()
        except (LedgerError, OSError):
            pass  # then it is as if this process had been killed
        finally:
            with contextlib.suppress(Exception):
                self.console.show_cursor()
                if self.interrupts:
                    self._say(f"interrupted; go on with: {self.resume}")
            self.parent.ended(code, again)
            os._exit(code)

    def _close(self, how: str) -> str:
        """Closes the ledger. Returns how the driver has ended."""
        if self._leaving:
            self._leaving.cancel()
        if how == "done" and self._failed() and len(self._failed()) == len(self.director.history.search_trials()):
            how = "failed"
        try:
            self.director.closed(how)
            self.ledger.close()
        except LedgerError as error:
            self._say(f"{error}")
            how, self._storage_answers = "failed", False
        for watch in self.watches:  # what they show last is how it has ended
            watch.close()
        return how

    def _failed(self) -> list[Trial]:
        return [trial for trial in self.director.history.search_trials() if trial.status == "failed"]

    def _end(self, how: str) -> int:
        """Writes the views and says how it went."""
        if how == "handed over":
            self.parent.ended(FAILED, "has placed its share of the trials", planned=True)
            return FAILED
        self._views(self.director.history)
        if how == "failed":
            self._explain(self._failed())
        if how == "interrupted":
            self._say(f"interrupted; go on with: {self.resume}")
        if how == "time limit":
            self._say(f"time limit reached; go on with: {self.resume} --time-limit TIME")
        return {"failed": FAILED, "interrupted": INTERRUPTED}.get(how, DONE)

    def _views(self, history: History) -> None:
        """Everything here can be rebuilt from the ledger: a failure is said, and costs nothing."""
        if not history.trials:
            return
        self.console.print(leaderboard_table(history, self.name, width=self.console.width))
        for line in [*self._best(history), *self._unconfirmed(history), *self._timing(history)]:
            self._say(line)
        if self.director.stopping:
            self._say(self.director.stopping)
        if not any(leaderboard.finalists(history, stratum, 1) for stratum in leaderboard.strata(history)):
            self._say("best         none: no trial has finished with a finite value")
        if not self._storage_answers:
            return
        self._attempt("TensorBoard files", lambda: tensorboard.write(history, self.folder / "tensorboard"))
        self._attempt("report", self._report)
        self._say(f"sweep        {self.folder}")

    def _report(self) -> None:
        from leadline.analysis.report import document

        self._say(f"report       {report.write(self.folder, self.name)}")
        for sentence in document.answered(self.folder) if self.settings.contrasts else ():
            self._say(f"answer       {sentence}")

    def _attempt(self, what: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            self._say(f"{what} could not be written ({error!r}); everything is in the ledger")

    def _best(self, history: History) -> list[str]:
        found = []
        for stratum in leaderboard.strata(history):
            for trial in leaderboard.finalists(history, stratum, 1):
                where = f"{self.settings.stratify} {stratum}: " if self.settings.stratify else ""
                found.append(
                    f"best         {where}trial {trial.number}, {self.folder}/{trial_folder(trial.number)}/{trial.reports[-1].checkpoint}"
                )
        return found

    def _unconfirmed(self, history: History) -> list[str]:
        chosen = [
            trial
            for stratum in leaderboard.strata(history)
            for trial in leaderboard.finalists(history, stratum, self.settings.confirm)
        ]
        lost = [
            run for trial in chosen for run in history.replicates(trial.number) if run.status in ("failed", "stopped")
        ]
        return [f"unconfirmed  replicate {run.number} of trial {run.of}: {last_line(run.reason)}" for run in lost]

    def _timing(self, history: History) -> list[str]:
        """Seconds from command to first step, and per trial beyond training, each with its parts."""
        whole = [trial for trial in history.trials.values() if trial.reports and not trial.open and trial.attempts == 1]
        lines = []
        first = self.director.first_step
        if first > max(self.marks.values()):  # not where the first report was one that is told again
            parts, before = [], self.began
            for what, moment in [*self.marks.items(), ("first trial's process", first)]:
                parts.append(f"{what} {moment - before:.1f}")
                before = moment
            lines.append(f"first step   after {first - self.began:.1f} s: {', '.join(parts)}")
        if whole:
            training = statistics.mean(trial.reports[-1].seconds for trial in whole)
            overhead = statistics.mean(trial.reports[-1].overhead for trial in whole)
            wall = statistics.mean(trial.wall for trial in whole)
            lines.append(
                f"per trial    {wall:.2f} s: training {training:.2f}, evaluating and saving {overhead:.2f}, "
                f"starting processes, placing and deciding {max(0.0, wall - training - overhead):.2f} (mean of {len(whole)})"
            )
        return lines

    def _explain(self, failed: list[Trial]) -> None:
        if self.director.halting:
            self._say(f"storage {self.folder}: {self.director.halting}; go on with: {self.resume}")
            return
        self._say("every trial failed" if failed else f"the sweep failed; go on with: {self.resume}")
        for trial in failed[:1]:
            self._say(
                f"trial {trial.number}: {last_line(trial.reason)}; see {self.folder}/{trial_folder(trial.number)} and the ledger"
            )

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def _stop_ray() -> None:
    if "ray" in sys.modules:
        import ray

        ray.shutdown()
