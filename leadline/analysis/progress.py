"""How far a sweep is, in words and numbers, from its history alone."""

from __future__ import annotations

import time
from collections import Counter

from leadline.analysis import early_stopping
from leadline.ledger import leaderboard
from leadline.ledger.history import History, Status, Trial
from leadline.ledger.wording import last_line, utc
from leadline.measure import Report

__all__ = ["best", "brief", "clock", "counts", "done", "duration", "saved_steps", "spent", "state", "unit"]

STALE_SECONDS = 900.0
"""Seconds without an event after which an open sweep may have been killed."""

_HOW = {"done": "finished"}


def state(history: History, now: float | None = None, gone: bool | None = None) -> str:
    """Returns the state of a sweep in words.

    A closed sweep is `finished`, `failed`, `interrupted`, `time limit` or `handed over`, as its
    driver closed it; any other is `running`, `killed` or `silent for ...`.

    Args:
        history: the state of the sweep.
        now: seconds since the epoch; None for the clock.
        gone: whether its driver is known to have ended; None where it is not known.
    """
    if history.closed:
        return _HOW.get(history.closed, history.closed)
    if gone is not None:
        return "killed" if gone else "running"
    silent = (time.time() if now is None else now) - history.last_time
    return "running" if silent < STALE_SECONDS else f"silent for {duration(silent)}"


def duration(seconds: float) -> str:
    """Returns seconds in two units at most: `40 s`, `12 min`, `3 h 05 min`, `2 d 4 h`."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 1440:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def clock(moment: float) -> str:
    """Returns seconds since the epoch as `2026-01-31 12:00:00 UTC`; a dash for 0."""
    return utc(moment) if moment else "-"


def done(history: History) -> int:
    """Returns how many search trials have ended."""
    return sum(not trial.open for trial in history.search_trials())


def counts(trials: list[Trial]) -> str:
    """Returns how many trials have each status, as `3 finished, 9 stopped`, or `none`."""
    found = Counter(trial.status for trial in trials)
    order: tuple[Status, ...] = ("finished", "stopped", "failed", "running", "waiting")
    return ", ".join(f"{found[status]} {status}" for status in order if found[status]) or "none"


def saved_steps(history: History) -> tuple[int, int, int]:
    """Counts what early stopping saved.

    Other reasons for which trials stopped are not counted: see
    `leadline.analysis.early_stopping.stopped`.

    Returns:
        (trials that ASHA stopped, steps that these did not run, steps that all search trials would
            run in full); samples instead of steps where the budget counts these.
    """
    budget, trials = history.settings.budget, early_stopping.at_rungs(history)
    left = sum(budget - history.spent(trial.reports[-1]) for trial in trials if trial.reports)
    return len(trials), left, budget * len(history.search_trials())


def unit(history: History) -> str:
    """Returns the unit of the budget: optimizer `steps` or training `samples`.

    Rungs and `spent` have it, too.
    """
    return history.settings.unit


def spent(history: History, report: Report) -> str:
    """Returns `4,096 samples (step 64)`; `step 400` where the budget counts steps."""
    step = f"step {report.step:,}"
    return step if unit(history) == "steps" else f"{history.spent(report):,} {unit(history)} ({step})"


def brief(reason: str) -> str:
    """Returns the last line of a reason, which is the error where the reason is a traceback."""
    return last_line(reason, "")


def best(history: History, stratum: str) -> Trial | None:
    """Returns the best trial of a stratum that finished; None where none did."""
    return next(iter(leaderboard.finalists(history, stratum, 1)), None)
