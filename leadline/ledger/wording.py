"""How a moment and an error are said, wherever they are shown."""

from __future__ import annotations

import time

__all__ = ["encodable", "last_line", "utc"]


def last_line(text: str, otherwise: str = "no reason recorded") -> str:
    """The last line that is not empty, which is the exception where the text is a traceback.

    Args:
        otherwise: what is returned where there is none.
    """
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else otherwise


def encodable(text: str) -> str:
    """The text, in which UTF-8 can hold every character.

    Half a surrogate pair, as a traceback that names a file may hold, is written as `\\udcff`.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def utc(seconds: float) -> str:
    """A moment, in seconds since the epoch, as `2026-01-31 12:00:00 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
