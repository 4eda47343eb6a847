"""Votes over images: what is asked, how answers are turned back and ranked, and what may not vote."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch

from leadline.config import ConfigError, make
from trainables.arc_hrm.family import ARC_HRM
from trainables.grids.grid import EOS, FIRST, Grid, crop, encode, turned
from trainables.puzzles.config import BoardConfig
from trainables.puzzles.data import PuzzleData, build
from trainables.puzzles.grids import DEMO_INPUTS, GridPuzzle
from trainables.puzzles.puzzle import U8, Boards, Rows
from trainables.puzzles.votes import Answer, Answers, passed, passes, predicted_passes, ranked
from trainables.recursive.config import ETRMConfig, TRMConfig
from trainables.recursive.family import TRM_FAMILY
from trainables.recursive.model import network

RULES: dict[str, Any] = {
    "task": "rules",
    "size": 5,
    "demonstrations": 2,
    "train_rules": 6,
    "train_boards": 60,
    "validation_boards": 12,
    "test_boards": 12,
}
ARC: dict[str, Any] = {"task": "arc", "size": 8, "demonstrations": 2, "augmentations": 3, "train_boards": 60}
NETWORK: dict[str, Any] = {"batch": 8, "hidden": 16, "heads": 2, "round_to": 16, "halt_max_steps": 2}
CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("shelf")


@pytest.fixture(scope="module")
def rules() -> PuzzleData:
    return build(make(BoardConfig, RULES))


@pytest.fixture(scope="module")
def arc() -> PuzzleData:
    return build(make(BoardConfig, ARC))


def _grids(data: PuzzleData) -> GridPuzzle:
    return cast(GridPuzzle, data.puzzle)


def _told(change: Callable[[Grid, int], Grid | None], q: Callable[[int], float] = lambda image: 0.5) -> Answer:
    """Answers every image with the right grid after a change, which is told the image's number."""
    asked = [0]

    def answer(boards: Boards, rows: Rows) -> Answers:
        image, side = asked[0], math.isqrt(boards.labels.shape[1])
        asked[0] += 1
        said = [change(crop(label, side), image) for label in boards.labels]
        tokens = [np.zeros(side * side) if grid is None else encode(grid, side) for grid in said]
        return Answers(np.stack(tokens).astype(np.int64), np.full(len(boards), q(image)))

    return answer


def _black(grid: Grid, image: int) -> Grid:
    return np.zeros_like(grid)


def _pass(data: PuzzleData, answer: Answer, count: int) -> tuple[float, float]:
    found = passes(data.puzzle, data.validation, answer, count)
    return found["pass1"].value, found["pass2"].value


@pytest.mark.parametrize("name", ["rules", "arc"])
def test_right_answers_to_images_are_one_grid(name: str, request: pytest.FixtureRequest) -> None:
    """Whatever the turn and the colours: the right one, with all votes and the mean of Q."""
    data: PuzzleData = request.getfixturevalue(name)
    puzzle, boards = _grids(data), data.validation
    answer = _told(lambda grid, image: grid, lambda image: image / 10)
    for found, label in zip(ranked(puzzle, boards, answer, 4), boards.labels, strict=True):
        assert found is not None
        (only,) = found
        np.testing.assert_array_equal(only.grid, crop(label, puzzle.side))
        assert only.votes == 4
        assert only.q == pytest.approx(0.15)


def test_images_are_turned_recoloured_and_named(arc: PuzzleData) -> None:
    """The first is the board itself; each has its demonstrations and its own identifier, as in training."""
    puzzle, boards = _grids(arc), arc.validation
    seen: list[tuple[Boards, Rows]] = []

    def answer(moved: Boards, rows: Rows) -> Answers:
        seen.append((moved, rows))
        return Answers(moved.labels.astype(np.int64), np.zeros(len(moved)))

    ranked(puzzle, boards, answer, 3)
    turns, colours = puzzle.voting_images(3)
    tasks = puzzle.tasks(boards)
    assert tasks is not None
    np.testing.assert_array_equal(seen[0][0].inputs, boards.inputs)
    for number, (moved, rows) in enumerate(seen):
        np.testing.assert_array_equal(rows["puzzle"], tasks * 4 + number)
        np.testing.assert_array_equal(rows["inputs"], moved.inputs)
        np.testing.assert_array_equal(rows[DEMO_INPUTS], moved.extra[DEMO_INPUTS])
        for board in range(0, len(boards), 7):
            turn, table = int(turns[tasks[board], number]), colours[tasks[board], number]
            pairs = [(boards.inputs[board], moved.inputs[board]), (boards.labels[board], moved.labels[board])]
            pairs.append((boards.extra[DEMO_INPUTS][board, 0], moved.extra[DEMO_INPUTS][board, 0]))
            for before, after in pairs:
                grid = turned(table[crop(before, puzzle.side)], turn)
                np.testing.assert_array_equal(after, encode(grid, puzzle.side))
    assert len(np.unique(turns[:, 1:3])) == 8


