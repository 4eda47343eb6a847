"""The puzzle protocol: all that the recursive families know of their boards."""

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
"""The hexadecimal digests of 12 bytes, as an array of bytes [boards]."""

Rows = dict[str, I64]
"""The arrays that a model is given, by name, a row for each board.

`inputs` and `labels` are int64 [rows, cells]; `puzzle`, int64 [rows], is the row's identifier among
those that have an embedding. A puzzle may add others, such as demonstrations. A label of -100 is
not scored.
"""

Token = TypeVar("Token", np.uint8, np.int64)

PAD = 0
"""The token of a cell that belongs to no board."""

PATIENCE = 2000
"""The number of draws without a new board after which there are taken to be no more."""


class Fields(Protocol):
    """The fields of a configuration that puzzles read; `Puzzle.of` says what they mean for each."""

    @property
    def size(self) -> int:
        """The side of the board."""

    @property
    def clues(self) -> int:
        """The number of given cells, where that can be asked for; else 0."""

    @property
    def data_set(self) -> str:
        """The data set that boards are taken from, where they are not drawn."""

    @property
    def protocol(self) -> str:
        """Whether demonstrations of scored tasks are trained on: transductive or inductive."""

    @property
    def demonstrations(self) -> int:
        """The number of demonstrations that are shown beside a board."""

    @property
    def augmentations(self) -> int:
        """The number of images of a task besides itself."""

    @property
    def task_ids(self) -> tuple[str, ...]:
        """The ids of the tasks of a data set; none stands for all."""

    @property
    def train_rules(self) -> int:
        """The number of rules that are trained on."""

    @property
    def grid_size(self) -> int:
        """The largest side of a drawn grid; 0: that of the canvas."""

    @property
    def train_boards(self) -> int:
        """The number of boards to train on."""

    @property
    def validation_boards(self) -> int:
        """The number of boards that the search is scored on."""

    @property
    def test_boards(self) -> int:
        """The number of boards that confirmation is scored on."""


@dataclass(frozen=True)
class Boards:
    """The boards of one split, in random order.

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

    def take(self, index: I64) -> Boards:
        """Returns the boards at `index`, int64 [rows]."""
        return Boards.of({name: array[index] for name, array in self.arrays().items()})

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Returns all arrays by name, as they are stored."""
        own = {"inputs": self.inputs, "labels": self.labels, "classes": self.classes, "guesses": self.guesses}
        return {**own, **self.extra}

    @staticmethod
    def of(arrays: Mapping[str, npt.NDArray[Any]]) -> Boards:
        """The inverse of `arrays`."""
        own = ("inputs", "labels", "classes", "guesses")
        extra = {name: array for name, array in arrays.items() if name not in own}
        return Boards(arrays["inputs"], arrays["labels"], arrays["classes"], arrays["guesses"], extra)


Predictor = Callable[[Boards], U8]
"""A rule without a trained parameter that answers boards: uint8 [boards, cells]."""


def digest_name(form: bytes) -> bytes:
    """Returns the name of a canonical form: its digest.

    Another form has the same one with a chance of 2^-96.
    """
    return blake2b(form, digest_size=12).hexdigest().encode()


