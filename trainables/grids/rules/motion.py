"""Rules of directions: cells that fall, lines and bars that are sorted, lines that are drawn."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Final

import numpy as np

from trainables.grids.rules.objects import box
from trainables.grids.rules.rule import Grid, Rule
from trainables.grids.rules.scenes import bars, noise, patch, points, twins

__all__ = ["MOTION"]

Step = tuple[int, int]
STEPS: Final[dict[str, Step]] = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}
DIAGONALS: Final[dict[str, Step]] = {
    "down-right": (1, 1),
    "down-left": (1, -1),
    "up-right": (-1, 1),
    "up-left": (-1, -1),
}


def _view(grid: Grid, direction: str) -> Grid:
    """Returns a view of a grid in which a direction leads to the right.

    To write to the view is to write to the grid.
    """
    view = grid if direction in ("right", "left") else grid.T
    return view if direction in ("right", "down") else view[:, ::-1]


def _fallen(grid: Grid, *, direction: str) -> Grid:
    """Lets all cells fall to one side; they keep their order."""
    answer = np.empty_like(grid)
    view = _view(grid, direction)
    order = (view != 0).argsort(axis=1, kind="stable")
    _view(answer, direction)[...] = view[np.arange(len(view))[:, None], order]
    return answer


def _extended(grid: Grid, *, direction: str) -> Grid:
    """Draws a line from each cell to the edge, or to the next cell on its way."""
    answer = np.empty_like(grid)
    view = _view(grid, direction)
    last = np.maximum.accumulate(np.where(view, np.arange(view.shape[1]), 0), axis=1)
    _view(answer, direction)[...] = view[np.arange(len(view))[:, None], last]
    return answer


def _sorted(grid: Grid, *, axis: int, falling: bool) -> Grid:
    """Sorts columns, or for axis 0 rows, by the number of their cells; equals keep their order."""
    count = (grid != 0).sum(axis=1 - axis)
    order = (-count if falling else count).argsort(kind="stable")
    return grid[order] if axis == 0 else grid[:, order].copy()


def _cornered(grid: Grid, *, bottom: bool, right: bool) -> Grid:
    """Moves all that is drawn into a corner, as it is."""
    answer = np.zeros_like(grid)
    drawn = grid[box(grid)]
    height, width = drawn.shape
    rows = slice(grid.shape[0] - height, None) if bottom else slice(height)
    columns = slice(grid.shape[1] - width, None) if right else slice(width)
    answer[rows, columns] = drawn
    return answer


def _connected(grid: Grid, *, ways: tuple[str, ...]) -> Grid:
    """Draws lines between cells of one colour with nothing between them in a line.

    Args:
        grid: the grid.
        ways: `right` for lines in rows, `down` for lines in columns, the later over the earlier.
    """
    answer = grid.copy()
    for way in ways:
        view = _view(answer, way)
        for line, row in enumerate(_view(grid, way).tolist()):
            filled = [place for place, colour in enumerate(row) if colour]
            for one, other in itertools.pairwise(filled):
                if row[one] == row[other]:
                    view[line, one:other] = row[one]
    return answer


def _lined(grid: Grid, *, steps: tuple[Step, ...]) -> Grid:
    """Draws lines from each cell to the edge, under other cells.

    Where lines of two cells meet, the cell that comes first, row by row, has its colour there.
    """
    height, width = grid.shape
    rows = grid.tolist()
    points = [(row, column, colour) for row, line in enumerate(rows) for column, colour in enumerate(line) if colour]
    for top, left, colour in reversed(points):
        for down, right in steps:
            row, column = top + down, left + right
            while 0 <= row < height and 0 <= column < width:
                rows[row][column] = colour
                row, column = row + down, column + right
    drawn = np.array(rows, dtype=np.uint8)
    return np.where(grid, grid, drawn)


MOTION: Final = (
    *(Rule("fall", f"fall {way}", partial(_fallen, direction=way), noise) for way in ("down", "up", "left", "right")),
    *(
        Rule(
            "sort",
            f"sort {lines} {order}",
            partial(_sorted, axis=axis, falling=order == "falling"),
            partial(bars, lying=axis == 0),
        )
        for lines, axis in (("columns", 1), ("rows", 0))
        for order in ("rising", "falling")
    ),
    *(
        Rule("corner", f"corner {row}-{column}", partial(_cornered, bottom=bottom, right=right), patch)
        for row, bottom in (("top", False), ("bottom", True))
        for column, right in (("left", False), ("right", True))
    ),
    *(
        Rule("connect", f"connect {lines}", partial(_connected, ways=ways), twins)
        for lines, ways in (("rows", ("right",)), ("columns", ("down",)), ("rows and columns", ("right", "down")))
    ),
    *(
        Rule("extend", f"extend {way}", partial(_extended, direction=way), partial(points, count=(2, 6)))
        for way in STEPS
    ),
    *(
        Rule("diagonal", f"diagonal {way}", partial(_lined, steps=(step,)), partial(points, count=(2, 4)))
        for way, step in DIAGONALS.items()
    ),
    Rule("diagonal", "diagonals all ways", partial(_lined, steps=tuple(DIAGONALS.values())), points),
    *(
        Rule("cross", name, partial(_lined, steps=tuple(STEPS[way] for way in ways)), points)
        for name, ways in (
            ("cross", tuple(STEPS)),
            ("cross, its lying bar", ("right", "left")),
            ("cross, its standing bar", ("down", "up")),
        )
    ),
)
"""Rules in which a direction matters."""
