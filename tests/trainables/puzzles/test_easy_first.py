"""Boards that enter training one after the other, the easiest first."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from leadline.config import make
from trainables.arc_hrm.config import ArcHRMConfig
from trainables.grids.grid import shapes
from trainables.puzzles.data import PuzzleData, Sampler, build
from trainables.puzzles.rules import RULE
from trainables.recursive.config import ETRMConfig, TRMConfig

FIELDS: dict[str, Any] = {
    "task": "rules",
    "size": 6,
    "train_rules": 3,
    "train_boards": 300,
    "validation_boards": 4,
    "test_boards": 4,
    "batch": 12,
    "steps": 100,
    "easy_first": 0.5,
}


@pytest.fixture(scope="module")
def config() -> ETRMConfig:
    return make(ETRMConfig, FIELDS)


@pytest.fixture(scope="module")
def data(config: ETRMConfig) -> PuzzleData:
    return build(config)


def _sides(*tokens: Any) -> Any:
    """The largest side of each row's grids, which are int64 [rows, ..., cells]."""
    found = [side.reshape(len(one), -1) for one in tokens for side in shapes(one.reshape(-1, one.shape[-1]))]
    return np.concatenate(found, 1).max(1)


def test_difficulty_of_a_grid_is_its_larger_side(config: ETRMConfig, data: PuzzleData) -> None:
    boards = data.train
    assert boards.guesses.tolist() == _sides(boards.inputs, boards.labels).tolist()
    assert config.puzzle.difficulty(boards.inputs[0], boards.labels[0]) == boards.guesses[0]
    assert set(boards.guesses.tolist()) == {3, 4, 5, 6}


def test_grids_grow_from_the_smallest_to_the_canvas(config: ETRMConfig, data: PuzzleData) -> None:
    """The demonstrations too; and each rule has its share of the boards from the first step."""
    sampler = Sampler(config, data.train, config.batch)
    names = ("inputs", "labels", "demo_inputs", "demo_labels")
    largest = [int(_sides(*(sampler.rows(step)[name] for name in names)).max()) for step in range(60)]
    assert largest[0] == 3
    assert max(largest[:10]) < 6 == largest[50]
    assert len(set(sampler.rows(0)["puzzle"].tolist())) == 3
    for step in (0, 7, 49, 50):
        rows = sampler.rows(step)
        for place in range(config.batch):
            shown = rows["demo_inputs"][place]
            assert not (shown == rows["inputs"][place]).all(1).any(), "no query is shown beside itself"
            assert len(np.unique(shown, axis=0)) == 2


def test_every_rule_s_boards_enter_in_order_of_size(config: ETRMConfig, data: PuzzleData) -> None:
    order = config.puzzle.easiest_first(data.train)
    assert sorted(order.tolist()) == list(range(300))
    boards = data.train.take(order)
    for turn in range(3):
        assert len(set(boards.extra[RULE][turn::3].tolist())) == 1
        assert (np.diff(boards.guesses[turn::3]) >= 0).all()


def test_after_the_ramp_every_board_has_its_turn(config: ETRMConfig, data: PuzzleData) -> None:
    sampler = Sampler(config, data.train, config.batch)
    seen = np.concatenate([sampler.rows(step)["inputs"] for step in range(50, 75)])
    assert len(seen) == 300
    assert len(np.unique(seen, axis=0)) == len(np.unique(data.train.inputs, axis=0))


def test_rows_are_a_function_of_the_step(config: ETRMConfig, data: PuzzleData) -> None:
    one, other = (Sampler(config, data.train, config.batch) for _ in range(2))
    other.rows(3)
    for name, array in one.rows(9).items():
        np.testing.assert_array_equal(array, other.rows(9)[name])
    other = Sampler(dataclasses.replace(config, seed=1), data.train, config.batch)
    assert not np.array_equal(one.rows(9)["inputs"], other.rows(9)["inputs"])


def test_without_a_ramp_nothing_changes(config: ETRMConfig, data: PuzzleData) -> None:
    """All boards are there from the first step, in the order in which they were drawn."""
    plain = Sampler(dataclasses.replace(config, easy_first=0.0), data.train, config.batch)
    assert plain.boards is data.train
    assert max(_sides(plain.rows(0)["inputs"], plain.rows(0)["labels"])) == 6


@pytest.mark.parametrize("fields", [{"task": "sudoku", "size": 6}, {"task": "arc", "size": 10, "augmentations": 3}])
def test_other_puzzles_go_by_their_difficulty(fields: dict[str, Any]) -> None:
    """Sudokus by a solver's guesses, ARC's tasks by their grids; for a network without demonstrations."""
    for kind in (TRMConfig, ArcHRMConfig):
        config: Any = make(kind, {**FIELDS, "train_boards": 60, **fields})
        sampler = Sampler(config, build(config).train, config.batch)
        guesses = sampler.boards.guesses
        assert (np.diff(guesses) >= 0).all()
        assert guesses[0] < guesses[-1]
        easiest = {board.tobytes() for board in sampler.boards.inputs[: config.batch]}
        still = dataclasses.replace(config, augment=False)
        rows = Sampler(still, sampler.boards, config.batch).rows(0)
        assert {board.astype(np.uint8).tobytes() for board in rows["inputs"]} <= easiest
