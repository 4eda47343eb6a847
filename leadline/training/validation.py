"""Validation within a budget: what of the validation split each report is scored on.

Where scoring all of it at every report would take more than its share of the training time, most
reports are scored on a part, and all of it where that says something new.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError
from leadline.family import Family
from leadline.measure import PART, Measure, Metric, as_measures, sign
from leadline.task import Task
from leadline.training.guards.guard import generators_kept, gpus

__all__ = ["Validation", "order"]

LEAST_SECONDS = 1.0
"""Seconds below which scoring everything is cheap, whatever its share."""
LEAST_UNITS = 32
"""The least units of a part: fewer tell too little of the rest."""
NORMAL = 1.96
"""Standard errors from the middle to the end of a 95 % interval."""
_SEED = 20260
"""The seed of the order in which units enter a part: the same for every trial."""

I64 = npt.NDArray[np.int64]


def order(strata: I64) -> I64:
    """Returns the units in an order of which every beginning is a stratified random part.

    Args:
        strata: the stratum of each unit, int64 [units]. Each has about its share of a beginning of
            any length.
    """
    generator = np.random.default_rng(_SEED)
    shuffled = generator.permutation(len(strata))
    place = np.zeros(len(strata))
    for stratum in np.unique(strata):
        own = shuffled[strata[shuffled] == stratum]
        place[own] = (np.arange(len(own)) + generator.random(len(own))) / len(own)
    return np.argsort(place, kind="stable")


class Validation:
    """Scores a trial's validation split, all of it or a part, and counts the seconds.

    All of it is scored at every report while that takes no more than the share of the interval's
    training time, or less than `LEAST_SECONDS`. Else a stratified random part is chosen, once,
    which takes half of the share. The other half is for scoring everything where the part has
    improved, by more than its own standard error, on its best where everything was scored: at once
    or as soon as there is room in the budget. At rungs and at the end, where trials are compared,
    everything is scored in any case. Where everything turns out to be cheap, the part is given up.

    Args:
        task: the trial's task.
        family: its family, which declares what is returned.
        metric: the one that selects checkpoints and gates what is scored.
        share: seconds of scoring for one second of training.
        clock: tells the seconds.
    """

    def __init__(
        self,
        task: Task,
        family: Family[Any],
        metric: Metric,
        share: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.seconds = 0.0
        """Seconds of scoring validation so far."""
        self._task = task
        self._family = family
        self._metric = metric
        self._share = share
        self._clock = clock
        self._part: I64 | None = None
        self._whole_seconds = 0.0
        """Seconds that scoring everything took the last time."""
        self._best = math.inf
        """The part's best value where everything was scored, turned so that smaller is better."""

    def score(self, trained: float, interval: float, *, due: bool) -> dict[str, Measure]:
        """Returns measures of everything by `validation/metric`, of the part by `part/metric`.

        Args:
            trained: seconds of training so far.
            interval: those of the steps from one report to the next, at the present pace.
            due: whether everything must be scored.

        Raises:
            ConfigError: if the task returns anything but measures of the family's metrics, or not
                all of them.
        """
        part, found, value = self._part, dict[str, Measure](), math.inf
        if part is not None:
            found, value, error = self._of_part(part)
            # A value that is no number says something new, too.
            if not due and (value >= self._best - error or not self._room(trained)):
                return found
        whole = self._whole()
        allowed = max(LEAST_SECONDS, self._share * interval)
        if part is None and self._whole_seconds > allowed and (part := self._chosen(interval)) is not None:
            self._part = part
            found, value, _ = self._of_part(part)
        # The first time was slow, or the machine is another one; half, so that noise swaps nothing.
        elif part is not None and 2 * self._whole_seconds <= allowed:
            self._part, self._best = None, math.inf
            return whole
        self._best = min(self._best, value) if math.isfinite(value) else self._best
        return {**whole, **found}

    def _of_part(self, part: I64) -> tuple[dict[str, Measure], float, float]:
        """Scores the part: its measures, its value as `_best` has it, and its standard error."""
        name = self._metric.name
        measures = self._timed(lambda: self._task.evaluate_part(name, part), "evaluate_part")
        if name not in measures:
            raise ConfigError(f"evaluate_part: returned no {name!r}, of which `strata` was asked")
        error = _standard_error(measures[name])
        found = {f"{PART}/{label}": measure for label, measure in measures.items()}
        return found, sign(self._metric.mode) * measures[name].value, error

    def _whole(self) -> dict[str, Measure]:
        """Scores everything."""
        before = self.seconds
        found = self._timed(lambda: self._task.evaluate("validation"), "evaluate")
        self._whole_seconds = self.seconds - before
        required = [one.name for one in self._family.metrics if not one.optional or one == self._metric]
        if missing := [name for name in required if name not in found]:
            raise ConfigError(f"evaluate: returned no {missing[0]!r}, which {self._family.name} declares")
        return {f"validation/{name}": measure for name, measure in found.items()}

    def _timed(self, score: Callable[[], Any], place: str) -> dict[str, Measure]:
        """Scores on the clock; torch's generators are as before, however much was scored."""
        began = self._clock()
        with generators_kept(gpus(self._task.model)):
            found = as_measures(score(), self._family.metrics, place)
        self.seconds += self._clock() - began
        return found

    def _room(self, trained: float) -> bool:
        """Whether the budget has room for scoring everything."""
        return self.seconds + self._whole_seconds <= self._share * trained

    def _chosen(self, interval: float) -> I64 | None:
        """The units of a part that takes half of the share; None where none can be scored."""
        strata = self._task.strata(self._metric.name)
        if strata is None or len(strata) <= LEAST_UNITS:
            return None
        count = round(len(strata) * self._share * interval / 2 / self._whole_seconds)
        return np.sort(order(strata)[: max(LEAST_UNITS, count)])

    def state_dict(self) -> dict[str, Any]:
        """Returns what an attempt goes on from, the same part above all."""
        return {
            "seconds": self.seconds,
            "part": None if self._part is None else self._part.tolist(),
            "whole_seconds": self._whole_seconds,
            "best": self._best,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned; of older checkpoints, which have none, nothing."""
        if state:
            self.seconds, self._whole_seconds = state["seconds"], state["whole_seconds"]
            self._part = None if state["part"] is None else np.asarray(state["part"], dtype=np.int64)
            self._best = state["best"]


def _standard_error(measure: Measure) -> float:
    if len(measure.units) > 1:
        return float(np.std(measure.units, ddof=1) / math.sqrt(len(measure.units)))
    spread = (measure.high - measure.low) / (2 * NORMAL)
    return spread if math.isfinite(spread) else 0.0