class Puzzle(ABC):
    """One kind of puzzle at one size.

    A board is a row of tokens, uint8 [cells]; token 0 is PAD. Two boards count as one if they are
    images of each other under the puzzle's symmetries, so that no image of a scored board is ever
    trained on.

    Instances are frozen dataclasses: they are compared, pickled with the data and shared between
    trials. What is abstract must be given; the rest suits every puzzle whose boards are drawn one
    by one, and may be replaced. A puzzle whose splits come from a fixed data set replaces `draw`.
    One whose boards belong to tasks with demonstrations replaces `classes` and `rows`, and says
    with `identifiers` how many of them have an embedding.
    """

    shared_part_called: ClassVar[str] = ""
    """The audit's words for what `shared_part` is, in the plural.

    Empty if it has nothing to look for.
    """

    has_solver: ClassVar[bool] = True
    """Whether `only_answer` solves boards anew, so that a second answer would be found."""

    @classmethod
    @abstractmethod
    def problem(cls, fields: Fields) -> str:
        """Returns what is wrong with a configuration's fields, such as a size that cannot be.

        It begins with the name of the field, and is empty if nothing is wrong.
        """

    @classmethod
    @abstractmethod
    def of(cls, fields: Fields) -> Self:
        """Returns the puzzle of a configuration that has no `problem`."""

    @property
    @abstractmethod
    def key(self) -> str:
        """The name of everything that changes the boards, except their number and seed.

        It holds the kind, the size and the like.
        """

    @property
    @abstractmethod
    def cells(self) -> int:
        """The number of tokens of a board."""

    @property
    @abstractmethod
    def vocabulary(self) -> int:
        """The number of values that a token has, PAD among them."""

    @property
    def identifiers(self) -> int:
        """The number of puzzle identifiers that may have an embedding.

        Default: 1, since all boards are of one puzzle.
        """
        return 1

    @property
    def demonstrations(self) -> int:
        """The number D of demonstrations that stand beside each board.

        Where it is above 0, `rows` also returns `demo_inputs` and `demo_labels`, int64 [rows, D,
        cells], and `demo_mask`, bool [rows, D]: which of them there are. Default: 0.
        """
        return 0

    @property
    def names_are_slow(self) -> bool:
        """Whether a name takes milliseconds, so that the audit names only a sample of shared parts.

        Default: no.
        """
        return False

    @abstractmethod
    def generate(self, generator: np.random.Generator) -> tuple[U8, U8]:
        """Draws a board with one answer, and that answer: uint8 [cells] each."""

    @abstractmethod
    def canonical(self, board: U8) -> bytes:
        """Returns the name of a board, uint8 [cells], which its images share and others do not."""

    @abstractmethod
    def images(
        self, inputs: npt.NDArray[Token], labels: npt.NDArray[Token], generator: np.random.Generator
    ) -> tuple[npt.NDArray[Token], npt.NDArray[Token]]:
        """Draws an image of each board, [boards, cells], uniform over the symmetry group.

        The label gets the same image as its board.
        """

    @abstractmethod
    def difficulty(self, board: U8, label: U8) -> int:
        """Returns how hard a board is for a method that is no network; 0 is easiest."""

    @abstractmethod
    def asked(self, inputs: npt.NDArray[Token]) -> Mask:
        """Tells which cells an answer is asked for, bool like `inputs`; the others are given."""

    @abstractmethod
    def lawful(self, inputs: U8, answers: U8) -> Mask:
        """Tells which boards are well formed and have answers that keep what is given.

        The answers must also keep the rules that are quick to check.

        Args:
            inputs: uint8 [boards, cells].
            answers: uint8 [boards, cells].

        Returns:
            bool [boards].
        """

    def solves(self, board: U8, answer: U8) -> bool:
        """Tells whether an answer is right, also if the board has several.

        Default: whether it is lawful.

        Args:
            board: uint8 [cells].
            answer: uint8 [cells].
        """
        return bool(self.lawful(board[None], answer[None])[0])

    @abstractmethod
    def only_answer(self, board: U8, label: U8) -> bool:
        """Tells whether a solver finds this answer and no other to a lawful board.

        Arguments are those of `solves`.
        """

    @abstractmethod
    def predictors(self, train: Boards) -> dict[str, Predictor]:
        """Returns predictors without a trained parameter, by name.

        The name of a perfect one begins with `oracle`.
        """

    @abstractmethod
    def read(self, inputs: Any) -> Rows:
        """Reads a board that a person gives, as one row whose label is the input itself.

        Raises:
            ConfigError: beginning with `inputs`, if it is no board of this puzzle.
        """

    @abstractmethod
    def show(self, board: U8) -> tuple[str, ...]:
        """Shows a board, uint8 [cells], as lines of text.

        `read` accepts them if nothing is strange in the board.
        """

    @property
    @abstractmethod
    def example(self) -> Any:
        """A board that `read` accepts."""

    def draw(self, counts: Mapping[str, int], generator: np.random.Generator) -> dict[str, Boards]:
        """Draws the boards of all splits, all different up to symmetry.

        The splits are drawn one after the other, in the order of `counts`.

        Args:
            counts: the number of boards by split.
            generator: draws them.

        Returns:
            The boards by split. A puzzle whose boards come from a data set may return fewer.

        Raises:
            ConfigError: if there are not so many boards.
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
        return self.divided(counts, inputs, np.stack([label for _, label in found.values()]))

    def divided(self, counts: Mapping[str, int], inputs: U8, labels: U8) -> dict[str, Boards]:
        """Returns boards, uint8 [boards, cells], by split: the first so many are of the first."""
        ends = np.cumsum(list(counts.values())).tolist()
        return {
            split: self.described(inputs[end - count : end], labels[end - count : end])
            for (split, count), end in zip(counts.items(), ends, strict=True)
        }

    def described(self, inputs: U8, labels: U8) -> Boards:
        """Returns boards, uint8 [boards, cells], with their names and difficulties."""
        guesses = [self.difficulty(*board) for board in zip(inputs, labels, strict=True)]
        return Boards(inputs, labels, self.names(inputs), np.array(guesses, dtype=np.int32))

    def names(self, boards: U8) -> Names:
        """Returns `canonical` of each board, uint8 [boards, cells]."""
        return np.array([self.canonical(board) for board in boards], dtype="S24")

    def classes(self, boards: Boards) -> Names:
        """Returns what no two splits may share, bytes [boards]; by default the inputs' names."""
        return self.names(boards.inputs)

    def tasks(self, boards: Boards) -> I64 | None:
        """Returns the number of each board's task, int64 [boards].

        None, as by default, where all boards are of one task.
        """
        return None

    def agreeing(self, boards: Boards) -> Mask | None:
        """Tells which boards the task of the next one has the same answer for, the last one's next
        being the first: bool [boards].

        Default: those of one task, which are all that can be known where a task is not a function;
        None where the boards' tasks have no number.
        """
        tasks = self.tasks(boards)
        return None if tasks is None else tasks == np.roll(tasks, -1)

    def new(self, boards: Boards) -> Mask:
        """Tells which boards are of tasks never trained on, bool [boards]; by default none is."""
        return np.zeros(len(boards), dtype=np.bool_)

    def units(self, boards: Boards) -> I64:
        """Returns the independent unit that each board belongs to, int64 [boards].

        Default: each is one. Boards of one task are no independent evidence of what is said of
        tasks.
        """
        return np.arange(len(boards))

    def settled(self, answer: U8) -> U8:
        """Returns an answer, uint8 [cells], without what is no part of it; default: as it is.

        Cells whose label would be PAD are no targets, so that a network may say anything there.
        """
        return answer

    def same_shape(self, answers: U8, labels: U8) -> Mask | None:
        """Tells which answers have the shape of the right one, bool [boards].

        None, as by default, where all boards have one shape.
        """
        return None

    def rows(self, boards: Boards, index: I64, generator: np.random.Generator | None = None) -> Rows:
        """Returns the boards at `index`, int64 [rows], as a model is given them.

        Args:
            boards: the boards to choose from.
            index: the chosen boards.
            generator: draws a random image of each; without one they are taken as they are.
        """
        inputs, labels = boards.inputs[index].astype(np.int64), boards.labels[index].astype(np.int64)
        if generator is not None:
            inputs, labels = self.images(inputs, labels, generator)
        return {"inputs": inputs, "labels": labels, "puzzle": np.zeros(len(inputs), dtype=np.int64)}

    def shared_part(self, labels: U8) -> U8:
        """Returns the parts that different boards may share, as boards; by default the answers."""
        return labels

    def findings(self, splits: Mapping[str, Boards]) -> list[Finding]:
        """Returns what else an audit says of the boards, which are given by split."""
        return []

    def most_frequent(self, train: Boards) -> Predictor:
        """Returns the predictor of each cell's most frequent training label.

        It counts the boards in which the cell was asked for and is part of the answer, and copies
        what is given and the cells that never were in training.
        """
        asked = self.asked(train.inputs) & (train.labels != PAD)
        tokens = int(train.labels.max()) + 1
        counts = np.stack([((train.labels == token) & asked).sum(axis=0) for token in range(tokens)])
        common, known = counts.argmax(axis=0).astype(np.uint8), asked.any(axis=0)
        return lambda boards: np.where(self.asked(boards.inputs) & known, common, boards.inputs)


