"""The puzzles by name.

A new puzzle needs its class, its name here, and in `BoardConfig` the fields that it alone has.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from trainables.puzzles.arc import Arc
from trainables.puzzles.maze import Maze
from trainables.puzzles.puzzle import Puzzle
from trainables.puzzles.rules import GridRules
from trainables.puzzles.sudoku import Sudoku

__all__ = ["PUZZLES", "PuzzleName"]

PuzzleName = Literal["sudoku", "maze", "arc", "rules"]
"""The values of the configuration's field `task`.

It is a type, so that a wrong value is refused with the right ones beside it.
"""

PUZZLES: Mapping[PuzzleName, type[Puzzle]] = MappingProxyType(
    {"sudoku": Sudoku, "maze": Maze, "arc": Arc, "rules": GridRules}
)
