"""The puzzle protocol: all that the recursive families know of the boards that they are trained on and scored by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError
from leadline.finding import Finding

__all__ = [
    "I64",
    "U8",
    "Boards",
    "Fields",
    "Mask",
    "Names",
    "Predictor",
    "Puzzle",
    "Rows",
    "Token",
    "digest_name",
    "read_square",
    "show_square",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

Names = npt.NDArray[np.bytes_]
"""Hexadecimal digests of 12 bytes, as an array of bytes [boards]."""

Rows = dict[str, I64]
"""What a model is given, by name, a row for each board.

`inputs` and `labels` are int64 [rows, cells], `puzzle` is int64 [rows], the row's identifier among
those that have an embedding. A puzzle may add others, such as demonstrations. A label of -100 is
not scored.
"""

Token = TypeVar("Token", np.uint8, np.int64)

PATIENCE = 2000
"""Draws without a new board after which there are taken to be no more."""


class Fields(Protocol):
    """The fields of a configuration that puzzles read. `Puzzle.of` says what they mean for each."""

    @property
    def size(self) -> int:
        """The side of the board."""

    @property
    def clues(self) -> int:
        """How many cells are given, where that can be asked for; 0 where it is not."""

    @property
    def train_boards(self) -> int:
        """How many boards training needs."""

    @property
    def validation_boards(self) -> int:
        """How many boards the search is scored on."""

    @property
    def test_boards(self) -> int:
        """How many boards confirmation is scored on."""


@dataclass(frozen=True)
class Boards:
    """One split, boards in random order.

    Attributes:
        inputs: uint8 [boards, cells], the puzzle's tokens.
        labels: uint8 [boards, cells], the right answers.
        classes: names up to symmetry, bytes [boards]; see `Puzzle.classes`.
        guesses: difficulty, int32 [boards]; see `Puzzle.difficulty`.
        extra: further arrays of the puzzle's own by name, [boards, ...] each.
    """

    inputs: U8
    labels: U8
    classes: Names
    guesses: npt.NDArray[np.int32]
    extra: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inputs)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All arrays by name, as they are stored."""
        own = {"inputs": self.inputs, "labels": self.labels, "classes": self.classes, "guesses": self.guesses}
        return {**own, **self.extra}

    @staticmethod
    def of(arrays: Mapping[str, npt.NDArray[Any]]) -> Boards:
        """The inverse of `arrays`."""
        own = ("inputs", "labels", "classes", "guesses")
        extra = {name: array for name, array in arrays.items() if name not in own}
        return Boards(arrays["inputs"], arrays["labels"], arrays["classes"], arrays["guesses"], extra)


Predictor = Callable[[Boards], U8]
"""Answers to boards, uint8 [boards, cells], by a rule without a trained parameter."""


def digest_name(form: bytes) -> bytes:
    """The name of a canonical form: its digest, which another form shares with a chance of 2^-96."""
    return blake2b(form, digest_size=12).hexdigest().encode()


