"""The comparisons that a study planned.

For each planned pair of strata and each metric, the confirmed best of the first stratum is compared
with that of the second.
"""

from __future__ import annotations

from leadline.analysis.comparison import attempt
from leadline.analysis.report.answers import interval
from leadline.analysis.sweep import Sweep
from leadline.ledger.leaderboard_table import number
from leadline.ledger.verdicts import Comparison, Verdict

__all__ = ["confidence", "counts", "planned", "sentence"]


def planned(sweep: Sweep) -> list[Comparison]:
    """Returns the planned comparisons in the study's order; none where the study plans none.

    Their 95 % intervals hold for all of them together (Bonferroni), since whoever asks for accuracy
    or robustness has two chances to be lucky. Each "no difference" is at 5 % by itself.
    """
    return [
        attempt(sweep, one["a"], one["b"], metric, margin, confidence(sweep))
        for one in sweep.settings.contrasts
        for metric, margin in one["margins"].items()
    ]


def confidence(sweep: Sweep) -> float:
    """Returns the confidence of one interval.

    It is 95 % where nothing is planned; otherwise all planned intervals together have 95 %
    (Bonferroni).
    """
    return 1 - 0.05 / max(1, sum(len(one["margins"]) for one in sweep.settings.contrasts))


def counts(found: Comparison) -> tuple[str, str]:
    """Returns units and replicates of a comparison in words; dashes where it has no estimate."""
    if found.estimate is None:
        return "-", "-"
    replicates = dict.fromkeys((found.a.replicates, found.b.replicates))
    return str(found.n), " and ".join(map(str, replicates))


def sentence(found: Comparison) -> str:
    """Returns the answer of a planned comparison in one sentence."""
    a, b = found.a.stratum, found.b.stratum
    heads = {
        Verdict.BETTER: f"{a} is better than {b}",
        Verdict.WORSE: f"{a} is worse than {b}",
        Verdict.NO_DIFFERENCE: f"there is no difference between {a} and {b}",
        Verdict.NOT_TOLD_APART: f"{a} and {b} are not told apart",
        Verdict.NO_CLAIM: f"nothing is claimed of {a} against {b}",
    }
    head = f"By {found.metric}, {heads[found.verdict]}"
    if found.difference is None or found.narrow is None:
        return f"{head}: {found.missing}."
    units, runs = counts(found)
    over = f"{units} {found.unit} and {runs} replicate{'s' if runs != '1' else ''}"
    if found.verdict is Verdict.NO_DIFFERENCE:
        low, high = found.narrow
        within = f"{number(found.difference.value)} [{number(low)}, {number(high)}] at 90 %"
        return f"{head}: {within} over {over} lies within the margin of {found.margin:g}."
    why = found.missing or found.why
    return f"{head}: {interval(found.difference)} over {over}{f'; {why}' if why else ''}."
