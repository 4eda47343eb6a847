"""What the replicates of a finalist show.

This is its test score, the comparison with trivial predictors, its exact counts, and how much of
its score may be luck.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from dataclasses import dataclass

import numpy as np

from leadline.ledger.history import Baseline, History, Trial
from leadline.ledger.verdicts import Comparison, Side
from leadline.measure import Measure, sign
from leadline.statistics import best_by_luck, differing, lacking, over_replicates, two_way

__all__ = [
    "Count",
    "Luck",
    "confirmation",
    "counts",
    "cut_short",
    "exact",
    "finished",
    "lost",
    "luck",
    "scores",
    "versus",
]


def finished(history: History, trial: Trial) -> list[Trial]:
    """Returns the trial's replicates that spent their whole budget."""
    return [run for run in history.replicates(trial.number) if run.status == "finished"]


def scores(history: History, trial: Trial, name: str) -> list[Measure]:
    """Returns a metric, as `split/metric`, in the last report of each finished replicate.

    Replicates that do not have it are left out.
    """
    found = [run.measure(name) for run in finished(history, trial)]
    return [score for score in found if score is not None]


def exact(found: list[Measure]) -> bool:
    """Returns whether these are exact values such as counts.

    They have neither units nor width. A value is NaN where nothing was counted; with NaN alone they
    are not exact.
    """
    values = [(score.low, score.value, score.high) for score in found if not math.isnan(score.value)]
    return (
        bool(values)
        and all(low == value == high for low, value, high in values)
        and not any(score.units for score in found)
    )


def confirmation(history: History, trial: Trial, metric: str | None = None) -> Measure | None:
    """Returns a finalist's test score over its finished replicates and the test units.

    It is None before the first replicate has finished.

    Args:
        history: the state of the sweep.
        trial: the finalist.
        metric: a metric's name without its split; None for the objective. Another metric that is an
            exact count has no interval, and so no confirmation: see `counts`.
    """
    found = scores(history, trial, f"test/{metric or history.settings.metric}")
    if not found or (metric not in (None, history.settings.metric) and exact(found)):
        return None
    return over_replicates(found)


def missing(history: History, trial: Trial, name: str, unit: str = "units") -> str:
    """Returns why a finalist's replicates allow no claim by a metric, named `test/metric`.

    It is empty where they allow one. A lost replicate is always named, since those that remain may
    be the lucky ones.
    """
    found = [score for score in scores(history, trial, name) if math.isfinite(score.value)]
    units = min((len(score.units) or score.n for score in found), default=0)
    few = lacking(len(found), units, unit, history.settings.least_units)
    return "; ".join([*lost(history, trial, name), *([f"only {few}"] if few else [])])


def lost(history: History, trial: Trial, name: str) -> list[str]:
    """Returns a finalist's replicates without a finite score on every unit.

    They are given as in `replicate 43 failed`. One that was cut short is none of them.
    """
    words = {"failed": "failed", "stopped": "was stopped", "running": "is still running", "waiting": "is waiting"}
    runs = [run for run in history.replicates(trial.number) if not cut_short(history, run)]
    ended = [f"replicate {run.number} {words[run.status]}" for run in runs if run.status != "finished"]
    found = [(run.number, _unfit(run.measure(name))) for run in finished(history, trial)]
    return ended + [f"the score of replicate {number} {words}" for number, words in found if words]


def cut_short(history: History, run: Trial) -> bool:
    """Returns whether a replicate ended only because its budget was shorter; not if it diverged."""
    sound = not run.reports or math.isfinite(run.value(f"validation/{history.settings.metric}"))
    return run.status == "stopped" and run.budget < history.budget and sound


def _unfit(score: Measure | None) -> str:
    """Why a score, or a value of a unit behind it, allows no comparison; empty where it does."""
    if score is None or not math.isfinite(score.value):
        return "is not finite"
    count = sum(not math.isfinite(unit) for unit in score.units)
    return f"is not finite on {count} of {len(score.units)} units" if count else ""


