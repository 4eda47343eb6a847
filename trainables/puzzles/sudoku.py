"""Sudoku as a puzzle: digits in rectangular boxes, with one solution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError
from leadline.finding import Finding
from trainables.puzzles import sudoku_solver, sudoku_symmetry
from trainables.puzzles.puzzle import (
    U8,
    Boards,
    Fields,
    Mask,
    Predictor,
    Puzzle,
    Rows,
    Token,
    digest_name,
    read_square,
    show_square,
)
from trainables.puzzles.sudoku_classes import classes_of_four
from trainables.puzzles.sudoku_solver import BLANK, DIGIT, SUDOKU_BOXES

__all__ = ["BOARDS_OF_FOUR", "FEWEST_CLUES", "Sudoku"]

FEWEST_CLUES = {4: 4, 6: 8, 8: 14, 9: 17}
"""The fewest given digits of a sudoku with one solution, by side.

The number for side 9 is from McGuire, Tugemann and Civario 2014.
"""

BOARDS_OF_FOUR = {4: 13, 5: 96, 6: 376, 7: 711, 8: 1040, 9: 980, 10: 788, 11: 414, 12: 210, 13: 56, 14: 22, 15: 2}
"""The number of sudokus of side 4 with one solution, up to symmetry, by their given digits.

