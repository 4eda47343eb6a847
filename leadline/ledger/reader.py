"""Reading a ledger: the chain of its segments from the first to the last, also while its writer compacts it."""

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
"""How often a reader lists again, because what it was to read has been compacted meanwhile."""
READING_PATIENCE = 10.0
"""Seconds for which whoever only wants to look waits for a storage that does not answer."""
READERS = 8
"""Requests at a time to an object store."""

_Found = TypeVar("_Found")


class LedgerError(RuntimeError):
    """A ledger that cannot be read or written; the message names the file."""


@dataclass(frozen=True)
class Scan:
    """The intact segments, what is wrong with the last one, if anything is, and files that a compacted segment covers.

    `names` are those of all files that were there.
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
            KeyError: for one that lacks a field.
        """
        with uncollected():
            return [parse(record) for segment in self.segments for record in segment.records]

    @property
    def newer_settings(self) -> list[str]:
        """What the last opening has asked for that this version does not know, as a newer one has written it."""
        records = (record for segment in reversed(self.segments) for record in reversed(segment.records))
        last = next((record for record in records if record["type"] == Opened.type), None)
        return Settings.unknown(last["settings"]) if last else []


def contents(folder: Folder, spans: list[Span], patience: float = READING_PATIENCE) -> Iterator[bytes]:
    """The files of segments, in their order; from object stores several at a time.

    Raises:
        FileNotFoundError: where one has been compacted meanwhile.
        StorageError: where the storage does not answer.
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
    """What a reader finds in the files of these names, read again where some were compacted meanwhile.

    That is noticed for certain, as a compacted segment is published before its parts are removed.

    Raises:
        LedgerError: if it does not end.
        Exception: what the reader raises.
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
    """The names of a ledger's files, sorted."""
    return sorted(patiently(folder.sizes, folder, seconds=patience))


def scan(folder: Folder, patience: float = READING_PATIENCE) -> Scan:
    """Reads a ledger, which need not exist.

    Args:
        patience: seconds for which a storage that does not answer is waited for.

    Raises:
        LedgerError: if it is damaged before its last segment.
        StorageError: if the storage does not answer.
    """
    with uncollected():
        return steady(folder, lambda names: _chained(folder, names, patience), patience)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Without garbage collection, which would look through millions of events again and again while they are made, and ever after.

    They are freed all the same when nobody holds them any more: there are no cycles in them.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
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
        if segment.previous != previous:  # no write that was cut off leaves a whole segment that names another
            before = f"{folder}/{segments[-1].span.name}" if segments else "a segment before the first"
            changed = f"{folder}/{span.name} does not follow {before}: one of the two has changed"
            raise LedgerError(f"ledger: damaged in its middle: {changed}; restore the one that has")
        segments.append(segment)
        number, previous = span.last, segment.closing
    return Scan(names, segments, None, "", covered)


def read(folder: Folder) -> list[Event]:
    """All events in order.

    A damaged last segment is named in a warning and left out: its events had not been confirmed or are lost with the file.

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
