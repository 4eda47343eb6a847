"""Scenes: random grids on which rules show.

A scene is a function of a generator and the least and the most cells of a side; further arguments
are bound by `functools.partial`. Beside what a rule speaks of, a scene has other pixels, colours
and sizes, so that few inputs of a rule are drawn twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from trainables.grids.rules.objects import objects
from trainables.grids.rules.rule import COLOURS, Grid

__all__ = [
    "bars",
    "blocks",
    "bordered",
    "colourful",
    "half_blank",
    "half_blank_square",
    "noise",
    "patch",
    "points",
    "ranked_blocks",
    "ranked_colours",
    "rings",
    "rows_with_majority",
    "smaller",
    "solids",
    "twins",
]

PAINTS: Final = COLOURS - 1  # all colours but the background


def _side(generator: np.random.Generator, least: int, most: int) -> int:
    """Draws a side."""
    return least + int(generator.random() * (most + 1 - least))


def _sides(generator: np.random.Generator, least: int, most: int) -> tuple[int, int]:
    """Draws a height and a width."""
    return _side(generator, least, most), _side(generator, least, most)


def _below(generator: np.random.Generator, bound: int, shape: tuple[int, ...]) -> Grid:
    """Draws whole numbers below a bound, uint8 [shape].

    So few numbers take `Generator.integers` several times as long.
    """
    return (generator.random(shape) * bound).astype(np.uint8)


def _paints(generator: np.random.Generator, shape: tuple[int, ...]) -> Grid:
    """Draws colours other than the background, uint8 [shape]."""
    return _below(generator, PAINTS, shape) + np.uint8(1)


def _speckled(generator: np.random.Generator, grid: Grid, share: float) -> None:
    """Paints a share of the cells of a grid in random colours, in place."""
    np.copyto(grid, _paints(generator, grid.shape), where=generator.random(grid.shape) < share)


def noise(
    generator: np.random.Generator,
    least: int,
    most: int,
    *,
    colours: tuple[int, ...] = (),
    paints: tuple[int, int] = (2, PAINTS),
    density: tuple[float, float] = (0.3, 0.8),
) -> Grid:
    """Draws cells that are independent of each other, from a few colours.

    Args:
        generator: draws all of it.
        least: the least side.
        most: the most cells of a side.
        colours: colours that are among the few in any case.
        paints: how many others are drawn, from and to; a colour can be drawn twice.
        density: the share of cells that are not background, from and to.
    """
    shape = _sides(generator, least, most)
    few, share = generator.random(2).tolist()
    count = paints[0] + int(few * (paints[1] + 1 - paints[0]))
    palette = _paints(generator, (count + len(colours),))
    palette[count:] = colours
    cells = palette[_below(generator, len(palette), shape)]
    cells *= generator.random(shape) < density[0] + share * (density[1] - density[0])
    return cells


def smaller(
    generator: np.random.Generator, least: int, most: int, *, times: tuple[int, int] = (1, 1), less: int = 0
) -> Grid:
    """Draws dense noise for an answer that is larger.

    Args:
        generator: draws all of it.
        least: the least side, where the answer then fits.
        most: the most cells of a side of the answer.
        times: how many times as high and as wide as its input an answer is.
        less: by how many cells an answer is larger.
    """
    rooms = [(most - less) // factor for factor in times]
    height, width = (_side(generator, min(least, room), room) for room in rooms)
    cells = _paints(generator, (height, width))
    cells *= generator.random((height, width)) < 0.85
    return cells


def colourful(generator: np.random.Generator, least: int, most: int) -> Grid:
    """Draws a grid with as many colours as it has room for, each about equally often."""
    height, width = _sides(generator, least, most)
    cells = height * width
    blank = int(generator.random() * 0.3 * cells)
    paints = (generator.permutation(PAINTS) + 1).astype(np.uint8)
    row = np.zeros(cells, dtype=np.uint8)
    row[blank:] = np.resize(paints, cells - blank)
    generator.shuffle(row)
    return row.reshape(height, width)


def blocks(generator: np.random.Generator, least: int, most: int, *, count: tuple[int, int] = (2, 4)) -> Grid:
    """Draws rectangles over one another, from which some cells are lost.

    Args:
        generator: draws all of it.
        least: the least side.
        most: the most cells of a side.
        count: how many rectangles, from and to.
    """
    height, width = _sides(generator, least, most)
    grid = np.zeros((height, width), dtype=np.uint8)
    number, lost = generator.random(2).tolist()
    high, wide = max(2, (height + 1) // 2), max(2, (width + 1) // 2)
    drawn = count[0] + int(number * (count[1] + 1 - count[0]))
    for colour, down, right, tall, broad in generator.random((drawn, 5)).tolist():
        rows, columns = 1 + int(tall * high), 1 + int(broad * wide)
        top, left = int(down * (height + 1 - rows)), int(right * (width + 1 - columns))
        grid[top : top + rows, left : left + columns] = 1 + int(colour * PAINTS)
    grid[generator.random((height, width)) < 0.25 * lost] = 0
    return grid


def _ranked(sizes: Iterable[int], least: bool) -> bool:
    """Tells whether there are several sizes, and one above all others, or below."""
    order = sorted(sizes, reverse=not least)
    return len(order) > 1 and order[0] != order[1]


def ranked_blocks(grid: Grid, *, least: bool) -> bool:
    """Tells whether one of several objects is the largest, or the smallest."""
    return _ranked(map(len, objects(grid)), least)


def ranked_colours(grid: Grid, *, least: bool) -> bool:
    """Tells whether one of several colours is the most frequent, or the least, background aside."""
    cells = grid.tobytes()
    return _ranked(filter(None, map(cells.count, range(1, COLOURS))), least)


def rings(generator: np.random.Generator, least: int, most: int) -> Grid:
    """Draws closed borders of one colour with something in and around them.

    Corners of a border may be missing: it is closed where no side of a cell opens it.
    """
    height, width = _sides(generator, least, most)
    grid = np.zeros((height, width), dtype=np.uint8)
    share, number = generator.random(2).tolist()
    _speckled(generator, grid, 0.4 * share)
    for _ in range(1 + int(number * max(1, min(height, width) // 4))):
        tall, broad, down, right, colour, inside, *corners = generator.random(10).tolist()
        rows, columns = 3 + int(tall * (height - 2)), 3 + int(broad * (width - 2))
        top, left = int(down * (height + 1 - rows)), int(right * (width + 1 - columns))
        ring = grid[top : top + rows, left : left + columns]
        ring[...] = 1 + int(colour * PAINTS)
        ring[1:-1, 1:-1] = 0
        _speckled(generator, ring[1:-1, 1:-1], 0.3 * inside)
        for chance, row, column in zip(corners, (0, 0, -1, -1), (0, -1, 0, -1), strict=True):
            if chance < 0.25:
                ring[row, column] = 0
    return grid


def solids(generator: np.random.Generator, least: int, most: int) -> Grid:
    """Draws a solid rectangle of three cells or more each way among single pixels."""
    height, width = _sides(generator, least, most)
    grid = np.zeros((height, width), dtype=np.uint8)
    tall, broad, down, right, colour, share = generator.random(6).tolist()
    _speckled(generator, grid, 0.1 + 0.4 * share)
    rows, columns = 3 + int(tall * (height - 2)), 3 + int(broad * (width - 2))
    top, left = int(down * (height + 1 - rows)), int(right * (width + 1 - columns))
    paint = 1 + int(colour * PAINTS)
    grid[top : top + rows, left : left + columns] = paint
    # Without its corners a rectangle has the same inner cells; so it has more forms.
    corners = ((top, left), (top, left + columns - 1), (top + rows - 1, left), (top + rows - 1, left + columns - 1))
    for chance, corner in zip(generator.random(4).tolist(), corners, strict=True):
        if chance < 0.3:
            grid[corner] = int(chance / 0.3 * COLOURS)
    return grid


def bordered(generator: np.random.Generator, least: int, most: int) -> Grid:
    """Draws noise within a border of one colour."""
    grid = noise(generator, least, most)
    grid[0] = grid[-1] = grid[:, 0] = grid[:, -1] = _paints(generator, ())
    return grid


def patch(generator: np.random.Generator, least: int, most: int) -> Grid:
    """Draws a dense patch that leaves a row or a column of the grid empty."""
    height, width = _sides(generator, least, most)
    grid = np.zeros((height, width), dtype=np.uint8)
    tall, broad, down, right, share = generator.random(5).tolist()
    rows, columns = 1 + int(tall * (height - 1)), 1 + int(broad * width)
    top, left = int(down * (height + 1 - rows)), int(right * (width + 1 - columns))
    _speckled(generator, grid[top : top + rows, left : left + columns], 0.5 + 0.5 * share)
    return grid


def points(generator: np.random.Generator, least: int, most: int, *, count: tuple[int, int] = (2, 3)) -> Grid:
    """Draws a few single cells, each of a colour of its own drawing.

    Args:
        generator: draws all of it.
        least: the least side.
        most: the most cells of a side.
        count: how many cells, from and to; two may fall on one place.
    """
    height, width = _sides(generator, least, most)
    grid = np.zeros((height, width), dtype=np.uint8)
    number = count[0] + int(generator.random() * (count[1] + 1 - count[0]))
    for row, column, colour in generator.random((number, 3)).tolist():
        grid[int(row * height), int(column * width)] = 1 + int(colour * PAINTS)
    return grid


def twins(generator: np.random.Generator, least: int, most: int) -> Grid:
    """Draws pairs of points of one colour in one row or column with room between, among others."""
    grid = points(generator, least, most, count=(1, 4))
    for line, one, other, colour, across in generator.random((1 + int(generator.random() * 3), 5)).tolist():
        view = grid if across < 0.5 else grid.T
        height, width = view.shape
        first = int(one * (width - 2))
        last = first + 2 + int(other * (width - 2 - first))
        view[int(line * height), [first, last]] = 1 + int(colour * PAINTS)
        view[int(line * height), first + 1 : last] = 0
    return grid


def bars(generator: np.random.Generator, least: int, most: int, *, lying: bool = False) -> Grid:
    """Draws a bar in each column that stands on the floor, each of a colour.

    Args:
        generator: draws all of it.
        least: the least side.
        most: the most cells of a side.
        lying: whether the bars lie in the rows instead and begin on the left.
    """
    height, width = _sides(generator, least, most)
    tall, wide = (width, height) if lying else (height, width)
    heights = _below(generator, tall + 1, (wide,))
    standing = (np.arange(tall, 0, -1)[:, None] <= heights) * _paints(generator, (wide,))
    return np.ascontiguousarray(standing.T[:, ::-1] if lying else standing)


def half_blank(generator: np.random.Generator, least: int, most: int, *, axis: int) -> Grid:
    """Draws noise on one half of a grid, at either end of an axis; a middle line belongs to it."""
    grid = noise(generator, least, most, density=(0.4, 0.9))
    side = grid.shape[axis]
    view = grid if axis == 0 else grid.T
    view[: side // 2] = 0
    if generator.random() < 0.5:
        view[:] = view[::-1].copy()
    return grid


def half_blank_square(generator: np.random.Generator, least: int, most: int) -> Grid:
    """Draws noise on one side of the diagonal of a square, at either side of it."""
    side = _sides(generator, least, most)[0]
    grid = noise(generator, side, side, density=(0.4, 0.9))
    place = np.arange(side)
    below = place[:, None] >= place
    return grid * (below if generator.random() < 0.5 else below.T)


def rows_with_majority(generator: np.random.Generator, least: int, most: int, *, axis: int) -> Grid:
    """Draws rows, or for axis 0 columns, each with one colour in more than half of its cells."""
    height, width = _sides(generator, least, most)
    lines, cells = (height, width) if axis == 1 else (width, height)
    others = _below(generator, (cells - 1) // 2 + 1, (lines, 1))
    changed = generator.random((lines, cells)).argsort(axis=1) < others
    grid = np.where(changed, _below(generator, COLOURS, (lines, cells)), _paints(generator, (lines, 1)))
    return grid if axis == 1 else np.ascontiguousarray(grid.T)
