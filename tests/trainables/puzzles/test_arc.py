"""ARC as a puzzle: who is in which split, what is an image of what, and what may not be asked."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

from leadline.config import ConfigError, make
from trainables.grids.arc import canonical, load
from trainables.grids.grid import EOS, FIRST, PAD, crop, decode, encode
from trainables.puzzles.arc import TASK, Arc
from trainables.puzzles.audit import audit
from trainables.puzzles.data import PuzzleData, Sampler, build
from trainables.puzzles.puzzle import Boards
from trainables.recursive.config import ETRMConfig, TRMConfig

WHOLE: dict[str, Any] = {"task": "arc", "size": 30, "train_boards": 5000}
SMALL: dict[str, Any] = {"task": "arc", "size": 10, "demonstrations": 3, "augmentations": 5, "batch": 32}
pytestmark = pytest.mark.usefixtures("shelf")


@pytest.fixture(scope="module")
def whole() -> PuzzleData:
    return build(make(TRMConfig, WHOLE))


@pytest.fixture(scope="module")
def small() -> PuzzleData:
    return build(make(TRMConfig, SMALL))


def test_every_evaluation_query_is_scored_once(whole: PuzzleData) -> None:
    """The halves have all 419; the constant has 0.71209 of their cells; the same wherever it is built."""
    assert (len(whole.test), len(whole.validation)) == (214, 205)
    labels = np.concatenate([whole.test.labels, whole.validation.labels])
    assert (labels == PAD).mean().round(5) == 0.71209
    asked = {name: task.queries for task in load("arcagi1", "evaluation") for name in [task.name]}
    assert sum(map(len, asked.values())) == 419
    again = Arc(30).draw({"test": 512, "validation": 512, "train": 5000}, np.random.default_rng(0))
    for split, boards in again.items():
        for name, array in boards.arrays().items():
            np.testing.assert_array_equal(array, whole.scored(split).arrays()[name])


def test_the_audit_passes_and_would_not_otherwise(whole: PuzzleData) -> None:
    found = {finding.guard: finding for finding in audit(whole)}
    assert not [finding for finding in found.values() if finding.failed]
    assert "3035 of 3081 for train" in found["pairs"].sentence
    queries = Boards.of({name: array[:7] for name, array in whole.test.arrays().items()})
    puzzle = whole.puzzle
    inputs, labels = puzzle.images(queries.inputs, queries.labels, np.random.default_rng(0))
    assert not np.array_equal(inputs, queries.inputs)
    images = dataclasses.replace(queries, inputs=inputs, labels=labels)
    leaky = dataclasses.replace(whole, train=images)
    assert {f.guard: f.number for f in audit(leaky) if f.failed} == {"overlap_test_boards": 7}


def test_two_evaluation_queries_are_images_of_training_pairs(whole: PuzzleData) -> None:
    """They are scored, and the training pairs are left out."""
    training = {
        canonical(pair) for task in load("arcagi1", "training") for pair in (*task.demonstrations, *task.queries)
    }
    twins = [
        task.name for task in load("arcagi1", "evaluation") for query in task.queries if canonical(query) in training
    ]
    assert sorted(twins) == ["070dd51e", "50a16a69"]
    trained = set(whole.train.classes.tolist())
    assert not trained & {*whole.test.classes.tolist(), *whole.validation.classes.tolist()}


def test_no_scored_pair_is_shown_in_training() -> None:
    """The query of 50a16a69 is, in other colours, a demonstration of the training task caa06a1f."""
    fields = {"task": "arc", "size": 30, "train_boards": 5000, "demonstrations": 10, "batch": 8}
    data = build(make(ETRMConfig, fields))
    found = {finding.guard: finding for finding in audit(data)}
    assert not [finding for finding in found.values() if finding.failed]
    assert found["overlap_demonstrations"].number == found["own_demonstrations"].number == 0
    (asked,) = [task for task in load("arcagi1", "evaluation") if task.name == "50a16a69"]
    leaked = _encoded(asked.queries[0], 30)
    extra = {name: array.copy() for name, array in data.train.extra.items()}
    extra["demo_inputs"][5, 0], extra["demo_labels"][5, 0] = leaked
    leaky = dataclasses.replace(data, train=dataclasses.replace(data.train, extra=extra))
    assert {f.guard: f.number for f in audit(leaky) if f.failed} == {"overlap_demonstrations": 1}


def _encoded(pair: Any, side: int) -> tuple[Any, Any]:
    return encode(pair[0], side), encode(pair[1], side)


def test_few_training_boards_leave_no_scored_task_untrained() -> None:
    fields = {"task": "arc", "size": 10, "train_boards": 400, "validation_boards": 10, "test_boards": 10, "batch": 8}
    data = build(make(TRMConfig, fields))
    scored = set(data.test.extra[TASK].tolist()) | set(data.validation.extra[TASK].tolist())
    assert scored <= set(data.train.extra[TASK].tolist())


@pytest.mark.parametrize(("protocol", "scored_tasks_are_trained_on"), [("transductive", True), ("inductive", False)])
def test_protocols(protocol: str, scored_tasks_are_trained_on: bool) -> None:
    data = build(make(ETRMConfig, {**SMALL, "protocol": protocol}))
    both = set(data.train.extra[TASK].tolist()) & set(data.test.extra[TASK].tolist())
    assert bool(both) == scored_tasks_are_trained_on


def test_tested_on_the_second_data_set() -> None:
    data = build(
        make(TRMConfig, {"task": "arc", "size": 20, "data_set": "arcagi1_to_2", "train_boards": 100, "batch": 8})
    )
    names = [task.name for task in load("arcagi2", "evaluation") if task.side <= 20]
    assert len({*data.test.extra[TASK].tolist()}) == len(names)
    assert not set(data.test.classes.tolist()) & set(data.validation.classes.tolist())


def test_demonstrations_are_of_the_boards_task_and_not_itself(small: PuzzleData) -> None:
    tasks: dict[tuple[bytes, bytes], set[str]] = {}
    for task in (*load("arcagi1", "training"), *load("arcagi1", "evaluation")):
        if task.side <= 10:
            for one, other in (*task.demonstrations, *task.queries):
                tasks.setdefault((encode(one, 10).tobytes(), encode(other, 10).tobytes()), set()).add(task.name)

    def named(one: Any, other: Any) -> set[str]:
        return tasks[one.astype(np.uint8).tobytes(), other.astype(np.uint8).tobytes()]

    for boards in (small.train, small.test):
        rows = small.puzzle.rows(boards, np.arange(len(boards)))
        mask = rows["demo_mask"]
        assert mask.any(1).all()
        np.testing.assert_array_equal(mask, rows["demo_labels"].any(2))
        for row, place in zip(*np.nonzero(mask), strict=True):
            shown = rows["demo_inputs"][row, place], rows["demo_labels"][row, place]
            own = rows["inputs"][row], rows["labels"][row]
            assert named(*shown) & named(*own)
            assert not all(map(np.array_equal, shown, own))


def test_a_row_is_an_image_of_its_board_and_says_which(small: PuzzleData) -> None:
    """The task itself is one of its images; all of them are drawn; each has one identifier, and one look."""
    puzzle, boards = small.puzzle, small.train
    index = np.zeros(600, dtype=np.int64)
    rows = puzzle.rows(boards, index, np.random.default_rng(1))
    first = int(boards.extra[TASK][0]) * 6
    assert set(rows["puzzle"].tolist()) == set(range(first, first + 6))
    looks: dict[int, set[bytes]] = {}
    name = canonical((_grid(boards.inputs[0]), _grid(boards.labels[0])))
    for identifier, tokens, label in zip(rows["puzzle"], rows["inputs"], rows["labels"], strict=True):
        grids = [_anywhere(board.astype(np.uint8)) for board in (tokens, label)]
        assert canonical((grids[0], grids[1])) == name
        looks.setdefault(int(identifier), set()).add(grids[0].tobytes())
    assert {len(look) for look in looks.values()} == {1}
    np.testing.assert_array_equal(puzzle.rows(boards, index[:1])["inputs"][0], boards.inputs[0])
    assert puzzle.identifiers == 6 * len(puzzle._numbers())  # type: ignore[attr-defined]


def _grid(tokens: Any) -> Any:
    grid = decode(tokens, 10)
    assert grid is not None
    return grid


def _anywhere(tokens: Any) -> Any:
    """The grid of a canvas on which it was moved."""
    canvas = tokens.reshape(10, 10)
    rows, columns = (np.flatnonzero((canvas >= FIRST).any(axis)) for axis in (1, 0))
    found = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert (found >= FIRST).all()
    below, beside = canvas[rows[-1] + 1 : rows[-1] + 2], canvas[:, columns[-1] + 1 : columns[-1] + 2]
    assert (below[:, columns] == EOS).all()
    assert (beside[rows] == EOS).all()
    return found - FIRST


def test_images_are_moved_and_turned(small: PuzzleData) -> None:
    rows = Sampler(make(TRMConfig, SMALL), small.train, 256).rows(0)
    corner = rows["inputs"][:, 0]
    assert 0.1 < (corner == PAD).mean() < 0.9
    assert rows["demo_inputs"].shape == rows["demo_labels"].shape == (256, 3, 100)
    still = Sampler(make(TRMConfig, {**SMALL, "augment": False}), small.train, 256).rows(0)
    assert (still["inputs"][:, 0] >= FIRST).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 31}, "size: no grid of ARC is larger than 30 (got 31)"),
        ({"clues": 3}, "clues: ARC has none (got 3)"),
        ({"demonstrations": 11}, "demonstrations: no task of these shows more than 10 (got 11)"),
        ({"task_ids": "00000000"}, "task_ids: no '00000000' in arcagi1; an id is such as 00576224"),
        (
            {"task_ids": "007bbfb7"},
            "task_ids: none of the named ones is left for test; name one more, such as f3b10344",
        ),
        ({"size": 10, "task_ids": "00576224,009d5c81"}, "task_ids: 009d5c81 has a side of 14, more than size, 10"),
        (
            {"protocol": "inductive"},
            "protocol: must be transductive, as nothing tells this network of a task not trained on",
        ),
        ({"augmentations": -1}, "augmentations: input should be greater than or equal to 0 (got -1)"),
        ({"data_set": "arc1"}, "data_set: input should be 'arcagi1', 'arcagi2' or 'arcagi1_to_2' (got 'arc1')"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make(TRMConfig, {**WHOLE, **fields})
    assert str(refused.value) == message


def test_what_a_person_gives(small: PuzzleData) -> None:
    puzzle = small.puzzle
    rows = puzzle.read(puzzle.example)
    assert rows["demo_mask"].sum() >= 1
    assert not puzzle.read({"query": puzzle.example["query"]})["demo_mask"].any()
    board = rows["inputs"][0].astype(np.uint8)
    assert (
        puzzle.read({**puzzle.example, "query": "\n".join(puzzle.show(board))})["inputs"].tolist()
        == rows["inputs"].tolist()
    )
    assert pickle.loads(pickle.dumps(puzzle)) == puzzle  # noqa: S301  (written in this line)
    assert crop(board, 10).size
    for given, message in {
        "x": "inputs: query: 'x' is no colour; colours are 0 to 9",
    }.items():
        with pytest.raises(ConfigError) as refused:
            puzzle.read(given)
        assert str(refused.value) == message
    with pytest.raises(ConfigError, match=r"^inputs: expected at most 3 demonstrations \(got 4\)$"):
        puzzle.read({"query": [[1]], "demonstrations": [[[[1]], [[1]]]] * 4})
    for wrong, message in {
        "size": "inputs: 'size' is neither query, demonstrations nor task",
        "demonstrations": "inputs: demonstration 1: expected an input and an output (got [[1]])",
    }.items():
        with pytest.raises(ConfigError) as refused:
            puzzle.read({"query": [[1]], wrong: [[[1]]]})
        assert str(refused.value) == message


def test_what_predictors_say(whole: PuzzleData) -> None:
    """No constant and no copy solves a task; each is scored on the cells that it would be fooled by."""
    test = whole.test
    cells, filled = {}, {}
    for name, predict in whole.puzzle.predictors(whole.train).items():
        right = predict(test) == test.labels
        assert not right.all(1).any(), name
        cells[name], filled[name] = right.mean(), right[test.labels != PAD].mean()
    assert cells["all PAD"] == (test.labels == PAD).mean()
    assert filled["all PAD"] == 0
    assert filled["the input"] > 0.7
    assert cells["the input"] > cells["majority colour"] > cells["all PAD"]
