"""A sweep as documented pandas tables: trials, reports, findings and baselines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas

from leadline.analysis import progress
from leadline.analysis.columns import BASELINES, COLUMNS, FINDINGS, FIRST, REPORTS
from leadline.ledger import leaderboard
from leadline.ledger.history import History, Trial
from leadline.measure import Measure, Report

__all__ = ["baselines", "findings", "one_type", "reports", "table"]

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


def table(history: History, constants: bool = False) -> pandas.DataFrame:
    """Returns a row for each trial, in order of their numbers; see `leadline.Sweep.table`."""
    trials = [trial for _, trial in sorted(history.trials.items())]
    own = _columns([_row(history, trial) for trial in trials], COLUMNS)
    fields, params = (_by_name([getattr(trial, place) for trial in trials]) for place in ("config", "params"))
    searched = {
        f"config.{name}" if name in fields else f"params.{name}": fields.pop(name, column)
        for name, column in params.items()
    }
    same = {} if constants else _constants(trials, fields)
    others = {f"config.{name}": column for name, column in fields.items() if name not in same}
    made = pandas.DataFrame({**{name: own[name] for name in FIRST}, **searched, **own, **others})
    made.attrs["constants"] = same
    return made


def _by_name(mappings: Sequence[Mapping[str, Any]]) -> dict[str, pandas.Series[Any]]:
    """Returns a column for each key of the mappings; a value is missing where one lacks the key."""
    names = dict.fromkeys(name for mapping in mappings for name in mapping)
    return {name: _field([_value(mapping.get(name)) for mapping in mappings]) for name in names}


def _constants(trials: Iterable[Trial], fields: Iterable[str]) -> dict[str, Any]:
    """Returns those of the fields that have one value in all trials that have them."""
    found: dict[str, dict[str, Any]] = {name: {} for name in fields}
    for trial in trials:
        for name in found.keys() & trial.config.keys():
            value = trial.config[name]
            found[name][repr(value)] = value  # 1, 1.0 and True are equal, and are several values here
    return {name: _value(*values.values()) for name, values in found.items() if len(values) == 1}


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
