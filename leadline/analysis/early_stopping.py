"""Which trials were stopped before their budget, where and why, and what early stopping saved.

And how far it can be trusted: how well each rung orders the trials that finished.

Only ASHA stops early. Trials that stopped because their objective was not finite, because the
sweep's target was reached, or because an earlier one had the same configuration, are counted apart.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from leadline.ledger import leaderboard
from leadline.ledger.history import History, Trial
from leadline.ledger.rungs import judges
from leadline.ledger.rungs import rungs as places
from leadline.ledger.wording import REPEATS
from leadline.measure import Measure, sign
from leadline.statistics import Concordance

__all__ = [
    "FEWEST",
    "NOT_FINITE",
    "REPEATED",
    "TARGET",
    "Agreement",
    "Stopped",
    "agreement",
    "at_rungs",
    "rungs",
    "saved_seconds",
    "stopped",
]

NOT_FINITE, REPEATED, TARGET = "value not finite", "configuration repeated, not trained", "target reached"

FEWEST = 8
"""The finished trials below which no tau is told: its interval would be wider than 1."""

_RUNG = re.compile(r"rung (\d+):")
_TARGET = "target "


@dataclass(frozen=True)
class Stopped:
    """The trials that stopped at one rung, or for one other reason.

    Attributes:
        rung: the rung, in the sweep's unit; None for another reason.
        cause: `rung 1,000`, `NOT_FINITE`, `REPEATED`, `TARGET`, or what else the ledger gives as
            the reason.
        judged: how many trials were compared at the rung, of those whose last stage had begun; for
            another reason, how many stopped.
        trials: the numbers of the trials that stopped.
        left: the budget that these left unspent, in the sweep's unit.
    """

    rung: int | None
    cause: str
    judged: int
    trials: list[int]
    left: int


def rungs(history: History) -> list[int]:
    """Returns the rungs at which trials are judged, in the unit of the budget.

    They are the grace period and its multiples by powers of the reduction factor, below the budget.
    """
    settings = history.settings
    return places(settings.grace, settings.reduction, settings.budget)


def _rung(trial: Trial) -> int | None:
    match = _RUNG.match(trial.reason)
    return int(match[1]) if match else None


def _other(history: History, trial: Trial) -> str:
    """Returns why a trial stopped, if not at a rung."""
    if trial.reports and not math.isfinite(trial.value(leaderboard.objective(history))):
        return NOT_FINITE
    if trial.reason.startswith(REPEATS):
        return REPEATED
    return TARGET if trial.reason.startswith(_TARGET) else trial.reason or "no reason given"


def _spent(history: History, trial: Trial) -> int:
    return history.spent(trial.reports[-1]) if trial.reports else 0


def _judged(history: History, rung: int) -> int:
    """Returns how many trials were compared at a rung: those that got there with a finite value."""
    budget = history.settings.budget
    trials = [trial for trial in history.search_trials() if judges(rung, trial.judged_from, budget)]
    return sum(not math.isnan(_value_at(history, trial, rung)) for trial in trials)


def _value_at(history: History, trial: Trial, rung: int) -> float:
    """Returns a trial's first finite value at a rung or after it; NaN where there is none."""
    metric = leaderboard.objective(history)
    values = [
        report.metrics[metric].value
        for report in trial.reports
        if metric in report.metrics and history.spent(report) >= rung
    ]
    return next(filter(math.isfinite, values), math.nan)


def _row(history: History, rung: int | None, cause: str, judged: int, trials: list[Trial]) -> Stopped:
    budget = history.settings.budget
    return Stopped(
        rung,
        cause,
        judged,
        [trial.number for trial in trials],
        sum(budget - _spent(history, trial) for trial in trials),
    )


def stopped(history: History) -> list[Stopped]:
    """Returns a row for each rung that judged search trials, then for each other reason."""
    at: dict[int, list[Trial]] = {rung: [] for rung in rungs(history)}
    others: dict[str, list[Trial]] = {}
    for trial in [trial for trial in history.search_trials() if trial.status == "stopped"]:
        rung = _rung(trial)
        if rung is None:
            others.setdefault(_other(history, trial), []).append(trial)
        else:
            at.setdefault(rung, []).append(trial)
    found = [
        _row(history, rung, f"rung {rung:,}", _judged(history, rung), trials) for rung, trials in sorted(at.items())
    ]
    return [row for row in found if row.judged] + [
        _row(history, None, cause, len(trials), trials) for cause, trials in others.items()
    ]


def at_rungs(history: History) -> list[Trial]:
    """Returns the search trials that ASHA stopped."""
    return [trial for trial in history.search_trials() if trial.status == "stopped" and _rung(trial) is not None]


def saved_seconds(history: History) -> float:
    """Returns the seconds of training that trials stopped by ASHA would have taken for the rest.

    Each is taken to go on at its own speed so far.
    """
    budget = history.settings.budget
    trials = [trial for trial in at_rungs(history) if _spent(history, trial)]
    return sum(trial.reports[-1].seconds * (budget / _spent(history, trial) - 1) for trial in trials)


@dataclass(frozen=True)
class Agreement:
    """How well a rung orders the trials that spent their whole budget.

    Attributes:
        rung: the rung, in the sweep's unit.
        stratum: the trials' stratum; None for the pairs within all strata together.
        tau: Kendall's tau-b between the objective at the rung and at the end, its interval, and the
            number of finished trials; NaN for fewer than `FEWEST` of them.
        best: the finished trials that are among the best tenth of their stratum at the end.
        kept: those of them that are among the best 1/reduction of the finished at the rung.
    """

    rung: int
    stratum: str | None
    tau: Measure
    best: int
    kept: int


def agreement(history: History) -> list[Agreement]:
    """Returns the agreement of each rung with the end: of each stratum, and of all together.

    Trials whose last stage had not begun at a rung are counted there, too. What finished was spared
    by the rungs, so that a tau here is of a selected set, and lower than over all trials as a rule.
    """
    strata = leaderboard.strata(history)
    groups = [[stratum] for stratum in strata] if len(strata) > 1 else []
    return [
        Agreement(rung, stratum[0] if len(stratum) == 1 < len(strata) else None, *_agreement(history, rung, stratum))
        for rung in rungs(history)
        for stratum in [*groups, strata]
    ]


def _agreement(history: History, rung: int, strata: list[str]) -> tuple[Measure, int, int]:
    """Returns tau, the best tenth of each stratum, and how many of these the rung would keep."""
    metric, direction = leaderboard.objective(history), sign(history.settings.mode)
    found = Concordance()
    best = kept = 0
    for stratum in strata:
        trials = [trial for trial in history.search_trials() if trial.stratum == stratum]
        pairs = [
            (direction * _value_at(history, trial, rung), direction * trial.value(metric))
            for trial in trials
            if trial.status == "finished"
        ]
        for at_rung, end in pairs:
            found.add(stratum, at_rung, end)
        cut = sorted(at_rung for at_rung, _ in pairs)[: math.ceil(len(pairs) / history.settings.reduction)]
        tenth = sorted(pairs, key=lambda pair: pair[1])[: math.ceil(len(pairs) / 10)]
        best += len(tenth)
        kept += sum(at_rung <= cut[-1] for at_rung, _ in tenth)
    tau = found.measure() if found.n >= FEWEST else Measure(math.nan, found.n, math.nan, math.nan)
    return tau, best, kept
