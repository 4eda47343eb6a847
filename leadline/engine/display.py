"""Shows a sweep while it runs.

A terminal gets a live table; anything else, such as the log of a Ray job, gets lines now and then.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from leadline.engine.director import MOVED, Director
from leadline.engine.plan import expected_search
from leadline.ledger import leaderboard
from leadline.ledger.leaderboard_table import Column, fitted, number
from leadline.ledger.ranges import legend, words
from leadline.ledger.rungs import OFF
from leadline.plain import plural
from leadline.standard_streams import drop

__all__ = ["Display", "console"]

REFRESH_SECONDS = 0.5
"""Least time between two refreshes of the live table."""
LINE_SECONDS = 10.0
"""Least time between two lines of state where there is no terminal."""
TABLE_SECONDS = 60.0
"""Least time between two tables where there is no terminal."""
RUNNING = 12
"""The most running trials that the live table lists."""
TOLD = 3
"""How many findings of one guard, or failures of one cause, are printed while a sweep runs."""


class _Console(Console):
    """A console that falls silent once nobody reads it, as after `| head`; the sweep goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        drop(sys.stdout)


def console() -> Console:
    """A console on the process's output; 160 columns wide where that is not a terminal."""
    # Texts of the ledger are shown as they are: no markup and no emoji is read in them.
    plain: dict[str, Any] = {"markup": False, "emoji": False}
    return _Console(**plain) if sys.stdout.isatty() else _Console(width=160, **plain)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


