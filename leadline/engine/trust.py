"""How far early stopping may be trusted: whether a rung orders trials as the end does.

A sweep goes on without early stopping once the first rung that has judged `LEAST_FINISHED` finished
trials orders them with a Kendall's tau below `LEAST_TAU`. Trials are compared within their stratum
alone, as where they are judged. What has finished was spared by the rungs, so that its values are
alike and tau is lower than over all trials, and it is asked again after each: the rule errs on the
side of training more.

It is pure: it sees what has finished, in the order of the ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from leadline.ledger.rungs import LEAST_FINISHED, LEAST_TAU
from leadline.statistics import Concordance

__all__ = ["Trust"]


class Trust:
    """The rungs' order and the end's, of the trials that have finished."""

    def __init__(self) -> None:
        self._rungs: defaultdict[int, Concordance] = defaultdict(Concordance)

    def finished(self, stratum: str, at: Mapping[int, float], end: float) -> None:
        """Takes a trial that has spent its whole budget.

        Args:
            stratum: its stratum.
            at: its value at each rung that has judged it.
            end: its value at the end.
        """
        for rung, value in at.items():
            self._rungs[rung].add(stratum, value, end)

    def lost(self) -> str:
        """Why rungs are not to be trusted, in words; empty where they are, or too few finished.

        Where all values of a rung, or all at the end, are equal, there is no order to miss.
        """
        for rung, found in sorted(self._rungs.items()):
            # With several strata, twelve trials may be a pair or two, whose order is chance.
            if found.pairs >= LEAST_FINISHED * (LEAST_FINISHED - 1) // 2:
                if found.tau < LEAST_TAU:
                    return f"rung {rung} orders the {found.n} finished trials with tau {found.tau:.2f}"
                return ""
        return ""
