"""What early stopping did: rungs, who was stopped where and why, and what that saved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sweeps.ledger.history import History, Trial

__all__ = ["Stopped", "rungs", "saved_seconds", "stopped"]

_RUNG = re.compile(r"rung (\d+):")


@dataclass(frozen=True)
class Stopped:
    """What happened at a rung, or to trials whose objective was not finite, where `rung` is None.

    `judged` trials were compared there, `trials` are the numbers of those that stopped, `left` the budget that these left unspent.
    """

    rung: int | None
    judged: int
    trials: list[int]
    left: int


def rungs(history: History) -> list[int]:
    """Where trials are judged: the grace period and its multiples by the reduction factor, below the budget."""
    settings = history.settings
    return list(_rungs(int(settings["grace"]), int(settings["reduction"]), int(settings["steps"])))


def _rungs(grace: int, reduction: int, budget: int) -> Iterator[int]:
    while 0 < grace < budget:
        yield grace
        grace *= max(reduction, 2)


def _spent(history: History, trial: Trial) -> int:
    return history.spent(trial.reports[-1]) if trial.reports else 0


def stopped(history: History) -> list[Stopped]:
    """A row for each rung that a search trial has reached, then one for values that were not finite where there are any."""
    budget = int(history.settings["steps"])
    by_rung: dict[int | None, list[Trial]] = {}
    for trial in history.search_trials():
        if trial.status == "stopped":
            match = _RUNG.match(trial.reason)
            by_rung.setdefault(int(match[1]) if match else None, []).append(trial)

    def row(rung: int | None, judged: int) -> Stopped:
        trials = by_rung.get(rung, [])
        return Stopped(rung, judged, [trial.number for trial in trials], sum(budget - _spent(history, trial) for trial in trials))

    places = sorted({*rungs(history), *(rung for rung in by_rung if rung is not None)})
    reached = {rung: sum(_spent(history, trial) >= rung for trial in history.search_trials()) for rung in places}
    found = [row(rung, judged) for rung, judged in reached.items() if judged]
    return found + ([row(None, len(by_rung[None]))] if None in by_rung else [])


def saved_seconds(history: History) -> float:
    """Training time that stopped trials would have taken for the rest of their budget, each at its own speed so far."""
    budget = int(history.settings["steps"])
    trials = [trial for trial in history.search_trials() if trial.status == "stopped" and _spent(history, trial)]
    return sum(trial.reports[-1].seconds * (budget / _spent(history, trial) - 1) for trial in trials)
