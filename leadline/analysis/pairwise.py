"""All pairs of strata that a study means to be compared, such as its arms.

The confirmed best of each stratum is compared with that of every other. Where a study plans its
comparisons, those are shown instead: `leadline.analysis.planned`.
"""

from __future__ import annotations

import itertools

from leadline.analysis.comparison import attempt, meant
from leadline.analysis.sweep import Sweep
from leadline.ledger import leaderboard
from leadline.ledger.verdicts import Comparison
from leadline.measure import sign

__all__ = ["pairwise"]


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