There are 4708 in all; `sudoku_classes` lists them.
"""

SYMBOLS = "?.123456789"
"""The character that shows each token."""


@dataclass(frozen=True)
class Sudoku(Puzzle):
    """Sudokus of one side, with token 1 for an open cell and token d + 1 for digit d.

    Attributes:
        size: side of the board, one of `SUDOKU_BOXES`.
        clues: given digits; 0: none to spare, and at side 4 any number.
    """

    size: int
    clues: int = 0
    shared_part_called: ClassVar[str] = "solution grids"

    @classmethod
    def problem(cls, fields: Fields) -> str:
        """Refuses impossible sides and clues, and at side 4 more boards than there are."""
        size, clues = fields.size, fields.clues
        boards = fields.train_boards + fields.validation_boards + fields.test_boards
        if size not in SUDOKU_BOXES:
            return f"size: a sudoku of rectangular boxes has side {', '.join(map(str, SUDOKU_BOXES))} (got {size})"
        if clues >= size * size:
            return f"clues: must leave a cell of {size * size} open (got {clues})"
        if 0 < clues < FEWEST_CLUES[size]:
            return f"clues: a sudoku of side {size} with one solution has at least {FEWEST_CLUES[size]} (got {clues})"
        known = BOARDS_OF_FOUR.get(clues, sum(BOARDS_OF_FOUR.values()))
        if size == 4 and boards > known:
            these = f"{known} sudokus of side 4 {f'and {clues} clues ' if clues else ''}up to symmetry"
            return f"train_boards: with validation_boards and test_boards at most the {these} (got {boards})"
        return ""

    @classmethod
    def of(cls, fields: Fields) -> Sudoku:
        """Returns the sudokus of the side `size` with `clues` given digits."""
        return cls(fields.size, fields.clues)

    @property
    def key(self) -> str:
        """The kind, the side and, if they are asked for, the clues."""
        return f"sudoku{self.size}" + (f"-clues{self.clues}" if self.clues else "")

    @property
    def cells(self) -> int:
        """The number of cells of the square."""
        return self.size * self.size

    @property
    def vocabulary(self) -> int:
        """The number of tokens: PAD 0, blank 1, and d + 1 for digit d."""
        return self.size + 2

    @property
    def names_are_slow(self) -> bool:
        """Whether the side is above 6, where a name takes 5 ms."""
        return self.size > 6

    def generate(self, generator: np.random.Generator) -> tuple[U8, U8]:
        """Draws a puzzle with one solution, and that solution: uint8 [cells] each.

        Raises:
            ConfigError: if no puzzle of so few clues was found.
        """
        return sudoku_solver.generate(self.size, self.clues, generator)

    def draw(self, counts: Mapping[str, int], generator: np.random.Generator) -> dict[str, Boards]:
        """Draws the boards of all splits.

        Side 4 has too few boards to draw at random: there, a random image of each of so many
        classes is taken.
        """
        if self.size != 4:
            return super().draw(counts, generator)
        inputs, labels = classes_of_four()
        usable = np.flatnonzero((inputs != BLANK).sum(axis=1) == self.clues) if self.clues else np.arange(len(inputs))
        chosen = generator.permutation(usable)[: sum(counts.values())]
        return self.divided(counts, *self.images(inputs[chosen], labels[chosen], generator))

    def canonical(self, board: U8) -> bytes:
        """Returns the digest of the board's graph in its canonical labelling."""
        return digest_name(sudoku_symmetry.canonical_form(self.size, board))

    def images(
        self, inputs: npt.NDArray[Token], labels: npt.NDArray[Token], generator: np.random.Generator
    ) -> tuple[npt.NDArray[Token], npt.NDArray[Token]]:
        """Draws an image of each board.

        Digits are renamed, bands, stacks and the lines in them are shuffled, and boards are
        transposed if boxes are square.
        """
        return sudoku_symmetry.images(self.size, inputs, labels, generator)

    def difficulty(self, board: U8, label: U8) -> int:
        """Returns the solver's guesses; 0 if naked and hidden singles alone solve the board."""
        return sudoku_solver.solve(board, self.size).guesses

    def asked(self, inputs: npt.NDArray[Token]) -> Mask:
        """Tells which cells are open."""
        return np.asarray(inputs == BLANK)

    def lawful(self, inputs: U8, answers: U8) -> Mask:
        """Tells which answers keep the clues and the rules, bool [boards].

        The rules ask for all digits in each row, column and box.
        """
        whole = (np.sort(self._houses(answers), axis=2) == np.arange(1, self.size + 1) + DIGIT).all(axis=(1, 2))
        return np.asarray(whole & ((inputs == answers) | (inputs == BLANK)).all(axis=1))

    def _houses(self, boards: U8) -> U8:
        """Returns all rows, then all columns, then all boxes: uint8 [boards, 3 * size, size]."""
        size = self.size
        tall, wide = SUDOKU_BOXES[size]
        grid = boards.reshape(-1, size, size)
        boxes = grid.reshape(-1, size // tall, tall, size // wide, wide).swapaxes(2, 3).reshape(-1, size, size)
        return np.concatenate([grid, grid.swapaxes(1, 2), boxes], axis=1)

    def only_answer(self, board: U8, label: U8) -> bool:
        """Tells whether the label is the only solution."""
        found = sudoku_solver.solve(board, self.size).solutions
        return len(found) == 1 and np.array_equal(found[0], label)

    def findings(self, splits: Mapping[str, Boards]) -> list[Finding]:
        """Returns at side 4 how many boards there are in all; otherwise nothing."""
        if self.size != 4:
            return []
        used = sum(map(len, splits.values()))
        known = sum(BOARDS_OF_FOUR.values())
        there_are = f"{known} sudokus of side 4 have one solution, up to symmetry and with any number of clues"
        return [Finding("classes", False, known, f"{there_are}; {used} are used.")]

    def predictors(self, train: Boards) -> dict[str, Predictor]:
        """Returns as predictors the clues, the most frequent digits, singles alone, and the solver.

        Singles alone are a real method, no oracle.
        """
        size = self.size
        return {
            "copy the clues": lambda boards: boards.inputs,
            "per-cell most frequent digit": self.most_frequent(train),
            "constraint propagation": lambda boards: np.stack(
                [sudoku_solver.propagated(board, size) for board in boards.inputs]
            ),
            "oracle: solver": lambda boards: np.stack([self._solution(board) for board in boards.inputs]),
        }

    def _solution(self, board: U8) -> U8:
        """Returns the only solution; the board itself if there is none, or several."""
        found = sudoku_solver.solve(board, self.size).solutions
        return found[0] if len(found) == 1 else board

    def read(self, inputs: Any) -> Rows:
        """Reads a sudoku as one row: digits from 1 on; `0` or `.` is an open cell.

        Raises:
            ConfigError: beginning with `inputs`, if it has not these cells, or a digit stands twice
                in a row, column or box.
        """
        digits = {str(digit): digit + DIGIT for digit in range(1, self.size + 1)}
        called = f"a sudoku of side {self.size} (1 to {self.size}, and 0 or . where it is open)"
        board = read_square(inputs, self.size, {**digits, "0": BLANK, ".": BLANK}, called)
        for number, house in enumerate(self._houses(board)[0].tolist()):
            for digit in range(1, self.size + 1):
                if house.count(digit + DIGIT) > 1:
                    kind = ("row", "column", "box")[number // self.size]
                    raise ConfigError(f"inputs: {digit} stands twice in {kind} {number % self.size + 1}")
        row = board.astype(np.int64)[None]
        return {"inputs": row, "labels": row, "puzzle": np.zeros(1, dtype=np.int64)}

    def show(self, board: U8) -> tuple[str, ...]:
        """Shows a sudoku as lines of digits, with `.` for an open cell."""
        return show_square(board, self.size, SYMBOLS)

    @property
    def example(self) -> tuple[str, ...]:
        """A sudoku without a digit to spare, always the same."""
        return self.show(sudoku_solver.generate(self.size, 0, np.random.default_rng(0))[0])
