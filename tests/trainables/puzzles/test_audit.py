"""The audit of boards sees what a careless split, a wrong label or a puzzle of two solutions would do to a score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leadline.config import make
from leadline.finding import Finding
from trainables.puzzles import audit as auditing
from trainables.puzzles.audit import audit
from trainables.puzzles.data import PuzzleData, build
from trainables.puzzles.maze import FLOOR, GOAL, START, WALL
from trainables.puzzles.puzzle import Boards
from trainables.puzzles.sudoku_solver import BLANK
from trainables.recursive.config import TRMConfig

KINDS: dict[str, dict[str, Any]] = {
    "sudoku4": {"size": 4},
    "sudoku6": {"size": 6},
    "sudoku9": {"size": 9},
    "maze": {"task": "maze", "size": 11},
}


@pytest.fixture(autouse=True)
def _shelf(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADLINE_CACHE", str(Path(tmp_path_factory.getbasetemp()) / "boards"))


def _made(kind: str) -> PuzzleData:
    config = make(TRMConfig, {"train_boards": 24, "validation_boards": 8, "test_boards": 8, "batch": 8, **KINDS[kind]})
    return build(config)


def _failed(data: PuzzleData) -> dict[str, float]:
    return {finding.guard: finding.number for finding in audit(data) if finding.failed}


def _finding(data: PuzzleData, guard: str) -> Finding:
    (found,) = [finding for finding in audit(data) if finding.guard == guard]
    return found


def _with(boards: Boards, row: int, inputs: Any = None, labels: Any = None) -> Boards:
    """Boards of which one is another."""
    changed = {name: getattr(boards, name).copy() for name in ("inputs", "labels", "classes")}
    for name, tokens in (("inputs", inputs), ("labels", labels)):
        if tokens is not None:
            changed[name][row] = tokens
    return replace(boards, **changed)


def _put(data: PuzzleData, split: str, boards: Boards) -> PuzzleData:
    """Data of which one split is another."""
    changed: dict[str, Any] = {split: boards}
    return replace(data, **changed)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_built_passes(kind: str) -> None:
    data = _made(kind)
    assert _failed(data) == {}
    guards = [finding.guard for finding in audit(data)]
    assert guards[:3] == ["overlap_validation_boards", "overlap_test_boards", "overlap_validation_test"]
    assert len(set(guards)) == len(guards)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("split", "guard"), [("test", "overlap_test_boards"), ("validation", "overlap_validation_boards")]
)
def test_an_image_of_a_training_board_is_a_leak(kind: str, split: str, guard: str) -> None:
    """Also under a stored name that says otherwise."""
    data = _made(kind)
    image, answer = data.puzzle.images(data.train.inputs[5:6], data.train.labels[5:6], np.random.default_rng(1))
    assert not (data.train.inputs == image).all(axis=1).any()
    leaking = _put(data, split, _with(getattr(data, split), 3, image[0], answer[0]))
    assert _failed(leaking) == {guard: 1, "stored_names": 1}


def test_validation_and_test_may_not_share_a_board() -> None:
    data = _made("sudoku6")
    shared = replace(data, test=_with(data.test, 0, data.validation.inputs[2], data.validation.labels[2]))
    assert _failed(shared) == {"overlap_validation_test": 1, "stored_names": 1}


def test_a_board_may_not_count_twice() -> None:
    data = _made("sudoku6")
    twice = replace(
        data,
        test=replace(
            data.test,
            **{name: getattr(data.test, name)[[0, 0, 2, 3, 4, 5, 6, 7]] for name in ("inputs", "labels", "classes")},
        ),
    )
    assert _failed(twice) == {"repeated_boards": 1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_wrong_label_is_seen(kind: str, split: str) -> None:
    data = _made(kind)
    boards: Boards = getattr(data, split)
    label = boards.labels[4].copy()
    cell = np.flatnonzero(data.puzzle.asked(boards.inputs[4]))[0]
    label[cell] = label[cell] % (data.puzzle.vocabulary - 1) + 1
    assert _failed(_put(data, split, _with(boards, 4, labels=label))) == {f"answers_{split}": 1}


@pytest.mark.parametrize("kind", ["sudoku4", "sudoku6", "sudoku9"])
def test_a_puzzle_of_two_solutions_is_seen(kind: str) -> None:
    data = _made(kind)
    puzzle = np.full(data.puzzle.cells, BLANK)
    puzzle[:3] = data.test.labels[1][:3]
    open_one = replace(data, test=_with(data.test, 1, puzzle))
    assert _failed(open_one) == {"answers_test": 1, "stored_names": 1}


def test_a_full_grid_that_is_not_the_puzzle_s_is_seen() -> None:
    data = _made("sudoku6")
    other = replace(data, test=_with(data.test, 1, labels=data.test.labels[2]))
    assert _failed(other) == {"answers_test": 1}


@pytest.mark.parametrize("fault", ["two ways", "no goal", "two starts", "a gap in the wall"])
def test_a_maze_that_is_none_is_seen(fault: str) -> None:
    data = _made("maze")
    board = data.test.inputs[1].copy()
    label = data.test.labels[1].copy()
    square = board.reshape(11, 11)
    if fault == "two ways":
        square[1:-1, 1:-1] = np.where(square[1:-1, 1:-1] == WALL, FLOOR, square[1:-1, 1:-1])
    elif fault == "no goal":
        board[board == GOAL] = FLOOR
    elif fault == "two starts":
        board[board == GOAL] = START
    else:
        square[0, 3] = FLOOR
    label[board == FLOOR] = np.where(label[board == FLOOR] == WALL, FLOOR, label[board == FLOOR])
    assert "answers_test" in _failed(replace(data, test=_with(data.test, 1, board, label)))


def test_a_sample_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "SOLVED", 5)
    monkeypatch.setattr(auditing, "GRIDS", 6)
    data = _made("sudoku9")
    assert (
        _finding(data, "answers_train").sentence
        == "0 of 24 train labels are not the only answer: all by the rules, 5 by the solver."
    )
    assert _finding(data, "shared_grids_test").sentence.startswith("0 of 6 test boards looked at")
    last = replace(data, test=_with(data.test, 7, np.where(np.arange(81) < 3, data.test.labels[7], BLANK)))
    assert "answers_test" in _failed(last)


def test_shared_grids_are_told_and_no_fault() -> None:
    data = _made("sudoku4")
    shared = _finding(data, "shared_grids_test")
    assert (shared.number, shared.failed) == (8, False)
    assert "2 classes of solution grids of 24 training boards" in shared.sentence
    classes = _finding(data, "classes")
    assert (classes.number, classes.failed) == (4708, False)
    assert classes.sentence.startswith("4708 sudokus of side 4 have one solution")
    assert all(finding.guard != "classes" for finding in audit(_made("sudoku6")))


def test_shared_grids_are_counted() -> None:
    data = _made("sudoku6")
    train = set(data.puzzle.names(data.train.labels).tolist())
    expected = sum(name in train for name in data.puzzle.names(data.validation.labels).tolist())
    assert 0 < _finding(data, "shared_grids_validation").number == expected


def test_walls_are_compared_without_their_ends() -> None:
    data = _made("maze")
    assert _finding(data, "shared_grids_test").number == 0
    board, label = data.train.inputs[0].copy(), data.train.labels[0].copy()
    start, floor = np.flatnonzero(board == START)[0], np.flatnonzero(board == FLOOR)[0]
    board[[start, floor]] = FLOOR, START
    moved = replace(data, test=_with(data.test, 0, board, label))
    assert _finding(moved, "shared_grids_test").number == 1
