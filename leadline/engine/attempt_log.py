"""The log of an attempt, which also gets what the family prints and warns of."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from leadline.storage import Folder, patiently

__all__ = ["AttemptLog"]

LOG_SECONDS = 2.0
"""How long storing the log may wait for the storage.

It is short, because the log also gets the lines which say that the storage does not answer.
"""
PRINT_SECONDS = 1.0
"""Least time between two times that the log is stored because something was printed."""
KEPT = 10**6
"""Bytes that are kept of the beginning of a log, and as many of its end."""
LINE = 10_000
"""Bytes after which a printed line without an end is taken for one."""


class AttemptLog:
    """The log of one worker of an attempt, a file in the attempt's folder.

    It is stored whole each time, because object stores cannot append to a file; so it is bounded,
    and what is printed is stored by a thread that waits a second between two times.

    Args:
        folder: the trial's folder.
        name: the file's name below it.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self._name = name
        self._lock = threading.RLock()
        """Held while lines are added."""
        self._storing = threading.Lock()
        """Held while the log is stored, so that an older state is not stored after a newer one."""
        self._first: list[bytes] = []
        self._last: deque[bytes] = deque()
        self._room = KEPT
        self._last_size = 0
        self._left_out = 0
        self._news = threading.Event()
        self._closed = threading.Event()
        self._storer: threading.Thread | None = None
        self._owner = os.getpid()

    def line(self, text: str) -> None:
        """Adds a line with the time of day and stores the log."""
        self._add(text.encode(errors="backslashreplace"))
        self._store()

    def printed(self, text: str) -> None:
        """Adds a line with the time of day; the log is stored soon.

        That of a forked process is dropped: it has no thread to store it, and perhaps a lock that
        nobody will release.
        """
        if os.getpid() != self._owner:
            return
        with self._lock:
            self._add(text.encode(errors="backslashreplace"))
            if self._storer is None:
                self._storer = threading.Thread(target=self._store_soon, name="attempt-log", daemon=True)
                self._storer.start()
        self._news.set()

    def close(self) -> None:
        """Stores what was printed; nothing may be added afterwards."""
        self._closed.set()
        self._news.set()  # wakes the thread, which then ends
        if self._storer is not None:  # it may be storing, which ends with the process
            self._store()

    @contextlib.contextmanager
    def captured(self) -> Iterator[None]:
        """Takes what this process prints to stdout and stderr."""
        with (
            _PRINTED["stdout"].to(self.printed) as out,
            _PRINTED["stderr"].to(self.printed) as err,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            yield

    def _add(self, text: bytes) -> None:
        entry = b"%s %s\n" % (time.strftime("%H:%M:%S").encode(), text)
        with self._lock:
            if len(entry) <= self._room:
                self._room -= len(entry)
                self._first.append(entry)
                return
            self._room = 0
            self._last.append(entry)
            self._last_size += len(entry)
            while self._last_size > KEPT and len(self._last) > 1:
                self._last_size -= len(self._last.popleft())
                self._left_out += 1

    def _content(self) -> bytes:
        with self._lock:
            gap = [b"... %d lines are left out here ...\n" % self._left_out] if self._left_out else []
            return b"".join([*self._first, *gap, *self._last])

    def _store(self) -> None:
        # A failure is no loss, because the next time stores the whole log again. The content is
        # made inside the function, so that a late try stores all lines that there are by then.
        with self._storing, contextlib.suppress(OSError):
            patiently(lambda: self._folder.write(self._name, self._content()), self._folder, seconds=LOG_SECONDS)

    def _store_soon(self) -> None:
        while True:
            self._news.wait()
            # Nobody else clears it, and `_closed` is set before it, so that the end is not missed.
            self._news.clear()
            if self._closed.is_set():
                return
            began = time.monotonic()
            self._store()
            # With a slow store, storing a long log takes at most a tenth of the time.
            self._closed.wait(max(PRINT_SECONDS, 9 * (time.monotonic() - began)))


class _Printed(io.RawIOBase):
    """What a process prints to stdout or stderr, a line at a time.

    It lives as long as the process, since whoever took `sys.stdout` once, such as a handler of
    logging, writes to it ever after: to the log of the attempt that trains then, and to the stream
    itself where none does. So does a forked process, which has no thread to store a log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._stream: TextIO = getattr(sys, name)
        self._take: Callable[[str], None] | None = None
        self._owner = 0
        self._begun = b""
        """The line that has no end yet."""
        self._lock = threading.RLock()
        self._text = io.TextIOWrapper(self, encoding="utf-8", errors="backslashreplace", write_through=True)  # type: ignore[type-var]  # any raw stream

    @contextlib.contextmanager
    def to(self, take: Callable[[str], None]) -> Iterator[TextIO]:
        """Gives each line to `take`, and yields the stream to print to."""
        self._stream, self._take, self._owner = getattr(sys, self._name), take, os.getpid()
        try:
            yield self._text
        finally:
            with self._lock:
                if self._begun:
                    self._lines(b"\n")
                self._take = None

    def writable(self) -> bool:
        """Whether it can be written to, as `io` asks."""
        return True

    def fileno(self) -> int:
        """The descriptor of the stream itself, for processes that inherit it."""
        return self._stream.fileno()

    def write(self, content: Any) -> int:
        """Takes bytes, as `io` gives them."""
        taken = bytes(content)
        with self._lock if self._owner == os.getpid() else contextlib.nullcontext():
            if self._take is None or self._owner != os.getpid():
                self._stream.write(taken.decode(errors="replace"))
                self._stream.flush()
            else:
                self._lines(taken)
        return len(taken)

    def _lines(self, content: bytes) -> None:
        assert self._take is not None, "an attempt trains"
        *lines, begun = (self._begun + content).split(b"\n")
        if len(begun) > LINE:
            lines.append(begun)
            begun = b""
        self._begun = _visible(begun) + (b"\r" if begun.endswith(b"\r") else b"")
        for line in lines:
            self._take(_visible(line).decode(errors="replace"))


def _visible(line: bytes) -> bytes:
    """What stays of a line that was drawn again after each carriage return, as progress bars do."""
    return line.rstrip(b"\r").rpartition(b"\r")[2]


_PRINTED = {name: _Printed(name) for name in ("stdout", "stderr")}
