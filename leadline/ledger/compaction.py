"""Compaction of a ledger: one file in the place of many small ones, so that many events are not many files and requests.

Whatever instant it is cut off at, the ledger stays readable: the compacted segment is published, and read back, before its parts
are removed. Where both are there, the compacted one counts, and the next writer removes the parts that are left.
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
"""Small segments that are compacted into one."""
BYTES = 4_000_000
"""Of events, which are compacted however few segments hold them, so that little is kept in memory."""
CLOSE_SECONDS = 10.0
"""How long the end of a driver waits for it. What it has not done by then is left to the next one."""
TRY_SECONDS = 5.0
"""Silence of the storage after which a small write is tried again."""


@dataclass(frozen=True)
class Part:
    """A stored segment that waits for its compaction: its number, the hash that it names, its own, and its events."""

    number: int
    previous: str
    closing: str
    events: int
    body: bytes


class Compaction:
    """Compacts what it is given, in a thread of its own: no commit waits for it, and its failure costs no more than files.

    Args:
        folder: the ledger's.
        count: segments that make a compacted one.
        patience: seconds for which a storage that refuses is waited for.
        say: told what could not be done.
    """

    def __init__(self, folder: Folder, count: int, patience: float, say: Callable[[str], None]) -> None:
        self.folder, self._count, self._patience, self._say = folder, count, patience, say
        self._parts: list[Part] = []
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="compaction", daemon=True)
        self._thread.start()

    def add(self, part: Part) -> None:
        """Takes the next segment, and compacts where enough have gathered."""
        self._parts.append(part)
        if len(self._parts) >= self._count or sum(len(part.body) for part in self._parts) >= BYTES:
            self.flush()

    def flush(self) -> None:
        """Compacts what has gathered: the segment that follows is none of them."""
        parts, self._parts = self._parts, []
        if len(parts) > 1:
            self._jobs.put(lambda: self._compact(parts))

    def remove(self, spans: Iterable[Span]) -> None:
        """Removes segments that a compacted one covers."""
        names = [span.name for span in spans]
        self._jobs.put(lambda: self._remove(names))

    def close(self) -> None:
        """Waits for what is under way, but not for a storage that does not answer."""
        self._jobs.put(None)
        self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # the segments are all there
                self._say(f"ledger: segments were not compacted, and the next driver will do it: {error}")

    def _compact(self, parts: list[Part]) -> None:
        span = Span(parts[0].number, parts[-1].number)
        body = b"".join(part.body for part in parts)
        content = encode(span, parts[0].previous, sum(part.events for part in parts), body, parts[-1].closing)
        self._patiently(lambda: self.folder.write(span.name, content))
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
