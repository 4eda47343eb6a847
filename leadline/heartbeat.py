"""A small file by which whoever looks can tell a slow attempt from a dead one.

    <trial>/attempt-01/heartbeat.json

It says what the attempt does, how far it is and how fast, and when and how often the file is
written. A thread of the trial's process writes it, also while the process evaluates or saves. It
only reads of the training, so that it changes nothing of it, and whatever goes wrong with the file
is tried again the next time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import math
import re
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from leadline.checkpoint import attempt_folder
from leadline.config import TrialConfig
from leadline.measure import Metric, Report, sign
from leadline.storage import Folder, patiently

__all__ = ["FILE", "Beat", "Doing", "Heartbeat", "Pace", "read"]

FILE = "heartbeat.json"
"""The file's name in the attempt's folder."""
LOCAL_SECONDS, REMOTE_SECONDS = 10.0, 60.0
"""Seconds from one writing to the next, on a file system of this machine and on an object store."""
LOOK_SECONDS = 1.0
"""Seconds from one look at the training to the next."""
SOONEST = 0.2
"""The part of the interval that passes at least between two writings, where the state changes."""
RATE_SECONDS = 60.0
"""The time over which the rate is taken."""
END_SECONDS = 2.0
"""How long the end of an attempt waits for its last writing."""
STALE = 3
"""Intervals without a writing after which an attempt may be dead."""

Doing = Literal["starting", "training", "evaluating", "saving", "waiting", "ended"]
"""What an attempt does: `starting` is up to the first step, with the data and the checkpoint that
it goes on from; `waiting` is for what becomes of the trial after a report."""

_ATTEMPT = re.compile(r"attempt-(\d+)")


class Watched(Protocol):
    """What is looked at: a `leadline.training.loop.Loop`."""

    doing: Doing
    step: int
    config: TrialConfig
    history: list[Report]
    metric: Metric


@dataclass(frozen=True)
class Beat:
    """What a heartbeat's file says.

    Attributes:
        run: the sweep's name, the trial and the attempt, as `NAME/trials/0003/attempt-01`.
        state: what the attempt does.
        step: optimizer steps done.
        steps: optimizer steps of the whole budget.
        steps_per_second: the rate over the last minute, evaluations included; None where no step
            was seen yet.
        seconds_left: what is left of the budget at the attempt's own pace, evaluations included;
            None where there is none yet.
        best: `metric`, `value` and `step` of the best report so far; None before the first.
        time: when it was written, in UTC, as `2026-01-31T12:00:00Z`.
        interval: seconds after which it is written again at the latest.
    """

    run: str
    state: Doing
    step: int
    steps: int
    steps_per_second: float | None
    seconds_left: float | None
    best: dict[str, Any] | None
    time: str
    interval: float

    @property
    def written(self) -> float:
        """When it was written, in seconds since the epoch."""
        return datetime.datetime.fromisoformat(self.time).timestamp()

    def stale(self, now: float) -> bool:
        """Whether the file is older than an attempt that lives would let it become."""
        return self.state != "ended" and now - self.written > STALE * self.interval


def read(trial: Folder, attempt: int, *, patience: float) -> Beat | None:
    """Returns what an attempt's heartbeat says; None where there is none that can be understood.

    Args:
        trial: the trial's folder.
        attempt: the attempt's number.
        patience: seconds for which the storage is waited for.

    Raises:
        StorageError: if the storage has not answered by then.
    """
    place = trial / attempt_folder(attempt)
    try:
        found = Beat(**json.loads(patiently(lambda: place.read(FILE), place, seconds=patience)))
        return found if found.written else None
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


class Pace:
    """How fast steps are taken, told by looks at their number."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None
        self._looks: deque[tuple[float, int]] = deque()
        """Those of the last minute, and the one before."""

    def look(self, now: float, step: int) -> None:
        """Takes notice of the number of steps at a time in seconds."""
        self._first = self._first or (now, step)
        self._looks.append((now, step))
        while len(self._looks) > 1 and self._looks[1][0] <= now - RATE_SECONDS:
            self._looks.popleft()

    @property
    def rate(self) -> float | None:
        """Steps per second over the last minute."""
        return self._rate(self._looks[0]) if self._looks else None

    def left(self, steps: int) -> float | None:
        """The seconds that a number of further steps take at the pace since the first look."""
        rate = self._rate(self._first) if self._first else None
        return steps / rate if rate else None

    def _rate(self, since: tuple[float, int]) -> float | None:
        seconds, steps = (self._looks[-1][at] - since[at] for at in (0, 1))
        return max(0, steps) / seconds if seconds > 0 else None


