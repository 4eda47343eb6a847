"""The ledger: an append-only sequence of events in immutable numbered segments with a hash chain.

    <sweep>/ledger/00000001.jsonl    line 1: {"schema", "segment", "previous": sha256 of the segment before}; then one event a line

One writer commits events in groups. Object stores have no append, so a group is a new file; a segment that exists already
is never replaced, so of two writers one fails.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import warnings
from collections.abc import Mapping
from typing import Any

from trainables.storage import Folder

__all__ = ["SCHEMA", "Event", "Ledger", "LedgerError", "read"]

SCHEMA = 1
GROUP_SECONDS = 0.2
_START = "0" * 64

Event = dict[str, Any]


class LedgerError(RuntimeError):
    """A ledger that cannot be read or written; the message names the file."""


def _name(number: int) -> str:
    return f"{number:08d}.jsonl"


def _scan(folder: Folder) -> tuple[list[Event], int, str, str | None]:
    """Events, the last intact segment's number and hash, and what is wrong with the tail, if anything is."""
    names = sorted(name for name in folder.sizes() if name.endswith(".jsonl"))
    events: list[Event] = []
    previous = _START
    for number, name in enumerate(names, start=1):
        if name != _name(number):
            raise LedgerError(f"ledger: damaged in its middle: {folder}/{_name(number)} is missing")
        content = folder.read(name)
        try:
            header, *lines = [json.loads(line) for line in content.decode().splitlines()]
            if header["schema"] != SCHEMA:
                raise LedgerError(f"ledger: {folder}/{name} has schema {header['schema']}, this version reads {SCHEMA}")
            if header["segment"] != number:
                raise ValueError(f"it says that it is segment {header['segment']}")
            if len(lines) != header["events"] or not content.endswith(b"\n"):
                raise ValueError(f"{len(lines)} of {header['events']} events are there")
            if header["previous"] != previous:  # no write that was cut off leaves a whole segment that names another
                before = f"{folder}/{_name(number - 1)}" if number > 1 else "a segment before the first"
                changed = f"{folder}/{name} does not follow {before}: one of the two has changed"
                raise LedgerError(f"ledger: damaged in its middle: {changed}; restore the one that has")
        except (ValueError, KeyError, TypeError) as error:
            problem = f"{folder}/{name}: {error}"
            if number < len(names):
                raise LedgerError(f"ledger: damaged in its middle: {problem}") from None
            return events, number - 1, previous, problem
        events += lines
        previous = hashlib.sha256(content).hexdigest()
    return events, len(names), previous, None


def read(folder: Folder) -> list[Event]:
    """All events in order.

    A damaged last segment is named in a warning and left out: its events had not been confirmed or are lost with the file.

    Raises:
        LedgerError: if there is no ledger, or it is damaged before its last segment.
    """
    if not folder.exists():
        raise LedgerError(f"ledger: none at {folder}")
    events, _, _, problem = _scan(folder)
    if problem:
        warnings.warn(f"ledger: damaged tail left out: {problem}", stacklevel=2)
    return events


class Ledger:
    """The one writer of a sweep's ledger.

    `append` returns at once; what it has been given is stored with the next group, in the same order. Whoever must not act before an
    event is stored asks `stored`, or waits in `commit`. A failure to store is raised by all of them.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.past, self._segment, self._previous, problem = _scan(folder)
        if problem:
            self._set_aside(problem)
        self._pending: list[Event] = []
        self._appended = self._stored = 0
        self._urgent = self._closed = False
        self._error: BaseException | None = None
        self._wake = threading.Condition()
        self._writer = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._writer.start()

    def append(self, event: Mapping[str, Any]) -> int:
        """Queues an event for the next group; its position, for `stored`."""
        with self._wake:
            self._raise_error()
            self._pending.append(dict(event))
            self._appended += 1
            self._wake.notify_all()
            return self._appended

    def stored(self, position: int, within: float = 0.0) -> bool:
        """Whether the event of that position, and all before it, are stored; the group does not wait for its full time any more.

        Args:
            within: seconds to wait for it.

        Raises:
            LedgerError: if it could not be.
        """
        with self._wake:
            if self._stored < position:
                self._urgent = True
                self._wake.notify_all()
                self._wake.wait_for(lambda: self._stored >= position or self._error is not None, within)
            self._raise_error()
            return self._stored >= position

    def commit(self) -> None:
        """Waits until every event appended so far is stored.

        Raises:
            LedgerError: if it could not be.
        """
        self.stored(self._appended, within=threading.TIMEOUT_MAX)

    def close(self) -> None:
        """Commits and ends the writer."""
        self.commit()
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._writer.join()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise LedgerError(f"ledger: cannot write to {self.folder}: {self._error}") from self._error

    def _set_aside(self, problem: str) -> None:
        name = _name(self._segment + 1)
        warnings.warn(f"ledger: damaged tail set aside: {problem}", stacklevel=3)
        self.folder.write(f"{name}.damaged-{time.time_ns()}", self.folder.read(name))
        self.folder.files.delete_file(f"{self.folder.path}/{name}")

    def _write(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._pending or self._closed)
                if self._closed and not self._pending:
                    return
                self._wake.wait_for(lambda: self._urgent or self._closed, timeout=GROUP_SECONDS)
                group, self._pending, self._urgent = self._pending, [], False
            try:
                self._store(group)
            except Exception as error:
                with self._wake:
                    self._error = error
                    self._wake.notify_all()
                return
            with self._wake:
                self._stored += len(group)
                self._wake.notify_all()

    def _store(self, group: list[Event]) -> None:
        header = {"schema": SCHEMA, "segment": self._segment + 1, "previous": self._previous, "events": len(group)}
        content = "".join(json.dumps(line, allow_nan=False) + "\n" for line in [header, *group]).encode()
        self.folder.write(_name(self._segment + 1), content, exclusive=True)
        self._segment += 1
        self._previous = hashlib.sha256(content).hexdigest()
