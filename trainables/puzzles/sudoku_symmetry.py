"""The symmetry group of sudokus: random images of boards, and one name for all images of a board.

Digits, bands, rows in bands, stacks, columns in stacks and, where boxes are square, the transpose:
4! * 128 = 3072 images at side 4, 6! * 3456 = 2.5e6 at side 6, 9! * 3359232 = 1.2e12 at side 9
(Russell and Jarvis 2006).
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise, permutations, product

import numpy as np
import numpy.typing as npt
import pynauty

from trainables.puzzles.puzzle import I64, U8, Token
from trainables.puzzles.square import moved
from trainables.puzzles.sudoku_solver import BLANK, DIGIT, SUDOKU_BOXES

__all__ = ["canonical_form", "cell_images", "graph", "images"]


def _shuffled(generator: np.random.Generator, rows: int, blocks: int, length: int) -> I64:
    """Draws lines 0 .. blocks * length - 1 with blocks shuffled, and the lines in them.

    The result is int64 [rows, lines].
    """
    block = generator.random((rows, blocks, 1)).argsort(axis=1)
    line = generator.random((rows, blocks, length)).argsort(axis=2)
    return np.asarray((block * length + line).reshape(rows, blocks * length))


def _cells(size: int, rows: int, generator: np.random.Generator) -> I64:
    """Draws which cell of the board each cell of the image shows: int64 [rows, cells]."""
    tall, wide = SUDOKU_BOXES[size]
    down, across = _shuffled(generator, rows, size // tall, tall), _shuffled(generator, rows, size // wide, wide)
    cells = down[:, :, None] * size + across[:, None, :]
    if tall == wide:
        turned = generator.random(rows) < 0.5
        cells = np.where(turned[:, None, None], cells.swapaxes(1, 2), cells)
    return np.asarray(cells.reshape(rows, size * size))


def _digits(size: int, rows: int, generator: np.random.Generator) -> I64:
    """Draws the image's token for each token: int64 [rows, tokens]."""
    tokens = np.tile(np.arange(size + 1 + DIGIT), (rows, 1))
    tokens[:, BLANK + 1 :] = generator.random((rows, size)).argsort(axis=1) + BLANK + 1
    return tokens


def cell_images(size: int) -> I64:
    """Returns all arrangements of a sudoku's cells, int64 [images, cells].

    There are 128 at side 4 and 3456 at side 6.

    Raises:
        ValueError: at larger sides, which have millions.
    """
    if size > 6:
        raise ValueError(f"size: the arrangements are listed up to side 6 (got {size})")
    tall, wide = SUDOKU_BOXES[size]
    down, across = _lines(size // tall, tall), _lines(size // wide, wide)
    cells = (down[:, None, :, None] * size + across[None, :, None, :]).reshape(-1, size, size)
    if tall == wide:
        cells = np.concatenate([cells, cells.swapaxes(1, 2)])
    return np.asarray(cells.reshape(len(cells), size * size))


def _lines(blocks: int, length: int) -> I64:
    """Returns all that `_shuffled` can give, int64 [arrangements, lines]."""
    inner = list(permutations(range(length)))
    found = [
        [block * length + line for block, own in zip(order, lines, strict=True) for line in own]
        for order in permutations(range(blocks))
        for lines in product(inner, repeat=blocks)
    ]
    return np.array(found)


def images(
    size: int, inputs: npt.NDArray[Token], labels: npt.NDArray[Token], generator: np.random.Generator
) -> tuple[npt.NDArray[Token], npt.NDArray[Token]]:
    """Draws an image of each board, uniform over the group.

    Input and label get the same image.

    Args:
        size: side of the boards.
        inputs: tokens [boards, cells].
        labels: tokens [boards, cells].
        generator: draws the images.
    """
    cells, tokens = _cells(size, len(inputs), generator), _digits(size, len(inputs), generator)
    return moved(inputs, cells, tokens), moved(labels, cells, tokens)


@cache
def _houses(size: int) -> tuple[tuple[tuple[int, ...], ...], tuple[frozenset[int], ...]]:
    """Returns each cell's row, column and box as vertices of the board's graph, and all colours.

    Vertices are cells, rows, columns, boxes, digits; each has a colour. Rows and columns have one
    colour if the board may be transposed.
    """
    tall, wide = SUDOKU_BOXES[size]
    cells = size * size
    row, column, box, digit = (cells + size * kind for kind in range(4))
    houses = []
    for cell in range(cells):
        down, across = divmod(cell, size)
        houses.append((row + down, column + across, box + down // tall * (size // wide) + across // wide))
    parts = (0, cells, row + size, digit - size, digit, digit + size)
    spans = [range(start, end) for start, end in pairwise(parts)]
    lines = [frozenset([*spans[1], *spans[2]])] if tall == wide else [frozenset(spans[1]), frozenset(spans[2])]
    return tuple(houses), (frozenset(spans[0]), *lines, frozenset(spans[3]), frozenset(spans[4]))


def graph(size: int, board: U8) -> pynauty.Graph:
    """Returns a sudoku, tokens [cells], as a coloured graph.

    Each cell is joined with its row, column, box and given digit.
    """
    houses, colours = _houses(size)
    digits = size * size + 3 * size - DIGIT - 1
    joined = {
        cell: [*own] if token == BLANK else [*own, digits + token]
        for cell, (own, token) in enumerate(zip(houses, board.tolist(), strict=True))
    }
    return pynauty.Graph(
        size * size + 4 * size, adjacency_dict=joined, vertex_coloring=[set(colour) for colour in colours]
    )


def canonical_form(size: int, board: U8) -> bytes:
    """Returns the canonical labelling of the board's graph.

    It is the same for all isomorphic graphs (McKay and Piperno 2014).
    """
    return bytes(pynauty.certificate(graph(size, board)))