class Display:
    """Shows a director's state. `tick` may be called as often as one likes."""

    def __init__(self, director: Director, name: str, console: Console) -> None:
        self._director = director
        self._name = name
        self._console = console
        self._began = time.monotonic()
        # The first line comes at once, the first table with the next.
        self._shown = -math.inf
        self._tabled = self._began + LINE_SECONDS / 2 - TABLE_SECONDS
        self._rows_shown = list[list[str]]()
        self._told: Counter[str] = Counter()
        self._expected = expected_search(director.settings)
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()

    def tick(self) -> None:
        """Prints what guards have found, and refreshes the display if it is time."""
        self._tell()
        now = time.monotonic()
        if now - self._shown < (REFRESH_SECONDS if self._live else LINE_SECONDS):
            return
        self._shown = now
        if self._live:
            self._live.update(self.tables(), refresh=True)
        else:
            self._say(self.line())
            self._tell_rows(now)

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _tell_rows(self, now: float) -> None:
        """Prints the table, if it has changed.

        Columns are parted by `|`, because Ray's log viewer collapses spaces.
        """
        if now - self._tabled < TABLE_SECONDS:
            return
        before = self._rows_shown
        self._tabled = now
        self._rows_shown = self._rows()
        if self._rows_shown != before:
            for row in [self._headings(), *self._rows_shown]:
                self._say(" | ".join(row))
            for line in legend(row[-1] for row in self._rows_shown):
                self._say(line)

    def _tell(self) -> None:
        """Prints the first few findings of each guard, and failures of each cause, as they come.

        All of them are in the ledger and on the leaderboard.
        """
        for line in self._director.news:
            kind = line.split(": ")[1]
            whose = "guard"
            if kind in ("note", MOVED):
                whose = "note"
            elif kind.startswith("attempt "):
                whose = "failure"
                kind = kind.partition(" ")[2].partition(" ")[2]  # without "attempt 1"
            self._told[kind] += 1
            if self._told[kind] <= TOLD:
                more = (
                    "; further ones that move are not told of"
                    if kind == MOVED
                    else f"; more of {kind} on the leaderboard"
                )
                rest = more if self._told[kind] == TOLD else ""
                self._say(f"{whose}: {line.replace(': note: ', ': ', 1)}{rest}")
        self._director.news.clear()

    def close(self) -> None:
        """Takes the live table away."""
        self._tell()
        if self._live:
            self._live.stop()

    def line(self) -> str:
        """The state in one line."""
        history = self._director.history
        tally = self._director.tally
        states = {state: count for (kind, state), count in sorted(tally.states.items()) if kind == "search" and count}
        counts = ", ".join(f"{count} {state}" for state, count in states.items())
        confirming = "; confirming {}/{}".format(*tally.confirming()) if tally.begun("replicate") else ""
        settings = self._director.settings
        return (
            f"[{_clock(time.monotonic() - self._began)}, {self._time_left()} of training left] {self._name}: "
            f"{sum(states.values())}/{plural(settings.trials, 'trial')} ({counts or 'none yet'}){confirming}; "
            f"best so far {self._best()}{f'; {OFF}' if history.stopping_off else ''}"
        )

    def _best(self) -> str:
        found = []
        for stratum in leaderboard.strata(self._director.history):
            best = self._director.tally.best(stratum)
            value = best.value(leaderboard.objective(self._director.history)) if best else math.nan
            found.append(f"{stratum}: {number(value)}")
        return ", ".join(found)

    def _time_left(self) -> str:
        """The time that is left at the rate of training of all reports; a `?` before the first.

        Nothing but training is in it: scores come in pauses of any length, and the start of
        processes is at first most of the time, and later next to none.
        """
        tally = self._director.tally
        if not tally.spent:
            return "?"
        return "~" + _clock(self._left() * tally.seconds / tally.spent / max(1, len(self._director.running())))

    def _left(self) -> float:
        """The budget to come: that expected of search trials, and that of confirmation runs."""
        settings = self._director.settings
        history = self._director.history
        each = settings.budget if history.stopping_off else self._expected
        tally = self._director.tally
        ongoing = [trial for trial in [*tally.of("running"), *tally.of("waiting")] if trial.kind == "search"]
        spent = [history.spent(trial.reports[-1]) if trial.reports else 0 for trial in ongoing]
        to_come = max(0, settings.trials - tally.searched.total())
        search = sum(max(0.0, each - part) for part in spent) + each * to_come
        ended, total = tally.confirming()
        searching = bool(ongoing or to_come)
        planned = max(total, searching * settings.confirm * settings.replicates * len(settings.strata))
        return search + max(0, planned - ended) * settings.budget

    def _headings(self) -> list[str]:
        settings = self._director.settings
        rungs = [f"rung {rung}" for rung in settings.rungs]
        fixed = [settings.stratify or "stratum", "trials", *rungs, f"at {settings.budget}"]
        return [*fixed, "best", "interval", "trial", "searched"]

    def _rows(self) -> list[list[str]]:
        """One row for each stratum: how far its trials have come, and the best of them."""
        history = self._director.history
        rows = list[list[str]]()
        for stratum in leaderboard.strata(history):
            first = self._director.tally.best(stratum)
            measure = first.measure(leaderboard.objective(history)) if first else None
            populations = self._director.asha[stratum].population().values()
            counts = [self._director.tally.searched[stratum], *populations, self._director.tally.finished(stratum)]
            best = ["-"] * 4
            if first and measure:
                interval = f"{number(measure.low)}..{number(measure.high)}"
                best = [number(measure.value), interval, str(first.number), words(first) or "-"]
            rows.append([stratum, *map(str, counts), *best])
        return rows

    def _running(self) -> list[list[str]]:
        """One row for each trial that runs, with what was searched of it; the first `RUNNING`."""
        history, metric = self._director.history, leaderboard.objective(self._director.history)
        return [
            [
                str(trial.number) if trial.of is None else f"{trial.number} (of {trial.of})",
                trial.stratum,
                str(history.spent(trial.reports[-1]) if trial.reports else 0),
                number(trial.value(metric)),
                words(history.finalist(trial)) or "-",
            ]
            for trial in self._director.running()[:RUNNING]
        ]

    def tables(self) -> Group:
        """The state in a line and in tables: the best of each stratum, and what runs now."""
        settings, width = self._director.settings, self._console.width
        title = f"{settings.metric} on validation ({settings.mode}); intervals are of 95 %"
        best, running = self._rows(), self._running()
        shown: list[RenderableType] = [self.line(), _table(title, self._headings(), best, width)]
        if running:
            headings = ["trial", settings.stratify or "stratum", settings.unit, "value", "searched"]
            shown.append(_table("running now", headings, running, width))
        more = len(self._director.running()) - len(running)
        shown += [f"and {more} more"] if more else []
        return Group(*shown, *legend(row[-1] for row in [*best, *running]))


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Table:
    """A table of these rows, whose last column is what was searched, as far as there is room."""
    *numbers, last = range(len(headings))
    columns = [Column(headings[at], [row[at] for row in rows], optional=headings[at] == "interval") for at in numbers]
    searched = Column(headings[last], [row[last] for row in rows], left=True, optional=True, wraps=True)
    return fitted(title, [*columns, searched], width)
