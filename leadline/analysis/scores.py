"""The scores of a stratum by one metric.

A reading has the finalist's replicates, and their mean with its interval, or for counts their
range. The best trivial predictor's score stands beside it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from leadline.analysis import progress
from leadline.analysis.report.answers import interval
from leadline.config import ConfigError
from leadline.ledger import leaderboard
from leadline.ledger.confirmed import exact, finished, scores
from leadline.ledger.history import History, Trial
from leadline.ledger.leaderboard_table import number
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Metric
from leadline.statistics import over_replicates

__all__ = ["Reading", "chosen", "confirmed", "coverage", "declared", "held", "metric", "shown", "trivial"]


@dataclass(frozen=True)
class Reading:
    """The scores of a finalist by one metric.

    Attributes:
        stratum: the stratum.
        split: the split that it was scored on.
        trial: the finalist.
        runs: its finished replicates; on validation the trial itself.
        scores: the scores of `runs`, in the same order.
    """

    stratum: str
    split: str
    trial: Trial
    runs: list[Trial]
    scores: list[Measure]

    @property
    def exact(self) -> bool:
        """Whether the scores are counts, which have neither units nor an interval.

        They are given from the least to the most.
        """
        return exact(self.scores)

    @cached_property
    def measure(self) -> Measure:
        """The mean over replicates and units with its interval.

        For counts it is the median, from the least to the most.
        """
        if not self.exact:
            return self.scores[0] if self.split == "validation" else over_replicates(self.scores)
        values = [score.value for score in self.scores if not math.isnan(score.value)]
        return Measure(statistics.median(values), self.scores[0].n, min(values), max(values))

    @property
    def words(self) -> str:
        """The measure in words: `11 to 14 in 5 replicates`, or `0.42 [0.40, 0.44]`.

        The first is for counts, the second for estimates.
        """
        measure, runs = self.measure, len(self.runs)
        often = f" in {runs} replicates" if runs > 1 else "" if self.split == "validation" else " in 1 replicate"
        if self.exact:
            same = measure.low == measure.high
            return (
                f"{number(measure.low)}{often}" if same else f"{number(measure.low)} to {number(measure.high)}{often}"
            )
        return interval(measure)


def declared(settings: Settings) -> dict[str, Metric]:
    """Returns the family's metrics by name, as the ledger has them.

    An old ledger has none. They are then those of the installed family, and none where it is not
    installed.
    """
    if plain := settings.metrics:
        return {name: Metric.from_dict(name, said) for name, said in plain.items()}
    try:
        return {one.name: one for one in settings.model_family().metrics}
    except ConfigError:
        return {}


def metric(history: History, name: str) -> Metric:
    """Returns a metric by its name.

    For a metric that is not known here, it has the objective's mode.
    """
    found = declared(history.settings).get(name)
    return found or Metric(name, history.settings.mode, "independent units", "")


def held(history: History) -> list[str]:
    """Returns the names, without split, of all metrics in a last report or a trivial predictor."""
    found = {name.split("/", 1)[1]: None for trial in history.trials.values() for name in _last(trial) if "/" in name}
    return list(found | {name.split("/", 1)[1]: None for line in history.baselines for name in line.metrics})


def shown(history: History) -> list[str]:
    """Returns the metrics that a report shows, as far as anything holds them.

    These are the objective, the metrics beside it, and those on the subset that is common to all
    strata.
    """
    names, known = held(history), declared(history.settings)
    common = [name for name in names if name in known and known[name].role == "common"]
    wanted = [history.settings.metric, *history.settings.beside, *common]
    return [name for name in dict.fromkeys(wanted) if name in names]


def _last(trial: Trial) -> Mapping[str, Measure]:
    return trial.scored.metrics if trial.scored else {}


def confirmed(history: History, stratum: str, name: str) -> Reading | None:
    """Returns the best confirmed finalist of a stratum, by the objective, scored on test."""
    trial = next(iter(leaderboard.confirmed(history, stratum)), None)
    if trial is None:
        return None
    runs = [run for run in finished(history, trial) if run.measure(f"test/{name}")]
    found = scores(history, trial, f"test/{name}")
    return Reading(stratum, "test", trial, runs, found) if found else None


def chosen(history: History, stratum: str, name: str) -> Reading | None:
    """Returns the best finished trial of a stratum, by the objective, scored on validation.

    It was chosen on that split.
    """
    trial = progress.best(history, stratum)
    score = trial.measure(f"validation/{name}") if trial else None
    return Reading(stratum, "validation", trial, [trial], [score]) if trial and score else None


def trivial(history: History, stratum: str, name: str, split: str) -> tuple[str, Measure] | None:
    """Returns the trivial predictor that scores best by a metric on a split, oracles left out."""
    found = leaderboard.best_trivial(history, stratum, f"{split}/{name}", metric(history, name).mode)
    return (found.name, found.metrics[f"{split}/{name}"]) if found else None


def coverage(history: History) -> tuple[list[tuple[str, float]], str]:
    """Finds how much of each stratum's rows hold the answer, and what is counted.

    Returns:
        (stratum, share) by the metric of the role `coverage`, on test, else on validation, where
            trials or trivial predictors report it, and that metric's description.
    """
    known = [one for one in declared(history.settings).values() if one.role == "coverage"]
    if not known:
        return [], ""
    found: dict[str, float] = {}
    for split in ("validation", "test"):
        name = f"{split}/{known[0].name}"
        for line in [line for line in history.baselines if name in line.metrics]:
            found[line.stratum] = line.metrics[name].value
        for trial in [trial for trial in history.trials.values() if trial.measure(name)]:
            found[trial.stratum] = trial.value(name)
    return [(stratum, found[stratum]) for stratum in leaderboard.strata(history) if stratum in found], known[0].doc
