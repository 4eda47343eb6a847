"""A sweep's trials as a pandas table."""

from __future__ import annotations

import math
from typing import Any

import pandas

from sweeps.ledger import leaderboard
from sweeps.ledger.history import History, Trial
from trainables.measure import Measure

__all__ = ["COLUMNS", "table"]

COLUMNS = {
    "trial": "number of the trial",
    "kind": "search, or replicate for a confirmation run",
    "of": "for a replicate, the trial that it confirms",
    "stratum": "value of the stratifying field, as text",
    "status": "waiting, running, finished, stopped or failed",
    "value": "objective on validation at the last report; NaN where there is none",
    "n": "independent units behind `value`",
    "low": "lower end of its 95 % interval",
    "high": "upper end of its 95 % interval",
    "test": "objective on the test split; NaN but for finished replicates",
    "step": "optimizer steps at the last report",
    "seconds": "seconds of training alone, over all attempts",
    "wall": "seconds that the trial held its place, over all attempts",
    "attempts": "times that it was started",
    "failures": "attempts that ended in an error or were lost",
    "reason": "why it stands where it stands",
    "marks": "what must be known before believing the value, separated by '; '",
    "checkpoint": "checkpoint of the last report, relative to the trial's folder, or None",
}
"""Columns of `table` and their meaning; then one `config.<field>` for each field, tuples for lists."""

_NONE = Measure(math.nan, 0, math.nan, math.nan)


def _row(history: History, trial: Trial) -> dict[str, Any]:
    measure = trial.measure(leaderboard.objective(history)) or _NONE
    last = trial.reports[-1] if trial.reports else None
    return {
        **{name: getattr(trial, name) for name in ("kind", "of", "stratum", "status", "step", "wall", "attempts", "failures", "reason")},
        **{name: getattr(measure, name) for name in ("value", "n", "low", "high")},
        "trial": trial.number,
        "test": trial.value(f"test/{history.settings['metric']}"),
        "seconds": last.seconds if last else 0.0,
        "marks": "; ".join(leaderboard.marks(history, trial)),
        "checkpoint": last.checkpoint if last else None,
        **{f"config.{name}": tuple(value) if isinstance(value, list) else value for name, value in trial.config.items()},
    }


def table(history: History) -> pandas.DataFrame:
    """All trials in order of their numbers, a row each, with `COLUMNS` and the configuration's fields."""
    rows = [_row(history, trial) for _, trial in sorted(history.trials.items())]
    fields = dict.fromkeys(name for row in rows for name in row if name.startswith("config."))
    return pandas.DataFrame(rows, columns=[*COLUMNS, *fields]).astype({"of": "Int64"})
