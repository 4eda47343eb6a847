"""The metrics of a sweep, which Ray exports to Prometheus as `ray_leadline_...`.

The dashboard grafana/leadline.json shows them. Ray 2.60 drops a gauge's tag set 20 s after it was
last set. So each one is set at every refresh, and the series of a trial that has ended goes away:
there are never more series than trials that run.
"""

from __future__ import annotations

import math
import os

from ray.util.metrics import Gauge

from leadline.ledger import leaderboard
from leadline.ledger.history import Trial
from leadline.ledger.leaderboard_text import Board, gpu_memory, pace

__all__ = ["Gauges", "export_often"]

REPORT_MS = "RAY_metrics_report_interval_ms"
"""The environment variable for the interval, in ms, at which a process gives Ray its metrics."""

_NAMES = {
    "best": ("value of the best trial so far, and its 95 % interval", ("stratum", "bound")),
    "best_trial": ("number of the best trial so far", ("stratum",)),
    "best_trivial": ("value of the best trivial predictor", ("stratum",)),
    "trials": ("search trials", ("state",)),
    "rung_trials": ("trials that have reached a rung", ("stratum", "rung")),
    "samples_per_second": ("throughput of all trials that run, evaluation and saving included", ()),
    "steps_per_second": ("throughput of all trials that run, evaluation and saving included", ()),
    "trial_value": ("last value of a trial that runs", ("stratum", "trial")),
    "trial_spent": ("how much of its budget a trial that runs has spent", ("stratum", "trial")),
    "trial_samples_per_second": ("throughput of a trial that runs", ("stratum", "trial")),
    "trial_steps_per_second": ("throughput of a trial that runs", ("stratum", "trial")),
    "trial_gpu_memory_bytes": ("the most memory that a trial that runs has held on its GPU", ("stratum", "trial")),
}


def export_often() -> None:
    """Lets this process give its metrics to Ray each second instead of every 10.

    It must be called before `ray.init` joins a cluster, and concerns this process alone.
    """
    os.environ.setdefault(REPORT_MS, "1000")


class Gauges:
    """The gauges of one sweep. A value that is not finite is not exported: a panel shows a gap."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._gauges = {
            short: Gauge(f"leadline_{short}", description=f"Leadline: {text}", tag_keys=("sweep", *tags))
            for short, (text, tags) in _NAMES.items()
        }

    def _set(self, short: str, value: float, **tags: object) -> None:
        if math.isfinite(value):
            self._gauges[short].set(
                float(value), {"sweep": self._name, **{name: str(tag) for name, tag in tags.items()}}
            )

    def set(self, board: Board, rungs: dict[str, dict[int, int]]) -> None:
        """Sets all gauges.

        Args:
            board: the sweep's state.
            rungs: the number of trials that have reached each rung, by stratum.
        """
        for state, count in board.states().items():
            self._set("trials", count, state=state)
        for stratum in leaderboard.strata(board.history):
            self._best(board, stratum)
            for rung, count in rungs.get(stratum, {}).items():
                self._set("rung_trials", count, stratum=stratum, rung=rung)
        running = board.running()
        for trial in running:
            self._trial(board, trial)
        for index, short in enumerate(("samples_per_second", "steps_per_second")):
            rates = [pace(trial)[index] for trial in running]
            self._set(short, math.fsum(rate for rate in rates if math.isfinite(rate)))

    def _best(self, board: Board, stratum: str) -> None:
        metric = leaderboard.objective(board.history)
        trial = board.best(stratum)
        measure = trial.measure(metric) if trial else None
        if trial and measure:
            self._set("best_trial", trial.number, stratum=stratum)
            for bound in ("value", "low", "high"):
                self._set("best", getattr(measure, bound), stratum=stratum, bound=bound)
        if line := leaderboard.best_trivial(board.history, stratum, metric):
            self._set("best_trivial", line.metrics[metric].value, stratum=stratum)

    def _trial(self, board: Board, trial: Trial) -> None:
        tags = {"stratum": trial.stratum, "trial": trial.number}
        samples, steps = pace(trial)
        self._set("trial_value", trial.value(leaderboard.objective(board.history)), **tags)
        self._set("trial_spent", board.history.spent(trial.reports[-1]) if trial.reports else 0, **tags)
        self._set("trial_samples_per_second", samples, **tags)
        self._set("trial_steps_per_second", steps, **tags)
        self._set("trial_gpu_memory_bytes", gpu_memory(trial), **tags)
