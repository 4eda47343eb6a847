"""Compaction of a ledger: one file takes the place of many small ones, which saves requests.

The ledger stays readable wherever a compaction is cut off: the compacted segment is published, and
read back, before its parts are removed. Where both are there, the compacted one counts, and the
next writer removes the remaining parts.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from leadline.ledger.format import Span, encode
from leadline.storage import Folder, patiently

__all__ = ["COMPACT", "TRY_SECONDS", "Compaction", "Part"]

COMPACT = 256
"""The number of small segments that are compacted into one."""
BYTES = 4_000_000
"""Bytes of events that are compacted however few segments hold them, so that little is
kept in memory."""
CLOSE_SECONDS = 10.0
"""Seconds for which a driver that ends waits for compaction; the next driver does the rest."""
TRY_SECONDS = 5.0
"""Seconds without an answer of the storage after which a small write is tried again."""


@dataclass(frozen=True)
class Part:
    """A stored segment that waits for its compaction.

    Attributes:
        number: the segment's number.
        previous: the hash that it gives for the segment before.
        closing: its own hash.
        events: the number of its events.
        body: its events, as `lines` gives them.
    """

    number: int
    previous: str
    closing: str
    events: int
    body: bytes


class Compaction:
    """Compacts the segments that it is given, in a thread of its own.

    No commit waits for it, and where it fails only the number of files stays high.

    Args:
        folder: the ledger's folder.
        count: how many segments make a compacted one.
        patience: seconds for which a storage that refuses is waited for.
        say: called with what could not be done, in words.
    """

    def __init__(self, folder: Folder, count: int, patience: float, say: Callable[[str], None]) -> None:
        self.folder = folder
        self._count = count
        self._patience = patience
        self._say = say
        self._parts: list[Part] = []
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # A daemon, so that a storage that does not answer cannot keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="compaction", daemon=True)
        self._thread.start()

    def add(self, part: Part) -> None:
        """Takes the next segment, and compacts once enough have gathered."""
        self._parts.append(part)
        if len(self._parts) >= self._count or sum(len(part.body) for part in self._parts) >= BYTES:
            self.flush()

    def flush(self) -> None:
        """Compacts the segments that have gathered, so that the next one is not among them."""
        parts, self._parts = self._parts, []
        if len(parts) > 1:
            self._jobs.put(lambda: self._compact(parts))

    def remove(self, spans: Iterable[Span]) -> None:
        """Removes segments that a compacted one covers."""
        names = [span.name for span in spans]
        self._jobs.put(lambda: self._remove(names))

    def close(self) -> None:
        """Waits for a compaction under way, but not for a storage that does not answer."""
        self._jobs.put(None)
        self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # nothing is lost: the small segments are all there
                self._say(f"ledger: segments were not compacted, and the next driver will do it: {error}")

    def _compact(self, parts: list[Part]) -> None:
        span = Span(parts[0].number, parts[-1].number)
        body = b"".join(part.body for part in parts)
        content = encode(span, parts[0].previous, sum(part.events for part in parts), body, parts[-1].closing)
        self._patiently(lambda: self.folder.write(span.name, content))
        # It is read back first, since removing the parts is the one step that could lose events.
        if self._patiently(lambda: self.folder.read(span.name)) != content:
            raise OSError(f"{self.folder}/{span.name} does not hold what was written")
        self._remove([Span(part.number, part.number).name for part in parts])

    def _remove(self, names: list[str]) -> None:
        for name in names:
            self._patiently(partial(self._delete, name))

    def _delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # an earlier try, or another driver, was there before
            self.folder.files.delete_file(f"{self.folder.path}/{name}")

    def _patiently(self, action: Callable[[], bytes | None]) -> bytes | None:
        return patiently(action, self.folder, seconds=self._patience, try_seconds=TRY_SECONDS)
