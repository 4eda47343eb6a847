"""The rungs at which early stopping judges trials; the engine and the report both use them."""

from __future__ import annotations

__all__ = ["rungs"]


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
