"""Predictors without a trained parameter, scored on the same boards as trials."""

from __future__ import annotations

import numpy as np

from leadline.measure import Measure
from leadline.statistics import mean_over_units
from leadline.task import Split
from trainables.puzzles.data import PuzzleData
from trainables.puzzles.puzzle import U8, Boards
from trainables.recursive.metrics import LADDER, probed, rung

__all__ = ["baselines", "score"]


def score(boards: Boards, predicted: U8, perturbed: int | None = None) -> dict[str, Measure]:
    """Returns every metric that a predictor has, as means over boards.

    `exact` tells whether the whole board is right, `accuracy` is the share of all its cells. A
    predictor has no latent start that could be perturbed, so `robust` and its parts are `exact`
    too, on the boards that a trial is probed on. For `q_accuracy` its Q says of every board what is
    true of most.

    Args:
        boards: the split.
        predicted: tokens, uint8 [boards, cells].
        perturbed: how many of the first boards a trial is probed on; all by default.
    """
    right = predicted == boards.labels
    solved = right.all(axis=1).astype(np.float64)
    exact, robust = (mean_over_units(values, (0.0, 1.0)) for values in (solved, solved[:perturbed]))
    return {
        "exact": exact,
        "robust": robust,
        **{rung(sigma): robust for sigma in LADDER},
        "accuracy": mean_over_units(right.mean(axis=1), (0.0, 1.0)),
        "q_accuracy": mean_over_units(solved if exact.value > 0.5 else 1 - solved, (0.0, 1.0)),
    }


def baselines(data: PuzzleData, split: Split) -> dict[str, dict[str, Measure]]:
    """Scores every predictor on a split."""
    boards, perturbed = data.scored(split), probed(data, split)
    return {
        name: score(boards, predict(boards), perturbed) for name, predict in data.puzzle.predictors(data.train).items()
    }
