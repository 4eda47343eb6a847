"""What the scores of boards have in common, whichever family answers them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainables.puzzles.puzzle import I64, Boards, Puzzle

__all__ = ["Array", "by_unit", "divided"]

Array = npt.NDArray[np.float64]


def by_unit(values: Array, units: I64) -> Array:
    """Returns the mean of each independent unit's boards, float64 [units], in the units' order.

    Args:
        values: a value for each board, float64 [boards].
        units: the unit of each board, int64 [boards]; see `Puzzle.units`.
    """
    place = np.unique(units, return_inverse=True)[1]
    return np.asarray(np.bincount(place, values) / np.bincount(place), dtype=np.float64)


def divided(puzzle: Puzzle, boards: Boards) -> tuple[Boards, Boards]:
    """Returns the boards whose tasks are trained on, and those of new tasks.

    Where all tasks are new, as with ARC's inductive protocol, there is nothing to set them apart
    from: all are of the first kind.
    """
    new = puzzle.new(boards)
    if new.all():
        return boards, boards.take(np.zeros(0, dtype=np.int64))
    return boards.take(np.flatnonzero(~new)), boards.take(np.flatnonzero(new))
