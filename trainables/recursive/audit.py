"""A second opinion on the boards: which are the same up to symmetry, and whether each label is the only answer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leadline.finding import Finding
from leadline.training.guards.overlap import overlap
from trainables.recursive import maze, sudoku
from trainables.recursive.board import (
    BLANK,
    BOARDS_OF_FOUR,
    DIGIT,
    FLOOR,
    GOAL,
    START,
    SUDOKU_BOXES,
    U8,
    WALL,
    open_token,
)
from trainables.recursive.canonical import Names, names
from trainables.recursive.config import RecursiveConfig
from trainables.recursive.data import Boards, RecursiveData

__all__ = ["audit"]

SOLVED = 2000
"""Boards of each split that are solved anew; evenly spaced where there are more."""

GRIDS = 200
"""Solutions of each split whose names are looked at above side 6, where one takes 5 ms."""


def audit(config: RecursiveConfig, data: RecursiveData) -> list[Finding]:
    """Findings on every board; a failed one refuses the data.

    All images of a board have its name, so that training on images of training boards cannot reach a scored one.
    """
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    own = {split: names(config.task, config.size, boards.inputs) for split, boards in splits.items()}
    twice = sum(len(found) - len(np.unique(found)) for found in own.values())
    strange = sum(int((boards.classes != own[split]).sum()) for split, boards in splits.items())
    return [
        overlap(own["train"], own["validation"], "validation boards"),
        overlap(own["train"], own["test"], "test boards"),
        _between(own["validation"], own["test"]),
        Finding("repeated_boards", twice > 0, twice, f"{twice} boards are images of another of their own split."),
        Finding("stored_names", strange > 0, strange, f"{strange} boards are stored under the name of another."),
        *(_labels(config, split, boards) for split, boards in splits.items()),
        *_classes(config, sum(map(len, splits.values()))),
        *_grids(config, data),
    ]


def _between(validation: Names, test: Names) -> Finding:
    hits = int(np.isin(test, validation).sum())
    return Finding(
        "overlap_validation_test", hits > 0, hits, f"{hits} of {len(test)} test boards are images of validation boards."
    )


def _spaced(count: int, most: int) -> list[int]:
    """Up to `most` of the places 0 .. count - 1, the first and the last among them."""
    places: list[int] = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)).tolist()
    return places


def _labels(config: RecursiveConfig, split: str, boards: Boards) -> Finding:
    """Labels against the rules, all of them, and against the solver, up to SOLVED."""
    valid = _valid_mazes(boards, config.size) if config.task == "maze" else _valid_sudokus(boards, config.size)
    looked = _spaced(len(boards), SOLVED)
    wrong = np.flatnonzero(~valid).tolist()
    wrong += [i for i in looked if valid[i] and not _only_answer(config, boards.inputs[i], boards.labels[i])]
    sentence = f"{len(wrong)} of {len(boards)} {split} labels are not the only answer: all by the rules, {len(looked)} by the solver."
    return Finding(f"answers_{split}", bool(wrong), len(wrong), sentence)


def _only_answer(config: RecursiveConfig, board: U8, label: U8) -> bool:
    if config.task == "maze":
        path, ways = maze.shortest_path(board, config.size)
        return ways == 1 and np.array_equal(path, label)
    found = sudoku.solve(board, config.size).solutions
    return len(found) == 1 and np.array_equal(found[0], label)


def _valid_sudokus(boards: Boards, size: int) -> npt.NDArray[np.bool_]:
    """Whether each label keeps the clues and has all digits in each row, column and box: bool [boards]."""
    tall, wide = SUDOKU_BOXES[size]
    grid = boards.labels.reshape(-1, size, size)
    boxes = grid.reshape(-1, size // tall, tall, size // wide, wide).swapaxes(2, 3).reshape(-1, size, size)
    houses = np.concatenate([grid, grid.swapaxes(1, 2), boxes], axis=1)
    whole = (np.sort(houses, axis=2) == np.arange(1, size + 1) + DIGIT).all(axis=(1, 2))
    return np.asarray(whole & ((boards.inputs == boards.labels) | (boards.inputs == BLANK)).all(axis=1))


def _valid_mazes(boards: Boards, size: int) -> npt.NDArray[np.bool_]:
    """Whether each maze has walls around, one start and one goal, and its label differs on the floor alone: bool [boards]."""
    square = boards.inputs.reshape(-1, size, size)
    rim = np.concatenate([square[:, [0, -1]], square[:, :, [0, -1]].swapaxes(1, 2)], axis=1)
    ends = np.stack([(boards.inputs == token).sum(axis=1) for token in (START, GOAL)])
    same = (boards.inputs == boards.labels) | (boards.inputs == FLOOR)
    return np.asarray((rim == WALL).all(axis=(1, 2)) & (ends == 1).all(axis=0) & same.all(axis=1))


def _classes(config: RecursiveConfig, used: int) -> list[Finding]:
    """At side 4: how many boards there are at all."""
    if config.task != "sudoku" or config.size != 4:
        return []
    known = sum(BOARDS_OF_FOUR.values())
    return [
        Finding(
            "classes",
            False,
            known,
            f"{known} sudokus of side 4 have one solution, up to symmetry and with any number of clues; {used} are used.",
        )
    ]


def _solutions(config: RecursiveConfig, boards: Boards) -> Names:
    """Names of what is left of the boards without their task: full grids, or walls without start and goal."""
    chosen = boards.labels if config.size <= 6 or config.task == "maze" else boards.labels[_spaced(len(boards), GRIDS)]
    walls = np.minimum(chosen, open_token("maze"))
    return names(config.task, config.size, walls if config.task == "maze" else chosen)


def _grids(config: RecursiveConfig, data: RecursiveData) -> list[Finding]:
    """Scored boards whose solution, or whose walls, a training board has too: no leak of the board, but something to remember."""
    train = _solutions(config, data.train)
    what = "walls" if config.task == "maze" else "solution grids"
    found = []
    for split in ("validation", "test"):
        scored = _solutions(config, data.scored(split))
        hits = int(np.isin(scored, train).sum())
        known = f"{len(np.unique(train))} classes of {what} of {len(train)} training boards"
        sentence = (
            f"{hits} of {len(scored)} {split} boards looked at have one of the {known}, which could be known by heart."
        )
        found.append(Finding(f"shared_grids_{split}", False, hits, sentence))
    return found
