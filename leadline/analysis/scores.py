"""A metric read at a stratum: its replicates, their mean with interval or their counts from least to most, and what is trivial there."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from leadline.analysis import progress
from leadline.analysis.report.answers import interval
from leadline.config import ConfigError
from leadline.ledger import leaderboard
from leadline.ledger.confirmed import exact, finished, scores
from leadline.ledger.history import History, Trial
from leadline.ledger.leaderboard_table import number
from leadline.measure import Measure
from leadline.statistics import over_replicates

if TYPE_CHECKING:  # a family's module imports torch, which a leaderboard does without
    from leadline.family import Metric

__all__ = ["Reading", "chosen", "confirmed", "coverage", "declared", "held", "metric", "shown", "trivial"]


@dataclass(frozen=True)
class Reading:
    """What a finalist scores. `runs` are its finished replicates, or the trial itself on validation; `scores` theirs, in order."""

    stratum: str
    split: str
    trial: Trial
    runs: list[Trial]
    scores: list[Measure]

    @property
    def exact(self) -> bool:
        """Whether the scores are counts: values without an interval and without units. They get least and most, and no interval."""
        return exact(self.scores)

    @cached_property
    def measure(self) -> Measure:
        """Mean over replicates and units with its interval; of counts the median, from the least to the most."""
        if not self.exact:
            return self.scores[0] if self.split == "validation" else over_replicates(self.scores)
        values = [score.value for score in self.scores if not math.isnan(score.value)]
        return Measure(statistics.median(values), self.scores[0].n, min(values), max(values))

    @property
    def words(self) -> str:
        """`11 to 14 in 5 replicates` of counts, `0.42 [0.40, 0.44]` of estimates."""
        measure, runs = self.measure, len(self.runs)
        often = f" in {runs} replicates" if runs > 1 else "" if self.split == "validation" else " in 1 replicate"
        if self.exact:
            same = measure.low == measure.high
            return (
                f"{number(measure.low)}{often}" if same else f"{number(measure.low)} to {number(measure.high)}{often}"
            )
        return interval(measure)


def declared(settings: Mapping[str, Any]) -> dict[str, Metric]:
    """The family's metrics by name, as the ledger has them.

    An old ledger has none: they are then those of the installed family, and none without it.
    """
    from leadline import registry
    from leadline.family import Metric

    if plain := settings.get("metrics"):
        return {name: Metric.from_dict(name, said) for name, said in plain.items()}
    try:
        return {one.name: one for one in registry.family(settings["family"]).metrics}
    except (ConfigError, ValueError, KeyError):
        return {}


def metric(history: History, name: str) -> Metric:
    """What a metric is; for one that is not known where a report is made, what the settings say."""
    from leadline.family import Metric

    found = declared(history.settings).get(name)
    return found or Metric(name, history.settings["mode"], "independent units", "")


def held(history: History) -> list[str]:
    """Names, without their split, of all metrics that a trial's last report or a trivial predictor holds."""
    found = {name.split("/", 1)[1]: None for trial in history.trials.values() for name in _last(trial) if "/" in name}
    return list(found | {name.split("/", 1)[1]: None for line in history.baselines for name in line.metrics})


def shown(history: History) -> list[str]:
    """The objective, the metrics beside it, and those on the subset that is common to all strata, as far as anything holds them."""
    names, known = held(history), declared(history.settings)
    common = [name for name in names if name in known and known[name].role == "common"]
    wanted = [history.settings["metric"], *history.settings.get("beside", ()), *common]
    return [name for name in dict.fromkeys(wanted) if name in names]


def _last(trial: Trial) -> Mapping[str, Measure]:
    return trial.reports[-1].metrics if trial.reports else {}


def confirmed(history: History, stratum: str, name: str) -> Reading | None:
    """The best confirmed finalist of a stratum, by the objective, read on test."""
    trial = next(iter(leaderboard.confirmed(history, stratum)), None)
    if trial is None:
        return None
    runs = [run for run in finished(history, trial) if run.measure(f"test/{name}")]
    found = scores(history, trial, f"test/{name}")
    return Reading(stratum, "test", trial, runs, found) if found else None


def chosen(history: History, stratum: str, name: str) -> Reading | None:
    """The best finished trial of a stratum, by the objective, read on the validation split that it was chosen on."""
    trial = progress.best(history, stratum)
    score = trial.measure(f"validation/{name}") if trial else None
    return Reading(stratum, "validation", trial, [trial], [score]) if trial and score else None


def trivial(history: History, stratum: str, name: str, split: str) -> tuple[str, Measure] | None:
    """The trivial predictor that scores best on a metric there, oracles left out."""
    found = leaderboard.best_trivial(history, stratum, f"{split}/{name}", metric(history, name).mode)
    return (found.name, found.metrics[f"{split}/{name}"]) if found else None


def coverage(history: History) -> tuple[list[tuple[str, float]], str]:
    """How much of each stratum's rows hold the answer, and what is counted.

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
