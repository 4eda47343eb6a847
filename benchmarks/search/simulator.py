"""Sweeps without training: the real director decides, and a table says what its trials report.

Workers are asynchronous: an event heap holds when each running trial reports next, in seconds of
the table. Nothing is stored, and nothing is confirmed. Where trials tie, the one that was placed
first reports first.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from benchmarks.search.tables import Curve, Table, regret
from benchmarks.sleep_family import SleepFamily
from leadline.config import TrialConfig, configuration, knob
from leadline.engine.director import Assignment, Director
from leadline.ledger.leaderboard import metric_name
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Metric, Report, sign

__all__ = ["METRIC", "TABULAR", "Leadline", "Method", "Proposal", "Sweep", "settings", "simulate"]

METRIC = "value"
STARTUP = 5
"""Random trials before TPE begins, as `leadline.engine.study.Scale` has it."""


@configuration
class TabularConfig(TrialConfig):
    """The settings of a simulated trial."""

    point: dict[str, float | int | str] = knob({}, "a point of the table's space, by parameter")


class TabularFamily(SleepFamily):
    """Trials whose curves come from a table; nothing of it is trained."""

    name = "tabular"
    Config = TabularConfig  # type: ignore[assignment]
    metrics: ClassVar[tuple[Metric, ...]] = (Metric(METRIC, "min", "trainings", "the table's value"),)
    objective = METRIC


TABULAR = TabularFamily()


class Proposal(NamedTuple):
    """A trial to place, and its point of the table's space."""

    trial: int
    params: Mapping[str, Any]


class Method(Protocol):
    """What decides: it proposes trials, and says after each report whether a trial goes on."""

    def next(self) -> Proposal | None:
        """Returns the next trial, or None where none can be placed until another reports."""
        ...

    def reported(self, trial: int, epoch: int, value: float) -> bool:
        """Takes a report; returns whether the trial goes on. At the last epoch it never does."""
        ...


def settings(table: Table, seed: int, overrides: Mapping[str, Any], workers: int) -> Settings:
    """Returns the settings of a sweep over a table, which ends by its cost and not by its trials.

    Args:
        table: what is searched.
        seed: the sweep's seed.
        overrides: fields of `Settings` that a method changes.
        workers: trials at a time.
    """
    plain = Settings(
        study=table.name,
        family="benchmarks.search.simulator:TABULAR",
        metric=METRIC,
        mode=table.mode,
        sampler="tpe",
        scale="",
        stratify=None,
        strata=("all",),
        trials=10**6,
        budget=table.epochs,
        grace=table.grace,
        reduction=3,
        startup=STARTUP,
        seed=seed,
        confirm=0,
        replicates=1,
        fields={},
        overrides={},
        scheduler="asha",
        concurrent=workers,
    )
    return dataclasses.replace(plain, **overrides)


class Leadline:
    """The real director, driven as the driver drives it."""

    def __init__(self, table: Table, seed: int, workers: int, overrides: Mapping[str, Any]) -> None:
        self._metric = metric_name(METRIC)
        self.director = Director(
            settings(table, seed, overrides, workers), lambda trial, scale: {"point": table.space(trial, scale)}
        )
        self.director.opened({})

    def next(self) -> Proposal | None:
        """Places the director's next assignment."""
        found = self.director.next()
        if not isinstance(found, Assignment):
            return None
        self.director.started(found.trial, found.attempt)
        return Proposal(found.trial, found.config["point"])

    def reported(self, trial: int, epoch: int, value: float) -> bool:
        """Hands a report to the director."""
        report = Report(epoch, epoch, float(epoch), 0.0, {self._metric: Measure.exact(value)})
        return self.director.reported(trial, report).action == "continue"


@dataclass
class Sweep:
    """What a simulated sweep came to.

    Attributes:
        trials: points by trial, in the order in which they were placed.
        epochs: how far each trial came.
        finished: trials that came to the end.
        reports: (seconds, trial, epoch, value) of every report, in order.
        regrets: the regret at each checkpoint; see `simulate`.
    """

    trials: dict[int, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    epochs: dict[int, int] = dataclasses.field(default_factory=dict)
    finished: list[int] = dataclasses.field(default_factory=list)
    reports: list[tuple[float, int, int, float]] = dataclasses.field(default_factory=list)
    regrets: dict[int, float] = dataclasses.field(default_factory=dict)


def simulate(
    table: Table, method: Method, *, workers: int, trainings: Sequence[int], seed: int, trials: int | None = None
) -> Sweep:
    """Plays a sweep until it has spent the largest of `trainings`.

    Its regret is read whenever it has spent one of them: that of the trial whose last value is the
    best among those that have finished; where none has, among all that have reported.

    Args:
        table: what is searched.
        method: what decides.
        workers: trials at a time.
        trainings: the checkpoints, in epochs of so many whole trainings.
        seed: the seed of what the trials report.
        trials: ends the sweep when so many were placed and have ended, if that comes first.
    """
    sweep, curves = Sweep(), dict[int, Curve]()
    heap: list[tuple[float, int, int, int]] = []  # when, order of placing, trial, epoch
    spent, now, due = 0, 0.0, sorted(trainings)

    def push(order: int, trial: int, epoch: int) -> None:
        after = min(epoch + table.grace, table.epochs)
        seconds = math.fsum(curves[trial].seconds[epoch:after])
        heapq.heappush(heap, (now + seconds, order, trial, after))

    def place() -> None:
        while len(heap) < workers and (trials is None or len(sweep.trials) < trials) and (found := method.next()):
            curves[found.trial] = table.curve(found.params, seed)
            sweep.trials[found.trial] = found.params
            push(len(sweep.trials), found.trial, 0)

    place()
    while heap and due:
        now, order, trial, epoch = heapq.heappop(heap)
        value = float(curves[trial].values[epoch - 1])
        spent += epoch - sweep.epochs.get(trial, 0)
        sweep.epochs[trial] = epoch
        sweep.reports.append((now, trial, epoch, value))
        goes_on = method.reported(trial, epoch, value)
        if epoch == table.epochs:
            sweep.finished.append(trial)
        if goes_on and epoch < table.epochs:
            push(order, trial, epoch)
        while due and spent >= due[0] * table.epochs:
            sweep.regrets[due.pop(0)] = _regret(table, sweep)
        place()
    return sweep


def _regret(table: Table, sweep: Sweep) -> float:
    """Returns the regret of the trial that would be picked now."""
    last = {trial: value for _, trial, _, value in sweep.reports}
    among = sweep.finished or last
    picked = min(among, key=lambda trial: sign(table.mode) * last[trial])
    return regret(table, sweep.trials[picked])
