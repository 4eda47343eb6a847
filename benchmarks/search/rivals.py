"""What the search is measured beside: Optuna's samplers with its own pruners."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import optuna

from benchmarks.search.simulator import Leadline, Method, Proposal
from benchmarks.search.tables import Table
from leadline.engine.search import seed_of

__all__ = ["METHODS", "PLAIN", "RIVALS", "Optuna", "made"]


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
    "random, none stopped": {"sampler": "random", "scheduler": "none"},
}
"""The director's own methods, by the settings that they change."""
RIVALS: dict[str, Callable[[Table], optuna.pruners.BasePruner]] = {
    "Optuna halving": _halving,
    "Optuna Hyperband": _hyperband,
    "Optuna median": lambda table: optuna.pruners.MedianPruner(n_warmup_steps=table.grace),
    "Optuna, no pruning": lambda table: optuna.pruners.NopPruner(),
}
"""Optuna's TPE with each of its pruners, as they are made for a table."""


def made(name: str, table: Table, seed: int, workers: int) -> Method:
    """Returns a fresh method by its name."""
    if name in METHODS:
        return Leadline(table, seed, workers, METHODS[name])
    return Optuna(table, seed, RIVALS[name](table))
