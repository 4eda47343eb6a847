"""Rules that move whole grids: flips, turns, shifts, symmetry, copies, sizes and halves."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np

from trainables.grids.rules.rule import Grid, Rule
from trainables.grids.rules.scenes import half_blank, half_blank_square, noise, smaller

__all__ = ["GEOMETRY"]


def _flip(grid: Grid, axis: int) -> Grid:
    """Returns a view of a grid that is mirrored along an axis."""
    return grid[::-1] if axis == 0 else grid[:, ::-1]


def _flipped(grid: Grid, *, axis: int) -> Grid:
    """Mirrors a grid along an axis."""
    return _flip(grid, axis).copy()


def _transposed(grid: Grid, *, turns: int) -> Grid:
    """Exchanges rows and columns, and turns the grid by quarters thereafter."""
    return np.rot90(grid.T, turns).copy()


def _rotated(grid: Grid, *, turns: int) -> Grid:
    """Turns a grid clockwise by a number of quarters."""
    return np.rot90(grid, -turns).copy()


def _shifted(grid: Grid, *, axis: int, by: int) -> Grid:
    """Moves all cells along an axis; what leaves at one side enters at the other."""
    by %= grid.shape[axis]
    return np.concatenate((grid[-by:], grid[:-by]) if axis == 0 else (grid[:, -by:], grid[:, :-by]), axis=axis)


def _completed(grid: Grid, *, axis: int) -> Grid:
    """Gives each blank cell the colour of its mirror image along an axis."""
    return np.where(grid, grid, _flip(grid, axis))


def _completed_diagonally(grid: Grid) -> Grid:
    """Gives each blank cell of a square the colour of its mirror image at the main diagonal."""
    return np.where(grid, grid, grid.T) if grid.shape[0] == grid.shape[1] else grid.copy()


def _mirrored(grid: Grid, *, axes: tuple[int, ...]) -> Grid:
    """Sets a grid's mirror image beside it, along one axis after the other."""
    for axis in axes:
        grid = np.concatenate((grid, _flip(grid, axis)), axis=axis)
    return grid


def _tiled(grid: Grid, *, times: tuple[int, int]) -> Grid:
    """Sets copies of a grid beside each other."""
    return np.tile(grid, times)


def _scaled(grid: Grid, *, times: tuple[int, int]) -> Grid:
    """Makes each cell as many times as high and as wide."""
    return grid.repeat(times[0], axis=0).repeat(times[1], axis=1)


def _half(grid: Grid, *, axis: int, last: bool) -> Grid:
    """Crops to one half, without a middle line; a single line stays."""
    half = max(1, grid.shape[axis] // 2)
    lines = slice(-half, None) if last else slice(half)
    return grid[(slice(None),) * axis + (lines,)].copy()


def _spread(grid: Grid, *, axis: int) -> Grid:
    """Makes all lines across an axis equal to the first."""
    first = grid[:1] if axis == 0 else grid[:, :1]
    return first.repeat(grid.shape[axis], axis=axis)


_SHIFTS = {"right": (1, 1), "left": (1, -1), "down": (0, 1), "up": (0, -1)}
_TWICE = {"right": (1, 2), "down": (2, 1), "both ways": (2, 2)}
_HALVES = {"left": (1, False), "right": (1, True), "top": (0, False), "bottom": (0, True)}

GEOMETRY: Final = (
    Rule("flip", "flip left-right", partial(_flipped, axis=1), noise),
    Rule("flip", "flip up-down", partial(_flipped, axis=0), noise),
    Rule("transpose", "transpose", partial(_transposed, turns=0), noise),
    Rule("transpose", "transpose at the other diagonal", partial(_transposed, turns=2), noise),
    *(Rule("rotate", f"rotate {90 * turns}", partial(_rotated, turns=turns), noise) for turns in (1, 2, 3)),
    *(
        Rule("shift", f"shift {direction} {by}", partial(_shifted, axis=axis, by=sign * by), noise)
        for by in (1, 2)
        for direction, (axis, sign) in _SHIFTS.items()
    ),
    Rule("symmetry", "symmetry left-right", partial(_completed, axis=1), partial(half_blank, axis=1)),
    Rule("symmetry", "symmetry up-down", partial(_completed, axis=0), partial(half_blank, axis=0)),
    Rule("symmetry", "symmetry at the diagonal", _completed_diagonally, half_blank_square),
    *(
        Rule("mirror", f"mirror {way}", partial(_mirrored, axes=axes), partial(smaller, times=_TWICE[way]))
        for way, axes in (("right", (1,)), ("down", (0,)), ("both ways", (1, 0)))
    ),
    *(
        Rule("tile", f"tile {way}", partial(_tiled, times=times), partial(smaller, times=times))
        for way, times in _TWICE.items()
    ),
    *(
        Rule("scale", f"scale {way}", partial(_scaled, times=times), partial(smaller, times=times))
        for way, times in _TWICE.items()
    ),
    *(
        Rule("half", f"half {side}", partial(_half, axis=axis, last=last), noise)
        for side, (axis, last) in _HALVES.items()
    ),
    Rule("spread", "spread the first row", partial(_spread, axis=0), noise),
    Rule("spread", "spread the first column", partial(_spread, axis=1), noise),
)
"""Rules by which cells change their places and keep their colours."""
