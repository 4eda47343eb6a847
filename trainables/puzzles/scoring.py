"""What the scores of boards have in common, whichever family answers them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainables.puzzles.puzzle import I64, Boards, Puzzle

__all__ = ["Array", "by_unit", "divided", "of_units", "strata"]

Array = npt.NDArray[np.float64]


def by_unit(values: Array, units: I64) -> Array:
    """Returns the mean of each independent unit's boards, float64 [units], in the units' order.

    Args:
        values: a value for each board, float64 [boards].
        units: the unit of each board, int64 [boards]; see `Puzzle.units`.
    """
    place = np.unique(units, return_inverse=True)[1]
    return np.asarray(np.bincount(place, values) / np.bincount(place), dtype=np.float64)


def strata(puzzle: Puzzle, boards: Boards) -> I64:
    """Returns the task of each independent unit of known boards, int64 [units], in units' order.

    Where a task is a unit, each is a stratum of its own, of which a part has about its share.
    Boards of new tasks are left out: see `divided`.
    """
    boards, _ = divided(puzzle, boards)
    tasks, first = puzzle.tasks(boards), np.unique(puzzle.units(boards), return_index=True)[1]
    return np.zeros(len(first), dtype=np.int64) if tasks is None else tasks[first]


def of_units(puzzle: Puzzle, boards: Boards, chosen: I64) -> Boards:
    """Returns the boards of some units, given by their places in what `strata` returns."""
    boards, _ = divided(puzzle, boards)
    place = np.unique(puzzle.units(boards), return_inverse=True)[1]
    return boards.take(np.flatnonzero(np.isin(place, chosen)))


def divided(puzzle: Puzzle, boards: Boards) -> tuple[Boards, Boards]:
    """Returns the boards whose tasks are trained on, and those of new tasks.

    Where all tasks are new, as with ARC's inductive protocol, there is nothing to set them apart
    from: all are of the first kind.
    """
    new = puzzle.new(boards)
    if new.all():
        return boards, boards.take(np.zeros(0, dtype=np.int64))
    return boards.take(np.flatnonzero(~new)), boards.take(np.flatnonzero(new))
