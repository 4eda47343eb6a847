"""Boards to train on and to be scored on, all different up to symmetry, and the order in which a trial sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from leadline.config import ConfigError
from leadline.task import Split
from trainables.recursive import cache, maze, sudoku
from trainables.recursive.board import BLANK, I64, U8, board_problem
from trainables.recursive.canonical import Names, canonical, names
from trainables.recursive.classes import classes_of_four
from trainables.recursive.config import RecursiveConfig, data_key
from trainables.recursive.start import Start
from trainables.recursive.symmetry import images

__all__ = ["Boards", "RecursiveData", "Sampler", "build"]

VERSION = 1
"""Of what is drawn; raised when the same configuration gives other boards."""

PATIENCE = 2000
"""Draws without a new board after which there are taken to be no more."""

SPLITS = ("test", "validation", "train")
"""In the order in which they are drawn: more training boards leave the scored ones as they are."""

ORDER, IMAGE = 0, 1  # streams of a trial's seed


@dataclass(frozen=True)
class Boards:
    """One split, boards in random order.

    Attributes:
        inputs: uint8 [boards, cells], tokens as in `board`.
        labels: uint8 [boards, cells]; there is no PAD among them.
        classes: their names up to symmetry, bytes [boards]; see `canonical`.
        guesses: difficulty, int32 [boards]; sudoku: the solver's guesses, maze: ways that leave the path.
    """

    inputs: U8
    labels: U8
    classes: Names
    guesses: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class RecursiveData:
    """The three splits; `size` is the side of the boards, of `task` sudoku or maze. And the weights to begin with, if any were named."""

    task: str
    size: int
    train: Boards
    validation: Boards
    test: Boards
    start: Start | None = None

    def scored(self, split: Split | str) -> Boards:
        """One split.

        Raises:
            ValueError: for a split that does not exist.
        """
        if split not in SPLITS:
            raise ValueError(f"split: no {split!r}; known: {', '.join(SPLITS)}")
        found: Boards = getattr(self, split)
        return found


def build(config: RecursiveConfig) -> RecursiveData:
    """The boards of a configuration, from the disk cache or drawn: seconds for some thousands of side 6, 20 ms each at side 9.

    Raises:
        ConfigError: if there are not so many boards, or none with so few clues.
    """
    question = f"boards, version {VERSION}: {data_key(config)}"
    arrays = cache.load(question)
    if arrays is None:
        arrays = _arrays(config)
        cache.store(question, arrays)
    return _data(config, arrays)


def _arrays(config: RecursiveConfig) -> dict[str, npt.NDArray[Any]]:
    """All boards, one split after the other in the order of SPLITS."""
    total = config.train_boards + config.validation_boards + config.test_boards
    if problem := board_problem(config.task, config.size, config.clues, total):
        raise ConfigError(problem)
    generator = np.random.default_rng(config.data_seed)
    small = config.task == "sudoku" and config.size == 4
    inputs, labels = _of_four(config.clues, total, generator) if small else _drawn(config, total, generator)
    return {
        "inputs": inputs,
        "labels": labels,
        "classes": names(config.task, config.size, inputs),
        "guesses": np.array([_guesses(config, *board) for board in zip(inputs, labels, strict=True)], dtype=np.int32),
    }


def _of_four(clues: int, total: int, generator: np.random.Generator) -> tuple[U8, U8]:
    """A random image of each of `total` classes."""
    inputs, labels = classes_of_four()
    usable = np.flatnonzero((inputs != BLANK).sum(axis=1) == clues) if clues else np.arange(len(inputs))
    chosen = generator.permutation(usable)[:total]
    return images("sudoku", 4, inputs[chosen], labels[chosen], generator)


def _drawn(config: RecursiveConfig, total: int, generator: np.random.Generator) -> tuple[U8, U8]:
    """Boards until there are `total` that differ."""
    found: dict[bytes, tuple[U8, U8]] = {}
    idle = 0
    while len(found) < total:
        board = _board(config, generator)
        before = len(found)
        found.setdefault(canonical(config.task, config.size, board[0]), board)
        idle = 0 if len(found) > before else idle + 1
        if idle == PATIENCE:
            boards = f"with validation_boards and test_boards {total}"
            raise ConfigError(
                f"train_boards: {boards}, but {PATIENCE} draws brought none beside the {len(found)} found up to symmetry"
            )
    return np.stack([board for board, _ in found.values()]), np.stack([label for _, label in found.values()])


def _board(config: RecursiveConfig, generator: np.random.Generator) -> tuple[U8, U8]:
    if config.task == "maze":
        return maze.generate(config.size, generator)
    return sudoku.generate(config.size, config.clues, generator)


def _guesses(config: RecursiveConfig, board: U8, label: U8) -> int:
    return maze.branches(label, config.size) if config.task == "maze" else sudoku.solve(board, config.size).guesses


def _data(config: RecursiveConfig, arrays: Mapping[str, npt.NDArray[Any]]) -> RecursiveData:
    """The arrays as splits, read-only."""
    counts = [getattr(config, f"{split}_boards") for split in SPLITS]
    ends = np.cumsum(counts)
    for array in arrays.values():
        array.setflags(write=False)
    splits = {
        split: Boards(**{name: array[end - count : end] for name, array in arrays.items()})
        for split, count, end in zip(SPLITS, counts, ends.tolist(), strict=True)
    }
    return RecursiveData(config.task, config.size, splits["train"], splits["validation"], splits["test"])


def _generator(seed: int, count: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, count], spawn_key=(stream,)))


class Sampler:
    """The boards of each step: every epoch all of them in a new order and, with `augment`, as new images."""

    def __init__(self, config: RecursiveConfig, boards: Boards) -> None:
        self.config, self.boards = config, boards
        self._orders: dict[int, I64] = {}

    def rows(self, step: int) -> tuple[I64, I64]:
        """Inputs and labels of step `step` (from 0), int64 [batch, cells] each: a function of the configuration's seed and the step alone.

        Row i is number `step * batch + i` of an endless sequence of epochs, so that a step may end one and begin the next.
        """
        config = self.config
        epoch, place = np.divmod(step * config.batch + np.arange(config.batch), len(self.boards))
        index = np.concatenate([self._order(e)[place[epoch == e]] for e in range(int(epoch[0]), int(epoch[-1]) + 1)])
        inputs, labels = self.boards.inputs[index].astype(np.int64), self.boards.labels[index].astype(np.int64)
        if config.augment:
            return images(config.task, config.size, inputs, labels, _generator(config.seed, step, IMAGE))
        return inputs, labels

    def _order(self, epoch: int) -> I64:
        """The permutation of an epoch, int64 [boards]."""
        if epoch not in self._orders:
            self._orders = {old: order for old, order in self._orders.items() if old == epoch - 1}
            self._orders[epoch] = _generator(self.config.seed, epoch, ORDER).permutation(len(self.boards))
        return self._orders[epoch]
