"""Where early stopping judges trials: what the engine decides by, and what a report says of it."""

from __future__ import annotations

__all__ = ["rungs"]


def rungs(grace: int, reduction: int, budget: int) -> list[int]:
    """How much of its budget a trial has spent when it is judged: grace * reduction^k below the budget, in exact integers.

    Args:
        grace: the first rung; at least 1.
        reduction: the factor between rungs; at least 2.
        budget: of a whole trial; all three in the sweep's unit.
    """
    found = []
    rung = grace
    while rung < budget:
        found.append(rung)
        rung *= reduction
    return found