class Puzzle(ABC):
    """One kind of puzzle at one size.

    A board is a row of tokens, uint8 [cells]; token 0 is PAD. Two boards count as one if they are
    images of each other under the puzzle's symmetries, so that no image of a scored board is ever
    trained on.

    Instances are frozen dataclasses: they are compared, pickled with the data and shared between
    trials. What is abstract must be given; the rest suits every puzzle whose boards are drawn one by
    one, and may be replaced. A puzzle whose splits come from a fixed data set replaces `draw`; one
    whose boards belong to tasks with demonstrations replaces `classes` and `rows`, and says with
    `identifiers` how many of them have an embedding.
    """

    shared_part_called: ClassVar[str] = ""
    """What `shared_part` is, in the audit's words (plural); empty if there is nothing to look for."""

    @classmethod
    @abstractmethod
    def problem(cls, fields: Fields) -> str:
        """What is wrong with a configuration's fields, such as a size that cannot be.

        It begins with the name of the field, and is empty if nothing is wrong.
        """

    @classmethod
    @abstractmethod
    def of(cls, fields: Fields) -> Self:
        """The puzzle of a configuration that has no `problem`."""

    @property
    @abstractmethod
    def key(self) -> str:
        """Names everything that changes the boards but for their number and seed: kind, size and the like."""

    @property
    @abstractmethod
    def cells(self) -> int:
        """How many tokens a board has."""

    @property
    @abstractmethod
    def vocabulary(self) -> int:
        """How many values a token has, PAD among them."""

    @property
    def identifiers(self) -> int:
        """How many puzzle identifiers may have an embedding. Default: 1, all boards are of one puzzle."""
        return 1

    @property
    def names_are_slow(self) -> bool:
        """Whether a name takes milliseconds, so that the audit names a sample of what is shared. Default: no."""
        return False

    @abstractmethod
    def generate(self, generator: np.random.Generator) -> tuple[U8, U8]:
        """A random board with one answer, and that answer: uint8 [cells] each."""

    @abstractmethod
    def canonical(self, board: U8) -> bytes:
        """The name of a board, uint8 [cells], which its images have too and other boards have not."""

    @abstractmethod
    def images(
        self, inputs: npt.NDArray[Token], labels: npt.NDArray[Token], generator: np.random.Generator
    ) -> tuple[npt.NDArray[Token], npt.NDArray[Token]]:
        """A random image of each board, [boards, cells], uniform over the symmetry group, the same for its label."""

    @abstractmethod
    def difficulty(self, board: U8, label: U8) -> int:
        """How hard a board, uint8 [cells], is for a method that is no network; 0 is easiest."""

    @abstractmethod
    def asked(self, inputs: npt.NDArray[Token]) -> Mask:
        """Which cells an answer is asked for, bool like `inputs`; the others are given."""

    @abstractmethod
    def lawful(self, inputs: U8, answers: U8) -> Mask:
        """Whether boards are well formed and answers keep what is given and the rules that are quick to check.

        Args:
            inputs: uint8 [boards, cells].
            answers: uint8 [boards, cells].

        Returns:
            bool [boards].
        """

    def solves(self, board: U8, answer: U8) -> bool:
        """Whether an answer is right, also where the board has several. Default: whether it is lawful.

        Args:
            board: uint8 [cells].
            answer: uint8 [cells].
        """
        return bool(self.lawful(board[None], answer[None])[0])

    @abstractmethod
    def only_answer(self, board: U8, label: U8) -> bool:
        """Whether a solver finds this answer to the lawful board and no other; arguments as in `solves`."""

    @abstractmethod
    def predictors(self, train: Boards) -> dict[str, Predictor]:
        """Predictors without a trained parameter, by name; a perfect one's name begins with `oracle`."""

    @abstractmethod
    def read(self, inputs: Any) -> Rows:
        """A board as a person gives it, as one row; its label is the input itself.

        Raises:
            ConfigError: beginning with `inputs`, if it is no board of this puzzle.
        """

    @abstractmethod
    def show(self, board: U8) -> tuple[str, ...]:
        """A board, uint8 [cells], as lines of text that `read` accepts where nothing is strange in them."""

    @property
    @abstractmethod
    def example(self) -> Any:
        """A board that `read` accepts."""

    def draw(self, counts: Mapping[str, int], generator: np.random.Generator) -> Boards:
        """Boards of all splits, one split after the other in the order of `counts`, all different up to symmetry.

        Raises:
            ConfigError: if there are not so many.
        """
        total = sum(counts.values())
        found: dict[bytes, tuple[U8, U8]] = {}
        idle = 0
        while len(found) < total:
            board = self.generate(generator)
            before = len(found)
            found.setdefault(self.canonical(board[0]), board)
            idle = 0 if len(found) > before else idle + 1
            if idle == PATIENCE:
                boards = f"with validation_boards and test_boards {total}"
                idle_draws = f"{PATIENCE} draws brought none beside the {len(found)} found up to symmetry"
                raise ConfigError(f"train_boards: {boards}, but {idle_draws}")
        inputs = np.stack([board for board, _ in found.values()])
        return self.described(inputs, np.stack([label for _, label in found.values()]))

    def described(self, inputs: U8, labels: U8) -> Boards:
        """Boards, uint8 [boards, cells], with their names and difficulties."""
        guesses = [self.difficulty(*board) for board in zip(inputs, labels, strict=True)]
        return Boards(inputs, labels, self.names(inputs), np.array(guesses, dtype=np.int32))

    def names(self, boards: U8) -> Names:
        """`canonical` of each of uint8 [boards, cells]."""
        return np.array([self.canonical(board) for board in boards], dtype="S24")

    def classes(self, boards: Boards) -> Names:
        """What no two splits may share, bytes [boards]. Default: the names of the inputs."""
        return self.names(boards.inputs)

    def rows(self, boards: Boards, index: I64, generator: np.random.Generator | None = None) -> Rows:
        """The boards at `index`, int64 [rows], as a model is given them.

        Args:
            generator: draws a random image of each; without one they are taken as they are.
        """
        inputs, labels = boards.inputs[index].astype(np.int64), boards.labels[index].astype(np.int64)
        if generator is not None:
            inputs, labels = self.images(inputs, labels, generator)
        return {"inputs": inputs, "labels": labels, "puzzle": np.zeros(len(inputs), dtype=np.int64)}

    def shared_part(self, labels: U8) -> U8:
        """What boards may have in common without being images of each other, as boards. Default: the answers."""
        return labels

    def findings(self, used: int) -> list[Finding]:
        """What else an audit says of this puzzle, of which `used` boards are in the splits."""
        return []

    def most_frequent(self, train: Boards) -> Predictor:
        """The predictor that knows what each cell was most often in the training labels where it was asked for.

        It copies what is given, and the cells that were never asked for in training.
        """
        asked = self.asked(train.inputs)
        tokens = int(train.labels.max()) + 1
        counts = np.stack([((train.labels == token) & asked).sum(axis=0) for token in range(tokens)])
        common, known = counts.argmax(axis=0).astype(np.uint8), asked.any(axis=0)
        return lambda boards: np.where(self.asked(boards.inputs) & known, common, boards.inputs)


