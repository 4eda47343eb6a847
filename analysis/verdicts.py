"""The log's headlines beside what was measured here. Which headlines there are is data, in `analysis.headlines`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis import readings
from analysis.readings import Reading
from sweeps.ledger import leaderboard
from sweeps.ledger.history import History
from trainables.statistics import two_way

__all__ = ["Headline", "Line", "Outcome", "Verdict", "arms", "fall", "reached", "verdicts"]

Verdict = Literal["agrees", "does not agree", "not told apart", "explained by a trivial predictor", "not run"]
Outcome = tuple[str, Verdict]
"""What was measured here, in words, and what follows for the headline."""


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
    ask: Callable[[History], Outcome | None]


@dataclass(frozen=True)
class Line:
    """A headline with what was measured: a row of the report."""

    headline: Headline
    measured: str
    verdict: Verdict


def verdicts(history: History, headlines: tuple[Headline, ...]) -> list[Line]:
    """Every headline with its verdict; `not run` where this sweep has nothing to say on it."""
    asked = [(headline, headline.ask(history)) for headline in headlines]
    return [Line(headline, *(outcome or (f"needs {headline.needs}", "not run"))) for headline, outcome in asked]


def _read(history: History, stratum: str, metric: str) -> Reading | None:
    if stratum not in leaderboard.strata(history):
        return None
    return readings.confirmed(history, stratum, metric) or readings.chosen(history, stratum, metric)


def _measured(history: History, found: list[Reading], metric: str) -> str:
    field = history.settings["stratify"] or "stratum"
    words = [
        f"{field} {one.stratum}: {one.words}{'' if one.split == 'test' else ' (not confirmed)'}{_beside(history, one, metric)}"
        for one in found
    ]
    return "; ".join(words)


def _beside(history: History, one: Reading, metric: str) -> str:
    trivial = readings.trivial(history, one.stratum, metric, one.split)
    return f", {trivial[0]} {trivial[1].value:.4g}" if trivial else ""


def reached(metric: str, stratum: str, logged: float) -> Callable[[History], Outcome | None]:
    """Whether a stratum reaches the log's value of a metric of which less is better, and whether a trivial predictor does too.

    It agrees where the worst replicate does, and does not where none does.
    """

    def ask(history: History) -> Outcome | None:
        found = _read(history, stratum, metric)
        if found is None:
            return None
        trivial = readings.trivial(history, stratum, metric, found.split)
        words = _measured(history, [found], metric)
        if trivial and trivial[1].value <= logged:
            return words, "explained by a trivial predictor"
        values = [score.value for score in found.scores]
        if min(values) <= logged < max(values):
            return words, "not told apart"
        return words, "agrees" if max(values) <= logged else "does not agree"

    return ask


def fall(metric: str, strata: tuple[str, ...], logged: float | None = None) -> Callable[[History], Outcome | None]:
    """Whether a metric of which less is better falls from the first of the strata to the last, as far as the sweep has them.

    It is explained where a trivial predictor falls too and, in the last stratum, reaches the log's value; without a logged
    value, where it is at least as good as what was trained. It agrees where the interval of the difference between the
    last and the first stratum excludes 0; of counts, where their ranges over replicates do not meet. At least two strata,
    the last among them, are needed.
    """

    def ask(history: History) -> Outcome | None:
        found = [one for stratum in strata if (one := _read(history, stratum, metric))]
        if len(found) < 2 or found[-1].stratum != strata[-1]:
            return None
        words = _measured(history, found, metric)
        before, after = (readings.trivial(history, one.stratum, metric, one.split) for one in (found[0], found[-1]))
        enough = found[-1].measure.value if logged is None else logged
        if before and after and after[1].value < before[1].value and after[1].value <= enough:
            return words, "explained by a trivial predictor"
        return words, _compared(found[-1], found[0])

    return ask


def _compared(lower: Reading, higher: Reading) -> Verdict:
    """Whether the first is the lower one: by the difference over replicates and the same units, else by intervals that do not meet."""
    units = [[score.units for score in one.scores] for one in (lower, higher)]
    if all(units[0]) and all(units[1]) and len({len(values) for own in units for values in own}) == 1:
        found = two_way(np.array(units[0]), -np.array(units[1])).measure()
        low, high = found.low, found.high
    else:
        low, high = lower.measure.low - higher.measure.high, lower.measure.high - higher.measure.low
    return "agrees" if high < 0 else "does not agree" if low > 0 else "not told apart"


def arms(study: str, better: str, worse: str, metric: str | None = None) -> Callable[[History], Outcome | None]:
    """Whether one arm of a study is better than another on a metric of which less is better; None for the objective.

    It agrees where the interval of their difference on the same test units excludes 0.
    """

    def ask(history: History) -> Outcome | None:
        if history.settings["study"] != study:
            return None
        name = metric or str(history.settings["metric"])
        found = [one for stratum in (better, worse) if (one := _read(history, stratum, name))]
        if len(found) < 2 or readings.metric(history, name).mode != "min":
            return None
        return f"{name}: {_measured(history, found, name)}", _compared(found[0], found[1])

    return ask
