"""All sudokus of side 4 with one solution, up to symmetry.

They are too few to draw at random, and few enough to list.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from trainables.puzzles.puzzle import I64, U8
from trainables.puzzles.sudoku_solver import BLANK, full_grids
from trainables.puzzles.sudoku_symmetry import cell_images

__all__ = ["classes_of_four"]

SIZE, CELLS = 4, 16
MASKS = 1 << CELLS


def _relabelled(grids: U8) -> U8:
    """Renames the digits of each of uint8 [grids, 16] so that the first row is in order."""
    places = grids[:, :SIZE].astype(np.int64).argsort(axis=1) + int(grids.min())
    return np.asarray(np.take_along_axis(places, grids.astype(np.int64) - int(grids.min()), 1).astype(np.uint8))


def _representatives(grids: U8, arrangements: I64) -> list[tuple[U8, I64]]:
    """Returns one grid of each class, with the arrangements that map it to itself.

    The digits may change in such an arrangement, int64 [images, 16].
    """
    seen: set[bytes] = set()
    found = []
    for grid, plain in zip(grids, _relabelled(grids), strict=True):
        if plain.tobytes() not in seen:
            turned = _relabelled(grid[arrangements])
            seen.update(image.tobytes() for image in turned)
            found.append((grid, arrangements[(turned == plain).all(axis=1)]))
    return found


def _unique(grid: U8, grids: U8) -> I64:
    """Returns the sets of given cells, as bits, of which `grid` is the only solution.

    At least one cell is open.
    """
    bit = 1 << np.arange(CELLS)
    masks = np.arange(MASKS)
    several = np.zeros(MASKS, dtype=np.bool_)
    for other in grids:
        if not np.array_equal(other, grid):
            several |= masks & ~int(bit[other == grid].sum()) == 0
    return masks[~several][:-1]


def _first_of_orbits(masks: I64, stabiliser: I64) -> I64:
    """Returns those masks that no arrangement of the stabiliser makes smaller."""
    least = masks.copy()
    for cells in stabiliser:
        moved = np.zeros_like(masks)
        for to, cell in enumerate(cells.tolist()):
            moved |= (masks >> cell & 1) << to
        np.minimum(least, moved, out=least)
    return np.asarray(masks[masks == least])


@cache
def classes_of_four() -> tuple[U8, U8]:
    """Returns one puzzle of each class and its solution, uint8 [classes, 16] each.

    A class is a grid's class and an orbit of its given cells under the arrangements that keep the
    grid, so that the count is exact. Puzzles of any number of clues count, with at least one open
    cell.
    """
    grids = full_grids(SIZE, 10**6)
    puzzles, solutions = [], []
    for grid, stabiliser in _representatives(grids, cell_images(SIZE)):
        masks = _first_of_orbits(_unique(grid, grids), stabiliser)
        given = masks[:, None] >> np.arange(CELLS) & 1 == 1
        puzzles.append(np.where(given, grid, BLANK).astype(np.uint8))
        solutions.append(np.tile(grid, (len(masks), 1)))
    return np.concatenate(puzzles), np.concatenate(solutions)
