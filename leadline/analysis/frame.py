"""A sweep as documented pandas tables: trials, reports, findings and baselines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas

from leadline.analysis import progress
from leadline.ledger import leaderboard
from leadline.ledger.history import History, Trial
from leadline.measure import Measure, Report

__all__ = ["BASELINES", "COLUMNS", "FINDINGS", "REPORTS", "baselines", "findings", "one_type", "reports", "table"]

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
    "checkpoint": "checkpoint of the last report, relative to the trial's folder; missing where none is kept",
}
"""The columns of `table` and their meaning; then one `config.<field>` for each field.

Values are in the metric's own unit. A field has the type of its values: int64, float64, bool or
str, and Int64 or boolean where a trial has none or None, which are both missing. Lists are tuples.
A field whose values are of several types keeps each as it is, but for integers among floats.
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

_TYPES = {
    **dict.fromkeys(("value", "low", "high", "test", "seconds", "wall", "number"), "float64"),
    **dict.fromkeys(("trial", "n", "step", "samples", "spent", "attempts", "failures"), "int64"),
    **dict.fromkeys(("failed", "oracle"), "bool"),
    "of": "Int64",
}
"""The types of columns, whatever the table; a column that is not named here is text."""

_NONE = Measure(math.nan, 0, math.nan, math.nan)


def _columns(rows: Sequence[Mapping[str, Any]], names: Iterable[str], **types: str) -> dict[str, pandas.Series[Any]]:
    """Returns the named columns of rows; `types` are those that differ from `_TYPES`."""
    typed = {name: types.get(name) or _TYPES.get(name, "str") for name in names}
    return {name: _series([row[name] for row in rows], dtype) for name, dtype in typed.items()}


def _series(values: Sequence[Any], dtype: str) -> pandas.Series[Any]:
    try:
        return pandas.Series(values, dtype=dtype)
    except UnicodeEncodeError:  # half a surrogate pair, which a traceback may hold and pandas' text may not
        return pandas.Series(values, dtype="object")


def _field(values: Sequence[Any]) -> pandas.Series[Any]:
    """Returns a field's values as a column of a type that changes none of them.

    None is a missing value.
    """
    present = [value for value in values if value is not None]
    kind = one_type(present)
    if kind in (bool, int):
        whole, gaps = ("bool", "boolean") if kind is bool else ("int64", "Int64")
        return _series(values, whole if len(present) == len(values) else gaps)
    if kind is None and {type(value) for value in present} == {int, float}:
        kind = float if all(float(value) == value for value in present) else None
    return _series(values, "float64" if kind is float else "str" if kind is str else "object")


def one_type(values: Iterable[Any]) -> type | None:
    """Returns the type that all values have.

    It is None where there is no value, where they have several types, and where one is an integer
    that 64 bits cannot hold.
    """
    kinds = {object if isinstance(value, int) and not -(2**63) <= value < 2**63 else type(value) for value in values}
    return kinds.pop() if len(kinds) == 1 and object not in kinds else None


def _row(history: History, trial: Trial) -> dict[str, Any]:
    measure = trial.measure(leaderboard.objective(history)) or _NONE
    last = trial.reports[-1] if trial.reports else None
    names = ("kind", "of", "stratum", "status", "step", "samples", "wall", "attempts", "failures", "reason")
    return {
        **{name: getattr(trial, name) for name in (*names, "checkpoint")},
        **_numbers(measure),
        "trial": trial.number,
        "test": trial.value(f"test/{history.settings.metric}"),
        "spent": history.spent(last) if last else 0,
        "unit": progress.unit(history),
        "seconds": last.seconds if last else 0.0,
        "marks": "; ".join(leaderboard.marks(history, trial)),
    }


def _numbers(measure: Measure) -> dict[str, Any]:
    return {name: getattr(measure, name) for name in ("value", "n", "low", "high")}


def table(history: History) -> pandas.DataFrame:
    """Returns a row for each trial, in order of their numbers.

    The columns are `COLUMNS` and the configuration's fields.
    """
    trials = [trial for _, trial in sorted(history.trials.items())]
    names = dict.fromkeys(name for trial in trials for name in trial.config)
    fields = {f"config.{name}": _field([_value(trial.config.get(name)) for trial in trials]) for name in names}
    return pandas.DataFrame({**_columns([_row(history, trial) for trial in trials], COLUMNS), **fields})


def _value(recorded: Any) -> Any:
    return tuple(recorded) if isinstance(recorded, list) else recorded


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
    return pandas.DataFrame(_columns(rows, REPORTS))


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
    return pandas.DataFrame(_columns([*audits, *guards], FINDINGS, trial="Int64", step="Int64"))


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
    return pandas.DataFrame(_columns(rows, BASELINES))
