"""Counts of warnings by their text, so that one that comes at every step is told once."""

from __future__ import annotations

import re

__all__ = ["MOST", "REST", "WarningCounts"]

MOST = 50
"""The number of different warnings of a trial that are told apart."""
REST = f"further warnings, beyond {MOST} different ones, are in the trial's log"
"""The text under which all others are counted."""

_NUMBER = re.compile(r"0x[0-9a-f]+|[-+]?\d[\d.,_]*(?:e[-+]?\d+)?|\b(?:nan|inf)\b", re.IGNORECASE)


class WarningCounts:
    """How often each warning came, by its text, in the order in which they came first.

    Texts that differ only in numbers are one warning, under the first of them: a message often
    names the step or a value.
    """

    def __init__(self) -> None:
        self.by_text: dict[str, int] = {}
        self._first: dict[str, str] = {}
        """The first text of each kind, by the text without its numbers."""

    def add(self, text: str, times: int = 1) -> str:
        """Counts a warning and returns the text that it is counted under."""
        kind = _NUMBER.sub("#", text)
        if kind not in self._first and len(self._first) >= MOST:
            kind = text = REST
        first = self._first.setdefault(kind, text)
        self.by_text[first] = self.by_text.get(first, 0) + times
        return first
