"""Predictors without a trained parameter, scored on the same boards as trials."""

from __future__ import annotations

import numpy as np

from leadline.measure import Measure
from leadline.task import Split
from trainables.arc_hrm.metrics import labels_of, score_answers
from trainables.puzzles.data import PuzzleData
from trainables.puzzles.puzzle import PAD

__all__ = ["ALL_PAD", "baselines"]

ALL_PAD = "all PAD"
"""The constant whose score on `cells` is the log's headline."""


def baselines(data: PuzzleData, split: Split) -> dict[str, dict[str, Measure]]:
    """Scores every predictor of the puzzle on a split, and all PAD where labels have PAD."""
    boards = data.scored(split)
    labels = labels_of(data.puzzle, boards)
    found = {name: predict(boards).astype(np.int64) for name, predict in data.puzzle.predictors(data.train).items()}
    if (labels == PAD).any():
        found[ALL_PAD] = np.full_like(labels, PAD)
    return {name: score_answers(data.puzzle, boards, predicted, labels) for name, predicted in found.items()}
