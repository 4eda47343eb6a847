"""The ledger: an append-only sequence of events, in immutable numbered segments.

    <sweep>/ledger/00000001-00000256.jsonl    what was compacted
    <sweep>/ledger/00000257.jsonl             a group of events

The segments form a chain of hashes; `leadline.ledger.format` says what is in one.

One writer commits events in groups. Object stores have no append, so a group is a new file. A
segment that exists is never replaced, so that one of two writers fails. (On S3, creating is a check
before writing, and two writers within one round trip are not told apart: the lease is for that.)
"""

from __future__ import annotations

import hashlib
import threading
import time
import warnings
from collections.abc import Callable

from leadline.ledger.compaction import COMPACT, TRY_SECONDS, Compaction, Part
from leadline.ledger.events import Event
from leadline.ledger.format import SCHEMA, START, Record, Span, encode, lines
from leadline.ledger.reader import LedgerError, Scan, listed, read, scan
from leadline.storage import Folder, patiently

__all__ = ["SCHEMA", "Ledger", "LedgerError", "read"]

GROUP_SECONDS = 0.2
"""Seconds for which a group gathers events before it is stored, where nobody waits for one."""
PATIENCE = 60.0
"""Seconds for which a storage that refuses, or does not answer, is waited for."""
SILENCE = 5.0
"""Seconds without a segment of its own after which a writer looks for those of another.

A lease can be taken over only after a longer silence.
"""


class Ledger:
    """The only writer of a sweep's ledger.

    `append` returns at once; its event is stored with the next group, in the same order. A caller
    that must not act before an event is stored asks `stored`, or waits in `commit`. A storage that
    refuses is waited for. All three raise a failure to store. An event that cannot be encoded is
    refused by `append`, where its caller can do something about it, and costs no other event.

    Args:
        folder: the ledger's folder.
        known: what was read of the ledger; it is read again only where a file has come or gone
            since.
        patience: seconds for which a storage that refuses, or does not answer, is waited for.
        compact: how many segments are compacted into one.
        say: called when such waiting begins and when it is over, and with what was found damaged;
            it warns by default.
    """

    def __init__(
        self,
        folder: Folder,
        *,
        known: Scan | None = None,
        patience: float = PATIENCE,
        compact: int = COMPACT,
        say: Callable[[str], None] = lambda text: warnings.warn(text, stacklevel=3),
    ) -> None:
        self.folder = folder
        self._patience = patience
        self._say = say
        found = known if known and known.names == listed(folder, patience) else scan(folder, patience)
        self.reread = found is not known
        self.past = found.events if self.reread else []
        """The events that were read here; empty where `known` was right, whose reader has them."""
        self.sealed: Callable[[Part], None] = lambda part: None
        """Called with each segment once it is stored, by the writer's thread; it must not wait."""
        self._segment = found.segments[-1].span.last if found.segments else 0
        self._previous = found.segments[-1].closing if found.segments else START
        if found.torn:
            self._set_aside(found.torn, found.problem)
        self._compaction = self._compacting(found, compact)
        self._pending: list[bytes] = []
        """The encoded events of the next group."""
        self._appended = 0
        self._stored = 0
        self._urgent = False
        self._closed = False
        self._error: BaseException | None = None
        self._wake = threading.Condition()
        self._written = time.time()
        self._writer = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._writer.start()

    def append(self, event: Event) -> int:
        """Queues an event for the next group and returns its position, for `stored`.

        Raises:
            ValueError: naming the event, if it holds what JSON cannot.
            LedgerError: if an earlier event could not be stored.
        """
        line = _encoded(event.to_dict())
        with self._wake:
            self._raise_error()
            self._pending.append(line)
            self._appended += 1
            self._wake.notify_all()
            return self._appended

    def stored(self, position: int, within: float = 0.0) -> bool:
        """Returns whether the event of that position, and all before it, are stored.

        Asking ends the present group's wait for further events.

        Args:
            position: what `append` returned.
            within: seconds to wait for it.

        Raises:
            LedgerError: if it could not be stored.
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
            LedgerError: if one could not be stored.
        """
        self.stored(self._appended, within=threading.TIMEOUT_MAX)

    def close(self) -> None:
        """Stores what was appended and ends the writer."""
        self.commit()
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._writer.join()
        self._compaction.close()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise LedgerError(f"ledger: cannot write to {self.folder}: {self._error}") from self._error

    def _say_where(self, text: str) -> None:
        self._say(f"ledger: {self.folder}/{text}")

    def _set_aside(self, torn: Span, problem: str) -> None:
        self._say(f"ledger: damaged tail set aside: {problem}")
        self.folder.write(f"{torn.name}.damaged-{time.time_ns()}", self.folder.read(torn.name))
        self.folder.files.delete_file(f"{self.folder.path}/{torn.name}")

    def _compacting(self, found: Scan, count: int) -> Compaction:
        """Starts the compaction, with the small segments that earlier drivers have left."""
        compaction = Compaction(self.folder, count, self._patience, self._say)
        compaction.remove(found.covered)
        for segment in found.segments:
            if segment.span.compacted:
                compaction.flush()
            else:
                body = lines(segment.records)
                compaction.add(Part(segment.span.first, segment.previous, segment.closing, len(segment.records), body))
        return compaction

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

    def _store(self, group: list[bytes]) -> None:
        span, body = Span(self._segment + 1, self._segment + 1), b"".join(group)
        content = encode(span, self._previous, len(group), body)
        patiently(
            lambda: self._publish(span, content),
            span.name,
            seconds=self._patience,
            try_seconds=TRY_SECONDS,
            size=len(content),
            say=self._say_where,
        )
        part = Part(span.first, self._previous, hashlib.sha256(content).hexdigest(), len(group), body)
        self._segment = part.number
        self._previous = part.closing
        self._written = time.time()
        self._compaction.add(part)
        self.sealed(part)

    def _publish(self, span: Span, content: bytes) -> None:
        """Stores a segment, unless an earlier try has stored it.

        After a long silence it looks whether another writer has gone on meanwhile.

        Raises:
            FileExistsError: if another writer has stored a segment.
            OSError: if a ledger that has begun is not there, as where a mount is gone: a new one
                must not begin in its place.
        """
        if span.first > 1 and self.folder.local and not self.folder.exists():
            raise OSError("the ledger is not there any more; put it, or its mount, back")
        try:
            self.folder.write(span.name, content, exclusive=True)
        except FileExistsError:
            # An earlier try may have succeeded though it seemed to fail: then the content is ours.
            if self.folder.read(span.name) != content:
                raise FileExistsError(f"{self.folder}/{span.name} is another writer's") from None
        if time.time() - self._written > SILENCE:
            others = [
                name
                for name in self.folder.sizes()
                if (other := Span.of(name)) and other != span and other.last >= span.last
            ]
            if others:
                raise FileExistsError(f"{self.folder}/{min(others)} is another writer's") from None


def _encoded(record: Record) -> bytes:
    """An event as it is stored."""
    try:
        return lines([record])
    except (TypeError, ValueError) as error:
        whose = f" of trial {record['trial']}" if "trial" in record else ""
        raise ValueError(f"ledger: the event {record['type']!r}{whose} cannot be recorded: {error}") from None
