"""What boards there are: sizes, boxes, clues that can be, and the tokens of their cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "BLANK",
    "BOARDS_OF_FOUR",
    "DIGIT",
    "FEWEST_CLUES",
    "FLOOR",
    "GOAL",
    "I64",
    "PATH",
    "START",
    "SUDOKU_BOXES",
    "U8",
    "WALL",
    "board_problem",
    "open_token",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

SUDOKU_BOXES = {4: (2, 2), 6: (2, 3), 8: (2, 4), 9: (3, 3)}
"""Rows and columns of a box, by the side of the board."""

FEWEST_CLUES = {4: 4, 6: 8, 8: 14, 9: 17}
"""Given digits that a sudoku with one solution has at least, by side; for 9 McGuire, Tugemann and Civario 2014."""

BOARDS_OF_FOUR = {4: 13, 5: 96, 6: 376, 7: 711, 8: 1040, 9: 980, 10: 788, 11: 414, 12: 210, 13: 56, 14: 22, 15: 2}
"""Sudokus of side 4 with one solution, up to symmetry, by their given digits: 4708 in all. See `classes`."""

BLANK, DIGIT = 1, 1
"""Tokens of a sudoku: an open cell, and what is added to a digit from 1 on. 0 is PAD on every board."""

WALL, FLOOR, START, GOAL, PATH = 1, 2, 3, 4, 5
"""Tokens of a maze."""


def open_token(task: str) -> int:
    """What the input shows where the answer is asked for."""
    return BLANK if task == "sudoku" else FLOOR


def board_problem(task: str, size: int, clues: int, boards: int = 0) -> str:
    """What is wrong with a board, or with asking for so many that differ, beginning with the field's name; empty if nothing is."""
    if task == "sudoku" and size not in SUDOKU_BOXES:
        return f"size: a sudoku of rectangular boxes has side {', '.join(map(str, SUDOKU_BOXES))} (got {size})"
    if task == "maze" and size % 2 == 0:
        return f"size: a maze has an odd side, walls around it (got {size})"
    if task == "maze" and clues:
        return f"clues: a maze has none (got {clues})"
    if task == "sudoku" and clues >= size * size:
        return f"clues: must leave a cell of {size * size} open (got {clues})"
    if task == "sudoku" and 0 < clues < FEWEST_CLUES[size]:
        return f"clues: a sudoku of side {size} with one solution has at least {FEWEST_CLUES[size]} (got {clues})"
    if task == "sudoku" and size == 4 and boards > (known := BOARDS_OF_FOUR.get(clues, sum(BOARDS_OF_FOUR.values()))):
        these = f"{known} sudokus of side 4 {f'and {clues} clues ' if clues else ''}up to symmetry"
        return f"train_boards: with validation_boards and test_boards at most the {these} (got {boards})"
    return ""
