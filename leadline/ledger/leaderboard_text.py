"""The leaderboard as plain text that follows a running sweep.

It is a file for a log viewer, and a few lines for a status message. Columns are separated by `|`,
because Ray's log viewer collapses spaces; it also takes what follows a percent sign for a comment.
The lines of trials without news are kept, and their order, so that a new text costs only what has
changed since the last one, and a join.
"""

from __future__ import annotations

import bisect
import math
import textwrap
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from leadline.ledger import leaderboard
from leadline.ledger.events import BaselineScored, Closed, Event, Opened
from leadline.ledger.history import History, Trial
from leadline.ledger.leaderboard import Rank
from leadline.ledger.leaderboard_table import against, bounds, number
from leadline.ledger.ranges import legend, words
from leadline.ledger.tally import Tally
from leadline.ledger.wording import utc
from leadline.plain import plural

__all__ = ["Board", "Place", "gpu_memory", "pace"]

MOST = 20_000
"""The most trials of a stratum that are listed.

Ray's log viewer shows the last 50,000 lines of a file.
"""
MARKS = 400
"""The number of characters of a trial's marks that are shown."""
_RUNNING = ("trial", "attempt", "stratum", "spent", "value", "samples/s", "host", "process", "GPU", "node", "searched")
"""The columns of the trials that run."""
STATES = ("waiting", "running", "finished", "stopped", "failed")
"""The states of a trial, in the order in which they are told."""
_EVERY = (Opened, Closed, BaselineScored)
"""The classes of events that may change the line of any trial."""


@dataclass(frozen=True)
class Place:
    """Where a process of an attempt trains.

    Attributes:
        node: Ray's id of the node, in hexadecimal.
        host: the node's name or address.
        pid: the id of the process on that node.
        gpus: the GPUs of that node that the process sees.
    """

    node: str
    host: str
    pid: int
    gpus: tuple[str, ...] = ()


def pace(trial: Trial) -> tuple[float, float]:
    """Returns samples and steps per second between the last two reports.

    Evaluation and saving are included. Both are NaN before the first report.
    """
    if not trial.reports:
        return math.nan, math.nan
    last, past = trial.reports[-1], trial.reports[-2] if len(trial.reports) > 1 else None
    seconds = last.seconds + last.overhead - (past.seconds + past.overhead if past else 0.0)
    if seconds <= 0:
        return math.nan, math.nan
    return (last.samples - (past.samples if past else 0)) / seconds, (last.step - (past.step if past else 0)) / seconds


def gpu_memory(trial: Trial) -> float:
    """Returns the most bytes that the trial has held on its GPU.

    The number is from its last report; NaN where that does not say.
    """
    return trial.reports[-1].facts.get("gpu_memory", math.nan) if trial.reports else math.nan


