"""How a moment, an error and a repetition are said in one line, wherever they are shown."""

from __future__ import annotations

import time

__all__ = ["REPEATS", "last_line", "utc"]

REPEATS = "the same configuration as"
"""How the reason begins for which a repeated configuration is not trained."""


def last_line(text: str, otherwise: str = "no reason recorded") -> str:
    """The last line that is not empty, which is the exception where the text is a traceback.

    Args:
        otherwise: what is returned where there is none.
    """
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else otherwise


def utc(seconds: float) -> str:
    """A moment, in seconds since the epoch, as `2026-01-31 12:00:00 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
