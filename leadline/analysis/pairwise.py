"""Strata that a study means to be compared, such as its arms: the confirmed best of each beside that of every other.

Where a study plans its comparisons, those are shown instead: `leadline.analysis.planned`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from leadline.analysis.comparison import Arm, compare, meant
from leadline.analysis.report.answers import interval
from leadline.analysis.sweep import Sweep
from leadline.config import ConfigError
from leadline.ledger import leaderboard
from leadline.measure import Measure

__all__ = ["Pair", "pairs", "sentence"]


@dataclass(frozen=True)
class Pair:
    """Stratum `a` less stratum `b` by the objective on test.

    Attributes:
        difference: with an interval that holds for all pairs together at 95 % (Bonferroni); None where they cannot be compared.
        word: better, worse, not told apart, or `no claim: ...`.
    """

    a: str
    b: str
    difference: Measure | None
    word: str

    @property
    def words(self) -> str:
        """The difference and its interval."""
        return interval(self.difference) if self.difference else "-"


def pairs(sweep: Sweep) -> list[Pair]:
    """All pairs of confirmed strata, best mean first; none where the study does not compare its strata, or has planned which."""
    settings = sweep.settings
    if not meant(settings) or settings.contrasts:
        return []
    strata = [stratum for stratum in sweep.strata if leaderboard.confirmed(sweep.history, stratum)]
    sign = 1.0 if settings.mode == "min" else -1.0
    strata.sort(key=lambda stratum: sign * leaderboard.confirmations(sweep.history, stratum)[0]["value"])
    found = list(itertools.combinations(strata, 2))
    return [_pair(sweep, a, b, 1 - 0.05 / len(found)) for a, b in found]


def _pair(sweep: Sweep, a: str, b: str, confidence: float) -> Pair:
    try:
        found = compare(Arm.of(sweep, a), Arm.of(sweep, b), sweep.settings.metric, confidence=confidence)
    except ConfigError as error:
        return Pair(a, b, None, f"no claim: {error}")
    return Pair(a, b, found.difference, found.word or f"no claim: {found.missing}")


def sentence(found: list[Pair], label: str) -> str:
    """What the stratum with the best mean is told apart from; empty without pairs, or where nothing is claimed of it."""
    groups: dict[str, list[str]] = {}
    for pair in found:
        if pair.a == found[0].a and not pair.word.startswith("no claim"):
            groups.setdefault(pair.word, []).append(f"{pair.b} ({pair.words})")
    claims = [
        f"{word} {than} {', '.join(groups[word])}"
        for word, than in (("better", "than"), ("not told apart", "from"))
        if word in groups
    ]
    return f"For this model class and budget, {label} {found[0].a} is {'; '.join(claims)}." if claims else ""
