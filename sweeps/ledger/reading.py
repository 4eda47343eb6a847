"""Reading a ledger: the chain of its segments from the first to the last, also while its writer compacts it."""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from sweeps.ledger.format import START, Event, Malformed, Segment, Span, decode, in_order
from trainables.storage import Folder

__all__ = ["LedgerError", "Scan", "contents", "read", "scan", "steady", "uncollected"]

LISTINGS = 10
"""How often a reader lists again, because what it was to read has been compacted meanwhile."""
READERS = 8
"""Requests at a time to an object store."""

_Found = TypeVar("_Found")


class LedgerError(RuntimeError):
    """A ledger that cannot be read or written; the message names the file."""


@dataclass(frozen=True)
class Scan:
    """The intact segments, what is wrong with the last one, if anything is, and files that a compacted segment covers."""

    segments: list[Segment]
    torn: Span | None
    problem: str
    covered: list[Span]

    @property
    def events(self) -> list[Event]:
        """In order, in today's schema."""
        return [event for segment in self.segments for event in segment.events]


def contents(folder: Folder, spans: list[Span]) -> Iterator[bytes]:
    """The files of segments, in their order; from object stores several at a time.

    Raises:
        FileNotFoundError: where one has been compacted meanwhile.
    """
    if folder.local:
        yield from (folder.read(span.name) for span in spans)
        return
    with ThreadPoolExecutor(READERS) as readers:
        for start in range(0, len(spans), 8 * READERS):
            yield from readers.map(lambda span: folder.read(span.name), spans[start : start + 8 * READERS])


def steady(folder: Folder, walk: Callable[[list[str]], _Found]) -> _Found:
    """What a reader finds in the files of these names, read again where some were compacted meanwhile.

    That is noticed for certain, as a compacted segment is published before its parts are removed.

    Raises:
        LedgerError: if it does not end.
        Exception: what the reader raises.
    """
    names = sorted(folder.sizes())
    for _ in range(LISTINGS):
        outcome: Future[_Found] = Future()
        try:
            outcome.set_result(walk(names))
        except Exception as error:
            outcome.set_exception(error)
        before, names = names, sorted(folder.sizes())
        if not any(span.compacted for span in filter(None, map(Span.of, {*names} - {*before}))):
            return outcome.result()
    raise LedgerError(f"ledger: {folder} is compacted faster than it can be read")


def scan(folder: Folder) -> Scan:
    """Reads a ledger, which need not exist.

    Raises:
        LedgerError: if it is damaged before its last segment.
    """
    with uncollected():
        return steady(folder, lambda names: _chained(folder, names))


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


def _chained(folder: Folder, names: list[str]) -> Scan:
    for name in names:
        if name.endswith(".jsonl") and Span.of(name) is None:
            raise LedgerError(f"ledger: {folder}/{name} is no segment's name: move it elsewhere")
    spans, covered = in_order(names)
    segments: list[Segment] = []
    number, previous = 0, START
    for span, content in zip(spans, contents(folder, spans), strict=True):
        if span.first != number + 1:
            raise LedgerError(f"ledger: damaged in its middle: {folder}/{Span(number + 1, number + 1).name} is missing")
        try:
            segment = decode(span, content)
        except Malformed as error:
            problem = f"{folder}/{span.name}{', ' if error.line else ' '}{error}"
            if span != spans[-1] or not error.torn:
                raise LedgerError(f"ledger: damaged in its middle: {problem}") from None
            return Scan(segments, span, problem, covered)
        if segment.previous != previous:  # no write that was cut off leaves a whole segment that names another
            before = f"{folder}/{segments[-1].span.name}" if segments else "a segment before the first"
            changed = f"{folder}/{span.name} does not follow {before}: one of the two has changed"
            raise LedgerError(f"ledger: damaged in its middle: {changed}; restore the one that has")
        segments.append(segment)
        number, previous = span.last, segment.closing
    return Scan(segments, None, "", covered)


def read(folder: Folder) -> list[Event]:
    """All events in order.

    A damaged last segment is named in a warning and left out: its events had not been confirmed or are lost with the file.

    Raises:
        LedgerError: if there is no ledger, or it is damaged before its last segment.
    """
    if not folder.exists():
        raise LedgerError(f"ledger: none at {folder}")
    found = scan(folder)
    if found.torn:
        warnings.warn(f"ledger: damaged tail left out: {found.problem}", stacklevel=2)
    return found.events
