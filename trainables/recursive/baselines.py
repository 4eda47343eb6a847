"""Predictors without a trained parameter, scored on the boards that trials are scored on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from leadline.measure import Measure
from leadline.statistics import mean_over_units
from leadline.task import Split
from trainables.recursive import maze, sudoku
from trainables.recursive.board import U8, open_token
from trainables.recursive.data import Boards, RecursiveData
from trainables.recursive.metrics import LADDER, probed, rung

__all__ = ["baselines", "predictors", "score"]

Predictor = Callable[[U8], U8]
"""Tokens of whole boards, uint8 [boards, cells], from their inputs."""


def predictors(data: RecursiveData) -> dict[str, Predictor]:
    """By name. The oracle solves the board, as a perfect score would; singles alone are a real method and no oracle."""
    if data.task == "maze":
        return {
            "copy the maze": lambda inputs: inputs,
            "per-cell most frequent label": _most_frequent(data),
            "oracle: solver": lambda inputs: np.stack([maze.shortest_path(board, data.size)[0] for board in inputs]),
        }
    return {
        "copy the clues": lambda inputs: inputs,
        "per-cell most frequent digit": _most_frequent(data),
        "constraint propagation": lambda inputs: np.stack([sudoku.propagated(board, data.size) for board in inputs]),
        "oracle: solver": lambda inputs: np.stack([_solution(board, data.size) for board in inputs]),
    }


def _solution(board: U8, size: int) -> U8:
    """The only solution; the board itself where there is none, or several."""
    found = sudoku.solve(board, size).solutions
    return found[0] if len(found) == 1 else board


def _most_frequent(data: RecursiveData) -> Predictor:
    """What a cell was most often in the training labels where it was open; what is given is copied."""
    blank = open_token(data.task)
    train = data.train
    asked = train.inputs == blank
    tokens = int(train.labels.max()) + 1
    counts = np.stack([((train.labels == token) & asked).sum(axis=0) for token in range(tokens)])
    common = np.where(asked.any(axis=0), counts.argmax(axis=0), blank).astype(np.uint8)
    return lambda inputs: np.where(inputs == blank, common, inputs)


def score(boards: Boards, predicted: U8, perturbed: int | None = None) -> dict[str, Measure]:
    """Every metric that a predictor has; means over boards.

    `exact`, whether the whole board is right, and `accuracy`, the share of all its cells. It has no latent start that could be perturbed,
    so `robust` and its parts are `exact` too, of the boards that a trial is probed on. As its Q, `q_accuracy` takes one that says of every
    board what is true of most.

    Args:
        boards: the split.
        predicted: tokens, uint8 [boards, cells].
        perturbed: how many of the first boards these are; all by default.
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


def baselines(data: RecursiveData, split: Split) -> dict[str, dict[str, Measure]]:
    """Every predictor on a split."""
    boards, perturbed = data.scored(split), probed(data, split)
    return {name: score(boards, predict(boards.inputs), perturbed) for name, predict in predictors(data).items()}