@dataclass(frozen=True)
class Count:
    """An exact count over replicates.

    Attributes:
        median: the median over replicates.
        low: the smallest value.
        high: the largest value.
        n: what one replicate counted over.
        replicates: the number of replicates that have a value.
    """

    median: float
    low: float
    high: float
    n: int
    replicates: int


def counts(history: History, trial: Trial) -> dict[str, Count]:
    """Returns the exact counts among a finalist's test metrics, by name without the split.

    They are in the order of its reports.
    """
    runs = [run for run in finished(history, trial) if run.reports]
    names = dict.fromkeys(name for run in runs for name in run.reports[-1].metrics if name.startswith("test/"))
    found = {name.removeprefix("test/"): scores(history, trial, name) for name in names}
    return {name: _count(measures) for name, measures in found.items() if exact(measures)}


def _count(measures: list[Measure]) -> Count:
    values = [measure.value for measure in measures if not math.isnan(measure.value)]
    return Count(statistics.median(values), min(values), max(values), measures[0].n, len(values))


def versus(
    history: History,
    trial: Trial,
    line: Baseline,
    metric: str | None = None,
    mode: str | None = None,
    unit: str = "units",
) -> Comparison | None:
    """Compares a finalist (A) with a trivial predictor (B) on test.

    It is None where one of them has no score there. There is no estimate of the difference where
    the ledger has no value per unit: the finalist's own interval is then compared with the
    predictor's value.

    Args:
        history: the state of the sweep.
        trial: the finalist.
        line: the trivial predictor.
        metric: a metric's name without its split; None for the objective.
        mode: min or max; None for the objective's.
        unit: what the metric's `n` counts, for `missing`.
    """
    metric, mode = metric or history.settings.metric, mode or history.settings.mode
    name = f"test/{metric}"
    found, other = scores(history, trial, name), line.metrics.get(name)
    if not found or other is None:
        return None
    own = Side(f"trial {trial.number}", trial.stratum, trial.number, tuple(found))
    predictor = Side(line.name, trial.stratum, scores=(other,))
    unfit = [f"the score of {line.name} {words}"] if (words := _unfit(other)) else []
    lacks = "; ".join(filter(None, [missing(history, trial, name, unit), *unfit]))
    made = Comparison(own, predictor, metric, mode, None, lacks, other.n, unit)
    if not all(score.units and len(score.units) == len(other.units) for score in found):
        return made
    table = np.array([score.units for score in found]) - np.array(other.units)
    return dataclasses.replace(made, estimate=two_way(table), n=table.shape[1], differing=differing(table))


@dataclass(frozen=True)
class Luck:
    """How much of the winner's score may be luck, because many configurations were looked at.

    All scores are of the objective on validation.

    Attributes:
        looked: the number of the stratum's configurations that have reported.
        everywhere: the same number over all strata.
        replicates: the number of finished replicates of the search's winner.
        spread: the standard deviation over them of their score at full budget.
        expected: how far beyond their common mean the best of `looked` equally good configurations
            would score by luck.
        seen: how far beyond its replicates' mean the winner scored in the search; negative where it
            scored worse.
    """

    looked: int
    everywhere: int
    replicates: int
    spread: float
    expected: float
    seen: float


def luck(history: History, trial: Trial) -> Luck | None:
    """Returns how much of a finalist's validation score may be luck.

    It is None with fewer than two replicates, or with values that are not finite.
    """
    name = f"validation/{history.settings.metric}"
    values = [score.value for score in scores(history, trial, name)]
    if len(values) < 2 or not all(map(math.isfinite, (*values, trial.value(name)))):
        return None
    reported = [other for other in history.search_trials() if other.reports]
    looked = sum(other.stratum == trial.stratum for other in reported)
    spread = statistics.stdev(values)
    seen = sign(history.settings.mode) * (statistics.fmean(values) - trial.value(name))
    return Luck(looked, len(reported), len(values), spread, best_by_luck(spread, looked), seen)
