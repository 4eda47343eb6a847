"""What the search is measured beside: Optuna's pruners, and Syne Tune where it is installed."""

from __future__ import annotations

import datetime
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna

from benchmarks.search.simulator import Leadline, Method, Proposal
from benchmarks.search.tables import Table, drawn
from leadline.config import ConfigError
from leadline.engine.search import seed_of

__all__ = ["METHODS", "PLAIN", "RIVALS", "SYNE_TUNE", "Optuna", "SyneTune", "known", "made"]


class Optuna:
    """An Optuna study by ask, report, should_prune and tell.

    Args:
        table: what is searched.
        seed: the sampler's seed.
        pruner: Optuna's pruner.
    """

    def __init__(self, table: Table, seed: int, pruner: optuna.pruners.BasePruner) -> None:
        self._table = table
        self.study = optuna.create_study(
            direction="minimize" if table.mode == "min" else "maximize",
            sampler=optuna.samplers.TPESampler(seed=seed_of(seed) % 2**32, multivariate=True, constant_liar=True),
            pruner=pruner,
            study_name="rival",  # by which Hyperband shares trials out to its brackets
        )
        self._trials: dict[int, optuna.Trial] = {}

    def next(self) -> Proposal:
        """Asks for a trial."""
        trial = self.study.ask()
        self._trials[trial.number] = trial
        return Proposal(trial.number, self._table.space(trial))

    def reported(self, number: int, epoch: int, value: float) -> bool:
        """Reports, and ends the trial where its budget is spent or the pruner says so."""
        trial = self._trials[number]
        trial.report(value, epoch)
        if epoch >= self._table.epochs:
            self.study.tell(trial, value)
        elif trial.should_prune():
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            return True
        return False


class SyneTune:
    """A scheduler of Syne Tune that stops trials, by suggest and on_trial_result.

    Args:
        table: what is searched.
        seed: the scheduler's seed.
        name: the scheduler's class in `syne_tune.optimizer.baselines`, of which each is ASHA with
            another searcher.

    Raises:
        ConfigError: if Syne Tune is not installed.
    """

    def __init__(self, table: Table, seed: int, name: str) -> None:
        if not _has_syne_tune():
            raise ConfigError("methods: Syne Tune is not installed: pip install --editable '.[bench-search]'")
        from syne_tune.backend import trial_status
        from syne_tune.optimizer import baselines

        # It draws from numpy's own generator too, so that of two in turn each must begin anew.
        np.random.seed(seed_of(seed) % 2**32)
        self._table, self._made = table, trial_status.Trial
        self._scheduler = getattr(baselines, name)(
            config_space=_config_space(table),
            metric="value",
            time_attr="epoch",
            max_t=table.epochs,
            do_minimize=table.mode == "min",
            random_seed=seed_of(seed) % 2**31,
            grace_period=table.grace,
            reduction_factor=3,
        )
        self._trials: list[Any] = []

    def next(self) -> Proposal:
        """Asks for a suggestion, which is always a new trial."""
        number, suggestion = len(self._trials), self._scheduler.suggest()
        # The time of its creation is recorded there and decides nothing.
        self._trials.append(self._made(number, suggestion.config, datetime.datetime.min))
        self._scheduler.on_trial_add(self._trials[number])
        return Proposal(number, suggestion.config)

    def reported(self, number: int, epoch: int, value: float) -> bool:
        """Reports, and completes the trial where its budget is spent."""
        trial, result = self._trials[number], {"value": value, "epoch": epoch}
        if epoch >= self._table.epochs:
            self._scheduler.on_trial_complete(trial, result)
            return False
        goes_on: bool = self._scheduler.on_trial_result(trial, result) == "CONTINUE"
        if not goes_on:
            self._scheduler.on_trial_remove(trial)
        return goes_on


def _has_syne_tune() -> bool:
    return importlib.util.find_spec("syne_tune") is not None


def _config_space(table: Table) -> dict[str, Any]:
    """Returns a table's space as Syne Tune writes it."""
    from syne_tune import config_space

    trial, _ = drawn(table.space, "", 0, {})
    distributions: dict[str, Any] = trial.distributions
    found = {}
    for name, kind in distributions.items():
        if isinstance(kind, optuna.distributions.CategoricalDistribution):
            found[name] = config_space.choice(list(kind.choices))
        elif isinstance(kind, optuna.distributions.IntDistribution):
            found[name] = (config_space.lograndint if kind.log else config_space.randint)(kind.low, kind.high)
        else:
            found[name] = (config_space.loguniform if kind.log else config_space.uniform)(kind.low, kind.high)
    return found


def _halving(table: Table) -> optuna.pruners.BasePruner:
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=table.grace, reduction_factor=3)


def _hyperband(table: Table) -> optuna.pruners.BasePruner:
    return optuna.pruners.HyperbandPruner(min_resource=table.grace, max_resource=table.epochs, reduction_factor=3)


PLAIN = "asha + TPE"
"""The method that all others are compared with."""
METHODS: dict[str, Mapping[str, Any]] = {
    PLAIN: {},
    "random + asha": {"sampler": "random"},
    "weighed + ranks": {"scheduler": "weighed"},
    "none stopped + ranks": {"scheduler": "none"},
    "brackets + ranks": {"scheduler": "brackets"},
    "random without stopping": {"sampler": "random", "scheduler": "none"},
}
"""The director's own methods, by the settings that they change."""
RIVALS: dict[str, Callable[[Table], optuna.pruners.BasePruner]] = {
    "Optuna halving": _halving,
    "Optuna Hyperband": _hyperband,
    "Optuna median": lambda table: optuna.pruners.MedianPruner(n_warmup_steps=table.grace),
    "Optuna without pruning": lambda table: optuna.pruners.NopPruner(),
}
"""Optuna's TPE with each of its pruners, as they are made for a table."""


SYNE_TUNE = {"Syne Tune ASHA": "ASHA", "Syne Tune BOHB": "BOHB"}
"""Syne Tune's schedulers by the names of their classes."""


def known() -> list[str]:
    """Returns the methods that can be run here."""
    return [*METHODS, *RIVALS, *(SYNE_TUNE if _has_syne_tune() else ())]


def made(name: str, table: Table, seed: int, workers: int) -> Method:
    """Returns a fresh method by its name."""
    if name in METHODS:
        return Leadline(table, seed, workers, METHODS[name])
    if name in SYNE_TUNE:
        return SyneTune(table, seed, SYNE_TUNE[name])
    return Optuna(table, seed, RIVALS[name](table))
