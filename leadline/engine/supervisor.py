"""The parent process of a driver, which starts the driver again by replay if it has died.

The parent does not use Ray. It forks before anything else has begun, so a new driver needs no
imports and has none of the old one's memory. Where the script has begun something, as threads that
a forked process would not have, the driver is a new process that runs the script again. The driver
is in a session of its own: a signal to the terminal's process group reaches the parent alone, which
passes it on, so that Ray's processes live until the driver has closed its books. A driver that does
not react to signals is ended. If the parent dies, the driver ends as if it had been interrupted.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import select
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from leadline.standard_streams import flush

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
HEARD_SECONDS = 30.0
"""How long a driver may take to acknowledge a signal until its parent ends it."""
SILENT_SECONDS = 1.0
"""How long a driver may tell nothing until its parent looks whether it has ended."""
TWICE_SECONDS = 0.3
"""Signals closer together than this are one, sent to parent and children, or by a held key."""
UNHEARD = 3
"""How many signals in a row a driver may leave unacknowledged until its parent ends it at once."""
ENDING_SECONDS = 0.2
"""How long a thread that has ended may still be listed."""
HANDLES_FORK = {"jemalloc_bg_thd"}
"""Names of threads whose library starts them again in a forked process: pyarrow's allocator."""
_AS_IT_IS, _ONE_THREAD = b"a", b"1"
"""What a forked driver is told before it does anything: whether it may use threads."""
_DRIVER = "LEADLINE_DRIVER"
"""The environment variable in which a new process finds what makes it a driver."""
_handed = os.environ.pop(_DRIVER, "")  # at once, so that no process that this one starts sees it
_calls = 0  # of `supervise` in this process


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
    _folders: list[str] = field(default_factory=list)

    def running(self, name: str, storage: str, limit: float | None = None, address: str = "") -> None:
        """Tells the parent that the ledger has the sweep, so that a dead driver can be replaced.

        Args:
            name: the sweep's name.
            storage: the place of all sweeps, as the user typed it.
            limit: the seconds for which this command may run; None for no limit.
            address: where the user said that it runs, as for `--address`; empty where nothing was
                said.
        """
        deadline = None if limit is None else self.began + limit
        self._tell({"name": name, "storage": storage, "address": address, "deadline": deadline})

    def placing(self) -> None:
        """Tells the parent that the driver has come to its trials."""
        self._tell({"placing": True})

    def made(self, folder: str) -> None:
        """Tells the parent of a further folder for temporary files, so that it removes that too."""
        self._folders.append(folder)
        self._tell({"folders": self._folders})

    def heard(self) -> None:
        """Tells the parent that a signal has reached the driver."""
        self._tell({"heard": True})

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
                for folder in (self.scratch, *self._folders):
                    shutil.rmtree(folder, ignore_errors=True)


Drive = Callable[[Sequence[str], Parent], int]
"""The function that runs a driver: command line and parent in, exit code out."""


@dataclass
class _Driver:
    """A driver's process as its parent sees it: what it has told, and how it ended."""

    pid: int
    said: dict[str, Any] = field(default_factory=dict)
    status: int = 0

    def follow(self, pipe: int, heard: Callable[[], None]) -> None:
        """Listens until the driver is gone, and takes its exit status.

        Args:
            pipe: where the driver tells what it does.
            heard: called when the driver has acknowledged a signal.
        """
        for line in self._told(pipe):
            message = json.loads(line)
            if message.pop("heard", False):
                heard()
            self.said |= message

    def _told(self, pipe: int) -> Iterator[bytes]:
        """Yields the lines that the driver tells until it has ended, and takes its exit status.

        The end of the pipe is not enough: a process that the driver has forked and left behind
        holds it open.
        """
        readable = select.poll()
        readable.register(pipe, select.POLLIN)
        rest = b""
        ended = 0
        with open(pipe, "rb", buffering=0) as stream:
            while True:
                if readable.poll(0 if ended else SILENT_SECONDS * 1000):
                    if not (told := stream.read(2**16)):
                        break
                    *lines, rest = (rest + told).split(b"\n")
                    yield from lines
                elif ended:
                    break
                else:
                    ended, status = os.waitpid(self.pid, os.WNOHANG)
        if not ended:
            _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)

    @property
    def sweep(self) -> dict[str, Any]:
        """The sweep that the driver runs; empty until it has told."""
        return {key: self.said[key] for key in ("name", "storage", "address", "deadline") if key in self.said}

    @property
    def code(self) -> int:
        """The exit code that the driver has told."""
        return int(self.said["code"])

    @property
    def planned(self) -> bool:
        """Whether the driver has ended so that another goes on, as planned."""
        return bool(self.said.get("planned"))

    def fails_as(self, before: str) -> bool:
        """Whether the driver has given the reason of the one before, and no trial came between.

        A third one would give it again. Who was killed has given no reason.
        """
        return self.death == before and "code" in self.said and "placing" not in self.said and not self.planned

    @property
    def death(self) -> str:
        """Why another driver should go on; empty if this one has ended by itself."""
        if "code" in self.said:
            return str(self.said["again"])
        if self.status < 0:
            return f"ended by {signal.Signals(-self.status).name}"
        return f"ended with code {self.status} in the middle"


