"""Reading of a ledger: the chain of its segments from the first to the last.

It works also while the ledger's writer compacts it.
"""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from leadline.ledger.events import Event, Opened, parse
from leadline.ledger.format import START, Malformed, Segment, Span, decode, in_order
from leadline.ledger.settings import Settings
from leadline.storage import Folder, patiently

__all__ = ["READING_PATIENCE", "LedgerError", "Scan", "contents", "listed", "read", "scan", "steady", "uncollected"]

LISTINGS = 10
"""How often a reader may start again because segments were compacted while it read them."""
READING_PATIENCE = 10.0
"""Seconds for which a reader waits for a storage that does not answer."""
READERS = 8
"""The number of requests at a time to an object store."""

_Found = TypeVar("_Found")


class LedgerError(RuntimeError):
    """Raised for a ledger that cannot be read or written; the message names the file."""


@dataclass(frozen=True)
class Scan:
    """What a reading of a ledger has found.

    Attributes:
        names: the names of all files that were there.
        segments: the intact segments, in order.
        torn: the last segment where it is damaged; None otherwise.
        problem: what is wrong with the last segment; empty where nothing is.
        covered: files that a compacted segment covers.
    """

    names: list[str]
    segments: list[Segment]
    torn: Span | None
    problem: str
    covered: list[Span]

    @property
    def events(self) -> list[Event]:
        """All events in order. They are made anew for each call.

        Raises:
            ValueError: for an event of unknown type.
            KeyError: for an event that lacks a field.
        """
        with uncollected():
            return [parse(record) for segment in self.segments for record in segment.records]

    @property
    def newer_settings(self) -> list[str]:
        """The settings of the last opening that this version does not know.

        A newer version of the program has written them.
        """
        records = (record for segment in reversed(self.segments) for record in reversed(segment.records))
        last = next((record for record in records if record["type"] == Opened.type), None)
        return Settings.unknown(last["settings"]) if last else []


def contents(folder: Folder, spans: list[Span], patience: float = READING_PATIENCE) -> Iterator[bytes]:
    """Yields the files' contents in order; an object store is asked for several at a time.

    Raises:
        FileNotFoundError: if a segment was compacted meanwhile.
        StorageError: if the storage does not answer.
    """

    def content(span: Span) -> bytes:
        return patiently(lambda: folder.read(span.name), f"{folder}/{span.name}", seconds=patience)

    if folder.local:
        yield from map(content, spans)
        return
    with ThreadPoolExecutor(READERS) as readers:
        for start in range(0, len(spans), 8 * READERS):
            yield from readers.map(content, spans[start : start + 8 * READERS])


def steady(folder: Folder, walk: Callable[[list[str]], _Found], patience: float = READING_PATIENCE) -> _Found:
    """Calls `walk` with the ledger's file names, again where segments were compacted meanwhile.

    Such a compaction is always noticed, because a compacted segment is published before its parts
    are removed.

    Raises:
        LedgerError: if compactions do not end.
        Exception: what `walk` raises.
    """
    names = listed(folder, patience)
    for _ in range(LISTINGS):
        outcome: Future[_Found] = Future()
        try:
            outcome.set_result(walk(names))
        except Exception as error:
            outcome.set_exception(error)
        before, names = names, listed(folder, patience)
        if not any(span.compacted for span in filter(None, map(Span.of, {*names} - {*before}))):
            return outcome.result()
    raise LedgerError(f"ledger: {folder} is compacted faster than it can be read")


def listed(folder: Folder, patience: float = READING_PATIENCE) -> list[str]:
    """Returns the names of a ledger's files, sorted."""
    return sorted(patiently(folder.sizes, folder, seconds=patience))


def scan(folder: Folder, patience: float = READING_PATIENCE) -> Scan:
    """Reads a ledger, which need not exist.

    Args:
        folder: the ledger's folder.
        patience: seconds for which a storage that does not answer is waited for.

    Raises:
        LedgerError: if it is damaged before its last segment.
        StorageError: if the storage does not answer.
    """
    with uncollected():
        return steady(folder, lambda names: _chained(folder, names, patience), patience)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Switches garbage collection off while millions of events are made.

    The collector would look through them again and again, also afterwards. Events have no cycles,
    so they are freed all the same once nobody holds them.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # Later collections do not look through frozen objects either.
        gc.freeze()
        if was:
            gc.enable()


def _chained(folder: Folder, names: list[str], patience: float) -> Scan:
    for name in names:
        if name.endswith(".jsonl") and Span.of(name) is None:
            raise LedgerError(f"ledger: {folder}/{name} is no segment's name: move it elsewhere")
    spans, covered = in_order(names)
    segments: list[Segment] = []
    number, previous = 0, START
    for span, content in zip(spans, contents(folder, spans, patience), strict=True):
        if span.first != number + 1:
            raise LedgerError(f"ledger: damaged in its middle: {folder}/{Span(number + 1, number + 1).name} is missing")
        try:
            segment = decode(span, content)
        except Malformed as error:
            problem = f"{folder}/{span.name}{', ' if error.line else ' '}{error}"
            if span != spans[-1] or not error.torn:
                raise LedgerError(f"ledger: damaged in its middle: {problem}") from None
            return Scan(names, segments, span, problem, covered)
        # A write that was cut off leaves no whole segment, so this is damage even in the last one.
        if segment.previous != previous:
            before = f"{folder}/{segments[-1].span.name}" if segments else "a segment before the first"
            changed = f"{folder}/{span.name} does not follow {before}: one of the two has changed"
            raise LedgerError(f"ledger: damaged in its middle: {changed}; restore the one that has")
        segments.append(segment)
        number, previous = span.last, segment.closing
    return Scan(names, segments, None, "", covered)


def read(folder: Folder) -> list[Event]:
    """Returns all events in order.

    A damaged last segment is named in a warning and left out: its events had not been confirmed, or
    are lost with the file.

    Raises:
        LedgerError: if there is no ledger, or it is damaged before its last segment.
        ValueError: for an event of unknown type.
    """
    if not folder.exists():
        raise LedgerError(f"ledger: none at {folder}")
    found = scan(folder)
    if found.torn:
        warnings.warn(f"ledger: damaged tail left out: {found.problem}", stacklevel=2)
    return found.events
