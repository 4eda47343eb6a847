"""The parent process of a driver, which starts the driver again by replay if it has died.

The parent does not use Ray. It forks before anything else has begun, so a new driver needs no
imports and has none of the old one's memory. The driver is in a session of its own: a signal to the
terminal's process group reaches the parent alone, which passes it on, so that Ray's processes live
until the driver has closed its books. If the parent dies, the driver ends as if it had been
interrupted.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn

__all__ = ["BAD_INPUT", "DONE", "FAILED", "INTERRUPTED", "RESTARTS", "RESUME", "Parent", "resume_command", "supervise"]

DONE = 0
"""The exit code of a sweep that is done."""
FAILED = 1
"""The exit code of a sweep that failed."""
BAD_INPUT = 2
"""The exit code where the command line or the study is refused."""
INTERRUPTED = 130
"""The exit code of an interrupted sweep: 128 + SIGINT, as shells count it."""
RESUME = "LEADLINE_RESUME"
"""The environment variable in which a job finds the command that goes on with its sweep."""
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that the parent passes on to the driver."""
RESTARTS = 5
"""How often one command starts a driver again that has died."""


@dataclass
class Parent:
    """What a driver knows of its parent process, and tells it.

    Args:
        began: when the command was given, in seconds since the epoch.
        scratch: folder for temporary files, which the parent removes.
        pipe: for messages to the parent; None where there is none.
        replaces: whether this driver goes on for one that has died.
    """

    began: float
    scratch: str
    pipe: int | None = None
    replaces: bool = False
    _closed: bool = False

    def running(self, name: str, storage: str, limit: float | None = None) -> None:
        """Tells the parent that the ledger has the sweep, so that a dead driver can be replaced.

        Args:
            name: the sweep's name.
            storage: the place of all sweeps, as the user typed it.
            limit: the seconds for which this command may run; None for no limit.
        """
        self._tell({"name": name, "storage": storage, "deadline": None if limit is None else self.began + limit})

    def ended(self, code: int, again: str = "", planned: bool = False) -> None:
        """Tells the parent that the driver has closed its books and exits with `code`.

        Args:
            code: the exit code.
            again: why another driver should go on; empty if none should.
            planned: whether that is part of the plan, so that it does not count as a restart.
        """
        self._tell({"code": code, "again": again, "planned": planned})

    def _tell(self, message: dict[str, Any]) -> None:
        """Sends a message to the parent.

        Nothing is sent once the driver has told how it ended: its first word on that counts.
        """
        if self.pipe is None or self._closed:
            return
        self._closed = "code" in message
        try:
            os.write(self.pipe, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:  # the parent has died
            if self._closed:
                shutil.rmtree(self.scratch, ignore_errors=True)


Drive = Callable[[Sequence[str], Parent], int]
"""The function that runs a driver: command line and parent in, exit code out."""


@dataclass
class _Driver:
    """A driver's process as its parent sees it: what it has told, and how it ended."""

    pid: int
    said: dict[str, Any] = field(default_factory=dict)
    status: int = 0

    def follow(self, pipe: int) -> None:
        """Listens until the driver is gone, and takes its exit status."""
        with os.fdopen(pipe) as stream:
            for line in stream:
                self.said |= json.loads(line)
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    @property
    def sweep(self) -> dict[str, Any]:
        """The sweep that the driver runs; empty until it has told."""
        return {key: self.said[key] for key in ("name", "storage", "deadline") if key in self.said}

    @property
    def code(self) -> int:
        """The exit code that the driver has told."""
        return int(self.said["code"])

    @property
    def planned(self) -> bool:
        """Whether the driver has ended so that another goes on, as planned."""
        return bool(self.said.get("planned"))

    @property
    def death(self) -> str:
        """Why another driver should go on; empty if this one has ended by itself."""
        if "code" in self.said:
            return str(self.said["again"])
        if self.status < 0:
            return f"ended by {signal.Signals(-self.status).name}"
        return f"ended with code {self.status} in the middle"


class _Signals:
    """Passes signals on to the driver that runs now.

    SIGHUP, by which a closed terminal shows, is passed on as SIGTERM. A signal that this process
    was started to ignore, as SIGHUP by `nohup`, is left alone.
    """

    def __init__(self) -> None:
        self.count = 0
        """How many signals have come."""
        self.driver = 0
        """The driver's process id; 0 while there is none."""
        taken = [number for number in PASSED_ON if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._pass_on) for number in taken}

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.driver:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.driver, signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    def reset(self) -> None:
        """Puts back the handlers that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)


def supervise(drive: Drive, arguments: Sequence[str]) -> int:
    """Runs a driver in a process of its own and returns the command's exit code.

    Args:
        drive: called in the child with the command line, or with one that resumes the sweep after a
            driver has died.
        arguments: the command line.
    """
    began = _process_start()
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        return drive(arguments, Parent(began, tempfile.mkdtemp(prefix="leadline-")))
    signals = _Signals()
    restarts = 0
    replaces = False
    sweep: dict[str, Any] = {}
    try:
        while True:
            driver = _live(drive, arguments, began, replaces, signals)
            sweep |= driver.sweep
            if not driver.death and not (replaces and driver.code == BAD_INPUT):
                return driver.code
            if signals.count or not sweep or not driver.death or (restarts == RESTARTS and not driver.planned):
                return _given_up(driver.death or "could not go on", sweep, interrupted=bool(signals.count))
            restarts += not driver.planned
            count = "" if driver.planned else f" ({restarts} of {RESTARTS})"
            print(f"driver {driver.death}; started again by replay{count}", file=sys.stderr, flush=True)
            arguments = _resuming(sweep)
            began = time.time()
            replaces = True
    finally:
        signals.reset()


def _live(drive: Drive, arguments: Sequence[str], began: float, replaces: bool, signals: _Signals) -> _Driver:
    """Runs a driver from its fork to its end."""
    scratch = tempfile.mkdtemp(prefix="leadline-")
    hear, tell = os.pipe()
    watch, alive = os.pipe()
    gc.freeze()  # otherwise a collection in the child would copy the memory that the two share
    sys.stdout.flush()
    # Signals wait until the child can take them and the parent knows to whom to pass them on.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads are libraries', which handle a fork
        pid = os.fork()
    if not pid:
        os.close(hear)
        os.close(alive)
        _drive(drive, arguments, Parent(began, scratch, tell, replaces), watch)
    os.close(tell)
    os.close(watch)
    signals.driver = pid
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    if signals.count:  # a signal came while there was no driver to pass it on to
        os.kill(pid, signal.SIGINT)
    driver = _Driver(pid)
    try:
        driver.follow(hear)
    finally:
        signals.driver = 0
        os.close(alive)
        shutil.rmtree(scratch, ignore_errors=True)
    return driver


def _drive(drive: Drive, arguments: Sequence[str], parent: Parent, watch: int) -> NoReturn:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    threading.Thread(target=_follow_parent, args=(watch,), name="parent", daemon=True).start()
    try:
        code = drive(arguments, parent)
    except SystemExit as asked:
        # As Python does: no code is success, and anything but a number is a failure.
        code = FAILED
        if isinstance(asked.code, int):
            code = asked.code
        elif asked.code is None:
            code = DONE
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    parent.ended(code)
    # The driver has stopped what it started. A normal exit would spend a second on what libraries
    # leave behind.
    os._exit(code)


def _follow_parent(watch: int) -> None:
    os.read(watch, 1)  # returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)


def _resuming(sweep: dict[str, Any]) -> list[str]:
    left = [] if sweep["deadline"] is None else ["--time-limit", f"{max(1.0, sweep['deadline'] - time.time()):.0f}s"]
    return ["--resume", sweep["name"], "--storage", sweep["storage"], *left]


def _given_up(death: str, sweep: dict[str, Any], *, interrupted: bool) -> int:
    how = "interrupted" if interrupted else f"driver {death}"
    further = f"; go on with: {resume_command(sweep['storage'], sweep['name'])}" if sweep else ""
    print(f"{how}{further}", file=sys.stderr, flush=True)
    return INTERRUPTED if interrupted else FAILED


def resume_command(storage: str, name: str) -> str:
    """The command to type to go on with a sweep.

    In a job, it is the command for the machine that submitted the job.
    """
    if typed := os.environ.get(RESUME):
        return typed
    script = os.path.relpath(sys.argv[0]) if sys.argv[0] else "SCRIPT"
    where = "" if storage == "results" else f" --storage {shlex.quote(storage)}"
    return f"python {script} --resume {name}{where}"


def _process_start() -> float:
    """When this process started, in seconds since the epoch.

    psutil is not asked, because its figure rests on a boot time in whole seconds.
    """
    try:
        with open("/proc/self/stat") as stream:
            ticks = int(stream.read().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return time.time()
    return time.time() - age