class _Signals:
    """Passes signals on to the driver that runs now, and ends it where it does not react.

    SIGHUP, by which a closed terminal shows, is passed on as SIGTERM. A signal that this process
    was started to ignore, as SIGHUP by `nohup`, is left alone.
    """

    def __init__(self) -> None:
        self.count = 0
        """How many signals have come."""
        self.ended = False
        """Whether a driver was ended as it did not react."""
        self._driver = 0  # its process id; 0 while there is none
        self._waiting: list[int] = []  # signals that came while there was none
        self._unheard = 0
        self._counted = -math.inf  # when the last of these came, by the monotonic clock
        taken = [number for number in PASSED_ON if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._pass_on) for number in taken}
        # A timer and no thread, with which the process could not be forked.
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._end)

    def pass_to(self, driver: int) -> None:
        """Passes signals on to this process, also those that have come before; 0 to none."""
        self._driver = driver
        self.heard()
        while driver and self._waiting:
            self._send(self._waiting.pop())

    def heard(self) -> None:
        """Notes that the driver has acknowledged a signal."""
        self._unheard = 0
        self._counted = -math.inf
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        passed = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
        if self._driver:
            self._send(passed)
        else:
            self._waiting.append(passed)

    def _send(self, number: int) -> None:
        now = time.monotonic()
        if now - self._counted >= TWICE_SECONDS:
            self._counted = now
            self._unheard += 1
        if self._unheard == 1:
            signal.setitimer(signal.ITIMER_REAL, HEARD_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._driver, number)
        if self._unheard >= UNHEARD:
            self._end(number, None)

    def _end(self, number: int, frame: FrameType | None) -> None:
        """Ends the driver and its process group; Ray's processes end with their driver."""
        if self._driver:
            self.ended = True
            for end in (os.kill, os.killpg):
                with contextlib.suppress(ProcessLookupError):
                    end(self._driver, signal.SIGKILL)

    def reset(self) -> None:
        """Puts back the handlers that were there before."""
        self.pass_to(0)
        for number, handler in self._before.items():
            signal.signal(number, handler)


def supervise(drive: Drive, arguments: Sequence[str], anew: str = "") -> int:
    """Runs a driver in a process of its own and returns the command's exit code.

    Args:
        drive: called in the child with the command line, or with one that resumes the sweep after a
            driver has died.
        arguments: the command line.
        anew: why the driver cannot be forked from this process; empty if it can. The script is then
            run again, or the command refused where that cannot be done.
    """
    began = _process_start()
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        return drive(arguments, Parent(began, tempfile.mkdtemp(prefix="leadline-")))
    if _handed and os.getsid(0) == os.getpid():  # what the script started before is in its session
        _drive_as_told(drive)
    rerunnable = _first_call_of_the_script()
    if anew and not rerunnable:
        print(f"error: {anew}", file=sys.stderr)
        return BAD_INPUT
    signals = _Signals()
    restarts = 0
    replaces = False
    before = ""
    sweep: dict[str, Any] = {}
    try:
        while True:
            driver = _live(drive, arguments, began, replaces, signals, rerunnable, bool(anew))
            sweep |= driver.sweep
            if not driver.death and not (replaces and driver.code == BAD_INPUT):
                return driver.code
            spent = restarts == RESTARTS and not driver.planned
            if signals.count or not sweep or not driver.death or spent or driver.fails_as(before):
                if not signals.count:
                    return _given_up(f"driver {driver.death or 'could not go on'}", sweep, FAILED)
                ended = ", and the driver, which did not react, was ended" if signals.ended else ""
                return _given_up(f"interrupted{ended}", sweep, INTERRUPTED)
            before = driver.death
            restarts += not driver.planned
            count = "" if driver.planned else f" ({restarts} of {RESTARTS})"
            print(f"driver {driver.death}; started again by replay{count}", file=sys.stderr, flush=True)
            arguments = _resuming(sweep)
            began = time.time()
            replaces = True
    finally:
        signals.reset()


def _live(
    drive: Drive,
    arguments: Sequence[str],
    began: float,
    replaces: bool,
    signals: _Signals,
    rerunnable: bool,
    anew: bool,
) -> _Driver:
    """Runs a driver from its start to its end."""
    scratch = tempfile.mkdtemp(prefix="leadline-")
    hear, tell = os.pipe()
    watch, alive = os.pipe()
    flush()
    # Signals wait until the child can take them and the parent knows to whom to pass them on.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    pid = _fork()
    if not pid:
        os.close(hear)
        os.close(alive)
        how = os.read(watch, 1)
        if not how:  # the parent has ended, this process or itself
            os._exit(FAILED)
        signals.reset()
        if how == _ONE_THREAD:
            _use_one_thread()
        _drive(drive, arguments, Parent(began, scratch, tell, replaces), watch)
    lost = _lost_threads()
    if anew or (lost and rerunnable):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        pid = _run_again(arguments, began, scratch, tell, replaces, watch)
    else:
        os.write(alive, _ONE_THREAD if lost else _AS_IT_IS)
    os.close(tell)
    os.close(watch)
    signals.pass_to(pid)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    driver = _Driver(pid)
    try:
        driver.follow(hear, signals.heard)
    finally:
        signals.pass_to(0)
        os.close(alive)
        for folder in (scratch, *driver.said.get("folders", ())):
            shutil.rmtree(folder, ignore_errors=True)
    return driver


