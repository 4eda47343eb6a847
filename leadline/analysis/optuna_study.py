"""A search as an Optuna study, for Optuna's own plots, importances and dashboard.

A study holds the search of a whole sweep or of one stratum, and is rebuilt from the ledger. Its
distributions are those that the searcher drew from, where the ledger holds them. Older ledgers do
not, and the distributions are then inferred from the values: a categorical where a value is no
number, otherwise the smallest range that holds all values, logarithmic where they are positive and
span more than a factor of 10.

A choice that is a list is text here, in distributions and parameters, because Optuna stores and
compares only plain values.
"""

from __future__ import annotations

import datetime
import json
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from leadline.analysis import progress
from leadline.config import as_text
from leadline.ledger import leaderboard
from leadline.ledger.confirmed import finished
from leadline.ledger.history import History, Trial

__all__ = ["Lines", "study", "study_name"]

optuna.logging.set_verbosity(optuna.logging.ERROR)

LOG_RATIO = 10.0
"""An inferred range is logarithmic where its ends are further apart than this factor."""


class Lines(BaseJournalBackend):
    """An Optuna journal in memory, whose `content` is what `JournalFileBackend` reads.

    That one locks and syncs its file for each trial and attribute, for minutes on a slow disk.
    """

    def __init__(self) -> None:
        self._logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Returns the operations from that number on."""
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Adds operations, as they are read from a file."""
        self._logs += json.loads(json.dumps(logs))

    @property
    def content(self) -> bytes:
        """The journal's file: one JSON object for each line."""
        return "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in self._logs).encode()


def study_name(history: History, stratum: str | None, sweep: str = "", at: int | None = None) -> str:
    """Returns `SWEEP, lookahead 100, at 500 steps`.

    The stratum is left out for the whole sweep and where it is not stratified, and the place for
    the end of the budget.
    """
    field = history.settings.stratify
    where = f", {field} {stratum}" if field and stratum is not None else ""
    when = f", at {at} {progress.unit(history)}" if at is not None else ""
    return f"{sweep or history.settings.study}{where}{when}"


