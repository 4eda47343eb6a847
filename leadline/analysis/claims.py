"""Claims of the source that a family comes from, such as an experiment log, tested by a sweep.

The claims are data of the family, found by the dotted path in `Family.claims`. Only confirmed
results on the test split count, and a verdict on a claim needs as many of them as any other: see
`leadline.statistics.lacking`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from leadline.analysis import scores
from leadline.analysis.comparison import attempt
from leadline.analysis.planned import confidence
from leadline.analysis.scores import Reading
from leadline.analysis.sweep import Sweep
from leadline.config import ConfigError
from leadline.dotted import load
from leadline.errors import told
from leadline.ledger import leaderboard
from leadline.ledger.confirmed import lost
from leadline.ledger.settings import Settings
from leadline.ledger.verdicts import Verdict
from leadline.measure import sign
from leadline.statistics import LEAST_UNITS, lacking

__all__ = [
    "Ask",
    "Claim",
    "Judged",
    "Outcome",
    "arms",
    "as_much",
    "better_than_trivial",
    "fall",
    "judged",
    "no_gain",
    "of_family",
    "reached",
]


class Outcome(NamedTuple):
    """The outcome of a claim: what was measured here, in words, and what follows for the claim."""

    measured: str
    verdict: Verdict


Ask = Callable[[Sweep], Outcome | None]
"""A function that asks a sweep about a claim; None where the sweep has nothing to say on it."""


@dataclass(frozen=True)
class Claim:
    """A claim of a source.

    Attributes:
        source: which source, and where in it.
        claim: what it claims.
        logged: the numbers that it gives.
        needs: which sweep could speak to it.
        ask: what a sweep has to say; None where it has nothing.
    """

    source: str
    claim: str
    logged: str
    needs: str
    ask: Ask


@dataclass(frozen=True)
class Judged:
    """A claim with what was measured: a row of the report."""

    claim: Claim
    measured: str
    verdict: Verdict


def of_family(settings: Settings) -> tuple[Claim, ...]:
    """Returns the claims of the source that a sweep's family comes from.

    There are none for a family that names none, or that is not installed.

    Raises:
        ConfigError: if the family names claims that cannot be loaded, or that are no claims.
    """
    try:
        family = settings.model_family()
    except ConfigError:
        return ()
    if not family.claims:
        return ()
    found = load(family.claims, "claims")
    if not isinstance(found, tuple) or not all(isinstance(one, Claim) for one in found):
        raise ConfigError(f"claims: {family.claims} is no tuple of leadline.analysis.claims.Claim")
    return found


def judged(sweep: Sweep, claims: Sequence[Claim]) -> list[Judged]:
    """Returns every claim with its verdict.

    The verdict is `NOT_RUN` where this sweep has nothing to say on the claim.
    """
    return [_judged(sweep, claim) for claim in claims]


def _judged(sweep: Sweep, claim: Claim) -> Judged:
    try:
        outcome = claim.ask(sweep)
    except Exception as error:  # a claim is a family's, and must not cost the report
        return Judged(claim, f"could not be asked: {told(error)}", Verdict.NOT_RUN)
    return Judged(claim, *(outcome or (f"needs {claim.needs}", Verdict.NOT_RUN)))


def _read(sweep: Sweep, stratum: str, metric: str) -> Reading | None:
    return scores.confirmed(sweep.history, stratum, metric) if stratum in sweep.strata else None


def _measured(sweep: Sweep, found: list[Reading], metric: str) -> str:
    field = sweep.settings.stratify or "stratum"
    return "; ".join(f"{field} {one.stratum}: {one.words}{_beside(sweep, one, metric)}" for one in found)


def _beside(sweep: Sweep, one: Reading, metric: str) -> str:
    trivial = scores.trivial(sweep.history, one.stratum, metric, one.split)
    return f", {trivial[0]} {trivial[1].value:.4g}" if trivial else ""


def _missing(sweep: Sweep, one: Reading, metric: str) -> str:
    """Returns what a claim from exact counts lacks; empty where nothing.

    Counts have no units, so that only the number of replicates matters.
    """
    few = lacking(len(one.scores), LEAST_UNITS)
    return "; ".join([*lost(sweep.history, one.trial, f"test/{metric}"), *([f"only {few}"] if few else [])])


def reached(metric: str, stratum: str, logged: float) -> Ask:
    """Asks whether a stratum reaches the log's value of an exact count of which less is better.

    The claim agrees where the worst replicate reaches the value, and does not agree where none
    does. It is explained where a trivial predictor reaches the value, too.
    """

    def ask(sweep: Sweep) -> Outcome | None:
        found = _read(sweep, stratum, metric)
        if found is None:
            return None
        trivial = scores.trivial(sweep.history, stratum, metric, found.split)
        words = _measured(sweep, [found], metric)
        if trivial and trivial[1].value <= logged:
            return Outcome(words, Verdict.EXPLAINED)
        if missing := _missing(sweep, found, metric):
            return Outcome(f"{words} ({missing})", Verdict.NO_CLAIM)
        values = [score.value for score in found.scores]
        if min(values) <= logged < max(values):
            return Outcome(words, Verdict.NOT_TOLD_APART)
        return Outcome(words, Verdict.AGREES if max(values) <= logged else Verdict.DISAGREES)

    return ask


def as_much(metric: str, logged: float) -> Ask:
    """Asks whether a predictor that learns nothing has the log's value of a metric, too.

    It says nothing else: where none has, what a network here has is no repetition of the log.
    """

    def ask(sweep: Sweep) -> Outcome | None:
        of = scores.metric(sweep.history, metric).mode
        for stratum in sweep.strata:
            for split in ("test", "validation"):
                if best := scores.trivial(sweep.history, stratum, metric, split):
                    words = f"{metric} on {split}: {best[0]}, which learns nothing, {best[1].value:.4f}"
                    if own := scores.confirmed(sweep.history, stratum, metric):
                        words += f"; {sweep.settings.stratify or 'stratum'} {stratum}: {own.words}"
                    reaches = sign(of) * (best[1].value - logged) <= 0
                    return Outcome(words, Verdict.EXPLAINED if reaches else Verdict.NOT_TOLD_APART)
        return None

    return ask


def better_than_trivial(study: str, arm: str, metric: str) -> Ask:
    """Asks whether an arm of a study is better than the best trivial predictor on its rows."""

    def ask(sweep: Sweep) -> Outcome | None:
        found = _read(sweep, arm, metric) if sweep.settings.study == study else None
        if found is None:
            return None
        one = scores.metric(sweep.history, metric)
        beside = leaderboard.versus_trivial(sweep.history, found.trial, metric, one.mode, one.unit)
        words = f"{metric}: {_measured(sweep, [found], metric)}"
        if beside is None or beside.missing:
            missing = beside.missing if beside else "no trivial predictor has this metric"
            return Outcome(f"{words} ({missing})", Verdict.NO_CLAIM)
        return Outcome(words, _OF_BETTER.get(beside.verdict, beside.verdict))

    return ask


def fall(metric: str, strata: tuple[str, ...], logged: float | None = None) -> Ask:
    """Asks whether a metric of which less is better falls from the first of the strata to the last.

    Strata that the sweep does not have are left out; at least two, the last among them, are needed.

    The fall is explained where a trivial predictor falls, too, and in the last stratum reaches the
    log's value; without a logged value, where it is at least as good there as what was trained.
    Otherwise the last stratum is compared with the first.
    """

    def ask(sweep: Sweep) -> Outcome | None:
        found = [one for stratum in strata if (one := _read(sweep, stratum, metric))]
        if len(found) < 2 or found[-1].stratum != strata[-1]:
            return None
        before, after = (scores.trivial(sweep.history, one.stratum, metric, one.split) for one in (found[0], found[-1]))
        enough = found[-1].measure.value if logged is None else logged
        if before and after and after[1].value < before[1].value and after[1].value <= enough:
            return Outcome(_measured(sweep, found, metric), Verdict.EXPLAINED)
        return _compared(sweep, found, found[-1], found[0], metric, "min")

    return ask


_OF_BETTER = {
    Verdict.BETTER: Verdict.AGREES,
    Verdict.WORSE: Verdict.DISAGREES,
}
"""The verdict on a claim that one side is better, from the verdict on that side; others stay."""


def _compared(sweep: Sweep, found: list[Reading], better: Reading, worse: Reading, metric: str, mode: str) -> Outcome:
    """Judges a claim that the first reading is the better one.

    Counts are told apart where their ranges over replicates do not meet; other metrics as in
    `leadline.analysis.comparison.compare`.
    """
    words = _measured(sweep, found, metric)
    if better.exact and worse.exact:
        missing = "; ".join(dict.fromkeys(filter(None, (_missing(sweep, one, metric) for one in (better, worse)))))
        verdict = _apart(better, worse, mode)
    else:
        difference = attempt(sweep, better.stratum, worse.stratum, metric, confidence=confidence(sweep))
        missing, verdict = difference.missing, difference.verdict
    if missing:
        return Outcome(f"{words} ({missing})", Verdict.NO_CLAIM)
    return Outcome(words, _OF_BETTER.get(verdict, verdict))


def _apart(one: Reading, other: Reading, mode: str) -> Verdict:
    """Returns the verdict on the first of two ranges of counts."""
    low, high = one.measure.low - other.measure.high, one.measure.high - other.measure.low
    if low <= 0 <= high:
        return Verdict.NOT_TOLD_APART
    return Verdict.BETTER if sign(mode) * high < 0 else Verdict.WORSE


def arms(study: str, better: str, worse: str, metric: str | None = None) -> Ask:
    """Asks whether one arm of a study is better than another.

    The metric is the objective where it is None.
    """

    def ask(sweep: Sweep) -> Outcome | None:
        name = metric or sweep.settings.metric
        found = _both(sweep, study, better, worse, name)
        if not found:
            return None
        words, verdict = _compared(sweep, found, found[0], found[1], name, scores.metric(sweep.history, name).mode)
        return Outcome(f"{name}: {words}", verdict)

    return ask


def no_gain(study: str, arm: str, control: str, metric: str, margin: float) -> Ask:
    """Asks whether an arm of a study is no better than its control.

    This agrees where the arm is worse, or where no difference beyond the margin is left.
    """

    def ask(sweep: Sweep) -> Outcome | None:
        found = _both(sweep, study, arm, control, metric)
        if not found:
            return None
        words = f"{metric}: {_measured(sweep, found, metric)}"
        difference = attempt(sweep, arm, control, metric, margin, confidence(sweep))
        if difference.missing:
            return Outcome(f"{words} ({difference.missing})", Verdict.NO_CLAIM)
        if difference.equivalent:
            return Outcome(f"{words} (no difference: the 90 % interval lies within {margin:g})", Verdict.AGREES)
        found_out = {Verdict.BETTER: Verdict.DISAGREES, Verdict.NOT_TOLD_APART: Verdict.NOT_TOLD_APART}
        why = f": {difference.why}" if difference.why else ""
        return Outcome(f"{words} ({difference.verdict}{why})", found_out.get(difference.verdict, Verdict.AGREES))

    return ask


def _both(sweep: Sweep, study: str, one: str, other: str, metric: str) -> list[Reading]:
    """Returns two arms of a study, if both are confirmed; none otherwise."""
    found = (
        [read for stratum in (one, other) if (read := _read(sweep, stratum, metric))]
        if sweep.settings.study == study
        else []
    )
    return found if len(found) == 2 else []
