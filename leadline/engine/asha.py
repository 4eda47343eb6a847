"""The core of ASHA, in its stopping variant: a trial's step and value in, decision and reason out.

It is pure: it uses no clock, no storage and no Ray.

Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020).
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from leadline.ledger.events import Action
from leadline.ledger.rungs import judges, rungs
from leadline.measure import sign
from leadline.plain import plural

__all__ = ["Asha", "Decision"]


@dataclass(frozen=True)
class Decision:
    """What becomes of a trial after a report, and why, in words for the leaderboard."""

    action: Action
    reason: str = ""


def _none_spared(rung: int) -> str:
    """The answer of a sweep in which every rung may stop every trial."""
    return ""


@dataclass
class Asha:
    """The rungs of one stratum.

    A trial that reaches a rung goes on while its value is within the best 1/reduction quantile of
    the values recorded there so far, its own included (linear interpolation; ties go on). The first
    to arrive always goes on. A trial is neither stopped at a rung that it reaches before its last
    stage has begun, nor do others have to be as good as it was there.

    Args:
        grace: first rung, in steps.
        reduction: one in how many goes on; the factor between rungs.
        budget: steps of a whole trial.
        mode: whether smaller or larger values are better.
    """

    grace: int
    reduction: int
    budget: int
    mode: Literal["min", "max"] = "min"
    table: dict[int, dict[int, float]] = field(init=False)
    """Rung step -> trial -> value, in order of arrival. It only grows."""
    early: dict[int, dict[int, float]] = field(init=False)
    """The same of the trials whose last stage had not begun, which are not judged."""
    _ordered: dict[int, list[float]] = field(init=False, repr=False, compare=False, default_factory=dict)
    """The values of each rung, times the sign of `mode`, the best first.

    They are kept sorted, as sorting them anew at each report would cost a long sweep's replay
    minutes.
    """

    def __post_init__(self) -> None:
        self.table, self.early = {}, {}
        self.extend(self.budget)

    def extend(self, budget: int) -> None:
        """Takes a longer budget, in steps.

        It adds rungs at which no trial has been judged yet; the existing rungs keep their values.
        """
        self.budget = budget
        for step in rungs(self.grace, self.reduction, budget):
            self.table.setdefault(step, {})
            self.early.setdefault(step, {})

    def report(
        self,
        trial: int,
        step: int,
        value: float,
        *,
        judged_from: float = 0.0,
        spared: Callable[[int], str] = _none_spared,
    ) -> Decision:
        """Judges a trial at every rung that it has reached and has not been judged at.

        A value that is NaN or infinite stops the trial at once.

        Args:
            trial: its number.
            step: how far it is.
            value: its value there.
            judged_from: the share of the budget after which its last stage has begun.
            spared: says why the trial is not stopped at a rung; empty where it may be.
        """
        if not math.isfinite(value):
            return Decision("stop", f"step {step}: the objective is {value}")
        reason = ""
        for rung, values in self.table.items():
            if rung > step:
                break
            if trial in values or trial in self.early[rung]:
                continue
            if not judges(rung, judged_from, self.budget):
                self.early[rung][trial] = value
                reason = f"rung {rung}: {value:.4g} is not judged, as the last stage has not begun"
                continue
            values[trial] = value
            cut = self.cutoff(rung)
            worse = sign(self.mode) * value > sign(self.mode) * cut
            place = "worse than" if worse else "within"
            reason = f"rung {rung}: {value:.4g} is {place} the cut-off {cut:.4g} of {plural(len(values), 'trial')}"
            if worse:
                why = spared(rung)
                if not why:
                    return Decision("stop", reason)
                reason += f"; not stopped, as {why}"
        if step >= self.budget:
            return Decision("finish", "budget reached")
        return Decision("continue", reason)

    def cutoff(self, rung: int) -> float:
        """The value that a trial must not be worse than, given the rung's values so far."""
        direction = sign(self.mode)
        values, ordered = self.table[rung].values(), self._ordered.setdefault(rung, [])
        # Only the values that came since the last call are sorted in: the last ones of the rung.
        for value in islice(reversed(values), len(values) - len(ordered)):
            insort(ordered, direction * value)
        # The rank is computed in whole numbers, because (n - 1) times the float 1/reduction may
        # fall short of it by the last bit.
        whole, part = divmod(len(ordered) - 1, self.reduction)
        low, high = ordered[whole], ordered[min(whole + 1, len(ordered) - 1)]
        return direction * (low + (high - low) * part / self.reduction)

    def judged(self, trial: int) -> dict[int, float]:
        """A trial's value at each rung that has judged it."""
        return {rung: values[trial] for rung, values in self.table.items() if trial in values}

    def population(self) -> dict[int, int]:
        """The number of trials that have reached each rung."""
        return {rung: len(values) + len(self.early[rung]) for rung, values in self.table.items()}
