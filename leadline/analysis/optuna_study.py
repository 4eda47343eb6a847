"""A stratum's search as an Optuna study, for Optuna's own plots, importances and dashboard.

The study is rebuilt from the ledger. Its distributions are those that the searcher drew from, where
the ledger holds them. Older ledgers do not, and the distributions are then inferred from the
values: a categorical where a value is no number, otherwise the smallest range that holds all values
of the stratum, logarithmic where they are positive and span more than a factor of 10.

A choice that is a list is text here, in distributions and parameters, because Optuna stores and
compares only plain values.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from leadline.config import as_text
from leadline.ledger import leaderboard
from leadline.ledger.history import History, Trial

__all__ = ["study", "study_name"]

optuna.logging.set_verbosity(optuna.logging.ERROR)

LOG_RATIO = 10.0
"""An inferred range is logarithmic where its ends are further apart than this factor."""


def study_name(history: History, stratum: str, sweep: str = "") -> str:
    """Returns `SWEEP, lookahead 100`; the sweep's name alone where it is not stratified."""
    name = sweep or history.settings.study
    field = history.settings.stratify
    return f"{name}, {field} {stratum}" if field else name


def study(
    history: History,
    stratum: str,
    *,
    at: int | None = None,
    storage: BaseStorage | None = None,
    name: str | None = None,
) -> optuna.Study:
    """Returns the search trials of a stratum that have ended, in the order of their numbers.

    Values are the objective on validation. Trials that ran their whole budget are COMPLETE; stopped
    ones are PRUNED, with a value for each report; failed ones FAIL, as do those that were stopped
    before they had a place. Infeasible trials, and those whose last value is not finite, are PRUNED
    without values. Open trials are left out.

    Args:
        history: the state of the sweep.
        stratum: the stratum.
        at: how far into the budget trials are compared: those with a finite value there are
            COMPLETE with it, whatever became of them later, and no others are COMPLETE. None for
            the end of the budget.
        storage: where the study is kept; None for memory.
        name: the study's name; None for `study_name`.
    """
    direction = StudyDirection.MINIMIZE if history.settings.mode == "min" else StudyDirection.MAXIMIZE
    made = optuna.create_study(direction=direction, study_name=name or study_name(history, stratum), storage=storage)
    trials = [trial for trial in history.search_trials() if trial.stratum == stratum and not trial.open]
    inferred = _inferred(trials)
    made.add_trials([frozen(history, trial, inferred, at) for trial in trials])
    return made


def frozen(history: History, trial: Trial, inferred: dict[str, BaseDistribution], at: int | None = None) -> FrozenTrial:
    """Returns one ended trial for Optuna.

    Its number here, its last step and its reason are user attributes; it begins when it was
    proposed, and ends with its last event.

    Args:
        history: the state of the sweep.
        trial: the trial.
        inferred: distributions for the parameters of which the ledger holds none.
        at: see `study`.
    """
    curve = _curve(history, trial)
    value = trial.value(leaderboard.objective(history)) if at is None else curve.get(at, math.nan)
    state = _state(trial, value) if at is None else TrialState.COMPLETE if math.isfinite(value) else TrialState.PRUNED
    made = optuna.trial.create_trial(
        state=state,
        value=value if state == TrialState.COMPLETE else None,
        params={name: _choice(value) for name, value in trial.params.items()},
        distributions=_distributions(trial, inferred),
        user_attrs={"trial": trial.number, "step": trial.step, "reason": trial.reason},
        intermediate_values=curve if trial.status != "failed" and math.isfinite(value) else {},
    )
    # Optuna, whose times are local and without a zone, would put the time of this call.
    made.datetime_start = datetime.datetime.fromtimestamp(trial.since)
    made.datetime_complete = datetime.datetime.fromtimestamp(trial.until)
    return made


def _curve(history: History, trial: Trial) -> dict[int, float]:
    """Returns the objective by how much of the budget was spent."""
    metric = leaderboard.objective(history)
    return {history.spent(report): report.metrics[metric].value for report in trial.reports if metric in report.metrics}


def _state(trial: Trial, value: float) -> TrialState:
    if trial.status == "failed" or trial.untrained:
        return TrialState.PRUNED if trial.infeasible else TrialState.FAIL
    return TrialState.COMPLETE if trial.status == "finished" and math.isfinite(value) else TrialState.PRUNED


def _distributions(trial: Trial, inferred: dict[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    recorded = trial.distributions
    return {name: _recorded(recorded[name]) if name in recorded else inferred[name] for name in trial.params}


def _recorded(words: str) -> BaseDistribution:
    plain = json.loads(words)
    if "choices" in plain["attributes"]:
        plain["attributes"]["choices"] = _choices(plain["attributes"]["choices"])
    return json_to_distribution(json.dumps(plain))


def _choice(value: Any) -> bool | int | float | str | None:
    return value if value is None or isinstance(value, bool | int | float | str) else as_text(value)


def _choices(values: Iterable[Any]) -> list[bool | int | float | str | None]:
    return list(dict.fromkeys(map(_choice, values)))


def _inferred(trials: Sequence[Trial]) -> dict[str, BaseDistribution]:
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    return {name: _range([trial.params[name] for trial in trials if name in trial.params]) for name in names}


def _range(values: Sequence[Any]) -> BaseDistribution:
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return CategoricalDistribution(_choices(values))
    low, high = min(values), max(values)
    log = low > 0 and high > LOG_RATIO * low
    if all(isinstance(value, int) for value in values):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)
