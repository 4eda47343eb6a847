"""The rungs at which early stopping judges trials; the engine and the report both use them.

Whom a rung may stop is said by `leadline.engine.scheduler`.
"""

from __future__ import annotations

__all__ = ["OFF", "judges", "rungs"]

OFF = "early stopping is off"
"""How a view begins that says so, and the remark in which earlier versions recorded it."""


def rungs(grace: int, reduction: int, budget: int) -> list[int]:
    """Returns how much of its budget a trial has spent at each rung.

    The rungs are grace * reduction^k below the budget, in exact integers.

    Args:
        grace: the first rung; at least 1.
        reduction: the factor between rungs; at least 2.
        budget: the budget of a whole trial; all three are in the sweep's unit.
    """
    found = []
    rung = grace
    while rung < budget:
        found.append(rung)
        rung *= reduction
    return found


def judges(rung: int, judged_from: float, budget: int) -> bool:
    """Whether a trial may be stopped at a rung: not before its last stage has begun.

    Args:
        rung: the rung, in the sweep's unit.
        judged_from: the share of the budget after which the trial's last stage has begun; 0 where
            it has no stages.
        budget: the budget of a whole trial, in the sweep's unit.
    """
    return not judged_from or rung > round(judged_from * budget)
