"""Which trials a rung may stop: all of them, some, or none.

ASHA (`leadline.engine.asha`) compares a trial with those that reached its rung before. Whether it
may act on that is said here, by one of four schedulers:

`asha` lets it stop every trial, `none` stops none. `weighed` obeys a rung as far as the rung
predicts the end: a share of the trials goes on whatever it says, a small one where Kendall's tau
between the values there and at the end is high, most of them where it is low. These trials finish,
so that tau is measured on more than what the rung had chosen itself. `brackets` spreads trials over
first rungs, as Hyperband does (Li et al., JMLR 2018), at about equal cost for each.

It is pure: it sees what has finished, in the order of the ledger, and a trial's own random number,
which comes from the sweep's seed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import assert_never

from leadline.engine.search import seed_of
from leadline.ledger.settings import SchedulerName
from leadline.statistics import Concordance

__all__ = ["FIRST", "LEAST_SHARE", "MOST_SHARE", "Scheduler"]

SPARED_SEEDS = 3
"""Sets the random numbers of trials apart from the other seeds of a sweep."""
FIRST = 15
"""The first trials of a sweep, which `weighed` lets every rung judge: nothing is known yet, and the
first trials that finish are needed soon."""
PRIOR_TAU = 0.6
"""What tau is taken to be before any trial has finished."""
PRIOR_TRIALS = 4
"""How many finished trials that weighs as much as."""
TRUSTED_TAU = 0.8
"""The share that is not judged is as large as tau is below this."""
LEAST_SHARE = 0.1
"""The share that is not judged however well a rung predicts, since that is known of these alone."""
MOST_SHARE = 0.8
"""The share that is not judged however badly a rung predicts."""


class Scheduler:
    """What is known of a sweep's rungs, and which trial they may stop.

    Args:
        seed: the sweep's.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rungs: defaultdict[int, Concordance] = defaultdict(Concordance)

    def finished(self, stratum: str, at: Mapping[int, float], end: float) -> None:
        """Takes a trial that has spent its whole budget.

        Args:
            stratum: its stratum; trials are compared within it alone.
            at: its value at each rung that has judged it.
            end: its value at the end.
        """
        for rung, value in at.items():
            self._rungs[rung].add(stratum, value, end)

    def spares(self, scheduler: SchedulerName, trial: int, rung: int, rungs: Sequence[int], budget: int) -> str:
        """Why a trial is not stopped at a rung, in words; empty where it may be.

        Args:
            scheduler: the sweep's.
            trial: the trial's number.
            rung: where it is.
            rungs: all rungs, in order.
            budget: the budget of a whole trial.
        """
        match scheduler:
            case "asha":
                return ""
            case "none":
                return "the sweep was asked to stop none"
            case "weighed":
                return self._weighed(trial, rung)
            case "brackets":
                return self._bracket(trial, rung, rungs, budget)
            case _:
                assert_never(scheduler)

    def share(self, rung: int) -> float:
        """The share of trials that `weighed` does not let a rung judge."""
        found = self._rungs.get(rung)
        n = found.n if found else 0
        # Where all values of a rung, or all at the end, are equal, there is no order to miss.
        tau = found.tau if found and found.tau == found.tau else PRIOR_TAU
        shrunken = (PRIOR_TRIALS * PRIOR_TAU + n * tau) / (PRIOR_TRIALS + n)
        return min(max(TRUSTED_TAU - shrunken, LEAST_SHARE), MOST_SHARE)

    def _weighed(self, trial: int, rung: int) -> str:
        share = self.share(rung)
        if trial < FIRST or self._random(trial) >= share:
            return ""
        found = self._rungs.get(rung)
        known = f"predicts the end with tau {found.tau:.2f} over {found.n} trials" if found else "is not known yet"
        return f"{share:.0%} of trials are not judged there: rung {rung} {known}"

    def _bracket(self, trial: int, rung: int, rungs: Sequence[int], budget: int) -> str:
        levels = [*rungs, budget]
        # A trial of the bracket that begins at a level costs about that level and, of each next
        # part, the share that is expected to get there: with a constant factor between rungs, as
        # many times the first level as parts are left.
        costs = [level * (len(levels) - place) for place, level in enumerate(levels)]
        weights = [1 / cost for cost in costs]
        ends = accumulate(weight / sum(weights) for weight in weights)
        random = self._random(trial)
        first = next((level for level, end in zip(levels, ends, strict=True) if random < end), budget)
        return f"it is of the bracket that is judged from {first} on" if rung < first else ""

    def _random(self, trial: int) -> float:
        """A number from 0 to below 1 that is the trial's own."""
        return seed_of(self._seed, SPARED_SEEDS, trial) / 2**63