class _Superseded(Exception):
    """Raised where a later attempt has begun, so that this one was lost."""


class Heartbeat:
    """A context within which an attempt's heartbeat is written.

    It ends with `ended`, or without a word where a later attempt of the trial has begun.

    Args:
        trial: the trial's folder.
        attempt: the attempt's number.
        run: the name that the file gives the attempt.
        interval: seconds from one writing to the next; by default as the storage is.
    """

    def __init__(self, trial: Folder, attempt: int, run: str, interval: float | None = None) -> None:
        self._trial = trial
        self._attempt = attempt
        self._run = run
        self._interval = interval or (LOCAL_SECONDS if trial.local else REMOTE_SECONDS)
        self._watched: Watched | None = None
        self._pace = Pace()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)

    def watch(self, loop: Watched) -> None:
        """Tells of this training from now on."""
        self._watched = loop

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        # A storage that does not answer keeps the thread, and nobody else.
        self._thread.join(END_SECONDS)

    @property
    def _doing(self) -> Doing:
        if self._over.is_set():
            return "ended"
        return self._watched.doing if self._watched else "starting"

    def _work(self) -> None:
        written, told = -math.inf, ""
        while not self._over.is_set():
            now = time.monotonic()
            self._look()
            changed = self._doing != told and now - written >= SOONEST * self._interval
            if changed or now - written >= self._interval:
                written, told = now, self._doing
                self._write(math.inf)
            self._over.wait(min(LOOK_SECONDS, SOONEST * self._interval))
        self._write(END_SECONDS)

    def _look(self) -> None:
        loop = self._watched
        if loop and loop.doing != "starting":
            self._pace.look(time.monotonic(), loop.step)

    def _write(self, patience: float) -> None:
        """Writes the file, if the storage takes it within so many seconds or before the end.

        A try that does not return is waited for, so that a storage which hangs has one at most.
        """

        def waiting() -> None:
            self._look()
            if self._over.is_set() and patience == math.inf:
                raise TimeoutError

        # Whatever it is, the trial is not to fail for it: the next time all is written again.
        with contextlib.suppress(Exception):
            try:
                patiently(self._try, self._trial, seconds=patience, try_seconds=patience, alive=waiting)
            except _Superseded:
                self._over.set()

    def _try(self) -> None:
        names = map(_ATTEMPT.fullmatch, self._trial.folders())
        if any(int(name[1]) > self._attempt for name in names if name):
            raise _Superseded
        content = json.dumps(dataclasses.asdict(self._beat()), allow_nan=False).encode()
        (self._trial / attempt_folder(self._attempt)).write(FILE, content)

    def _beat(self) -> Beat:
        loop, rate, left = self._watched, self._pace.rate, None
        if loop and self._doing != "ended":
            left = self._pace.left(max(0, loop.config.steps - loop.step))
        return Beat(
            self._run,
            self._doing,
            loop.step if loop else 0,
            loop.config.steps if loop else 0,
            None if rate is None else float(f"{rate:.4g}"),
            None if left is None else float(f"{left:.4g}"),
            _best(list(loop.history), loop.metric) if loop else None,
            datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            self._interval,
        )


def _best(reports: Sequence[Report], metric: Metric) -> dict[str, Any] | None:
    """The first of the best reports whose value is finite."""
    name = f"validation/{metric.name}"
    values = [(report.value(name), report.step) for report in reports if name in report.metrics]
    finite = [pair for pair in values if math.isfinite(pair[0])]
    if not finite:
        return None
    value, step = min(finite, key=lambda pair: sign(metric.mode) * pair[0])
    return {"metric": name, "value": value, "step": step}
