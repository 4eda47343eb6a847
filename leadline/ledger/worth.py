"""Whether more trials would be worth it: what they may bring, beside what could be told apart."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from leadline.ledger import leaderboard
from leadline.ledger.history import History
from leadline.measure import sign
from leadline.statistics import expected_gain

__all__ = ["LEAST_FINISHED", "LEAST_RUNS", "MORE_TRIALS", "SEEN_ERRORS", "Worth", "scatter", "worth"]

MORE_TRIALS = 10
"""The further trials of a stratum whose worth is told."""
LEAST_FINISHED = 6
"""The finished trials of a stratum from which on it is told."""
LEAST_RUNS = 3
"""The replicates of a configuration from which on their scatter is known."""
SEEN_ERRORS = 2.8
"""A difference of so many standard errors is seen with 80 % power, two-sided at 5 %."""


@dataclass(frozen=True)
class Worth:
    """What `MORE_TRIALS` further trials of a stratum are worth, in the objective on validation.

    Attributes:
        gain: by how much the best of them is expected to improve on the winner.
        detectable: the smallest difference between two configurations that the confirmation can
            tell apart from the scatter of their seeds; NaN where no configuration has replicates
            enough.
    """

    gain: float
    detectable: float


def scatter(history: History, stratum: str) -> float:
    """The standard deviation of the objective from seed to seed, over a stratum's replicates.

    It is pooled over configurations; NaN where none has `LEAST_RUNS` of them.
    """
    name = leaderboard.objective(history)
    squares, freedom = 0.0, 0
    for trial in history.search_trials():
        if trial.stratum == stratum:
            runs = [run.value(name) for run in history.replicates(trial.number) if run.status == "finished"]
            values = list(filter(math.isfinite, runs))
            if len(values) >= LEAST_RUNS:
                squares += statistics.variance(values) * (len(values) - 1)
                freedom += len(values) - 1
    return math.sqrt(squares / freedom) if freedom else math.nan


def worth(history: History, stratum: str) -> Worth | None:
    """What more trials of a stratum are worth; None where too few have finished.

    Further trials are taken to be like those so far, and one that was stopped to be no better than
    the winner.
    """
    metric, direction = leaderboard.objective(history), sign(history.settings.mode)
    ended = [trial for trial in history.search_trials() if trial.stratum == stratum and not trial.open]
    values = [direction * trial.value(metric) for trial in ended if trial.status == "finished"]
    known = list(filter(math.isfinite, values))
    if len(known) < LEAST_FINISHED:
        return None
    spread = scatter(history, stratum)
    more = MORE_TRIALS * len(known) / len(ended)
    gain = expected_gain(known, more, spread if math.isfinite(spread) else 0.0)
    return Worth(gain, SEEN_ERRORS * math.sqrt(2 / history.settings.replicates) * spread)
