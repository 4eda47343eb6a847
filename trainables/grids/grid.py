"""Coloured grids as rows of tokens, as sapientinc/HRM (42410da) and its followers encode ARC.

A grid stands at a corner of a square canvas. Token 0 is PAD, 1 is EOS, and colour c is c + 2. EOS
runs along the grid's lower and right edge, so that the shape can be read off; where the grid
reaches the canvas's edge, there is no room for it, and none is needed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError

__all__ = [
    "COLOURS",
    "EOS",
    "FIRST",
    "INVERSE",
    "LARGEST",
    "PAD",
    "TURNS",
    "VOCABULARY",
    "Grid",
    "Images",
    "as_grid",
    "crop",
    "decode",
    "encode",
    "exchanged",
    "image",
    "shapes",
    "turned",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
Grid = U8
"""A grid: uint8 [height, width], colours 0 to 9."""

PAD, EOS, FIRST = 0, 1, 2
"""The tokens beside and below a grid, and the token of colour 0."""
COLOURS = 10
VOCABULARY = FIRST + COLOURS
LARGEST = 30
"""The largest side of an ARC grid."""

TURNS = 8
"""The symmetries of the square.

0 to 3 are quarter turns against the clock; 4 mirrors left and right, 5 above and below, 6 is the
transpose, and 7 the reflection in the other diagonal.
"""
INVERSE = np.array([0, 3, 2, 1, 4, 5, 6, 7])
"""The number of the turn that undoes each."""

# Where cell (row, column) of a turned grid comes from: are row and column exchanged, and are the
# row and the column of the source then counted from the far end?
_EXCHANGED = np.array([False, True, False, True, False, False, True, True])
_FROM_BELOW = np.array([False, False, True, True, False, True, False, True])
_FROM_RIGHT = np.array([False, True, True, False, True, False, False, True])


def as_grid(given: object, field: str, side: int = LARGEST) -> Grid:
    """Reads a grid that a person gives as rows of colours.

    Args:
        given: a sequence of rows, each a sequence of whole numbers 0 to 9, or a string of digits.
        field: the name with which an error begins.
        side: the canvas's side, beyond which no grid may reach.

    Raises:
        ConfigError: naming the field, if it is no grid, or larger than the canvas.
    """
    if not isinstance(given, list | tuple | np.ndarray) or not len(given):
        raise ConfigError(f"{field}: expected a grid, as rows of colours 0 to 9 (got {given!r})")
    rows = [list(row) if isinstance(row, str | list | tuple | np.ndarray) else None for row in given]
    if any(row is None or len(row) != len(rows[0] or []) or not row for row in rows):
        raise ConfigError(f"{field}: expected a grid, as rows of equal length (got {given!r})")
    cells = [str(cell) for row in rows if row for cell in row]
    for cell in cells:
        if cell not in "0123456789" or len(cell) != 1:
            raise ConfigError(f"{field}: {cell!r} is no colour; colours are 0 to 9")
    grid = np.array([int(cell) for cell in cells], dtype=np.uint8).reshape(len(rows), -1)
    if max(grid.shape) > side:
        raise ConfigError(f"{field}: a grid of {grid.shape[0]} by {grid.shape[1]} does not fit a canvas of side {side}")
    return grid


def encode(grid: Grid, side: int) -> U8:
    """Returns the tokens of a grid at the upper left corner of its canvas, uint8 [side * side].

    Raises:
        ValueError: if the grid is larger than the canvas.
    """
    height, width = grid.shape
    if max(height, width) > side:
        raise ValueError(f"a grid of {height} by {width} does not fit a canvas of side {side}")
    canvas = np.full((side, side), PAD, dtype=np.uint8)
    canvas[:height, :width] = grid + FIRST
    canvas[height : height + 1, :width] = EOS
    canvas[:height, width : width + 1] = EOS
    return canvas.reshape(-1)


def decode(tokens: U8, side: int) -> Grid | None:
    """Returns the grid of which `encode` made these tokens, uint8 [side * side].

    None if there is none: a network may answer anything.
    """
    grid = crop(tokens, side)
    return grid if grid.size and np.array_equal(encode(grid, side), tokens) else None


def crop(tokens: U8, side: int) -> Grid:
    """Returns the largest rectangle of colours at the upper left corner.

    Cells outside of it are not looked at, as PAD is no target where it is ignored. The rectangle
    is the one of the most cells, the widest of these; it is empty if the corner has no colour.

    Args:
        tokens: uint8 [side * side].
        side: the side of the canvas.
    """
    canvas = tokens.reshape(side, side)
    widths = np.minimum.accumulate((canvas >= FIRST).astype(np.int64).cumprod(1).sum(1))
    cells = widths * np.arange(1, side + 1)
    height = int(cells.argmax()) + 1
    return canvas[:height, : widths[height - 1]] - FIRST


def shapes(tokens: npt.NDArray[np.uint8]) -> tuple[I64, I64]:
    """Returns the heights and widths of encoded grids at the upper left corner, int64 [grids].

    Args:
        tokens: uint8 [grids, side * side].
    """
    side = _side(tokens)
    canvas = tokens.reshape(-1, side, side) >= FIRST
    return canvas[:, :, 0].sum(1), canvas[:, 0].sum(1)


class Images(NamedTuple):
    """The images that a batch of grids is given: one of each, drawn or chosen.

    Attributes:
        turns: which of the `TURNS`, int64 [grids].
        colours: the colour that each colour becomes, uint8 [grids, 10].
        down, right: how far the grid is moved from the corner, int64 [grids].
    """

    turns: I64
    colours: U8
    down: I64
    right: I64


def turned(grid: Grid, turn: int) -> Grid:
    """Returns a grid after one of the `TURNS`."""
    if _EXCHANGED[turn]:
        grid = grid.T
        below, right = _FROM_RIGHT[turn], _FROM_BELOW[turn]
    else:
        below, right = _FROM_BELOW[turn], _FROM_RIGHT[turn]
    return grid[:: -1 if below else 1, :: -1 if right else 1]


def exchanged(turns: I64) -> npt.NDArray[np.bool_]:
    """Tells which turns make rows of columns, bool like `turns`."""
    return _EXCHANGED[turns]


def image(tokens: U8, images: Images) -> U8:
    """Returns the image of each encoded grid: its colours changed, turned, and moved.

    All grids are computed at once: for each cell of the canvas, the cell that it comes from.

    Args:
        tokens: uint8 [grids, side * side], each grid at the upper left corner.
        images: one for each grid; a moved grid must stay on the canvas.

    Returns:
        uint8 like `tokens`; EOS runs along the edges of the image.
    """
    side = _side(tokens)
    heights, widths = (size[:, None, None] for size in shapes(tokens))
    turns = images.turns[:, None, None]
    row = np.arange(side)[None, :, None] - images.down[:, None, None]
    column = np.arange(side)[None, None, :] - images.right[:, None, None]
    lying = _EXCHANGED[turns]
    high, wide = np.where(lying, widths, heights), np.where(lying, heights, widths)
    in_rows, in_columns = (row >= 0) & (row < high), (column >= 0) & (column < wide)
    edge = ((row == high) & in_columns) | (in_rows & (column == wide))
    above, left = np.where(lying, column, row), np.where(lying, row, column)
    above = np.where(_FROM_BELOW[turns], heights - 1 - above, above)
    left = np.where(_FROM_RIGHT[turns], widths - 1 - left, left)
    inside = in_rows & in_columns
    source = np.where(inside, above * side + left, 0).reshape(len(tokens), -1)
    found = np.take_along_axis(tokens, source, 1)
    table = np.concatenate([np.tile(np.array([PAD, EOS], np.uint8), (len(tokens), 1)), images.colours + FIRST], 1)
    coloured = np.take_along_axis(table, found.astype(np.int64), 1)
    flat = inside.reshape(len(tokens), -1)
    return np.where(flat, coloured, np.where(edge.reshape(len(tokens), -1), EOS, PAD)).astype(np.uint8)


def _side(tokens: npt.NDArray[np.uint8]) -> int:
    """Returns the side of the square canvas whose tokens stand in the last dimension."""
    return math.isqrt(int(tokens.shape[-1]))
