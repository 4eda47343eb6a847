"""A tiny puzzle with demonstrations, and ETRM on it: boards of 3 x 3 whose tokens a permutation renames.

Each board has a permutation of its own, which two or three demonstrations show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pydantic

from leadline.config import ConfigError, configuration, knob
from trainables.puzzles.puzzle import I64, U8, Boards, Fields, Mask, Predictor, Puzzle, Rows, Token, digest_name
from trainables.recursive.config import ETRMConfig
from trainables.recursive.family import ETRMFamily

__all__ = ["PERMUTED", "Permuted", "PermutedConfig", "PermutedFamily"]

CELLS, TOKENS, SHOWN = 9, 4, 3


@dataclass(frozen=True)
class Permuted(Puzzle):
    """Boards of 3 x 3 with tokens 1 to 4; 0 is PAD."""

    key = "permuted"
    cells = CELLS
    vocabulary = TOKENS + 1
    demonstrations = SHOWN
    example = ("112233441 221133442", "123412341 213421342", "444332211")

    @classmethod
    def problem(cls, fields: Fields) -> str:
        return ""

    @classmethod
    def of(cls, fields: Fields) -> Self:
        return cls()

    def draw(self, counts: Mapping[str, int], generator: np.random.Generator) -> dict[str, Boards]:
        return {split: self._boards(count, generator) for split, count in counts.items()}

    def _boards(self, count: int, generator: np.random.Generator) -> Boards:
        names = np.pad(generator.permuted(np.tile(np.arange(1, TOKENS + 1), (count, 1)), axis=1), ((0, 0), (1, 0)))
        given = generator.integers(1, TOKENS + 1, (count, SHOWN + 1, CELLS)).astype(np.uint8)
        told = np.take_along_axis(names[:, None], given, 2).astype(np.uint8)
        mask = np.ones((count, SHOWN), dtype=bool)
        mask[:, -1] = generator.random(count) < 0.5
        held = mask[..., None]
        extra = {"demo_inputs": given[:, :-1] * held, "demo_labels": told[:, :-1] * held, "demo_mask": mask}
        classes = np.array([digest_name(board.tobytes()) for board in given[:, -1]], dtype="S24")
        return Boards(given[:, -1], told[:, -1], classes, np.zeros(count, dtype=np.int32), extra)

    def generate(self, generator: np.random.Generator) -> tuple[U8, U8]:
        raise NotImplementedError

    def canonical(self, board: U8) -> bytes:
        return digest_name(board.tobytes())

    def images(
        self, inputs: npt.NDArray[Token], labels: npt.NDArray[Token], generator: np.random.Generator
    ) -> tuple[npt.NDArray[Token], npt.NDArray[Token]]:
        return inputs, labels

    def tasks(self, boards: Boards) -> I64 | None:
        return boards.extra.get("rule")

    def rows(self, boards: Boards, index: Any, generator: np.random.Generator | None = None) -> Rows:
        shown: Any = {name: array[index] for name, array in boards.extra.items()}
        grids = {name: shown[name].astype(np.int64) for name in ("demo_inputs", "demo_labels")}
        return {**super().rows(boards, index, generator), **grids, "demo_mask": shown["demo_mask"]}

    def difficulty(self, board: U8, label: U8) -> int:
        return 0

    def asked(self, inputs: npt.NDArray[Token]) -> Mask:
        return np.ones_like(inputs, dtype=bool)

    def lawful(self, inputs: U8, answers: U8) -> Mask:
        return np.asarray((answers > 0).all(axis=1))

    def only_answer(self, board: U8, label: U8) -> bool:
        return True

    def predictors(self, train: Boards) -> dict[str, Predictor]:
        return {
            "copy the board": lambda boards: boards.inputs,
            "per-cell most frequent label": self.most_frequent(train),
        }

    def read(self, inputs: Any) -> Rows:
        """Lines: each demonstration's two boards, then the board; a digit for each cell."""
        try:
            *pairs, board = [[[int(cell) for cell in part] for part in line.split()] for line in inputs]
            grids, rows = np.array(pairs, dtype=np.int64), np.array(board, dtype=np.int64)
        except (AttributeError, TypeError, ValueError):
            grids, rows = np.zeros((0, 0, 0), dtype=np.int64), np.zeros((0, 0), dtype=np.int64)
        if not 1 <= len(grids) <= SHOWN or grids.shape[1:] != (2, CELLS) or rows.shape != (1, CELLS):
            raise ConfigError(f"inputs: expected demonstrations and a board, as lines of digits (got {inputs!r})")
        if min(rows.min(), grids.min()) < 1 or max(rows.max(), grids.max()) > TOKENS:
            raise ConfigError(f"inputs: cells are 1 to {TOKENS} (got {inputs!r})")
        shown = np.pad(grids, ((0, SHOWN - len(grids)), (0, 0), (0, 0)))[None]
        mask: Any = np.arange(SHOWN)[None] < len(grids)
        return {
            "inputs": rows,
            "labels": rows,
            "puzzle": np.zeros(1, dtype=np.int64),
            "demo_inputs": shown[:, :, 0],
            "demo_labels": shown[:, :, 1],
            "demo_mask": mask,
        }

    def show(self, board: U8) -> tuple[str, ...]:
        return ("".join(map(str, board.tolist())),)


@configuration
class PermutedConfig(ETRMConfig):
    """ETRM's, on these boards."""

    task: Literal["permuted"] = knob("permuted", "the boards of these tests")  # type: ignore[assignment]

    @property
    def puzzle(self) -> Puzzle:
        return Permuted()

    @pydantic.model_validator(mode="after")
    def _drawable(self) -> PermutedConfig:
        return self


class PermutedFamily(ETRMFamily):
    """ETRM on these boards."""

    Config = PermutedConfig  # type: ignore[assignment]


PERMUTED = PermutedFamily()