def _lines(inputs: Any) -> list[list[str]]:
    """Splits what a person gives into rows of cells.

    It may be text with a line for each row, or a sequence of texts or of cells.

    Raises:
        TypeError: if it is nothing of the kind.
    """
    if isinstance(inputs, str):
        inputs = [line for line in inputs.splitlines() if line.strip()]
    plain = inputs.tolist() if hasattr(inputs, "tolist") else inputs
    return [[str(cell) for cell in row] for row in plain]


def read_square(inputs: Any, side: int, tokens: Mapping[str, int], called: str) -> U8:
    """Reads the tokens of a square board, uint8 [cells].

    Args:
        inputs: text with a line for each row, or all cells in one line; or a sequence of such
            lines, or of sequences of cells.
        side: cells of a row.
        tokens: the token of each cell's text. Spaces between cells are dropped where they mean
            nothing.
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
    """Writes `4`, or `3 to 5`, or `0` for no number."""
    found = sorted(numbers) or [0]
    return str(found[0]) if found[0] == found[-1] else f"{found[0]} to {found[-1]}"


def show_square(board: U8, side: int, symbols: str) -> tuple[str, ...]:
    """Shows a square board, uint8 [cells], as lines; `symbols` has a character for each token."""
    text = "".join(symbols[token] for token in board.tolist())
    return tuple(text[first : first + side] for first in range(0, side * side, side))
