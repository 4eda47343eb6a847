"""The guard on learning rates: whether every parameter group still learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch.optim.lr_scheduler import ReduceLROnPlateau

from leadline.finding import Finding
from leadline.training.guards.guard import Guard, Interval

__all__ = ["LearningRate"]

DEAD = 1e-3
"""Share of its highest so far below which a rate is dead in the first half of the budget.

A rate of exactly 0 is dead at any time.
"""
HELD = 0.02
"""Share of the budget for which the rate must have stayed there.

A cyclic schedule touches 0 and comes back.
"""


class LearningRate(Guard):
    """Fires where a parameter group's learning rate dies.

    It dies below 1e-3 of its highest before half of the budget, or at 0 before the end of it.

    The number is the rate over its highest. A rate that warms up from 0 is judged from its peak on;
    one that never leaves 0 is dead.
    """

    name = "learning_rate"

    def __init__(self) -> None:
        # A number for each parameter group: the highest rate; the steps since which the rate is low
        # and 0, -1 where it is not; and whether its death was said.
        self._highest: list[float] = []
        self._low: list[int] = []
        self._zero: list[int] = []
        self._dead: list[int] = []

    def after_update(self, step: int) -> None:
        """Notes the rates with which the next step will be taken."""
        self._note(step + 1, self._rates())

    def report(self, interval: Interval) -> Iterator[Finding]:
        """Reports when a group dies, and when it comes back."""
        self._note(interval.step, list(interval.rates))
        for index, rate in enumerate(interval.rates):
            died = self._since(index, interval)
            if died >= 0 and not self._dead[index]:
                yield self._finding(index, True, f"{self._death(index, rate, died, interval)}{self._cause(index)}")
            elif died < 0 and self._dead[index] and rate >= DEAD * self._highest[index] > 0:
                yield self._finding(index, False, f"the learning rate is back at {rate:.2g} at step {interval.step}")
            else:
                continue
            self._dead[index] = int(died >= 0)

    def _rates(self) -> list[float]:
        """The learning rates of all parameter groups of all optimizers."""
        return [float(group["lr"]) for optimizer in self.task.optimizers for group in optimizer.param_groups]

    def _note(self, step: int, rates: list[float]) -> None:
        """Notes the rates that hold from a step on."""
        if not self._highest:
            self._highest = [0.0] * len(rates)
            self._low = [-1] * len(rates)
            self._zero = [-1] * len(rates)
            self._dead = [0] * len(rates)
        for index, rate in enumerate(rates):
            self._highest[index] = max(self._highest[index], rate)
            for since, low in ((self._low, rate < DEAD * self._highest[index]), (self._zero, rate == 0)):
                if not low:
                    since[index] = -1
                elif since[index] < 0:
                    since[index] = step
        self._now = rates

    def _since(self, index: int, interval: Interval) -> int:
        """The step from which the group counts as dead; -1 where it does not."""
        low, zero = self._low[index], self._zero[index]
        if 0 <= low < interval.budget / 2 and interval.step - low > HELD * interval.budget:
            return low
        if zero >= 0 and interval.step - zero > HELD * interval.budget:
            warming = self._highest[index] == 0 and interval.step < interval.budget / 2
            return -1 if warming else zero
        return -1

    def _death(self, index: int, rate: float, died: int, interval: Interval) -> str:
        """What has happened to a dead rate, in words."""
        highest = self._highest[index]
        if not highest:
            return f"the learning rate has been 0 for all of the first {interval.step} of {interval.budget} steps"
        when = f"since step {died} of {interval.budget}, {died / interval.budget:.0%} of the budget"
        return f"the learning rate is {rate:.2g}, {rate / highest:.2g} of its highest ({highest:.2g}), dead {when}"

    def _cause(self, index: int) -> str:
        """The likely cause of a dead rate, in words; empty where none is known.

        ReduceLROnPlateau takes the noise of single minibatches for a plateau.
        """
        owners = [optimizer for optimizer in self.task.optimizers for _ in optimizer.param_groups]
        for scheduler in self.task.schedulers:
            if isinstance(scheduler, ReduceLROnPlateau) and scheduler.optimizer is owners[index]:
                return (
                    "; likely cause: ReduceLROnPlateau is fed single minibatches' losses, "
                    "whose noise hides every improvement"
                )
        return ""

    def _finding(self, index: int, failed: bool, sentence: str) -> Finding:
        highest = self._highest[index]
        number = self._now[index] / highest if highest else 0.0
        return Finding(self.name, failed, number, sentence, f"group {index}" if len(self._highest) > 1 else "")

    def state_dict(self) -> dict[str, Any]:
        """Returns, by group, the highest rate, since when it is low or 0, and what was said."""
        return {"highest": self._highest, "low": self._low, "zero": self._zero, "dead": self._dead}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._highest = list(state["highest"])
        self._low = list(state["low"])
        self._zero = list(state["zero"])
        self._dead = list(state["dead"])
