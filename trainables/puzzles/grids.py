"""What puzzles of coloured grids share: ARC's tasks and grids of drawn rules."""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError
from trainables.grids import trivial
from trainables.grids.grid import COLOURS, EOS, FIRST, PAD, VOCABULARY, Images, as_grid, crop, encode, image, shapes
from trainables.puzzles.puzzle import I64, U8, Boards, Mask, Predictor, Puzzle, Rows

__all__ = [
    "DEMO_INPUTS",
    "DEMO_LABELS",
    "DEMO_MASK",
    "GridPuzzle",
    "drawn_images",
    "imaged",
    "largest_sides",
    "shown_grids",
    "stacked",
    "task_images",
]

IMAGES_SEED = 20260
"""The seed of the images, the same for every trial: an image has an identifier of its own."""

DEMO_INPUTS, DEMO_LABELS, DEMO_MASK = "demo_inputs", "demo_labels", "demo_mask"
"""The names of the demonstrations' arrays among a board's extra ones and a model's rows."""

_SYMBOLS = {PAD: " ", EOS: "|"}


def drawn_images(count: int, generator: np.random.Generator) -> tuple[I64, U8]:
    """Draws turns, int64 [count], and permutations of the colours, uint8 [count, 10].

    Both are uniform. Colour 0 is the background and keeps its place (sapientinc/HRM, 42410da).
    """
    turns = generator.integers(8, size=count)
    others = generator.permuted(np.tile(np.arange(1, COLOURS, dtype=np.uint8), (count, 1)), axis=1)
    return turns, np.concatenate([np.zeros((count, 1), np.uint8), others], 1)


@functools.lru_cache(maxsize=4)
def task_images(tasks: int, augmentations: int) -> tuple[I64, U8]:
    """Returns the images of each task, the task itself first.

    Returns:
        Turns, int64 [tasks, 1 + augmentations], and permutations of the colours, uint8 [tasks, 1 +
        augmentations, 10].
    """
    size = (tasks, 1 + augmentations)
    turns, colours = drawn_images(size[0] * size[1], np.random.default_rng(IMAGES_SEED))
    turns, colours = turns.reshape(size), colours.reshape(*size, COLOURS)
    turns[:, 0], colours[:, 0] = 0, np.arange(COLOURS)
    return turns, colours


def imaged(array: npt.NDArray[Any], turns: I64, colours: U8) -> npt.NDArray[Any]:
    """Returns the images of demonstrations, [rows, demonstrations, cells], at the corner.

    Args:
        array: the demonstrations; a mask, [rows, demonstrations], is left as it is.
        turns: of each row, int64 [rows].
        colours: of each row, uint8 [rows, 10].
    """
    if array.ndim < 3:
        return array
    count = array.shape[1]
    still = np.zeros(len(array) * count, dtype=np.int64)
    images = Images(turns.repeat(count), colours.repeat(count, 0), still, still)
    flat = array.reshape(-1, array.shape[-1]).astype(np.uint8)
    return image(flat, images).astype(array.dtype).reshape(array.shape)


def stacked(demonstrations: list[tuple[U8, U8]], most: int, cells: int) -> tuple[U8, U8]:
    """Returns the tokens of up to `most` demonstrations, uint8 [most, cells] twice, PAD behind."""
    inputs, labels = np.zeros((2, most, cells), dtype=np.uint8)
    for place, (one, other) in enumerate(demonstrations[:most]):
        inputs[place], labels[place] = one, other
    return inputs, labels


def shown_grids(rows: Rows) -> I64:
    """Returns the grids of each row's demonstrations, int64 [rows, 2 * demonstrations, cells].

    The input of each stands before its output; PAD fills those that are missing.
    """
    pairs = np.stack([rows[DEMO_INPUTS], rows[DEMO_LABELS]], 2)
    return pairs.reshape(len(pairs), -1, pairs.shape[-1])


def largest_sides(inputs: U8, labels: U8) -> npt.NDArray[np.int32]:
    """Returns the largest side of each board's two grids, int32 [boards]: their difficulty.

    Args:
        inputs: uint8 [boards, cells].
        labels: uint8 [boards, cells].
    """
    return np.asarray(np.max([*shapes(inputs), *shapes(labels)], axis=0), dtype=np.int32)


