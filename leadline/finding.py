"""Findings: what guards say of a trial, and audits of data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from leadline.errors import ConfigError
from leadline.plain import number, text, type_of

__all__ = ["Finding", "as_findings", "latest"]


@dataclass(frozen=True)
class Finding:
    """A number, and a sentence that says what it means.

    Attributes:
        guard: the name of the guard or audit; an audit of overlap begins with `overlap`.
        failed: whether it is a fault. A failed audit stops a sweep before it starts; a failed guard
            marks its trial.
        number: the number, such as a count of rows; NaN where there is none.
        sentence: what was found, for the leaderboard's notes and the report.
        subject: what it is about, where a guard looks at several things: a submodule, a loss term
            or a stage. Empty otherwise.

    Raises:
        ConfigError: naming the attribute, if it is not of its type.
    """

    guard: str
    failed: bool
    number: float
    sentence: str
    subject: str = ""

    def __post_init__(self) -> None:
        for name in ("guard", "sentence", "subject"):
            object.__setattr__(self, name, text(getattr(self, name), f"Finding: {name}"))
        object.__setattr__(self, "failed", bool(self.failed))
        object.__setattr__(self, "number", number(self.number, "Finding: number"))

    @property
    def mark(self) -> str:
        """The finding in as few words as a leaderboard has room for."""
        guard = self.guard.replace("_", " ")
        return f"{guard}: {self.subject}" if self.subject else guard

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON values, a non-finite number as None."""
        return {**vars(self), "number": self.number if math.isfinite(self.number) else None}

    @staticmethod
    def from_dict(plain: dict[str, Any]) -> Finding:
        """Makes the finding that `to_dict` was called on; None comes back as NaN."""
        return Finding(**{**plain, "number": math.nan if plain["number"] is None else plain["number"]})


def as_findings(given: Any, place: str) -> list[Finding]:
    """Checks what a guard or an audit returned: findings.

    Args:
        given: what was returned.
        place: who returned it, with which the error begins.

    Raises:
        ConfigError: if it is anything else.
    """
    found = list(given) if isinstance(given, Iterable) else [given]
    for one in found:
        if not isinstance(one, Finding):
            raise ConfigError(f"{place}: expected a list of leadline.Finding (got {type_of(one)})")
    return found


def latest(findings: Iterable[Finding]) -> list[Finding]:
    """The last finding of each guard on each subject, in the order in which they first spoke."""
    found: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        found[finding.guard, finding.subject] = finding
    return list(found.values())
