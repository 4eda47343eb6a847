"""The boards of the three splits, all different up to symmetry, and their order in a trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from leadline.task import Split
from trainables.puzzles import cache
from trainables.puzzles.config import BoardConfig
from trainables.puzzles.puzzle import I64, Boards, Puzzle, Rows

__all__ = ["PuzzleData", "Sampler", "build"]

VERSION = 4
"""The version of what is drawn; raised when the same configuration gives other boards."""

SPLITS = ("test", "validation", "train")
"""The splits in the order in which they are drawn.

Training boards come last, so that more of them leave the scored ones as they are.
"""

ORDER, IMAGE, EASY = 0, 1, 2  # streams of a trial's seed


@dataclass(frozen=True, eq=False)  # arrays have no truth to be equal by, so it is the one object
class PuzzleData:
    """The three splits of a puzzle's boards."""

    puzzle: Puzzle
    train: Boards
    validation: Boards
    test: Boards

    def scored(self, split: Split | str) -> Boards:
        """Returns the boards of one split.

        Raises:
            ValueError: for a split that does not exist.
        """
        if split not in SPLITS:
            raise ValueError(f"split: no {split!r}; known: {', '.join(SPLITS)}")
        found: Boards = getattr(self, split)
        return found


def build(config: BoardConfig) -> PuzzleData:
    """Returns the boards of a configuration, from the disk cache or newly drawn.

    To draw takes seconds for some thousands of side 6, and 20 ms for each of side 9.

    Raises:
        ConfigError: if there are not so many boards, or none with so few clues.
    """
    question = f"boards, version {VERSION}: {config.data_key}"
    arrays = cache.load(question)
    if arrays is None:
        arrays = _arrays(config)
        cache.store(question, arrays)
    return _data(config, arrays)


def _arrays(config: BoardConfig) -> dict[str, npt.NDArray[Any]]:
    """Draws all boards, the splits in the order of SPLITS; names are `split/array`."""
    counts = {split: getattr(config, f"{split}_boards") for split in SPLITS}
    splits = config.puzzle.draw(counts, np.random.default_rng(config.data_seed))
    return {f"{split}/{name}": array for split, boards in splits.items() for name, array in boards.arrays().items()}


def _data(config: BoardConfig, arrays: Mapping[str, npt.NDArray[Any]]) -> PuzzleData:
    """Divides the arrays into splits and makes them read-only."""
    splits: dict[str, dict[str, npt.NDArray[Any]]] = {split: {} for split in SPLITS}
    for place, array in arrays.items():
        array.setflags(write=False)
        split, name = place.split("/", 1)
        splits[split][name] = array
    train, validation, test = (Boards.of(splits[split]) for split in ("train", "validation", "test"))
    return PuzzleData(config.puzzle, train, validation, test)


def _generator(seed: int, count: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, count], spawn_key=(stream,)))


class Sampler:
    """The boards of each step.

    Every epoch has all of them in a new order and, with `augment`, as new images. With `easy_first`
    they enter one after the other over that share of the budget, and those that have entered are
    drawn at random, until all have.

    Args:
        config: says which puzzle it is, whether images are drawn, and the seed.
        boards: the boards to train on.
        batch: the rows of a step, at most as many as there are boards.
    """

    def __init__(self, config: BoardConfig, boards: Boards, batch: int) -> None:
        self.config = config
        self.puzzle = config.puzzle
        self.boards = boards.take(self.puzzle.easiest_first(boards)) if config.easy_first else boards
        self.batch = batch
        self._orders: dict[int, I64] = {}

    def rows(self, step: int) -> Rows:
        """Returns the rows of step `step` (from 0), a board each.

        They depend on the configuration's seed and the step alone. Row i is number `step * batch +
        i` of an endless sequence of epochs, so that a step may end one and begin the next.
        """
        config, boards = self.config, self.boards.take(slice(self._entered(step)))
        if len(boards) < len(self.boards):
            index = _generator(config.seed, step, EASY).integers(len(boards), size=self.batch)
        else:
            epoch, place = np.divmod(step * self.batch + np.arange(self.batch), len(boards))
            epochs = range(int(epoch[0]), int(epoch[-1]) + 1)
            index = np.concatenate([self._order(e)[place[epoch == e]] for e in epochs])
        return self.puzzle.rows(boards, index, _generator(config.seed, step, IMAGE) if config.augment else None)

    def _entered(self, step: int) -> int:
        """Returns how many boards may be drawn at a step: enough for a batch, at last all."""
        every, ramp = len(self.boards), self.config.easy_first * self.config.steps
        grown = round(every * min(1.0, step / ramp)) if ramp else every
        return min(every, max(grown, self.batch, self.puzzle.fewest))

    def _order(self, epoch: int) -> I64:
        """Returns the permutation of an epoch, int64 [boards]."""
        if epoch not in self._orders:
            # A batch has no more rows than there are boards, so a step spans at most two epochs.
            self._orders = {old: order for old, order in self._orders.items() if old == epoch - 1}
            self._orders[epoch] = _generator(self.config.seed, epoch, ORDER).permutation(len(self.boards))
        return self._orders[epoch]