class Board:
    """The leaderboard of a history that moves on.

    Args:
        history: the state of the sweep; it may change between calls, as long as `touch` is told.
        name: the sweep's name.
        storage: where the sweep is, without options or secrets.
    """

    def __init__(self, history: History, name: str, storage: str = "") -> None:
        self.history = history
        self._name = name
        self._storage = storage
        self._tally = Tally(history)
        self._lines: dict[int, str] = {}
        self._places: dict[int, Rank] = {}
        self._order: defaultdict[str, list[Rank]] = defaultdict(list)
        """The places of each stratum's search trials, in order; each ends in the trial's number."""
        self._settled: list[str] | None = None
        """The table of confirmed finalists, as it was when a trial last ended; None where it must
        be made anew."""

    def touch(self, event: Event) -> None:
        """Forgets what an event may have changed; the history has just taken that event."""
        self._tally.take(event)
        if isinstance(event, _EVERY):
            self._lines.clear()
            self._places.clear()
            self._order.clear()
            self._settled = None
        elif trial := self.history.trials.get(getattr(event, "trial", -1)):
            self._lines.pop(trial.number, None)
            if self._places and trial.kind == "search":
                self._put(trial)
            if trial.kind == "replicate" or not trial.open:
                self._settled = None

    def _put(self, trial: Trial) -> None:
        """Puts a trial to its place among those of its stratum."""
        order = self._order[trial.stratum]
        if (before := self._places.get(trial.number)) is not None:
            del order[bisect.bisect_left(order, before)]
        found = self._places[trial.number] = leaderboard.place(self.history, trial)
        bisect.insort(order, found)

    def ranked(self, stratum: str) -> list[Trial]:
        """Returns the search trials of a stratum, best first, as `leaderboard.ranked` does."""
        return [self.history.trials[place[-1]] for place in self._ranked(stratum)]

    def _ranked(self, stratum: str) -> list[Rank]:
        if not self._places:
            for trial in self.history.search_trials():
                found = self._places[trial.number] = leaderboard.place(self.history, trial)
                self._order[trial.stratum].append(found)
            for order in self._order.values():
                order.sort()
        return self._order[stratum]

    def best(self, stratum: str) -> Trial | None:
        """Returns the best trial of a stratum; None where none has a finite value."""
        ranked = self._ranked(stratum)
        first = self.history.trials[ranked[0][-1]] if ranked else None
        return first if first and math.isfinite(first.value(leaderboard.objective(self.history))) else None

    def running(self) -> list[Trial]:
        """Returns the trials that hold a place, replicates included."""
        return self._tally.of("running")

    def states(self) -> dict[str, int]:
        """Returns the number of search trials in each state."""
        return {state: self._tally.states["search", state] for state in STATES}

    def progress(self) -> str:
        """Returns in one line how many trials are in each state."""
        tally, trials = self._tally, plural(self.history.settings.trials, "trial")
        counts = ", ".join(f"{count} {state}" for state, count in self.states().items() if count)
        confirming = ""
        if tally.begun("replicate"):
            confirming = "; confirming {} of {}".format(*tally.confirming())
        return f"{tally.begun('search')} of {trials} ({counts or 'none yet'}){confirming}"

    def summary(self) -> list[str]:
        """Returns a line for each stratum with its best trial so far."""
        return [self._best_line(stratum) for stratum in leaderboard.strata(self.history)]

    def _best_line(self, stratum: str) -> str:
        history, trial = self.history, self.best(stratum)
        where = f"{history.settings.stratify} {stratum}: " if history.settings.stratify else ""
        if trial is None:
            return f"{where}no value yet"
        measure = trial.measure(leaderboard.objective(history))
        assert measure is not None, "it has a finite value"
        marks = ", ".join(leaderboard.marks(history, trial)) or "none"
        spent = (
            ""
            if trial.status == "finished"
            else f", {trial.status} at {history.spent(trial.scored or trial.reports[-1])} of {history.budget}"
        )
        return (
            f"{where}trial {trial.number}, {history.settings.metric} {number(measure.value)} "
            f"(interval {bounds(measure.low, measure.high)}, n {measure.n}{spent}); "
            f"searched: {words(trial) or 'nothing'}; marks: {_short(marks)}"
        )

    def text(self, places: Mapping[int, Sequence[Place]] | None = None, now: float | None = None) -> str:
        """Returns the whole leaderboard.

        Args:
            places: where the processes of running trials are, by the trial's number, as far as
                known.
            now: seconds since the epoch; None for the clock.
        """
        history = self.history
        if history.opened is None:
            return f"{self._name}: nothing recorded yet\n"
        lines = [*self._head(time.time() if now is None else now), *self._running(places or {})]
        lines += [*legend(lines), *self._settle()]
        for stratum in leaderboard.strata(history):
            lines += ["", *self._stratum(stratum)]
        return "\n".join(lines) + "\n"

    def _head(self, now: float) -> list[str]:
        settings = self.history.settings
        failed = [f"guard: {found['guard']}: {found['sentence']}" for found in self.history.findings if found["failed"]]
        return [
            f"sweep {self._name} in {self._storage}" if self._storage else f"sweep {self._name}",
            f"{settings.metric} on validation, {settings.mode}imised; "
            "n counts independent units, intervals are of 95 per cent",
            f"written {utc(now)}, last event {utc(self.history.last_time)}, "
            f"{self.history.closed or 'running'}: {self.progress()}",
            *(f"best: {line}" for line in self.summary()),
            *filter(None, [self.history.stopping_off]),
            *failed,
        ]

    def _running(self, places: Mapping[int, Sequence[Place]]) -> list[str]:
        history, unknown = self.history, [Place("-", "-", 0)]
        lines = [
            "",
            "running now",
            _row(*_RUNNING),
        ]
        for trial, place in [
            (running, place) for running in self.running() for place in places.get(running.number, unknown)
        ]:
            lines.append(
                _row(
                    trial.number if trial.kind == "search" else f"{trial.number} (of {trial.of})",
                    trial.attempts,
                    trial.stratum,
                    history.spent(trial.reports[-1]) if trial.reports else 0,
                    number(trial.value(leaderboard.objective(history))),
                    number(pace(trial)[0]),
                    place.host,
                    place.pid or "-",
                    ",".join(place.gpus) or "-",
                    place.node,
                    words(history.finalist(trial)) or "-",
                )
            )
        return lines if len(lines) > 3 else []

    def _settle(self) -> list[str]:
        if self._settled is None:
            self._settled = self._confirmed() if self._tally.begun("replicate") else []
        return self._settled

    def _confirmed(self) -> list[str]:
        rows = leaderboard.confirmations(self.history, finalists=self._tally.field)
        if not rows:
            return []
        lines = ["", "confirmed: fresh seeds, on the test split, which the search has not seen"]
        lines.append(_row("stratum", "trial", "value", "interval", "n", "seeds", "best trivial on test"))
        for row in rows:
            beside = against(self.history, self.history.trials[row["trial"]])
            interval = bounds(row["low"], row["high"])
            lines.append(
                _row(row["stratum"], row["trial"], number(row["value"]), interval, row["n"], row["replicates"], beside)
            )
        return lines

    def _stratum(self, stratum: str) -> Iterable[str]:
        history, metric, order = self.history, leaderboard.objective(self.history), self.ranked(stratum)
        yield f"{history.settings.stratify or 'stratum'} {stratum}: {plural(len(order), 'trial')}, best first"
        for line in leaderboard.rivals(history, stratum, metric):
            value = line.metrics[metric]
            yield _row("trivial", line.name, "-", number(value.value), bounds(value.low, value.high), value.n)
        yield _row("place", "trial", "status", "value", "interval", "n", history.settings.unit, "marks")
        for index, trial in enumerate(order[:MOST], 1):
            yield f"{index} | {self._line(trial)}"
        if order[MOST:]:
            yield f"and {len(order) - MOST} more"

    def _line(self, trial: Trial) -> str:
        if (known := self._lines.get(trial.number)) is None:
            known = self._lines[trial.number] = _row(*_cells(self.history, trial))
        return known


def _cells(history: History, trial: Trial) -> list[object]:
    measure = trial.measure(leaderboard.objective(history))
    scored = (number(measure.value), bounds(measure.low, measure.high), measure.n) if measure else ("-", "-", "-")
    spent = history.spent(trial.scored) if trial.scored else 0
    return [trial.number, trial.status, *scored, spent, _short(", ".join(leaderboard.marks(history, trial)) or "-")]


def _row(*cells: object) -> str:
    return " | ".join(str(cell) for cell in cells)


def _short(text: str) -> str:
    return textwrap.shorten(text, MARKS, placeholder=" ...") if len(text) > MARKS else text