class GridPuzzle(Puzzle):
    """A puzzle whose boards are coloured grids on a square canvas.

    A board's answer is another grid, of any shape that fits the canvas. What maps one to the other
    is shown by demonstrations, or is known by the task's identifier.
    """

    has_solver = False

    side: int
    demonstrations: int

    @property
    def cells(self) -> int:
        """The number of cells of the canvas."""
        return self.side * self.side

    @property
    def vocabulary(self) -> int:
        """PAD, EOS and ten colours."""
        return VOCABULARY

    def images(self, inputs: Any, labels: Any, generator: np.random.Generator) -> tuple[Any, Any]:
        """Draws a turn and a permutation of the colours for each board and its label."""
        turns, colours = drawn_images(len(inputs), generator)
        still = np.zeros(len(inputs), dtype=np.int64)
        of_both = Images(turns, colours, still, still)
        return tuple(image(tokens.astype(np.uint8), of_both).astype(tokens.dtype) for tokens in (inputs, labels))  # type: ignore[return-value]

    def canonical(self, board: U8) -> bytes:
        """Returns the board's tokens themselves; what two splits may not share, `classes` says."""
        return board.tobytes()

    def difficulty(self, board: U8, label: U8) -> int:
        """Returns the larger of height and width of both grids."""
        return int(largest_sides(board[None], label[None])[0])

    def asked(self, inputs: Any) -> Mask:
        """Tells that every cell is asked for."""
        return np.ones(inputs.shape, dtype=np.bool_)

    def lawful(self, inputs: U8, answers: U8) -> Mask:
        """Tells which answers are a grid with its EOS around it; PAD stands everywhere else."""
        return _grids(inputs) & _grids(answers)

    def only_answer(self, board: U8, label: U8) -> bool:
        """Tells whether board and label are grids: what else is right, only the task can say."""
        return bool(self.lawful(board[None], label[None])[0])

    def generate(self, generator: np.random.Generator) -> tuple[U8, U8]:
        """Draws a board of its own split, and its answer."""
        boards = self.draw({"test": 1, "validation": 1, "train": 1}, generator)["test"]
        return boards.inputs[0], boards.labels[0]

    def settled(self, answer: U8) -> U8:
        """Returns the grid at the corner with its EOS; the answer itself, if there is none."""
        grid = crop(answer, self.side)
        return encode(grid, self.side) if grid.size else answer

    @property
    @abstractmethod
    def task_names(self) -> tuple[str, ...]:
        """The names of all tasks, in the order of the numbers that `tasks` gives them."""

    def voting_images(self, count: int) -> tuple[I64, U8]:
        """Returns the images of each task whose answers vote, the task itself first.

        They are at least `count`, as `task_images` returns them. Default: none is trained on.
        """
        return task_images(len(self.task_names), count - 1)

    def identified(self, identifiers: I64, number: int) -> I64:
        """Returns the identifiers, int64 [rows], of image `number` of tasks, given their own.

        Default: their own, as images have none.
        """
        return identifiers

    @abstractmethod
    def number(self, task: str) -> int:
        """Returns the identifier of a task by its name.

        Raises:
            ConfigError: beginning with `inputs`, if no task has that name.
        """

    def same_shape(self, answers: U8, labels: U8) -> Mask:
        """Tells which answers begin with a rectangle of colours of the right height and width."""
        pairs = zip(answers, labels, strict=True)
        return np.array([crop(one, self.side).shape == crop(other, self.side).shape for one, other in pairs], np.bool_)

    def demonstrated(self, boards: Boards, index: I64) -> Rows:
        """Returns the demonstrations' arrays of the boards at `index`; none where none are shown.

        They are int64 [rows, demonstrations, cells], and their mask, bool [rows, demonstrations].
        """
        if not self.demonstrations:
            return {}
        inputs, labels = boards.extra[DEMO_INPUTS][index], boards.extra[DEMO_LABELS][index]
        return {
            DEMO_INPUTS: inputs.astype(np.int64),
            DEMO_LABELS: labels.astype(np.int64),
            DEMO_MASK: (inputs != PAD).any(2),
        }

    def predictors(self, train: Boards) -> dict[str, Predictor]:
        """Returns the predictors that know no rule, and those that look at demonstrations."""
        found: dict[str, Predictor] = {
            "all PAD": lambda boards: np.full_like(boards.inputs, PAD),
            "the input": lambda boards: boards.inputs,
            "majority colour": lambda boards: trivial.majority_colour(boards.inputs),
            "most frequent": self.most_frequent(train),
        }
        if self.demonstrations:
            found["first demonstration"] = lambda boards: boards.extra[DEMO_LABELS][:, 0]
        return found

    def read(self, inputs: Any) -> Rows:
        """Reads a grid, or a mapping of `query`, `demonstrations` and `task`.

        Demonstrations are pairs of grids, needed where the network looks at them; the task's name
        is, where tasks have embeddings.

        Raises:
            ConfigError: beginning with `inputs`, if a grid is none or does not fit the canvas, or
                if more demonstrations are given than stand beside a board.
        """
        given = inputs if isinstance(inputs, Mapping) else {"query": _lines(inputs)}
        if unknown := sorted(set(given) - {"query", "demonstrations", "task"}):
            raise ConfigError(f"inputs: {unknown[0]!r} is neither query, demonstrations nor task")
        query = encode(as_grid(_lines(given.get("query")), "inputs: query", self.side), self.side)
        rows = {name: query[None].astype(np.int64) for name in ("inputs", "labels")}
        number = self.number(str(given["task"])) if "task" in given else 0
        return {**rows, "puzzle": np.array([number], dtype=np.int64), **self._read_demonstrations(given)}

    def _read_demonstrations(self, given: Mapping[str, Any]) -> Rows:
        shown = given.get("demonstrations", [])
        if not self.demonstrations:
            if shown:
                raise ConfigError("inputs: no demonstrations are looked at (demonstrations=0)")
            return {}
        if not isinstance(shown, list | tuple) or len(shown) > self.demonstrations:
            many = len(shown) if isinstance(shown, list | tuple) else repr(shown)
            raise ConfigError(f"inputs: expected at most {self.demonstrations} demonstrations (got {many})")
        pairs = []
        for place, pair in enumerate(shown, 1):
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise ConfigError(f"inputs: demonstration {place}: expected an input and an output (got {pair!r})")
            grids = [as_grid(_lines(grid), f"inputs: demonstration {place}", self.side) for grid in pair]
            pairs.append((encode(grids[0], self.side), encode(grids[1], self.side)))
        inputs, labels = stacked(pairs, self.demonstrations, self.cells)
        return {
            DEMO_INPUTS: inputs[None].astype(np.int64),
            DEMO_LABELS: labels[None].astype(np.int64),
            DEMO_MASK: (inputs[None] != PAD).any(2),
        }

    def show(self, board: U8) -> tuple[str, ...]:
        """Shows a grid as rows of digits, or the whole canvas, if its edge is out of place."""
        if _grids(board[None])[0]:
            return tuple("".join(map(str, row)) for row in crop(board, self.side).tolist())
        rows = board.reshape(self.side, self.side).tolist()
        return tuple("".join(_SYMBOLS.get(token, str(token - FIRST)) for token in row) for row in rows)


