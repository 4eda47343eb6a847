"""How a moment, an error, a repetition and a set of numbers are said, wherever they are shown."""

from __future__ import annotations

import time
from collections.abc import Iterable

__all__ = ["REPEATS", "last_line", "spans", "utc"]

REPEATS = "the same configuration as"
"""How the reason begins for which a repeated configuration is not trained."""


def last_line(text: str, otherwise: str = "no reason recorded") -> str:
    """The last line that is not empty, which is the exception where the text is a traceback.

    Args:
        otherwise: what is returned where there is none.
    """
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else otherwise


def spans(numbers: Iterable[int]) -> str:
    """Rising numbers in words, as in `0 to 7, 9`."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(f"{first} to {last}" if last > first else f"{first}" for first, last in found)


def utc(seconds: float) -> str:
    """A moment, in seconds since the epoch, as `2026-01-31 12:00:00 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
