"""Objects of a grid, and the cells around them.

An object is a largest set of cells of one colour other than the background that are joined by their
sides.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from trainables.grids.rules.rule import Grid

__all__ = ["beside", "box", "enclosed", "lonely", "objects", "only"]

Mask = npt.NDArray[np.bool_]
Places = tuple[tuple[int, ...], ...]


def _framed(grid: Grid) -> tuple[bytearray, int]:
    """Returns the cells within a frame of a colour that there is not, and the width of a row.

    A walk over neighbours then needs no test for the edge.
    """
    height, width = grid.shape
    framed = np.full((height + 2, width + 2), 255, dtype=np.uint8)
    framed[1:-1, 1:-1] = grid
    return bytearray(framed.tobytes()), width + 2


def _flood(cells: bytearray, row: int, start: int, mark: int) -> list[int]:
    """Finds the cells of one colour that are joined to the start, and overwrites them."""
    colour = cells[start]
    cells[start] = mark
    found = [start]
    for here in found:
        for there in (here - row, here - 1, here + 1, here + row):
            if cells[there] == colour:
                cells[there] = mark
                found.append(there)
    return found


def objects(grid: Grid) -> Places:
    """Finds the objects of a grid.

    Returns:
        For each object the places of its cells in `grid.ravel()`; the objects in the order of their
        first cells, row by row.
    """
    return _objects(grid.tobytes(), grid.shape[1])


# A rule's condition, its answer, and other rules in a search ask for one grid after each other.
@lru_cache(maxsize=16)
def _objects(colours: bytes, width: int) -> Places:
    """Finds the objects of a grid of a width."""
    cells, row = _framed(np.frombuffer(colours, dtype=np.uint8).reshape(-1, width))
    found = []
    for start in range(row + 1, len(cells) - row - 1):
        if 0 < cells[start] < 255:
            cells_of_one = _flood(cells, row, start, 255)
            found.append(tuple((place // row - 1) * width + place % row - 1 for place in cells_of_one))
    return tuple(found)


def only(grid: Grid, places: tuple[int, ...]) -> Grid:
    """Returns the grid with all other cells blank."""
    kept = np.zeros_like(grid)
    kept.put(places, grid.take(places))
    return kept


def box(grid: Grid) -> tuple[slice, slice]:
    """Returns the rows and columns of the smallest box around all that is not background.

    A blank grid has the whole of it.
    """
    rows, columns = (np.flatnonzero(grid.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return slice(None), slice(None)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def enclosed(grid: Grid) -> Mask:
    """Tells which background cells no way over background joins to the edge, bool [height, width].

    Ways go over the sides of cells. The array cannot be written to.
    """
    return _enclosed(grid.tobytes(), grid.shape[1])


@lru_cache(maxsize=16)
def _enclosed(colours: bytes, width: int) -> Mask:
    """Tells which background cells are enclosed in a grid of a width."""
    grid = np.frombuffer(colours, dtype=np.uint8).reshape(-1, width)
    height = len(grid)
    around = np.zeros((height + 4, width + 4), dtype=np.uint8)
    around[0] = around[-1] = 255
    around[:, 0] = around[:, -1] = 255
    around[2:-2, 2:-2] = grid
    cells = bytearray(around.tobytes())
    _flood(cells, width + 4, width + 5, 1)
    left = np.frombuffer(cells, dtype=np.uint8).reshape(height + 4, width + 4)[2:-2, 2:-2]
    found = np.asarray(left == 0)
    found.flags.writeable = False
    return found


def beside(grid: Grid) -> Mask:
    """Tells which cells touch one that is not background, or are one, bool [height, width].

    Corners touch too.
    """
    height, width = grid.shape
    filled = np.zeros((height + 2, width + 2), dtype=np.bool_)
    filled[1:-1, 1:-1] = grid
    rows = filled[:-2] | filled[1:-1] | filled[2:]
    return np.asarray(rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:])


def lonely(grid: Grid) -> Mask:
    """Tells which cells are objects of a single cell, bool [height, width]."""
    alike = np.zeros(grid.shape, dtype=np.bool_)
    across = grid[:, 1:] == grid[:, :-1]
    down = grid[1:] == grid[:-1]
    alike[:, 1:] |= across
    alike[:, :-1] |= across
    alike[1:] |= down
    alike[:-1] |= down
    return np.asarray(~alike & (grid != 0))
