"""Says what is waited for, where a sweep would be silent for longer than a person likes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from leadline.standard_streams import show

__all__ = ["SECONDS", "waiting"]

SECONDS = 3.0
"""Seconds of silence after which it is said what is waited for."""
AGAIN = 30.0
"""Seconds after which it is said again."""


@contextlib.contextmanager
def waiting(what: str, say: Callable[[str], None] = show, after: float = SECONDS) -> Iterator[None]:
    """Says what is waited for, if that takes longer than `after` seconds, and again now and then.

    Args:
        what: what the code in the context waits for, as in `Ray to start`.
        say: prints a line; it is called in a thread of its own.
        after: the seconds of silence.
    """
    over = threading.Event()
    began = time.monotonic()

    def tell() -> None:
        pause = after
        while not over.wait(pause):
            say(f"waiting for {what}: {time.monotonic() - began:.0f} s so far")
            pause = AGAIN

    thread = threading.Thread(target=tell, name="waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
