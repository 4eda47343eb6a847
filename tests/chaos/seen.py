"""What the ledger says while the sweep runs, and which processes train which trials."""

from __future__ import annotations

import re
from dataclasses import dataclass

import psutil

from leadline.checkpoint import attempt_folder
from leadline.ledger.events import Failed, Reported, Started, parse
from leadline.ledger.format import Malformed, decode, in_order
from leadline.ledger.history import History
from leadline.ledger.layout import trial_folder
from leadline.storage import Folder

__all__ = ["Running", "Seen"]


@dataclass(frozen=True)
class Running:
    """An attempt that trains, by its process; `failures` are those of the trial so far."""

    trial: int
    attempt: int
    process: psutil.Process
    failures: int
    folder: Folder


class Seen:
    """Follows a ledger, reading each segment once.

    Args:
        folder: the sweep's.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.history = History()
        self.reports = self.retries = self.failures = 0
        """Events so far: reports; attempts other than the first of a trial; failures that count."""
        self._starts, self._next = {1: 0}, 1
        self._pids: dict[tuple[int, int], int] = {}

    def look(self) -> History:
        """The sweep as it is recorded now."""
        ledger = self.folder / "ledger"
        for span in in_order(ledger.sizes())[0]:
            if span.last < self._next:
                continue
            try:
                events = list(map(parse, decode(span, ledger.read(span.name)).records))
            except (Malformed, FileNotFoundError):  # cut off, or compacted since the listing
                break
            begun = self._starts[span.first]
            for event in events[self._starts[self._next] - begun :]:
                self.history.apply(event)
                self.reports += isinstance(event, Reported)
                self.retries += isinstance(event, Started) and event.attempt > 1
                self.failures += isinstance(event, Failed) and event.cause != "storage" and not event.excused
            self._next = span.last + 1
            self._starts[self._next] = begun + len(events)
        return self.history

    def running(self) -> list[Running]:
        """Attempts whose process is there."""
        found = []
        for trial in self.look().trials.values():
            if trial.status != "running":
                continue
            folder = self.folder / trial_folder(trial.number) / attempt_folder(trial.attempts)
            process = self._process(folder, (trial.number, trial.attempts))
            if process:
                found.append(Running(trial.number, trial.attempts, process, trial.failures, folder))
        return found

    def _process(self, folder: Folder, key: tuple[int, int]) -> psutil.Process | None:
        """By the attempt's log; None where it has not begun, or is gone."""
        try:
            if key not in self._pids:
                named = re.search(r" in process (\d+) on ", folder.read("log.txt").decode())
                if not named:
                    return None
                self._pids[key] = int(named[1])
            process = psutil.Process(self._pids[key])
            return process if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::") else None
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None