def study(
    history: History,
    stratum: str | None,
    *,
    at: int | None = None,
    storage: BaseStorage | None = None,
    name: str | None = None,
) -> optuna.Study:
    """Returns the search trials of a stratum, or of all of them, in the order of their numbers.

    Values are the objective on validation. Trials that ran their whole budget are COMPLETE, and
    stopped ones PRUNED with the value at which they were stopped. Failed ones FAIL, as do
    infeasible ones and those that were stopped before they had a place. A trial whose last value is
    not finite is PRUNED without one. Those that never began are WAITING, other open ones RUNNING.

    The study of all strata has the stratum as a categorical parameter, and a trial has its own
    number there: a replicate before the last search trial, which is none itself, holds its number
    as a FAIL without parameters. In a stratum's study Optuna counts anew, and the first user
    attribute is the number.

    Args:
        history: the state of the sweep.
        stratum: the stratum; None for all.
        at: how far into the budget trials are compared: those with a finite value there are
            COMPLETE with it, whatever became of them later, and no others are COMPLETE. None for
            the end of the budget.
        storage: where the study is kept; None for memory.
        name: the study's name; None for `study_name`.
    """
    direction = StudyDirection.MINIMIZE if history.settings.mode == "min" else StudyDirection.MAXIMIZE
    made = optuna.create_study(
        direction=direction, study_name=name or study_name(history, stratum, at=at), storage=storage
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        made.set_metric_names([leaderboard.objective(history)])
    trials = sorted(
        (trial for trial in history.search_trials() if stratum in (None, trial.stratum)), key=lambda trial: trial.number
    )
    view = _View(history, _inferred(trials), at, _levels(history, trials) if stratum is None else None)
    if stratum is not None:
        made.add_trials(map(view.frozen, trials))
        return made
    for number in range(trials[-1].number + 1 if trials else 0):
        trial = history.trials[number]
        made.add_trial(view.frozen(trial) if trial.kind == "search" else _held(trial))
    return made


@dataclass
class _View:
    """What the trials of a study are made with.

    Attributes:
        history: the state of the sweep.
        inferred: distributions for the parameters of which the ledger holds none.
        at: where trials are compared: see `study`.
        levels: the strata, where the stratum is a parameter.
    """

    history: History
    inferred: dict[str, BaseDistribution]
    at: int | None
    levels: CategoricalDistribution | None

    def frozen(self, trial: Trial) -> FrozenTrial:
        """Returns one search trial for Optuna.

        It starts with its first attempt, or when it was proposed if it had none, and completes with
        its last event, or with its report at `at`.
        """
        curve = _curve(self.history, trial)
        value = trial.value(leaderboard.objective(self.history))
        state = _state(trial, value)
        until = trial.until
        if self.at is not None:
            curve = {spent: one for spent, one in curve.items() if spent <= self.at}
            value = curve.get(self.at, math.nan)
            state = _state_at(state, value)
            until = self._moment(trial)
        valued = state in (TrialState.COMPLETE, TrialState.PRUNED) and math.isfinite(value)
        params = {name: _choice(value) for name, value in trial.params.items()}
        distributions = _distributions(trial, self.inferred)
        if self.levels and (field := self.history.settings.stratify):
            params[field] = next(level for level in self.levels.choices if str(level) == trial.stratum)
            distributions[field] = self.levels
        made = optuna.trial.create_trial(
            state=state,
            value=value if valued else None,
            params=params,
            distributions=distributions,
            user_attrs=self._attributes(trial),
            intermediate_values=curve,
        )
        _put_times(made, trial.began or trial.since, until)
        return made

    def _moment(self, trial: Trial) -> float:
        """Returns when a trial was at `at`, or ended before, in seconds since the epoch."""
        for report, moment in zip(trial.reports, trial.moments, strict=True):
            if self.history.spent(report) == self.at:
                return moment
        return trial.until

    @cached_property
    def _confirmed(self) -> set[int | None]:
        return {trial.of for trial in self.history.trials.values()}

    def _attributes(self, trial: Trial) -> dict[str, Any]:
        """Returns a trial's user attributes, of which those that say nothing are left out."""
        found: dict[str, Any] = {"trial": trial.number, "status": trial.status, "reason": trial.reason}
        if self.history.settings.stratify:
            found["stratum"] = trial.stratum
        found |= {"step": trial.step, "marks": "; ".join(leaderboard.marks(self.history, trial))}
        score = leaderboard.confirmation(self.history, trial) if trial.number in self._confirmed else None
        if score:
            numbers = {"confirmed": score.value, "confirmed low": score.low, "confirmed high": score.high}
            found |= {name: number for name, number in numbers.items() if math.isfinite(number)}
            found["replicates"] = len(finished(self.history, trial))
        return {name: value for name, value in found.items() if value != ""}


def _held(trial: Trial) -> FrozenTrial:
    """Returns what holds the number of a replicate."""
    attributes = {"trial": trial.number, "reason": f"a replicate of trial {trial.of}, no trial of the search"}
    made = optuna.trial.create_trial(state=TrialState.FAIL, user_attrs=attributes)
    _put_times(made, trial.began or trial.since, trial.until)
    return made


def _put_times(made: FrozenTrial, since: float, until: float) -> None:
    """Puts the trial's own times, in seconds since the epoch, for those of this call.

    Optuna's times are local and without a zone.
    """
    if made.state != TrialState.WAITING:
        made.datetime_start = datetime.datetime.fromtimestamp(since)
    if made.state.is_finished():
        made.datetime_complete = datetime.datetime.fromtimestamp(until)


def _levels(history: History, trials: Sequence[Trial]) -> CategoricalDistribution | None:
    """Returns the strata as choices; None where the sweep is not stratified."""
    if not history.settings.stratify:
        return None
    known = [_choice(level) for level in history.settings.strata]
    texts = {str(level) for level in known}
    return CategoricalDistribution(_choices([*known, *(one.stratum for one in trials if one.stratum not in texts)]))


def _curve(history: History, trial: Trial) -> dict[int, float]:
    """Returns the objective by how much of the budget was spent."""
    metric = leaderboard.objective(history)
    return {history.spent(report): report.metrics[metric].value for report in trial.reports if metric in report.metrics}


def _state(trial: Trial, value: float) -> TrialState:
    if trial.open:
        return TrialState.RUNNING if trial.attempts else TrialState.WAITING
    if trial.status == "failed" or trial.untrained:
        return TrialState.FAIL
    return TrialState.COMPLETE if trial.status == "finished" and math.isfinite(value) else TrialState.PRUNED


def _state_at(state: TrialState, value: float) -> TrialState:
    """Returns the state of a trial where it has a value, from its state at the end."""
    if math.isfinite(value):
        return TrialState.COMPLETE
    return TrialState.PRUNED if state == TrialState.COMPLETE else state


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
