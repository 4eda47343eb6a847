"""Predictors without a trained parameter, scored on the same boards as trials."""

from __future__ import annotations

import numpy as np

from leadline.measure import Measure
from leadline.task import Split
from trainables.arc_hrm.scoring import labels_of, score_answers
from trainables.puzzles.data import PuzzleData
from trainables.puzzles.puzzle import PAD
from trainables.puzzles.votes import predicted_passes

__all__ = ["ALL_PAD", "baselines"]

ALL_PAD = "all PAD"
"""The constant whose score on `cells` is the log's headline."""


def baselines(data: PuzzleData, split: Split, votes: int = 0) -> dict[str, dict[str, Measure]]:
    """Scores every predictor of the puzzle on a split, and all PAD where labels have PAD.

    `votes` images of each board vote for `pass1` and `pass2`.
    """
    boards, predictors = data.scored(split), dict(data.puzzle.predictors(data.train))
    labels = labels_of(data.puzzle, boards)
    if (labels == PAD).any():
        predictors[ALL_PAD] = lambda boards: np.full_like(boards.inputs, PAD)
    return {
        name: {
            **score_answers(data.puzzle, boards, predict(boards).astype(np.int64), labels),
            **predicted_passes(data.puzzle, boards, name, predict, votes),
        }
        for name, predict in predictors.items()
    }
