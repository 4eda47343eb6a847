"""Standard input, output and error: closed before the start (`>&-`), or no longer read."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

__all__ = ["drop", "flush", "open_closed", "show"]


def open_closed() -> None:
    """Opens those of the descriptors 0 to 2 that are closed on /dev/null.

    Otherwise the next files to be opened, such as a ledger's, get their numbers and what is
    printed. To be called before any other file is opened.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # the lowest number that is free
        os.set_inheritable(number, True)
    os.close(number)
    # Files of their own: where the script has opened one before, it may have the number already.
    sys.stdin = sys.stdin or os.fdopen(os.open(os.devnull, os.O_RDONLY))
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def flush() -> None:
    """Writes out what was printed, or drops it where nobody reads any more, as after `| head`."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            drop(stream)
        except (OSError, ValueError):  # a full disk, or a closed file
            pass


def drop(stream: TextIO) -> None:
    """Drops what was printed to a stream that nobody reads any more, and what is to be.

    Otherwise the end of the process would write the rest there, and complain.
    """
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def show(text: str) -> None:
    """Prints what was asked for; who has stopped reading, such as `head`, has enough."""
    with contextlib.suppress(BrokenPipeError):
        print(text)
    flush()
