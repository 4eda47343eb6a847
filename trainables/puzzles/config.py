"""The fields of a configuration that say which boards are trained on.

"HRM" is Wang et al. 2025 (arXiv 2506.21734; github sapientinc/HRM, 42410da), "TRM" is
Jolicoeur-Martineau 2025 (arXiv 2510.04871; github SamsungSAILMontreal/TinyRecursiveModels,
e7b6871), "log" the trajectory augmentation notes (git.blackhao.com/rrm.git, 66e0d8b).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import pydantic

from leadline.config import ConfigError, Texts, TrialConfig, configuration, knob
from trainables.puzzles.grids import DEMO_MASK, GridPuzzle
from trainables.puzzles.puzzle import Puzzle, Rows
from trainables.puzzles.registry import PUZZLES, PuzzleName

__all__ = ["BOARD_HELP", "BoardConfig", "Conditions"]

BOARD_HELP = "a board as lines of text or in one line, such as 1...3...2....4.. of a sudoku of side 4; or JSON"
"""What families of puzzles take, for `leadline predict`."""

Conditions = tuple[tuple[Callable[[Any], bool], str, tuple[str, ...]], ...]
"""The conditions under which fields have an effect.

Each entry has a test of the configuration, the words for when it fails, and the fields that then
have no effect.
"""

_APPLY: Conditions = (
    (lambda c: c.task == "arc", "without task=arc", ("data_set", "protocol", "augmentations")),
    (lambda c: c.task in ("arc", "rules"), "without task=arc or task=rules", ("task_ids",)),
    (lambda c: c.task == "rules", "without task=rules", ("train_rules", "grid_size")),
    (lambda c: c.task != "rules" or not c.task_ids, "with task_ids", ("train_rules",)),
    (lambda c: c.augment, "without augment", ("augmentations",)),
    (lambda c: c.reads_demonstrations, "on a network that reads none", ("demonstrations",)),
)


@configuration
class BoardConfig(TrialConfig):
    """The settings of the boards, which the families of puzzles share."""

    task: PuzzleName = knob(
        "sudoku",
        "sudoku with one solution; maze with one shortest path; arc: the tasks of ARC; rules: small grids changed by a "
        "rule that demonstrations show",
    )
    size: int = knob(
        4,
        "side of the board; sudoku: 4, 6, 8 or 9, boxes as square as can be; maze: odd; arc, rules: of the canvas; "
        "tasks with larger grids are left out (HRM, TRM: 30)",
        unit="cells",
        ge=4,
        le=61,
    )
    clues: int = knob(
        0,
        "given digits of a sudoku; 0: minimal ones, without a digit to spare; at size 4 any number",
        unit="cells",
        ge=0,
        le=80,
    )
    data_set: Literal["arcagi1", "arcagi2", "arcagi1_to_2"] = knob(
        "arcagi1", "arc: ARC-AGI-1, ARC-AGI-2, or trained and validated on the first and tested on the second"
    )
    protocol: Literal["transductive", "inductive"] = knob(
        "transductive",
        "arc: whether demonstrations of the scored tasks are trained on, under their identifier (HRM, TRM), or not",
    )
    task_ids: Texts = knob(
        (),
        "arc: ids of the tasks, such as 007bbfb7; rules: names of those that are trained on, in place of train_rules; "
        "none: all, or the first",
    )
    demonstrations: int = knob(0, "arc, rules: pairs that are shown beside a board (ETRM: up to 10)", ge=0, le=64)
    train_rules: int = knob(12, "rules: how many of them are trained on", unit="rules", ge=1, le=40)
    grid_size: int = knob(
        0, "rules: largest side of a grid; 0: that of the canvas, else PAD fills the rest", unit="cells", ge=0, le=30
    )
    augmentations: int = knob(
        0,
        "arc: images of a task besides itself, each with an identifier (HRM, TRM: 1000)",
        unit="images",
        ge=0,
        le=1000,
    )
    train_boards: int = knob(
        2000,
        "boards to train on, different up to symmetry; arc: at most (HRM, TRM: 1000)",
        unit="boards",
        ge=1,
        le=10**6,
    )
    validation_boards: int = knob(512, "boards that the search is scored on (log: 1024)", unit="boards", ge=2, le=10**6)
    test_boards: int = knob(512, "boards for confirmation alone", unit="boards", ge=2, le=10**6)
    votes: int = knob(
        0,
        "arc, rules: images of a scored board, itself among them, whose answers vote for pass1 and pass2; 0: none; "
        "scoring takes about so many times longer (TRM: 1000)",
        unit="images",
        ge=0,
        le=1001,
    )
    augment: bool = knob(
        True, "train on a random image of each board under its symmetry group, drawn anew each time (HRM: 1000 images)"
    )
    easy_first: float = knob(
        0.0,
        "share of the budget over which training boards enter, the easiest first: arc, rules: by the larger side of "
        "their grids; sudoku: by a solver's guesses; maze: by ways off the path; 0: all from the start",
        ge=0,
        le=1,
    )
    data_seed: int = knob(0, "seed of the boards and of their split", ge=0, lt=2**31)

    def unused(self) -> list[str]:
        """Returns the fields that were given a value and have no effect, each with the reason.

        A search may well give such values to some of its trials.
        """
        default = {name: info.default for name, info in cast(Any, type(self)).__pydantic_fields__.items()}
        return [
            f"{name}={getattr(self, name)} has no effect {where}"
            for applies, where, names in self._conditions
            for name in names
            if not applies(self) and getattr(self, name) != default[name]
        ]

    def has_no_effect(self, name: str) -> bool:
        """Whether other fields leave a field without effect, whatever its value."""
        return any(name in names and not applies(self) for applies, _, names in self._conditions)

    @property
    def _conditions(self) -> Conditions:
        """The conditions under which fields have an effect."""
        return _APPLY

    @property
    def reads_demonstrations(self) -> bool:
        """Whether the network looks at the demonstrations that stand beside a board."""
        return False

    def read(self, inputs: Any) -> Rows:
        """Reads a board that a network of this configuration is to answer.

        Raises:
            ConfigError: beginning with `inputs`, if it is no such board, or lacks demonstrations
                that the network looks at.
        """
        rows = self.puzzle.read(inputs)
        if self.reads_demonstrations and not rows[DEMO_MASK].any():
            raise ConfigError("inputs: needs `demonstrations`, pairs of grids that show the task")
        return rows

    @property
    def puzzle(self) -> Puzzle:
        """The puzzle whose boards are trained on."""
        return PUZZLES[self.task].of(self)

    @property
    def data_key(self) -> str:
        """The name of the data: everything that changes the boards.

        It holds the puzzle, the number of boards of each split and the seed.
        """
        return self.key_of(self.puzzle)

    def key_of(self, puzzle: Puzzle) -> str:
        """Returns what the name of the data would be with another puzzle."""
        counts = f"{self.train_boards}-{self.validation_boards}-{self.test_boards}"
        return f"{puzzle.key}-boards{counts}-seed{self.data_seed}"

    @property
    def tokens(self) -> int:
        """The number of cells of a board."""
        return self.puzzle.cells

    @property
    def vocabulary(self) -> int:
        """The number of values that a token has, PAD among them."""
        return self.puzzle.vocabulary

    @pydantic.model_validator(mode="after")
    def _drawable(self) -> BoardConfig:
        if problem := PUZZLES[self.task].problem(self):
            raise ValueError(problem)
        if self.votes and not isinstance(self.puzzle, GridPuzzle):
            raise ValueError(f"votes: must be 0 with task={self.task}, as only images of grids vote (got {self.votes})")
        return self