def test_an_image_in_training_is_the_image_that_votes(arc: PuzzleData) -> None:
    """Under one identifier, so that an embedding is asked for what it was trained on."""
    puzzle, train = _grids(arc), arc.train
    index = np.arange(len(train))
    drawn = puzzle.rows(train, index, np.random.default_rng(0))
    turns, colours = puzzle.voting_images(4)
    task, number = np.divmod(drawn["puzzle"], 4)
    assert set(number.tolist()) == {0, 1, 2, 3}
    for row in index.tolist():
        own = train.extra[DEMO_INPUTS][row, 0]
        grid = turned(colours[task[row], number[row]][crop(own, puzzle.side)], int(turns[task[row], number[row]]))
        np.testing.assert_array_equal(drawn[DEMO_INPUTS][row, 0], encode(grid, puzzle.side))


def test_votes_correct_one_wrong_image(rules: PuzzleData) -> None:
    """The board itself is answered wrongly, and two of its images are not."""
    answer = _told(lambda grid, image: grid[:1] if image == 0 else grid)
    assert _pass(rules, _told(lambda grid, image: grid[:1]), 1) == (0, 0)
    assert _pass(rules, answer, 3) == (1, 1)


def test_the_second_guess_counts_for_pass2_alone(rules: PuzzleData) -> None:
    assert _pass(rules, _told(lambda grid, image: grid if image == 2 else _black(grid, image)), 3) == (0, 1)


def test_equal_counts_are_ranked_by_q_and_then_by_the_order_of_images(rules: PuzzleData) -> None:
    def change(grid: Grid, image: int) -> Grid:
        return grid if image == 1 else _black(grid, image)

    assert _pass(rules, _told(change, lambda image: 0.9 * image), 2) == (1, 1)
    assert _pass(rules, _told(change, lambda image: 0.9 - 0.1 * image), 2) == (0, 1)
    assert _pass(rules, _told(change), 2) == (0, 1)


def test_a_count_outweighs_q(rules: PuzzleData) -> None:
    answer = _told(lambda grid, image: grid if image else _black(grid, image), lambda image: 0.1 if image else 0.9)
    assert _pass(rules, answer, 3) == (1, 1)


def test_an_answer_without_a_grid_casts_no_vote(rules: PuzzleData) -> None:
    assert _pass(rules, _told(lambda grid, image: grid if image == 3 else None), 4) == (1, 1)
    assert _pass(rules, _told(lambda grid, image: None), 4) == (0, 0)


def test_what_stands_beside_the_grid_does_not_count(rules: PuzzleData) -> None:
    """Not even colours, as long as they do not make the corner's rectangle larger."""
    puzzle, boards = _grids(rules), rules.validation

    def answer(moved: Boards, rows: Rows) -> Answers:
        tokens = np.where(moved.labels >= EOS, moved.labels, FIRST + 7).astype(np.int64)
        return Answers(tokens, np.zeros(len(moved)))

    assert passed(puzzle, boards, ranked(puzzle, boards, answer, 2), 1).tolist() == [1] * len(boards)


def test_a_board_with_an_answer_that_is_no_number_has_no_score(rules: PuzzleData) -> None:
    puzzle, boards = _grids(rules), rules.validation

    def answer(moved: Boards, rows: Rows) -> Answers:
        tokens = moved.labels.astype(np.int64)
        tokens[4] = -1
        return Answers(tokens, np.zeros(len(moved)))

    found = ranked(puzzle, boards, answer, 2)
    assert [place for place, own in enumerate(found) if own is None] == [4]
    assert np.flatnonzero(np.isnan(passed(puzzle, boards, found, 2))).tolist() == [4]


def test_tasks_are_the_units_and_new_rules_are_left_out(rules: PuzzleData, arc: PuzzleData) -> None:
    """A task of ARC has the mean over its queries."""
    assert passes(rules.puzzle, rules.validation, _told(lambda grid, image: grid), 2)["pass1"].n == 12
    puzzle, boards = _grids(arc), arc.test
    tasks = puzzle.tasks(boards)
    assert tasks is not None
    right = np.arange(len(boards)) % 2

    def answer(moved: Boards, rows: Rows) -> Answers:
        return Answers(np.where(right[:, None], moved.labels, 0).astype(np.int64), np.zeros(len(moved)))

    found = passes(puzzle, boards, answer, 2)["pass1"]
    assert list(found.units) == [right[tasks == task].mean() for task in np.unique(tasks)]


