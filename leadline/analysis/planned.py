"""What a study planned to compare: for each pair of strata and each metric, the confirmed best of the one less that of the other."""

from __future__ import annotations

from dataclasses import dataclass

from leadline.analysis.comparison import Arm, Comparison, compare
from leadline.analysis.report.answers import interval
from leadline.analysis.sweep import Sweep
from leadline.config import ConfigError
from leadline.ledger.leaderboard_table import number

__all__ = ["Contrast", "confidence", "contrasts"]


@dataclass(frozen=True)
class Contrast:
    """Stratum `a` less stratum `b` by one metric on test.

    Attributes:
        margin: the largest difference that would not matter, as the study says.
        found: the comparison, with an interval that holds for all planned ones together; None where there is none to make.
        problem: why there is none.
    """

    a: str
    b: str
    metric: str
    margin: float
    found: Comparison | None
    problem: str = ""

    @property
    def missing(self) -> str:
        """Why nothing is claimed; empty where something is."""
        return self.found.missing if self.found else self.problem

    @property
    def word(self) -> str:
        """Better, worse, no difference, not told apart, or no claim."""
        return (self.found.word if self.found else "") or "no claim"

    @property
    def words(self) -> str:
        """The difference and its interval."""
        return interval(self.found.difference) if self.found else "-"

    @property
    def detectable(self) -> str:
        """The smallest difference that could have been seen."""
        return number(self.found.detectable) if self.found and self.found.found.error > 0 else "-"

    @property
    def kept(self) -> str:
        """The margin, and the 90 % interval that must lie within it before there is no difference."""
        low, high = self.found.found.interval(0.9) if self.found else (0.0, 0.0)
        return f"{self.margin:g}{f' (90 %: {number(low)} to {number(high)})' if low < high else ''}"

    @property
    def counts(self) -> tuple[str, str]:
        """Units and replicates."""
        if self.found is None:
            return "-", "-"
        return str(self.found.n), " and ".join(str(count) for count in dict.fromkeys(self.found.replicates))

    @property
    def sentence(self) -> str:
        """The answer in one sentence."""
        heads = {
            "better": f"{self.a} is better than {self.b}",
            "worse": f"{self.a} is worse than {self.b}",
            "no difference": f"there is no difference between {self.a} and {self.b}",
            "not told apart": f"{self.a} and {self.b} are not told apart",
            "no claim": f"nothing is claimed of {self.a} against {self.b}",
        }
        head = f"By {self.metric}, {heads[self.word]}"
        if self.found is None:
            return f"{head}: {self.problem}."
        if self.word == "no difference":
            low, high = self.found.found.interval(0.9)
            within = f"{number(self.found.found.value)} [{number(low)}, {number(high)}] at 90 %"
            return f"{head}: {within} over {self._over} lies within the margin of {self.margin:g}."
        why = self.missing or self.found.why
        return f"{head}: {self.words} over {self._over}{f'; {why}' if why else ''}."

    @property
    def _over(self) -> str:
        units, runs = self.counts
        return f"{units} {self.found.unit if self.found else 'units'} and {runs} replicate{'s' if runs != '1' else ''}"


def contrasts(sweep: Sweep) -> list[Contrast]:
    """The planned comparisons in the study's order; none where the study plans none.

    Their 95 % intervals hold for all of them together (Bonferroni): whoever asks for accuracy or robustness has two chances to be lucky.
    Each "no difference" is at 5 % by itself.
    """
    planned = [
        (one["a"], one["b"], metric, margin)
        for one in sweep.settings.contrasts
        for metric, margin in one["margins"].items()
    ]
    return [_of(sweep, *one, confidence=confidence(sweep)) for one in planned]


def confidence(sweep: Sweep) -> float:
    """Of one interval: 95 % where nothing is planned, else so that all planned ones together have it (Bonferroni)."""
    return 1 - 0.05 / max(1, sum(len(one["margins"]) for one in sweep.settings.contrasts))


def _of(sweep: Sweep, a: str, b: str, metric: str, margin: float, confidence: float) -> Contrast:
    try:
        found = compare(Arm.of(sweep, a), Arm.of(sweep, b), metric, margin=margin, confidence=confidence)
    except ConfigError as error:
        return Contrast(a, b, metric, margin, None, str(error))
    return Contrast(a, b, metric, margin, found)
