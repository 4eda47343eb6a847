"""Predictors without a trained parameter, scored on the same boards as trials."""

from __future__ import annotations

import numpy as np

from leadline.measure import Measure
from leadline.statistics import mean_over_units
from leadline.task import Split
from trainables.puzzles.data import PuzzleData
from trainables.puzzles.puzzle import I64, PAD, U8, Boards, Puzzle
from trainables.puzzles.scoring import Array, by_unit
from trainables.puzzles.votes import predicted_passes
from trainables.recursive.metrics import LADDER, rung
from trainables.recursive.scoring import probed

__all__ = ["baselines", "score"]


def score(puzzle: Puzzle, boards: Boards, predicted: U8, perturbed: int | None = None) -> dict[str, Measure]:
    """Returns every metric that a predictor has, as means over units.

    `exact` tells whether the whole board is right, `accuracy` is the share of its cells; cells
    whose label is PAD are not counted. A predictor has no latent start that could be perturbed, so
    `robust` and its parts are `exact` too, on the boards that a trial is probed on. For
    `q_accuracy` its Q says of every board what is true of most.

    Args:
        puzzle: the boards' puzzle, which knows tasks and shapes.
        boards: the split.
        predicted: tokens, uint8 [boards, cells].
        perturbed: how many of the first boards of known tasks a trial is probed on; all by default.
    """
    counted = boards.labels != PAD
    right = (predicted == boards.labels) & counted
    solved = (right == counted).all(axis=1).astype(np.float64)
    new = puzzle.new(boards)
    known = np.flatnonzero(~new if not new.all() else new)
    units = puzzle.units(boards)

    def share(values: Array, index: I64 = known) -> Measure:
        return mean_over_units(by_unit(values[index], units[index]), (0.0, 1.0))

    exact, robust = share(solved), share(solved, known[:perturbed])
    shape = puzzle.same_shape(predicted, boards.labels)
    others = np.setdiff1d(np.arange(len(boards)), known)
    return {
        "exact": exact,
        "robust": robust,
        **{rung(sigma): robust for sigma in LADDER},
        "accuracy": share(right.sum(axis=1) / counted.sum(axis=1)),
        "q_accuracy": share(solved if exact.value > 0.5 else 1 - solved),
        **({} if shape is None else {"shape": share(shape.astype(np.float64))}),
        **({"exact_new": share(solved, others)} if len(others) else {}),
    }


def baselines(data: PuzzleData, split: Split, votes: int = 0) -> dict[str, dict[str, Measure]]:
    """Scores every predictor on a split; `votes` images of a board vote for `pass1` and `pass2`."""
    boards, perturbed, puzzle = data.scored(split), probed(data, split), data.puzzle
    return {
        name: {
            **score(puzzle, boards, predict(boards), perturbed),
            **predicted_passes(puzzle, boards, name, predict, votes),
        }
        for name, predict in puzzle.predictors(data.train).items()
    }