@pytest.mark.parametrize("name", ["rules", "arc"])
def test_predictors_are_scored_by_the_same_votes(name: str, request: pytest.FixtureRequest) -> None:
    """What says the same of every image is right as often as without votes, and an oracle always."""
    data: PuzzleData = request.getfixturevalue(name)
    family = TRM_FAMILY
    config = family.config({**(RULES if name == "rules" else ARC), **NETWORK, "votes": 3})
    found = family.baselines(config, family.build_data(config), "validation")
    for predictor in ("all PAD", "the input", "majority colour", "first demonstration"):
        for metric in ("pass1", "pass2"):
            assert found[predictor][metric].units == found[predictor]["exact"].units, predictor
    assert all(own["pass1"].value == 1 for predictor, own in found.items() if predictor == "oracle: the rule")
    assert found.keys() == data.puzzle.predictors(data.train).keys()
    assert all("pass2" in own for own in found.values())
    predict = data.puzzle.predictors(data.train)["the input"]
    assert predicted_passes(data.puzzle, data.validation, "the input", predict, 0) == {}


@pytest.mark.parametrize(("name", "asked"), [("oracle: the rule", 1), ("the input", 3)])
def test_an_oracle_is_asked_of_the_board_itself_alone(rules: PuzzleData, name: str, asked: int) -> None:
    """It knows the board's rule, and an image has another."""
    seen: list[Boards] = []

    def predict(boards: Boards) -> U8:
        seen.append(boards)
        return boards.labels

    assert predicted_passes(rules.puzzle, rules.validation, name, predict, 3)["pass1"].value == 1
    assert len(seen) == asked


def test_a_trial_of_trm_votes_under_the_embeddings_of_its_images() -> None:
    """Beside `exact`, which one vote agrees with; without `votes` it has neither."""
    fields = {**ARC, **NETWORK, "demonstrations": 0, "puzzle_emb": 16, "validation_boards": 10, "halt_max_steps": 1}
    for votes in (0, 1, 4):
        config = TRM_FAMILY.config({**fields, "votes": votes})
        data = TRM_FAMILY.build_data(config)
        torch.manual_seed(0)
        task = TRM_FAMILY.task(config, data, CPU)
        asked: set[int] = set()
        task.net.register_forward_pre_hook(lambda module, given, asked=asked: asked.update((given[1] % 4).tolist()))
        task.model.eval()
        found = task.evaluate("validation")
        assert ("pass1" in found) == ("pass2" in found) == bool(votes)
        assert asked == set(range(max(1, votes)))
        if votes:
            assert found["pass1"].n == found["exact"].n
            assert found["exact"].value <= found["pass1"].value <= found["pass2"].value


def test_a_trial_of_arc_hrm_votes() -> None:
    config = ARC_HRM.config(
        {**RULES, "demonstrations": 0, "batch": 8, "hidden": 16, "heads": 2, "max_cycles": 2, "votes": 2}
    )
    data = ARC_HRM.build_data(config)
    torch.manual_seed(0)
    task = ARC_HRM.task(config, data, CPU)
    task.model.eval()
    found = task.evaluate("test")
    assert (found["pass1"].n, found["pass2"].n) == (12, 12)
    baselines = ARC_HRM.baselines(config, data, "test")
    assert all({"pass1", "pass2"} <= own.keys() for own in baselines.values())


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (TRMConfig, {**RULES, "votes": -1}, "votes: input should be greater than or equal to 0"),
        (TRMConfig, {"votes": 2}, "votes: must be 0 with task=sudoku, as only images of grids vote (got 2)"),
        (TRMConfig, {**ARC, "puzzle_emb": 16, "votes": 5}, "votes: at most 4, as each image is answered under an"),
        (TRMConfig, {**ARC, "puzzle_emb": 16, "augment": False, "votes": 2}, "votes: at most 1, as each image"),
        (ETRMConfig, {**RULES, "encoder": "lookup", "votes": 2}, "votes: at most 1, as each image is answered"),
    ],
)
def test_what_cannot_vote_is_refused(kind: type[TRMConfig], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make(kind, {**fields, **NETWORK})
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_as_many_images_vote_as_are_wanted_where_none_has_an_embedding() -> None:
    for kind, fields in ((ETRMConfig, {**ARC, "protocol": "inductive"}), (TRMConfig, RULES)):
        config = make(kind, {**fields, **NETWORK, "votes": 9})
        assert not network(config).config.task_embedding
        assert _grids(build(config)).voting_images(9)[0].shape[1] == 9
