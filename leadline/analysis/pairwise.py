"""All pairs of strata that a study means to be compared, such as its arms.

The confirmed best of each stratum is compared with that of every other. Where a study plans its
comparisons, those are shown instead: `leadline.analysis.planned`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from leadline.analysis.comparison import attempt, meant
from leadline.analysis.report.answers import interval
from leadline.analysis.sweep import Sweep
from leadline.ledger import leaderboard
from leadline.ledger.verdicts import Comparison, Verdict
from leadline.measure import sign

__all__ = ["pairwise", "sentence"]


def pairwise(sweep: Sweep) -> list[Comparison]:
    """Returns all pairs of confirmed strata, compared by the objective on test, best mean first.

    There are none where the study does not compare its strata, or has planned which to compare. The
    intervals hold for all pairs together at 95 % (Bonferroni).
    """
    settings = sweep.settings
    if not meant(settings) or settings.contrasts:
        return []
    strata = [stratum for stratum in sweep.strata if leaderboard.confirmed(sweep.history, stratum)]
    direction = sign(settings.mode)
    strata.sort(key=lambda stratum: direction * leaderboard.confirmations(sweep.history, stratum)[0]["value"])
    found = list(itertools.combinations(strata, 2))
    return [attempt(sweep, a, b, settings.metric, confidence=1 - 0.05 / len(found)) for a, b in found]


def sentence(found: Sequence[Comparison], label: str) -> str:
    """Returns a sentence on the strata that the one with the best mean is compared with.

    It is empty without pairs, or where nothing is claimed of that stratum.
    """
    groups: dict[Verdict, list[str]] = {}
    for pair in found:
        if pair.a.stratum == found[0].a.stratum and pair.difference:
            groups.setdefault(pair.verdict, []).append(f"{pair.b.stratum} ({interval(pair.difference)})")
    said = [verdict for verdict in (Verdict.BETTER, Verdict.NOT_TOLD_APART) if verdict in groups]
    claims = [f"{verdict.phrase} {', '.join(groups[verdict])}" for verdict in said]
    return f"For this model class and budget, {label} {found[0].a.stratum} is {'; '.join(claims)}." if claims else ""
