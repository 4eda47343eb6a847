"""The log's headlines beside what was measured here. Which headlines there are is data, in `leadline.analysis.headlines`.

Only what was confirmed counts, on the test split; a claim needs as much as any other, `leadline.statistics.lacking`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from leadline.analysis import scores
from leadline.analysis.comparison import Arm, compare
from leadline.analysis.planned import confidence
from leadline.analysis.scores import Reading
from leadline.analysis.sweep import Sweep
from leadline.config import ConfigError
from leadline.ledger.confirmed import lost
from leadline.statistics import LEAST_UNITS, lacking

__all__ = ["Ask", "Headline", "Line", "Outcome", "Verdict", "arms", "fall", "no_gain", "reached", "verdicts"]

Verdict = Literal[
    "agrees",
    "does not agree",
    "not told apart",
    "explained by a trivial predictor",
    "confounded",
    "no claim",
    "not run",
]
Outcome = tuple[str, Verdict]
"""What was measured here, in words, and what follows for the headline."""
Ask = Callable[[Sweep], Outcome | None]


@dataclass(frozen=True)
class Headline:
    """A claim of a log.

    Attributes:
        log: which log, and where in it.
        claim: what it claims.
        logged: the values that it gives.
        needs: which sweep could speak to it.
        ask: what a sweep has to say; None where it has nothing.
    """

    log: str
    claim: str
    logged: str
    needs: str
    ask: Ask


@dataclass(frozen=True)
class Line:
    """A headline with what was measured: a row of the report."""

    headline: Headline
    measured: str
    verdict: Verdict


def verdicts(sweep: Sweep, headlines: tuple[Headline, ...]) -> list[Line]:
    """Every headline with its verdict; `not run` where this sweep has nothing to say on it."""
    asked = [(headline, headline.ask(sweep)) for headline in headlines]
    return [Line(headline, *(outcome or (f"needs {headline.needs}", "not run"))) for headline, outcome in asked]


def _read(sweep: Sweep, stratum: str, metric: str) -> Reading | None:
    return scores.confirmed(sweep.history, stratum, metric) if stratum in sweep.strata else None


def _measured(sweep: Sweep, found: list[Reading], metric: str) -> str:
    field = sweep.settings.stratify or "stratum"
    return "; ".join(f"{field} {one.stratum}: {one.words}{_beside(sweep, one, metric)}" for one in found)


def _beside(sweep: Sweep, one: Reading, metric: str) -> str:
    trivial = scores.trivial(sweep.history, one.stratum, metric, one.split)
    return f", {trivial[0]} {trivial[1].value:.4g}" if trivial else ""


def _missing(sweep: Sweep, one: Reading, metric: str) -> str:
    """What a claim from exact counts lacks: they have no units, so replicates alone."""
    few = lacking(len(one.scores), LEAST_UNITS)
    return "; ".join([*lost(sweep.history, one.trial, f"test/{metric}"), *([f"only {few}"] if few else [])])


def reached(metric: str, stratum: str, logged: float) -> Ask:
    """Whether a stratum reaches the log's value of an exact count of which less is better, and whether a trivial predictor does too.

    It agrees where the worst replicate does, and does not where none does.
    """

    def ask(sweep: Sweep) -> Outcome | None:
        found = _read(sweep, stratum, metric)
        if found is None:
            return None
        trivial = scores.trivial(sweep.history, stratum, metric, found.split)
        words = _measured(sweep, [found], metric)
        if trivial and trivial[1].value <= logged:
            return words, "explained by a trivial predictor"
        if missing := _missing(sweep, found, metric):
            return f"{words} ({missing})", "no claim"
        values = [score.value for score in found.scores]
        if min(values) <= logged < max(values):
            return words, "not told apart"
        return words, "agrees" if max(values) <= logged else "does not agree"

    return ask


def fall(metric: str, strata: tuple[str, ...], logged: float | None = None) -> Ask:
    """Whether a metric of which less is better falls from the first of the strata to the last, as far as the sweep has them.

    It is explained where a trivial predictor falls too and, in the last stratum, reaches the log's value; without a logged
    value, where it is at least as good as what was trained. Otherwise the last stratum is compared with the first. At least
    two strata, the last among them, are needed.
    """

    def ask(sweep: Sweep) -> Outcome | None:
        found = [one for stratum in strata if (one := _read(sweep, stratum, metric))]
        if len(found) < 2 or found[-1].stratum != strata[-1]:
            return None
        before, after = (scores.trivial(sweep.history, one.stratum, metric, one.split) for one in (found[0], found[-1]))
        enough = found[-1].measure.value if logged is None else logged
        if before and after and after[1].value < before[1].value and after[1].value <= enough:
            return _measured(sweep, found, metric), "explained by a trivial predictor"
        return _compared(sweep, found, found[-1], found[0], metric, "min")

    return ask


def _compared(sweep: Sweep, found: list[Reading], better: Reading, worse: Reading, metric: str, mode: str) -> Outcome:
    """Whether the first is the better one: counts by their ranges over replicates, which must not meet, else as `compare` has it."""
    words = _measured(sweep, found, metric)
    if better.exact and worse.exact:
        missing = "; ".join(dict.fromkeys(filter(None, (_missing(sweep, one, metric) for one in (better, worse)))))
        low, high = better.measure.low - worse.measure.high, better.measure.high - worse.measure.low
        ahead = "" if low <= 0 <= high else "A" if (high < 0) == (mode == "min") else "B"
    else:
        try:
            difference = compare(
                Arm.of(sweep, better.stratum), Arm.of(sweep, worse.stratum), metric, confidence=confidence(sweep)
            )
        except ConfigError as error:
            return f"{words} ({error})", "no claim"
        missing, ahead = difference.missing, difference.ahead
    if missing:
        return f"{words} ({missing})", "no claim"
    return words, "agrees" if ahead == "A" else "does not agree" if ahead == "B" else "not told apart"


def arms(study: str, better: str, worse: str, metric: str | None = None) -> Ask:
    """Whether one arm of a study is better than another by a metric; None for the objective."""

    def ask(sweep: Sweep) -> Outcome | None:
        name = metric or sweep.settings.metric
        found = _both(sweep, study, better, worse, name)
        if not found:
            return None
        words, verdict = _compared(sweep, found, found[0], found[1], name, scores.metric(sweep.history, name).mode)
        return f"{name}: {words}", verdict

    return ask


def no_gain(study: str, arm: str, control: str, metric: str, margin: float) -> Ask:
    """Whether an arm of a study is no better than its control: it is worse, or no difference beyond the margin is left."""

    def ask(sweep: Sweep) -> Outcome | None:
        found = _both(sweep, study, arm, control, metric)
        if not found:
            return None
        words = f"{metric}: {_measured(sweep, found, metric)}"
        try:
            difference = compare(
                Arm.of(sweep, arm), Arm.of(sweep, control), metric, margin=margin, confidence=confidence(sweep)
            )
        except ConfigError as error:
            return f"{words} ({error})", "no claim"
        if difference.missing:
            return f"{words} ({difference.missing})", "no claim"
        if difference.equivalent:
            return f"{words} (no difference: the 90 % interval lies within {margin:g})", "agrees"
        found_out: dict[str, Verdict] = {"better": "does not agree", "not told apart": "not told apart"}
        why = f": {difference.why}" if difference.why else ""
        return f"{words} ({difference.word}{why})", found_out.get(difference.word, "agrees")

    return ask


def _both(sweep: Sweep, study: str, one: str, other: str, metric: str) -> list[Reading]:
    """Two arms of a study, if both are confirmed; else none."""
    found = (
        [read for stratum in (one, other) if (read := _read(sweep, stratum, metric))]
        if sweep.settings.study == study
        else []
    )
    return found if len(found) == 2 else []