def _fork() -> int:
    gc.freeze()  # otherwise a collection in the child would copy the memory that the two share
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # `_lost_threads` looks at what threads there are
        return os.fork()


def _lost_threads() -> int:
    """How many threads of this process its forked child lacks and may wait for without end.

    Such are OpenMP's, once torch has used them. It is asked after the fork, since OpenBLAS ends its
    threads before one, and the child starts its own.
    """
    deadline = time.monotonic() + ENDING_SECONDS
    while (count := _count_threads() - 1) and time.monotonic() < deadline:
        time.sleep(0.001)
    return count


def _count_threads() -> int:
    try:
        names = [Path(thread, "comm").read_text().strip() for thread in Path("/proc/self/task").iterdir()]
    except OSError:  # no Linux, or a thread has ended meanwhile
        import psutil

        return psutil.Process().num_threads()
    return sum(name not in HANDLES_FORK for name in names)


def _use_one_thread() -> None:
    """Makes torch do without the threads that this process does not have.

    With one thread OpenMP asks for no other, and torch may not be given more later.
    """
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)
        torch.set_num_threads = lambda count: None  # type: ignore[assignment]


def _first_call_of_the_script() -> bool:
    """Whether this process, run again, would come to the same call of `supervise`.

    It would where the script that was started has made the call, and none before. It would not in a
    notebook or a test.
    """
    global _calls
    _calls += 1
    frame: FrameType | None = sys._getframe()
    package = __name__.partition(".")[0]
    while frame and str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        frame = frame.f_back
    main = sys.modules["__main__"]
    if _calls > 1 or not frame or frame.f_globals is not vars(main) or not getattr(main, "__file__", None):
        return False
    if getattr(main, "__spec__", None) is not None:  # by `python -m`, which looks in the working directory
        return os.getcwd() in sys.path
    return os.path.realpath(str(main.__file__)) in map(os.path.realpath, sys.orig_argv[1:])


def _run_again(arguments: Sequence[str], began: float, scratch: str, tell: int, replaces: bool, watch: int) -> int:
    """Runs this process's command in a new process, as a driver, and returns the process's id."""
    told = {"arguments": [*arguments], "parent": [began, scratch, tell, replaces], "watch": watch}
    for pipe in (tell, watch):
        os.set_inheritable(pipe, True)
    return os.posix_spawn(
        sys.executable,
        [sys.executable, *sys.orig_argv[1:]],
        {**os.environ, _DRIVER: json.dumps(told)},
        setsid=True,
        setsigmask=(),
    )


def _drive_as_told(drive: Drive) -> NoReturn:
    """Runs the driver in the process that `_run_again` has started."""
    told = json.loads(_handed)
    began, scratch, tell, replaces = told["parent"]
    for pipe in (tell, told["watch"]):
        os.set_inheritable(pipe, False)
    _drive(drive, told["arguments"], Parent(began, scratch, tell, replaces), told["watch"])


def _drive(drive: Drive, arguments: Sequence[str], parent: Parent, watch: int) -> NoReturn:
    if os.getsid(0) != os.getpid():
        os.setsid()

    def interrupted(number: int, frame: FrameType | None) -> None:
        parent.heard()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupted)
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
    flush()
    parent.ended(code)
    # The driver has stopped what it started. A normal exit would spend a second on what libraries
    # leave behind.
    os._exit(code)


def _follow_parent(watch: int) -> None:
    os.read(watch, 1)  # returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)


def _resuming(sweep: dict[str, Any]) -> list[str]:
    left = [] if sweep["deadline"] is None else ["--time-limit", f"{max(1.0, sweep['deadline'] - time.time()):.0f}s"]
    where = ["--address", sweep["address"]] if sweep["address"] else []
    return ["--resume", sweep["name"], "--storage", sweep["storage"], *where, *left]


def _given_up(how: str, sweep: dict[str, Any], code: int) -> int:
    further = f"; go on with: {resume_command(sweep['storage'], sweep['name'], sweep['address'])}" if sweep else ""
    print(f"{how}{further}", file=sys.stderr, flush=True)
    return code


def resume_command(storage: str, name: str, address: str = "") -> str:
    """The command to type to go on with a sweep.

    In a job, it is the command for the machine that submitted the job.

    Args:
        storage: the place of all sweeps, as the user typed it.
        name: the sweep's name.
        address: what to give as `--address`; empty for nothing.
    """
    if typed := os.environ.get(RESUME):
        return typed
    script = os.path.relpath(sys.argv[0]) if sys.argv[0] else "SCRIPT"
    where = "" if storage == "results" else f" --storage {shlex.quote(storage)}"
    at = f" --address {shlex.quote(address)}" if address else ""
    return f"python {script} --resume {name}{where}{at}"


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
