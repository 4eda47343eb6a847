"""What a rule is: an answer to every grid, and a way to draw grids on which it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["BACKGROUND", "COLOURS", "SMALLEST", "Answer", "Grid", "Rule", "Scene", "same", "visible"]

Grid = npt.NDArray[np.uint8]
"""Colours 0 to 9, uint8 [height, width]."""
Answer = Callable[[Grid], Grid]
"""A function from a grid to its answer, defined for every grid; a new array each time."""
Scene = Callable[[np.random.Generator, int, int], Grid]
"""Draws a grid, given the least and the most cells of a side of input and answer."""

BACKGROUND: Final = 0
"""The colour of an empty cell."""
COLOURS: Final = 10
"""The number of colours, the background among them."""
SMALLEST: Final = 3
"""The least side that may be asked for: a border with a hole needs three cells."""
TRIES = 1000  # the most that any rule needs at sides of 3 is some tens


def same(one: Grid, other: Grid) -> bool:
    """Tells whether two grids are equal, shape and colours."""
    return one.shape == other.shape and one.tobytes() == other.tobytes()


def visible(grid: Grid) -> bool:
    """Accepts every grid, for rules that show on any scene of theirs."""
    return True


@dataclass(frozen=True)
class Rule:
    """A rule of a family.

    Attributes:
        family: the family's name, such as `flip`.
        name: its own name among all rules, such as `flip left-right`.
        answer: the function that is to be learned.
        scene: draws candidates for inputs.
        shows: tells of a candidate whether it has what the rule speaks of, such as one object that
            is larger than all others.
    """

    family: str
    name: str
    answer: Answer
    scene: Scene
    shows: Callable[[Grid], bool] = visible

    def draw(self, generator: np.random.Generator, least: int, most: int) -> Grid:
        """Draws an input on which the rule shows, as `pair` does."""
        return self.pair(generator, least, most)[0]

    def pair(self, generator: np.random.Generator, least: int, most: int) -> tuple[Grid, Grid]:
        """Draws an input and gives its answer.

        The answer differs from the input and is not all background. Sides of the input are below
        `least` only where the answer is larger than the input, and would not fit otherwise.

        Args:
            generator: draws all of it.
            least: the least side of an input, 3 or more.
            most: the most cells of any side of input and answer.

        Raises:
            ValueError: beginning with `least`, for sides out of order.
        """
        if not SMALLEST <= least <= most:
            raise ValueError(f"least: from {SMALLEST} to most, which is {most} (got {least})")
        for _ in range(TRIES):
            grid = self.scene(generator, least, most)
            if not self.shows(grid):
                continue
            answer = self.answer(grid)
            if max(answer.shape) <= most and answer.any() and not same(grid, answer):
                return grid, answer
        raise AssertionError(f"{self.name} shows on none of {TRIES} scenes with sides {least} to {most}")
