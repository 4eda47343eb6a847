"""One name for all images of a board: boards are the same up to symmetry exactly when their names are equal."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pynauty

from trainables.recursive.board import BLANK, DIGIT, SUDOKU_BOXES, U8
from trainables.recursive.symmetry import EXCHANGED, square_images

__all__ = ["Names", "canonical", "graph", "names"]

Names = npt.NDArray[np.bytes_]
"""Hexadecimal digests of 12 bytes, as an array of bytes [boards]."""


def canonical(task: str, size: int, board: U8) -> bytes:
    """The name of a board, tokens [cells]: a digest that its images share, and they alone but for a chance of 2^-96."""
    form = _least_image(size, board) if task == "maze" else _sudoku_form(size, board)
    return blake2b(form, digest_size=12).hexdigest().encode()


def names(task: str, size: int, boards: U8) -> Names:
    """`canonical` of each of tokens [boards, cells]."""
    return np.array([canonical(task, size, board) for board in boards], dtype="S24")


def _least_image(size: int, board: U8) -> bytes:
    """The first of the 16 images in the order of bytes."""
    both = EXCHANGED.astype(np.uint8)[:, board]
    return min(bytes(image) for image in both[:, square_images(size)].reshape(16, -1))


@cache
def _houses(size: int) -> tuple[tuple[tuple[int, ...], ...], tuple[frozenset[int], ...]]:
    """Row, column and box of each cell as vertices of the board's graph, and the colours of all vertices.

    Vertices are cells, rows, columns, boxes, digits. Rows and columns have one colour where the board may be transposed.
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
    """A sudoku, tokens [cells], as a coloured graph: each cell is joined with its row, column, box and given digit."""
    houses, colours = _houses(size)
    digits = size * size + 3 * size - DIGIT - 1
    joined = {
        cell: [*own] if token == BLANK else [*own, digits + token]
        for cell, (own, token) in enumerate(zip(houses, board.tolist(), strict=True))
    }
    return pynauty.Graph(
        size * size + 4 * size, adjacency_dict=joined, vertex_coloring=[set(colour) for colour in colours]
    )


def _sudoku_form(size: int, board: U8) -> bytes:
    """The graph as its canonical labelling has it, the same for all isomorphic ones (McKay and Piperno 2014)."""
    return bytes(pynauty.certificate(graph(size, board)))
