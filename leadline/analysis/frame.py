"""A sweep as documented pandas tables: trials, reports, findings and baselines."""

from __future__ import annotations

import math
from typing import Any

import pandas

from leadline.analysis import progress
from leadline.ledger import leaderboard
from leadline.ledger.history import History, Trial
from leadline.measure import Measure, Report

__all__ = ["BASELINES", "COLUMNS", "FINDINGS", "REPORTS", "baselines", "findings", "reports", "table"]

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
    "samples": "training samples at the last report",
    "spent": (
        "how much of the budget was spent at the last report, in the sweep's unit: "
        "`step`, or `samples` where the budget counts these"
    ),
    "unit": "that unit: steps or samples",
    "seconds": "seconds of training alone, over all attempts",
    "wall": "seconds that the trial held its place, over all attempts",
    "attempts": "times that it was started",
    "failures": "attempts that ended in an error or were lost",
    "reason": "why it stands where it stands",
    "marks": "what must be known before believing the value, separated by '; '",
    "checkpoint": "checkpoint of the last report, relative to the trial's folder, or None",
}
"""The columns of `table` and their meaning; then one `config.<field>` for each field.

Fields that are lists are tuples. Values are in the metric's own unit.
"""

REPORTS = {
    "trial": "number of the trial",
    "stratum": "value of the stratifying field, as text",
    "step": "optimizer steps of the whole trial at this report",
    "samples": "training samples of the whole trial at this report",
    "spent": "how much of the budget that is, in the sweep's unit: `step`, or `samples` where the budget counts these",
    "seconds": "seconds of training alone, over all attempts",
    "metric": (
        "`split/metric` of the family, or `fact/<name>` for what training itself says: "
        "losses, learning rate, guards' share"
    ),
    "value": "the value; NaN where it was not finite",
    "n": "independent units behind it; 0 for facts",
    "low": "lower end of its 95 % interval; of a fact, NaN",
    "high": "upper end of its 95 % interval; of a fact, NaN",
}
"""The columns of `reports` and their meaning; it has a row for each metric of each report."""

FINDINGS = {
    "trial": "number of the trial that a guard spoke about; missing for an audit, which is of the sweep",
    "stratum": "value of the stratifying field, as text",
    "guard": "name of the guard or audit",
    "subject": "what it is about where a guard looks at several things; else empty",
    "step": "optimizer steps at the report that carried it; missing for an audit",
    "failed": "whether it is a fault",
    "number": "what was measured; NaN where it was not finite",
    "sentence": "what it means",
}
"""The columns of `findings` and their meaning.

It has every finding of every guard, in the order in which they were made.
"""

BASELINES = {
    "name": "the trivial predictor",
    "stratum": "value of the stratifying field, as text",
    "oracle": "whether it knows the answer and is therefore not compared",
    "metric": "`split/metric`",
    "value": "its value there",
    "n": "independent units behind it",
    "low": "lower end of its 95 % interval",
    "high": "upper end of its 95 % interval",
}
"""The columns of `baselines` and their meaning; it has a row for each metric of each predictor."""

_NONE = Measure(math.nan, 0, math.nan, math.nan)


def _row(history: History, trial: Trial) -> dict[str, Any]:
    measure = trial.measure(leaderboard.objective(history)) or _NONE
    last = trial.reports[-1] if trial.reports else None
    return {
        **{
            name: getattr(trial, name)
            for name in ("kind", "of", "stratum", "status", "step", "samples", "wall", "attempts", "failures", "reason")
        },
        **_numbers(measure),
        "trial": trial.number,
        "test": trial.value(f"test/{history.settings.metric}"),
        "spent": history.spent(last) if last else 0,
        "unit": progress.unit(history),
        "seconds": last.seconds if last else 0.0,
        "marks": "; ".join(leaderboard.marks(history, trial)),
        "checkpoint": last.checkpoint if last else None,
        **{
            f"config.{name}": tuple(value) if isinstance(value, list) else value for name, value in trial.config.items()
        },
    }


def _numbers(measure: Measure) -> dict[str, Any]:
    return {name: getattr(measure, name) for name in ("value", "n", "low", "high")}


def table(history: History) -> pandas.DataFrame:
    """Returns a row for each trial, in order of their numbers.

    The columns are `COLUMNS` and the configuration's fields.
    """
    rows = [_row(history, trial) for _, trial in sorted(history.trials.items())]
    fields = dict.fromkeys(name for row in rows for name in row if name.startswith("config."))
    # Int64 is pandas' nullable integer: search trials have no `of`.
    return pandas.DataFrame(rows, columns=[*COLUMNS, *fields]).astype({"of": "Int64"})


def reports(history: History) -> pandas.DataFrame:
    """Returns a row for each metric and fact of each report of each trial; see `REPORTS`."""
    rows = [
        {
            "trial": trial.number,
            "stratum": trial.stratum,
            "step": report.step,
            "samples": report.samples,
            "spent": history.spent(report),
            "seconds": report.seconds,
            **entry,
        }
        for _, trial in sorted(history.trials.items())
        for report in trial.reports
        for entry in _entries(report)
    ]
    types = {
        "trial": "int64",
        "step": "int64",
        "samples": "int64",
        "spent": "int64",
        "seconds": "float64",
        "n": "int64",
    }
    return pandas.DataFrame(rows, columns=list(REPORTS)).astype(
        {**types, "value": "float64", "low": "float64", "high": "float64"}
    )


def _entries(report: Report) -> list[dict[str, Any]]:
    measured = [{"metric": name, **_numbers(measure)} for name, measure in report.metrics.items()]
    facts = [{"metric": f"fact/{name}", **_numbers(_NONE), "value": value} for name, value in report.facts.items()]
    return [*measured, *facts]


def findings(history: History) -> pandas.DataFrame:
    """Returns a row for each finding of audits, then of guards; see `FINDINGS`."""
    audits = [{**finding, "subject": "", "trial": None, "step": None} for finding in history.findings]
    guards = [
        {**vars(finding), "trial": trial.number, "stratum": trial.stratum, "step": report.step}
        for _, trial in sorted(history.trials.items())
        for report in trial.reports
        for finding in report.findings
    ]
    made = pandas.DataFrame([*audits, *guards], columns=list(FINDINGS))
    return made.astype({"trial": "Int64", "step": "Int64", "failed": "bool", "number": "float64"})


def baselines(history: History) -> pandas.DataFrame:
    """Returns a row for each metric of each trivial predictor; see `BASELINES`."""
    rows = [
        {
            "name": line.name,
            "stratum": line.stratum,
            "oracle": leaderboard.is_oracle(line.name),
            "metric": name,
            **_numbers(measure),
        }
        for line in history.baselines
        for name, measure in line.metrics.items()
    ]
    types = {"oracle": "bool", "n": "int64", "value": "float64", "low": "float64", "high": "float64"}
    return pandas.DataFrame(rows, columns=list(BASELINES)).astype(types)
