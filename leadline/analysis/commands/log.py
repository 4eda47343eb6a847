"""The command `leadline log SWEEP NUMBER`: what a trial has logged, printed and warned of.

It works from any machine that reaches the sweep's storage, also while the trial trains.
"""

from __future__ import annotations

import argparse
import functools
import re
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from leadline.analysis.sweep import Sweep, TrialView
from leadline.command_line import Command, count, trial_number
from leadline.config import ConfigError
from leadline.ledger.layout import trial_folder
from leadline.ledger.reader import READING_PATIENCE
from leadline.storage import Folder, patiently

__all__ = ["LOG", "LogPrinter", "added"]

_Found = TypeVar("_Found")

POLL_SECONDS = 1.0
"""Seconds between two looks at the logs of a trial that is followed."""
LEDGER_SECONDS = 10.0
"""Least seconds between two readings of the ledger, which may be long."""
KNOWN_BY = 2000
"""Characters by which the end of what was printed is found again in a log without its middle."""

_ATTEMPT = re.compile(r"attempt-(\d+)")
_LOG = re.compile(r"log(?:-(\d+))?\.txt")


def added(before: str, now: str) -> str:
    """Returns what a log has got since it was `before`.

    A long log keeps its beginning and its end (`leadline.engine.attempt_log`). Where so much was
    added that the end of `before` is not kept, all that follows the beginning is returned.
    """
    if now.startswith(before):
        return now[len(before) :]
    end = before[-KNOWN_BY:]
    at = now.rfind(end)
    if at >= 0:
        return now[at + len(end) :]
    same = next((i for i, (one, other) in enumerate(zip(before, now, strict=False)) if one != other), len(before))
    return now[now.rfind("\n", 0, same) + 1 :]


class LogPrinter:
    """Prints the logs of a trial, each line once.

    They are in the order of attempts and workers, each below its name where there are several.

    Args:
        folder: the trial's folder.
        attempt: the attempt whose logs are printed; None for all.
        say: prints a text without adding anything to it.
    """

    def __init__(self, folder: Folder, attempt: int | None, say: Callable[[str], object]) -> None:
        self._folder = folder
        self._attempt = attempt
        self._say = say
        self._printed: dict[str, str] = {}
        self._below = ""
        """The name of the log that was printed last."""

    def names(self) -> list[str]:
        """Returns the names of the logs, below the trial's folder."""
        found = []
        for folder in self._patiently(self._folder.folders):
            match = _ATTEMPT.fullmatch(folder)
            if match and self._attempt in (None, int(match[1])):
                files = self._patiently((self._folder / folder).sizes)
                ranks = [(int(log[1] or 0), log[0]) for log in map(_LOG.fullmatch, files) if log]
                found += [(int(match[1]), rank, f"{folder}/{name}") for rank, name in ranks]
        return [name for _, _, name in sorted(found)]

    def news(self) -> bool:
        """Prints what has been added since it was called last, and returns whether anything was."""
        names = self.names()
        told = False
        for name in names:
            now = self._patiently(functools.partial(self._folder.read, name)).decode(errors="replace")
            before = self._printed.get(name, "")
            if now == before:
                continue
            if len(names) > 1 and name != self._below:
                self._say(f"==> {name} <==\n")
            self._say(added(before, now))
            self._printed[name], self._below, told = now, name, True
        return told

    def _patiently(self, action: Callable[[], _Found]) -> _Found:
        return patiently(action, self._folder, seconds=READING_PATIENCE)


def _follow(sweep: Sweep, number: int, printer: LogPrinter) -> None:
    """Prints what is added until the trial has ended, or nobody trains it."""
    looked = time.monotonic()
    while _may_go_on(sweep.trial(number)):
        time.sleep(POLL_SECONDS)
        if not printer.news() and time.monotonic() - looked > LEDGER_SECONDS:
            sweep = Sweep.open(sweep.folder)
            looked = time.monotonic()
    time.sleep(POLL_SECONDS)  # an attempt stores its last lines after its end was recorded
    printer.news()


def _may_go_on(view: TrialView) -> bool:
    return view.trial.open and view.sweep.state == "running"


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep")
    parser.add_argument("number", type=trial_number, metavar="NUMBER", help="the trial's number")
    parser.add_argument("--attempt", type=count, metavar="N", help="this attempt alone [all, in order]")
    parser.add_argument("--follow", action="store_true", help="goes on until the trial has ended; Ctrl-C ends it")


def _log(given: argparse.Namespace) -> None:
    sweep = Sweep.open(given.sweep)
    trial = sweep.trial(given.number).trial
    if given.attempt is not None and given.attempt > trial.attempts and not (given.follow and trial.open):
        had = f"it has had {trial.attempts}" if trial.attempts else "it has had none"
        raise ConfigError(f"attempt: trial {trial.number} has no attempt {given.attempt}; {had}")
    printer = LogPrinter(sweep.folder / trial_folder(trial.number), given.attempt, _print)
    if not printer.news() and not given.follow:
        why = trial.brief if trial.reason else trial.status
        print(f"trial {trial.number} has no log: {why}", file=sys.stderr)
    if given.follow:
        _follow(sweep, trial.number, printer)


LOG = Command("what a trial has logged, printed and warned of", _arguments, _log)
