"""Rules that join the two halves of a grid, side by side or one above the other.

A middle line belongs to neither. A grid of a single line has no halves, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from trainables.grids.rules.rule import BACKGROUND, Grid, Rule
from trainables.grids.rules.scenes import noise

__all__ = ["HALVES"]

Join = Callable[[Grid, Grid], Grid]
BLANK = np.uint8(BACKGROUND)


def _and(one: Grid, other: Grid) -> Grid:
    """Keeps cells of the first that both have."""
    return np.where(other, one, BLANK)


def _or(one: Grid, other: Grid) -> Grid:
    """Lays the first over the second."""
    return np.where(one, one, other)


def _xor(one: Grid, other: Grid) -> Grid:
    """Keeps cells that one alone has."""
    return np.where((one == 0) | (other == 0), one | other, BLANK)


def _nor(one: Grid, other: Grid) -> Grid:
    """Paints cells that neither has in colour 3."""
    return np.where(one | other, BLANK, np.uint8(3))


def _maximum(one: Grid, other: Grid) -> Grid:
    """Keeps the colour of the higher number."""
    return np.maximum(one, other)


def _minimum(one: Grid, other: Grid) -> Grid:
    """Keeps the colour of the lower number, that of the background being 0."""
    return np.minimum(one, other)


def _joined(grid: Grid, *, join: Join, axis: int) -> Grid:
    """Joins the halves that lie beside each other along an axis."""
    half = grid.shape[axis] // 2
    if not half:
        return grid.copy()
    return join(grid[:half], grid[-half:]) if axis == 0 else join(grid[:, :half], grid[:, -half:])


_JOINS: dict[str, tuple[str, Join]] = {
    "and": ("logic", _and),
    "or": ("logic", _or),
    "xor": ("logic", _xor),
    "nor": ("logic", _nor),
    "maximum": ("extreme", _maximum),
    "minimum": ("extreme", _minimum),
}

HALVES: Final = tuple(
    Rule(family, f"{word} of {halves}", partial(_joined, join=join, axis=axis), noise)
    for word, (family, join) in _JOINS.items()
    for halves, axis in (("left and right", 1), ("top and bottom", 0))
)
"""Rules whose answer has half the cells of its input."""
