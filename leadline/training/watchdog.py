"""Ends a process that stands still, and leaves the stacks of its threads.

A hang is otherwise only silence.
"""

from __future__ import annotations

import faulthandler
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Watchdog"]

OFTEN = 10
"""How often the timer is set anew within its time, at most, as each setting starts a thread."""


class Watchdog:
    """A context within which `alive` must be called at least every `seconds`.

    Otherwise the stacks go to the file, and the process ends with code 1.

    The timer is faulthandler's, which runs without the interpreter: it also works while a thread
    holds the GIL.

    Args:
        seconds: the longest time without a call.
        path: a local file for the stacks; it is removed again where nothing was written.
    """

    def __init__(self, seconds: float, path: str) -> None:
        self.seconds = seconds
        self.path = Path(path)
        self._set = -float("inf")

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("w")
        self.alive()
        return self

    def alive(self) -> None:
        """Says that the process goes on, which sets the timer anew."""
        now = time.monotonic()
        if now - self._set >= self.seconds / OFTEN:
            self._set = now
            faulthandler.dump_traceback_later(self.seconds, exit=True, file=self._file)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        faulthandler.cancel_dump_traceback_later()
        self._file.close()
        if not os.path.getsize(self.path):
            self.path.unlink()
