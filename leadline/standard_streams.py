"""Standard input, output and error of a process that was started without some of them (`>&-`)."""

from __future__ import annotations

import os
import sys

__all__ = ["open_closed"]


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
