"""Random images of boards under their symmetry group: what changes a board's looks and not its difficulty.

Sudoku: digits, bands, rows in bands, stacks, columns in stacks and, where boxes are square, the transpose: 4! * 128 = 3072 images at
side 4, 6! * 3456 = 2.5e6 at side 6, 9! * 3359232 = 1.2e12 at side 9 (Russell and Jarvis 2006). Maze: 16, the 8 of
the square and the same with start and goal exchanged, between which the path is the same.
"""

from __future__ import annotations

from itertools import permutations, product
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from trainables.recursive.board import BLANK, DIGIT, FLOOR, GOAL, I64, PATH, START, SUDOKU_BOXES, WALL

__all__ = ["EXCHANGED", "cell_images", "images", "square_images"]

Token = TypeVar("Token", np.uint8, np.int64)


EXCHANGED = np.array([[0, WALL, FLOOR, START, GOAL, PATH], [0, WALL, FLOOR, GOAL, START, PATH]])
"""A maze's token for each token, as it is and with start and goal exchanged: int64 [2, 6]."""


def _shuffled(generator: np.random.Generator, rows: int, blocks: int, length: int) -> I64:
    """Lines 0 .. blocks * length - 1 with blocks shuffled, and lines in blocks: int64 [rows, lines]."""
    block = generator.random((rows, blocks, 1)).argsort(axis=1)
    line = generator.random((rows, blocks, length)).argsort(axis=2)
    return np.asarray((block * length + line).reshape(rows, blocks * length))


def _sudoku_cells(size: int, rows: int, generator: np.random.Generator) -> I64:
    """Which cell of the board each cell of the image shows: int64 [rows, cells]."""
    tall, wide = SUDOKU_BOXES[size]
    down, across = _shuffled(generator, rows, size // tall, tall), _shuffled(generator, rows, size // wide, wide)
    cells = down[:, :, None] * size + across[:, None, :]
    if tall == wide:
        turned = generator.random(rows) < 0.5
        cells = np.where(turned[:, None, None], cells.swapaxes(1, 2), cells)
    return np.asarray(cells.reshape(rows, size * size))


def _digits(size: int, rows: int, generator: np.random.Generator) -> I64:
    """The image's token for each token: int64 [rows, tokens]."""
    tokens = np.tile(np.arange(size + 1 + DIGIT), (rows, 1))
    tokens[:, BLANK + 1 :] = generator.random((rows, size)).argsort(axis=1) + BLANK + 1
    return tokens


def square_images(size: int) -> I64:
    """Which cell each cell of the 8 images of a square shows: int64 [8, cells]."""
    square = np.arange(size * size).reshape(size, size)
    turned = [np.rot90(side, turns) for side in (square, square.T) for turns in range(4)]
    return np.stack([image.reshape(-1) for image in turned])


def cell_images(size: int) -> I64:
    """All arrangements of a sudoku's cells, int64 [images, cells]: 128 at side 4, 3456 at side 6.

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
    """All that `_shuffled` can give, int64 [arrangements, lines]."""
    inner = list(permutations(range(length)))
    found = [
        [block * length + line for block, own in zip(order, lines, strict=True) for line in own]
        for order in permutations(range(blocks))
        for lines in product(inner, repeat=blocks)
    ]
    return np.array(found)


def images(
    task: str, size: int, inputs: npt.NDArray[Token], labels: npt.NDArray[Token], generator: np.random.Generator
) -> tuple[npt.NDArray[Token], npt.NDArray[Token]]:
    """A random image of each board, uniform over the group, the same for its input and its label.

    Args:
        task: sudoku or maze.
        size: side of the boards.
        inputs: tokens [boards, cells].
        labels: tokens [boards, cells].
        generator: draws the images.
    """
    rows = len(inputs)
    if task == "maze":
        cells = square_images(size)[generator.integers(0, 8, rows)]
        tokens = EXCHANGED[generator.integers(0, 2, rows)]
    else:
        cells, tokens = _sudoku_cells(size, rows, generator), _digits(size, rows, generator)
    return _image(inputs, cells, tokens), _image(labels, cells, tokens)


def _image(boards: npt.NDArray[Token], cells: I64, tokens: I64) -> npt.NDArray[Token]:
    """Boards [boards, cells] whose cells are moved and whose tokens are renamed, by one row of each for each board."""
    moved = np.take_along_axis(boards, cells, 1).astype(np.int64)
    return np.take_along_axis(tokens, moved, 1).astype(boards.dtype)
