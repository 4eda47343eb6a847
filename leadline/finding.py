"""What a guard or an audit has to say."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Finding", "latest"]


@dataclass(frozen=True)
class Finding:
    """A number and a sentence about it.

    `failed` says that it is a fault: a failed audit stops a sweep before it starts, a failed guard marks its trial. `subject`
    names what it is about where a guard looks at several things: a submodule, a loss term, a stage.
    """

    guard: str
    failed: bool
    number: float
    sentence: str
    subject: str = ""

    @property
    def mark(self) -> str:
        """The finding in as few words as a leaderboard has room for."""
        guard = self.guard.replace("_", " ")
        return f"{guard}: {self.subject}" if self.subject else guard

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; a non-finite number as None."""
        return {**vars(self), "number": self.number if math.isfinite(self.number) else None}

    @staticmethod
    def from_dict(plain: dict[str, Any]) -> Finding:
        """The inverse of `to_dict`; None comes back as NaN."""
        return Finding(**{**plain, "number": math.nan if plain["number"] is None else plain["number"]})


def latest(findings: Iterable[Finding]) -> list[Finding]:
    """The last word of each guard on each subject, in the order in which they first spoke."""
    found: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        found[finding.guard, finding.subject] = finding
    return list(found.values())