def _lines(inputs: Any) -> list[list[str]]:
    """Rows of cells as a person may give them: text with a line for a row, or a sequence of texts or of cells.

    Raises:
        TypeError: if it is nothing of the kind.
    """
    if isinstance(inputs, str):
        inputs = [line for line in inputs.splitlines() if line.strip()]
    plain = inputs.tolist() if hasattr(inputs, "tolist") else inputs
    return [[str(cell) for cell in row] for row in plain]


def read_square(inputs: Any, side: int, tokens: Mapping[str, int], called: str) -> U8:
    """The tokens of a square board, uint8 [cells].

    Args:
        inputs: text with a line for each row, or all cells in one line; or a sequence of such lines, or
            of sequences of cells.
        side: cells of a row.
        tokens: the token of each cell's text. Spaces between cells are dropped where they mean nothing.
        called: what the board is called, such as `a sudoku of side 4`, and which cells it has.

    Raises:
        ConfigError: beginning with `inputs`, if there are other cells or not so many.
    """
    try:
        lines = _lines(inputs)
    except TypeError:
        raise ConfigError(f"inputs: expected {called}, as lines of text or as lists (got {inputs!r})") from None
    if " " not in tokens:
        lines = [[cell for cell in line if not cell.isspace()] for line in lines]
    if len(lines) == 1 and len(lines[0]) == side * side:
        lines = [lines[0][first : first + side] for first in range(0, side * side, side)]
    if len(lines) != side or any(len(line) != side for line in lines):
        shape = f"{len(lines)} rows of {_span([len(line) for line in lines])} cells"
        raise ConfigError(f"inputs: expected {called}, {side} rows of {side} cells (got {shape})")
    for number, line in enumerate(lines, 1):
        for cell in line:
            if cell not in tokens:
                raise ConfigError(f"inputs: {cell!r} in row {number} is no cell of {called}")
    return np.array([tokens[cell] for line in lines for cell in line], dtype=np.uint8)


def _span(numbers: Iterable[int]) -> str:
    """`4`, or `3 to 5`, or `0` for no number."""
    found = sorted(numbers) or [0]
    return str(found[0]) if found[0] == found[-1] else f"{found[0]} to {found[-1]}"


def show_square(board: U8, side: int, symbols: str) -> tuple[str, ...]:
    """A square board, uint8 [cells], as lines; `symbols` has a character for each token."""
    text = "".join(symbols[token] for token in board.tolist())
    return tuple(text[first : first + side] for first in range(0, side * side, side))
