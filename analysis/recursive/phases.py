"""The three phases of Q-halt's accuracy, and which of them is healthy.

By the log of encoders in TRM: with nothing right it is very high, since always going on is right;
with 10 to 50 % of the boards right it falls, as Q must tell boards apart; with more than 90 % right
it settles below where it began. The log's healthy signs are a growing share of right boards and
boards that halt before the limit; its bad ones are a limit that is always reached, Q at random, and
a growing loss of Q. The last is not used: where nothing is right the loss is next to 0, and grows
with the first board that is.
"""

from __future__ import annotations

from typing import NamedTuple

from leadline.ledger.history import Trial
from leadline.measure import Report

__all__ = ["LEARNING", "PHASES", "SOLVED", "Health", "health", "phase"]

LEARNING, SOLVED = 0.1, 0.9
"""The shares of right boards from which the second phase, and above which the third, is.

The log leaves open what is between 50 and 90 %; it counts to the second here.
"""
PHASES = ("nothing is right yet", "learning", "nearly all is right")


class Health(NamedTuple):
    """What Q-halt's accuracy says of a trial.

    Attributes:
        phase: 1, 2 or 3.
        constant: the accuracy of a Q that says the same of all boards.
        verdict: whether that is healthy, in words.
    """

    phase: int
    constant: float
    verdict: str


def phase(exact: float) -> int:
    """Returns the phase, 1 to 3, at a share of right boards."""
    return 1 if exact < LEARNING else 2 if exact <= SOLVED else 3


def health(trial: Trial, report: Report) -> Health:
    """Judges a report of a trial by its validation metrics.

    In the second phase Q must be better than one that says the same of every board, by the interval
    of its accuracy; in no phase may it be worse. From the second on boards must halt early.
    """
    exact, q = report.value("validation/exact"), report.metrics["validation/q_accuracy"]
    at, constant = phase(exact), max(exact, 1 - exact)
    if q.high < constant:
        return Health(at, constant, "not healthy: worse than the same word for every board")
    if at == 1:
        return Health(at, constant, "says nothing yet, as always going on is right as often")
    limit = trial.config.get("halt_max_steps", 0)
    steps = report.metrics.get("validation/halt_steps")
    if limit > 1 and steps is not None and steps.value >= limit:
        return Health(at, constant, f"not healthy: every board takes all {limit} segments")
    if at == 2 and q.low <= constant:
        return Health(at, constant, "not healthy: no better than the same word for every board")
    return Health(at, constant, "healthy")
