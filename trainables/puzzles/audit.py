"""Checks the boards a second time.

The checks are which boards are the same up to symmetry, and whether each label is the only answer.
"""

from __future__ import annotations

import functools

import numpy as np

from leadline.finding import Finding
from leadline.training.guards.overlap import overlap
from trainables.puzzles.data import PuzzleData
from trainables.puzzles.puzzle import Boards, Names, Puzzle

__all__ = ["audit"]

SOLVED = 2000
"""How many boards of each split are solved again; evenly spaced if the split has more."""

GRIDS = 200
"""How many boards of each split have their shared part named, where names are slow.

Evenly spaced.
"""


# A sweep asks again for strata that differ in the fields that its family's audit reads.
@functools.lru_cache(maxsize=1)
def audit(data: PuzzleData) -> list[Finding]:
    """Returns the findings on every board; a failed one refuses the data.

    All images of a board have the same name, so that training on images of training boards cannot
    reach a scored one.
    """
    puzzle = data.puzzle
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    own = {split: puzzle.classes(boards) for split, boards in splits.items()}
    twice = sum(len(found) - len(np.unique(found)) for found in own.values())
    strange = sum(int((boards.classes != own[split]).sum()) for split, boards in splits.items())
    return [
        overlap(own["train"], own["validation"], "validation boards"),
        overlap(own["train"], own["test"], "test boards"),
        _between(own["validation"], own["test"]),
        Finding("repeated_boards", twice > 0, twice, f"{twice} boards are images of another of their own split."),
        Finding("stored_names", strange > 0, strange, f"{strange} boards are stored under the name of another."),
        *(_labels(puzzle, split, boards) for split, boards in splits.items()),
        *puzzle.findings(splits),
        *(_shared(data) if puzzle.shared_part_called else ()),
    ]


def _between(validation: Names, test: Names) -> Finding:
    hits = int(np.isin(test, validation).sum())
    return Finding(
        "overlap_validation_test", hits > 0, hits, f"{hits} of {len(test)} test boards are images of validation boards."
    )


def _spaced(count: int, most: int) -> list[int]:
    """Returns up to `most` of the places 0 .. count - 1, the first and the last among them."""
    places: list[int] = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)).tolist()
    return places


def _labels(puzzle: Puzzle, split: str, boards: Boards) -> Finding:
    """Checks all labels against the rules, and up to SOLVED of them against the solver."""
    valid = puzzle.lawful(boards.inputs, boards.labels)
    looked = _spaced(len(boards), SOLVED)
    wrong = np.flatnonzero(~valid).tolist()
    if puzzle.has_solver:
        wrong += [i for i in looked if valid[i] and not puzzle.only_answer(boards.inputs[i], boards.labels[i])]
    solved = f"are not the only answer: all by the rules, {len(looked)} by the solver"
    wrongly = solved if puzzle.has_solver else "are not well formed"
    sentence = f"{len(wrong)} of {len(boards)} {split} labels {wrongly}."
    return Finding(f"answers_{split}", bool(wrong), len(wrong), sentence)


def _shared_parts(puzzle: Puzzle, boards: Boards) -> Names:
    """Returns the names of the parts that different boards may share, such as full grids."""
    chosen = boards.labels[_spaced(len(boards), GRIDS)] if puzzle.names_are_slow else boards.labels
    return puzzle.names(puzzle.shared_part(chosen))


def _shared(data: PuzzleData) -> list[Finding]:
    """Counts the scored boards that share such a part with a training board.

    That is no leak of the board, but something that a network could remember.
    """
    train = _shared_parts(data.puzzle, data.train)
    found = []
    for split in ("validation", "test"):
        scored = _shared_parts(data.puzzle, data.scored(split))
        hits = int(np.isin(scored, train).sum())
        known = f"{len(np.unique(train))} classes of {data.puzzle.shared_part_called} of {len(train)} training boards"
        sentence = (
            f"{hits} of {len(scored)} {split} boards looked at have one of the {known}, which could be known by heart."
        )
        found.append(Finding(f"shared_grids_{split}", False, hits, sentence))
    return found
