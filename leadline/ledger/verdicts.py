"""The result of comparing two scores, and the words in which it may be claimed.

Every comparison is a `Comparison`: two finalists, a finalist and a trivial predictor, two strata
that a study planned to compare, or a pair that could not be compared at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from leadline.measure import Measure, sign
from leadline.statistics import LEAST_DIFFERING, TwoWay, over_replicates, rule_of_three

__all__ = ["Comparison", "Side", "Verdict"]


class Verdict(StrEnum):
    """The verdicts; their values are the words in which pages, tables and JSON give them.

    The first six are verdicts on a comparison, `MIXED` only on several by different metrics. The
    last five, beside `NOT_TOLD_APART` and `NO_CLAIM`, are verdicts on another source's claim.
    """

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no difference"
    NOT_TOLD_APART = "not told apart"
    MIXED = "better by one metric and worse by another"
    NO_CLAIM = "no claim"
    AGREES = "agrees"
    DISAGREES = "does not agree"
    EXPLAINED = "explained by a trivial predictor"
    CONFOUNDED = "confounded"
    NOT_RUN = "not run"

    @property
    def phrase(self) -> str:
        """The verdict as it stands before the other side's name, such as `better than`."""
        return f"{self.value}{_PREPOSITIONS.get(self, '')}"


_PREPOSITIONS = {
    Verdict.BETTER: " than",
    Verdict.WORSE: " than",
    Verdict.MIXED: " than",
    Verdict.NOT_TOLD_APART: " from",
}


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        label: the side's name for readers: of a sweep and stratum, or of a trivial predictor.
        stratum: the stratum that it belongs to.
        trial: the number of the finalist; None for a trivial predictor, and for a stratum that
            could not be compared.
        scores: its measure in each replicate, as many as were used; a trivial predictor has one.
    """

    label: str
    stratum: str
    trial: int | None = None
    scores: tuple[Measure, ...] = ()

    @property
    def replicates(self) -> int:
        """The number of replicates that were used."""
        return len(self.scores) if self.trial is not None else 0

    @cached_property
    def measure(self) -> Measure:
        """The side's own value and interval, over replicates and units; NaN without a score."""
        if not self.scores:
            return Measure(math.nan, 0, math.nan, math.nan)
        # A trivial predictor is not trained: there is no spread between seeds to resample.
        return self.scores[0] if self.trial is None else over_replicates(self.scores)


@dataclass(frozen=True)
class Comparison:
    """The comparison of side A with side B by one metric, and what may be said of it.

    Attributes:
        a: the first side.
        b: the second side, whose scores are subtracted from those of A.
        metric: the metric's name without its split.
        mode: min or max, whichever is better.
        estimate: the difference and its bootstrap; None where the values per unit do not pair, so
            that A's own interval is compared with B's value, and where nothing could be compared.
        missing: why nothing is claimed; empty where something is.
        n: independent units of the split.
        unit: what `n` counts, in the plural.
        split: the split on which both sides were scored.
        at: "steps" where each side spent its budget; otherwise where they were read, as in `64,000
            samples`.
        pairing: what the interval was made from, and how the sides were paired, in words.
        differing: units on which the sides differ; None where units were not resampled.
        margin: the largest difference that would not matter, if one was given.
        notes: what else a reader must know.
        confidence: the confidence of the interval that must exclude 0 before a side is ahead.
    """

    a: Side
    b: Side
    metric: str
    mode: str
    estimate: TwoWay | None
    missing: str
    n: int = 0
    unit: str = "units"
    split: str = "test"
    at: str = "steps"
    pairing: str = ""
    differing: int | None = None
    margin: float | None = None
    notes: tuple[str, ...] = ()
    confidence: float = 0.95

    @cached_property
    def difference(self) -> Measure | None:
        """A less B with its interval at `confidence`; None without an estimate."""
        if self.estimate is None:
            return None
        return Measure(self.estimate.value, self.n, *self.estimate.interval(self.confidence))

    @cached_property
    def narrow(self) -> tuple[float, float] | None:
        """The 90 % interval, which must lie within the margin; None without an estimate."""
        return self.estimate.interval(0.9) if self.estimate else None

    @property
    def varies(self) -> bool:
        """Whether anything varies between replicates or units, so that the error is known."""
        return self.estimate is not None and self.estimate.error > 0

    @property
    def detectable(self) -> float:
        """The smallest difference that could have been seen; NaN where that is not known."""
        return self.estimate.detectable(confidence=self.confidence) if self.estimate else math.nan

    @property
    def equivalent(self) -> bool:
        """Whether the 90 % interval lies within the margin: two one-sided tests at 5 %.

        Source: Schuirmann 1987.
        """
        if self.margin is None or self.estimate is None or self.narrow is None:
            return False
        low, high = self.narrow
        return (self.varies or self.estimate.value != 0) and -self.margin < low and high < self.margin

    @property
    def ahead(self) -> str:
        """The side that is ahead, `A` or `B`: the interval excludes 0 and enough units differ.

        It is empty where neither is ahead.
        """
        low, high = self._bounds
        if not (low > 0 or high < 0) or self.few:
            return ""
        return "A" if sign(self.mode) * high < 0 else "B"

    @property
    def _bounds(self) -> tuple[float, float]:
        """The interval that must exclude 0; NaN where a value is not finite."""
        if self.difference:
            return self.difference.low, self.difference.high
        own, other = self.a.measure, self.b.measure.value
        if not all(map(math.isfinite, (own.low, own.high, other))):
            return math.nan, math.nan
        return own.low - other, own.high - other

    @property
    def few(self) -> bool:
        """Whether the sides differ on too few units to be told apart."""
        return self.differing is not None and self.differing < LEAST_DIFFERING

    @property
    def verdict(self) -> Verdict:
        """The verdict on A, as far as it may be claimed."""
        if self.missing:
            return Verdict.NO_CLAIM
        if self.ahead:
            return Verdict.BETTER if self.ahead == "A" else Verdict.WORSE
        return Verdict.NO_DIFFERENCE if self.equivalent else Verdict.NOT_TOLD_APART

    @property
    def sentence(self) -> str:
        """The verdict on A and B as a sentence."""
        if self.missing:
            side = "excludes 0 in favour of " + self.ahead if self.ahead else "includes 0"
            interval = f"; the interval {side}" if all(map(math.isfinite, self._bounds)) else ""
            return f"{Verdict.NO_CLAIM}: {self.missing}{interval}"
        if self.ahead:
            return f"{self.ahead} is better{f', {self.why}' if self.why else ''}"
        return f"{self.verdict}: {self.why}"

    @property
    def why(self) -> str:
        """The reason for the verdict; empty where there is nothing to add."""
        if self.equivalent:
            least = "by less than would matter: " if self.ahead else ""
            return f"{least}the 90 % interval lies within the margin of {self.margin:g}"
        if self.ahead:
            return ""
        if self.estimate is None:
            return "their values per unit do not pair"
        if not self.varies:
            share = 100 * rule_of_three(self.n)
            room = f"which leaves room for up to {share:.2g} % (rule of three)"
            return f"equal on all {self.n} {self.unit}, {room}"
        if self.few:
            return f"the arms differ on {self.differing} of {self.n} {self.unit}, too few to tell"
        return f"a difference below {self.detectable:.4g} could not have been seen"