def _lines(grid: Any) -> Any:
    """Splits text into its lines, without spaces between cells; leaves anything else as it is."""
    if not isinstance(grid, str):
        return grid
    return ["".join(line.split()) for line in grid.splitlines() if line.strip()]


def _redrawn(tokens: U8) -> U8:
    """Returns the grids whose shapes the first row and column tell of, as they are encoded.

    Args:
        tokens: uint8 [boards, cells].
    """
    side = math.isqrt(tokens.shape[1])
    heights, widths = shapes(tokens)
    rows, columns = np.arange(side)[None, :, None], np.arange(side)[None, None, :]
    high, wide = heights[:, None, None], widths[:, None, None]
    inside = (rows < high) & (columns < wide)
    edge = ((rows == high) & (columns < wide)) | ((rows < high) & (columns == wide))
    canvas = np.maximum(tokens.reshape(-1, side, side), FIRST)
    return np.where(inside, canvas, np.where(edge, EOS, PAD)).astype(np.uint8).reshape(tokens.shape)


def _grids(tokens: U8) -> Mask:
    """Tells which rows of tokens are a grid, with its EOS around it and PAD everywhere else."""
    whole: Mask = (tokens[:, 0] >= FIRST) & (_redrawn(tokens) == tokens).all(1)
    return whole
