"""Rules of shapes: borders, holes, objects, and how many there are."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np

from trainables.grids.rules.objects import beside, box, enclosed, lonely, objects, only
from trainables.grids.rules.rule import BACKGROUND, COLOURS, Grid, Rule
from trainables.grids.rules.scenes import (
    blocks,
    bordered,
    noise,
    patch,
    points,
    ranked_blocks,
    ranked_colours,
    rings,
    smaller,
    solids,
)

__all__ = ["SHAPES"]

PAINTS = range(1, COLOURS)
BLANK = np.uint8(BACKGROUND)


def _bordered(grid: Grid, *, colour: int) -> Grid:
    """Paints the outermost cells."""
    answer = grid.copy()
    answer[0] = answer[-1] = answer[:, 0] = answer[:, -1] = colour
    return answer


def _peeled(grid: Grid) -> Grid:
    """Crops the outermost cells off; a grid that has no others stays."""
    return grid[1:-1, 1:-1].copy() if min(grid.shape) > 2 else grid.copy()


def _framed(grid: Grid, *, colour: int) -> Grid:
    """Sets a frame around a grid."""
    height, width = grid.shape
    answer = np.full((height + 2, width + 2), colour, dtype=np.uint8)
    answer[1:-1, 1:-1] = grid
    return answer


def _filled(grid: Grid, *, colour: int) -> Grid:
    """Fills all holes with a colour."""
    answer = grid.copy()
    answer[enclosed(grid)] = colour
    return answer


def _cored(grid: Grid, *, colour: int) -> Grid:
    """Paints cells that have four neighbours of their own colour."""
    answer = grid.copy()
    inner = grid[1:-1, 1:-1]
    alike = (inner == grid[:-2, 1:-1]) & (inner == grid[2:, 1:-1])
    alike &= (inner == grid[1:-1, :-2]) & (inner == grid[1:-1, 2:]) & (inner != 0)
    answer[1:-1, 1:-1][alike] = colour
    return answer


def _outlined(grid: Grid, *, colour: int) -> Grid:
    """Paints background cells that touch another, if by a corner."""
    answer = grid.copy()
    answer[beside(grid) & (grid == 0)] = colour
    return answer


def _denoised(grid: Grid, *, kept: bool) -> Grid:
    """Removes objects of one cell, or keeps them alone."""
    return np.where(lonely(grid) == kept, grid, BLANK)


def _cropped(grid: Grid) -> Grid:
    """Crops to the smallest box around all that is not background."""
    return grid[box(grid)].copy()


def _chosen(grid: Grid, least: bool) -> tuple[int, ...]:
    """Returns the cells of the largest or the smallest object; of equals the first, row by row."""
    return (min if least else max)(objects(grid), key=len, default=())


def _object_kept(grid: Grid, *, least: bool) -> Grid:
    """Keeps the largest or the smallest object alone."""
    return only(grid, _chosen(grid, least))


def _object_cropped(grid: Grid, *, least: bool) -> Grid:
    """Keeps the largest or the smallest object alone, and crops to it."""
    return _cropped(_object_kept(grid, least=least))


def _object_painted(grid: Grid, *, least: bool, colour: int) -> Grid:
    """Paints the largest or the smallest object."""
    answer = grid.copy()
    answer.put(_chosen(grid, least), colour)
    return answer


def _bar(length: int, colour: int) -> Grid:
    """Returns a single row of a colour; for a length of 0 one blank cell."""
    return np.full((1, length), colour, dtype=np.uint8) if length else np.zeros((1, 1), dtype=np.uint8)


def _objects_counted(grid: Grid) -> Grid:
    """Gives a bar of colour 1 with a cell for each object."""
    return _bar(len(objects(grid)), 1)


def _colours_counted(grid: Grid) -> Grid:
    """Gives a bar of colour 2 with a cell for each colour, background aside."""
    return _bar(len(set(grid.tobytes()) - {0}), 2)


def _cells_counted(grid: Grid) -> Grid:
    """Gives the cells of the most frequent colour as a bar; of equals the smallest colour's."""
    cells = grid.tobytes()
    colour = max(PAINTS, key=cells.count)
    return _bar(cells.count(colour), colour)


_WHICH = tuple(
    (word, word == "smallest", partial(ranked_blocks, least=word == "smallest")) for word in ("largest", "smallest")
)
_SPARSE = partial(noise, paints=(2, 4), density=(0.1, 0.5))

SHAPES: Final = (
    *(Rule("border", f"border {colour}", partial(_bordered, colour=colour), noise) for colour in PAINTS),
    Rule("without border", "border blanked", partial(_bordered, colour=0), bordered),
    Rule("without border", "border cropped", _peeled, bordered),
    *(
        Rule("frame", f"frame {colour}", partial(_framed, colour=colour), partial(smaller, less=2))
        for colour in (1, 2, 3, 4)
    ),
    *(Rule("fill", f"fill {colour}", partial(_filled, colour=colour), rings) for colour in PAINTS),
    Rule("hollow", "hollow out", partial(_cored, colour=0), solids),
    *(Rule("hollow", f"core {colour}", partial(_cored, colour=colour), solids) for colour in (1, 2, 3)),
    *(
        Rule("outline", f"outline {colour}", partial(_outlined, colour=colour), partial(points, count=(2, 4)))
        for colour in (1, 2, 3, 6)
    ),
    Rule("denoise", "denoise", partial(_denoised, kept=False), blocks),
    Rule("denoise", "keep single pixels", partial(_denoised, kept=True), blocks),
    Rule("crop", "crop to content", _cropped, patch),
    *(
        Rule("object", f"keep the {word} object", partial(_object_kept, least=least), blocks, shows)
        for word, least, shows in _WHICH
    ),
    *(
        Rule("crop object", f"crop to the {word} object", partial(_object_cropped, least=least), blocks, shows)
        for word, least, shows in _WHICH
    ),
    *(
        Rule(
            "paint object",
            f"paint the {word} object {colour}",
            partial(_object_painted, least=least, colour=colour),
            blocks,
            shows,
        )
        for word, least, shows in _WHICH
        for colour in (1, 2, 3, 4)
    ),
    Rule("count", "count objects", _objects_counted, partial(blocks, count=(1, 4))),
    Rule("count", "count colours", _colours_counted, partial(noise, paints=(2, 6))),
    Rule("count", "count the most frequent colour", _cells_counted, _SPARSE, partial(ranked_colours, least=False)),
)
"""Rules in which the form of what is drawn matters."""
