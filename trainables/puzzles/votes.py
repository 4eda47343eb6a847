"""Answers that vote: pass@1 and pass@2 over the images of a board.

A board is asked as itself and as some of its images, turned and in other colours, with the same
image of its demonstrations. Each answer is turned back, what does not belong to the grid is cut
off, and equal grids are counted; the grids are ranked by their count, then by the mean of Q, as in
github SamsungSAILMontreal/TinyRecursiveModels, e7b6871. pass@k asks whether the right grid is among
the first k. A task of ARC scores the mean over its queries, as the ARC Prize counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from leadline.measure import Measure, Metric
from leadline.statistics import mean_over_units
from trainables.grids.grid import INVERSE, PAD, Grid, Images, crop, image, turned
from trainables.puzzles.grids import DEMO_INPUTS, DEMO_LABELS, GridPuzzle, imaged
from trainables.puzzles.puzzle import I64, U8, Boards, Predictor, Puzzle, Rows
from trainables.puzzles.scoring import Array, by_unit, divided

__all__ = [
    "PASSES",
    "Answer",
    "Answers",
    "Candidate",
    "passed",
    "passes",
    "predicted_passes",
    "ranked",
    "vote_metrics",
]

PASSES = (1, 2)
"""How many of the first grids may be right: the k of pass@k."""


class Answers(NamedTuple):
    """A network's answers to some rows.

    Attributes:
        tokens: int64 [rows, cells], -1 where the network's output is not finite.
        q: the probability that the network gives its answer to be right, float64 [rows].
    """

    tokens: I64
    q: Array


Answer = Callable[[Boards, Rows], Answers]
"""Answers boards, given as such and as the rows that a model reads."""


class Candidate(NamedTuple):
    """A grid for which images of a board have voted; `q` is the mean over them."""

    grid: Grid
    votes: int
    q: float


def vote_metrics(unit: str) -> tuple[Metric, ...]:
    """Returns the metrics that a family declares, with its own name for the units of `exact`."""
    return tuple(
        Metric(
            f"pass{k}",
            "max",
            unit,
            f"pass@{k}: share of boards whose right grid is {'the first' if k == 1 else f'among the first {k}'} by the "
            "votes of a board and its images, ranked by count, then mean Q; on the boards of exact; with votes above 0",
            optional=True,
        )
        for k in PASSES
    )


def _images(puzzle: GridPuzzle, boards: Boards, count: int) -> Iterator[tuple[Images, Boards, Rows]]:
    """Yields `count` images of all boards, the boards themselves first.

    They are at the corner, as boards are scored.
    """
    tasks = puzzle.tasks(boards)
    assert tasks is not None
    every, still = puzzle.voting_images(count), np.zeros(len(boards), dtype=np.int64)
    for number in range(count):
        turns, colours = (table[tasks, number] for table in every)
        of_all = Images(turns, colours, still, still)
        shown = {
            name: imaged(array, turns, colours) if name in (DEMO_INPUTS, DEMO_LABELS) else array
            for name, array in boards.extra.items()
        }
        inputs, labels = (image(tokens, of_all) for tokens in (boards.inputs, boards.labels))
        moved = Boards(inputs, labels, boards.classes, boards.guesses, shown)
        rows = puzzle.rows(moved, np.arange(len(moved)))
        yield of_all, moved, {**rows, "puzzle": puzzle.identified(rows["puzzle"], number)}


def _back(tokens: I64, side: int, images: Images) -> list[Grid]:
    """Returns the grids of which answers, int64 [boards, cells], show the images.

    A grid is empty where the answer has none.
    """
    own = np.argsort(images.colours, 1).astype(np.uint8)
    found = zip(tokens.clip(min=PAD).astype(np.uint8), own, INVERSE[images.turns].tolist(), strict=True)
    return [turned(colours[crop(answer, side)], turn) for answer, colours, turn in found]


def ranked(puzzle: GridPuzzle, boards: Boards, answer: Answer, count: int) -> list[list[Candidate] | None]:
    """Returns for each board the grids that were voted for, the first one first.

    An answer without a grid casts no vote. Of grids with as many votes and the same Q, that comes
    first which an earlier image voted for; the first is the board itself.

    Args:
        puzzle: the boards' puzzle.
        boards: all of them are asked at once, image after image.
        answer: the network.
        count: how many images vote, the board itself among them.

    Returns:
        A list for each board; None where an output is not finite.
    """
    votes: list[dict[tuple[int, bytes], list[tuple[Grid, float]]]] = [{} for _ in range(len(boards))]
    sound = np.ones(len(boards), dtype=np.bool_)
    for images, moved, rows in _images(puzzle, boards, count):
        said = answer(moved, rows)
        sound &= (said.tokens >= 0).all(1)
        for own, grid, q in zip(votes, _back(said.tokens, puzzle.side, images), said.q.tolist(), strict=True):
            if grid.size:
                own.setdefault((len(grid), grid.tobytes()), []).append((grid, q))
    return [_order(list(own.values())) if ok else None for own, ok in zip(votes, sound.tolist(), strict=True)]


def _order(voted: Sequence[Sequence[tuple[Grid, float]]]) -> list[Candidate]:
    found = [Candidate(own[0][0], len(own), sum(q for _, q in own) / len(own)) for own in voted]
    return sorted(found, key=lambda candidate: (-candidate.votes, -candidate.q))


def passed(puzzle: GridPuzzle, boards: Boards, found: Sequence[list[Candidate] | None], k: int) -> Array:
    """Tells which boards' right grid is among the first `k`, float64 [boards]; NaN for None."""
    rights = [crop(label, puzzle.side) for label in boards.labels]
    return np.array(
        [
            math.nan if own is None else float(any(np.array_equal(one.grid, right) for one in own[:k]))
            for own, right in zip(found, rights, strict=True)
        ]
    )


def passes(puzzle: Puzzle, boards: Boards, answer: Answer, count: int) -> dict[str, Measure]:
    """Returns `pass1` and `pass2`, as means over units, on the boards of tasks that are trained on.

    It costs `count` times what it costs to answer the boards once. Empty for `count` 0.
    """
    if not count:
        return {}
    assert isinstance(puzzle, GridPuzzle)
    known, _ = divided(puzzle, boards)
    found, units = ranked(puzzle, known, answer, count), puzzle.units(known)
    return {f"pass{k}": mean_over_units(by_unit(passed(puzzle, known, found, k), units), (0.0, 1.0)) for k in PASSES}


def predicted_passes(puzzle: Puzzle, boards: Boards, name: str, predict: Predictor, count: int) -> dict[str, Measure]:
    """Returns the same of a predictor without a trained parameter, which is as sure of all answers.

    An oracle knows the task of a board itself, and none of its images: it is asked once.
    """

    def answer(boards: Boards, rows: Rows) -> Answers:
        said: U8 = predict(boards)
        return Answers(said.astype(np.int64), np.zeros(len(boards)))

    return passes(puzzle, boards, answer, min(count, 1) if name.startswith("oracle") else count)
