"""Small grids and their rules: instances that nobody was shown, and rules that nobody was trained on."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

from leadline.config import ConfigError, make
from trainables.grids.grid import decode, encode
from trainables.grids.rules.registry import HELD_FAMILIES, HELD_MEMBERS, RULES, TRAINED, is_held, training
from trainables.puzzles.audit import audit
from trainables.puzzles.data import PuzzleData, Sampler
from trainables.puzzles.puzzle import Boards
from trainables.puzzles.rules import NEW, PARTS, RULE, GridRules, _distinct, part
from trainables.puzzles.sudoku import Sudoku
from trainables.recursive.config import TRMConfig

COUNTS = {"test": 30, "validation": 20, "train": 120}
NAMES = tuple(RULES)
FIELDS: dict[str, Any] = {"task": "rules", "size": 5, "demonstrations": 2, "train_boards": 120, "batch": 12}


@pytest.fixture(scope="module")
def puzzle() -> GridRules:
    return GridRules(5, 2, 6)


@pytest.fixture(scope="module")
def splits(puzzle: GridRules) -> dict[str, Boards]:
    return puzzle.draw(COUNTS, np.random.default_rng(4))


def _pairs(puzzle: GridRules, inputs: Any, labels: Any) -> list[tuple[Any, Any]]:
    found = [[decode(tokens.astype(np.uint8), puzzle.side) for tokens in side] for side in (inputs, labels)]
    return list(zip(*found, strict=True))


def test_every_board_and_every_demonstration_obeys_its_rule(puzzle: GridRules, splits: dict[str, Boards]) -> None:
    for boards in splits.values():
        rows = puzzle.rows(boards, np.arange(len(boards)), np.random.default_rng(0))
        for place, rule in enumerate(boards.extra[RULE].tolist()):
            answer = RULES[NAMES[rule]].answer
            shown = _pairs(puzzle, rows["demo_inputs"][place], rows["demo_labels"][place])
            for one, other in (*_pairs(puzzle, rows["inputs"][[place]], rows["labels"][[place]]), *shown):
                np.testing.assert_array_equal(answer(one), other)


def test_half_of_what_is_scored_is_of_rules_that_are_never_trained(splits: dict[str, Boards]) -> None:
    trained = {NAMES[rule] for rule in splits["train"].extra[RULE].tolist()}
    assert trained == {rule.name for rule in training(6)} == set(TRAINED[:6])
    for split in ("validation", "test"):
        boards = splits[split]
        assert len(boards) == 2 * COUNTS[split]
        assert boards.extra[NEW].sum() == COUNTS[split]
        assert 0 < boards.extra[NEW][: COUNTS[split]].sum() < COUNTS[split], "in random order"
        new = {NAMES[rule] for rule in boards.extra[RULE][boards.extra[NEW]].tolist()}
        assert new == {*HELD_MEMBERS, *HELD_FAMILIES}
        assert not trained & new


def test_no_scored_input_is_trained_on_or_shown(puzzle: GridRules, splits: dict[str, Boards]) -> None:
    """Also not as a demonstration, of any split; the parts are all that decides it."""
    for split, boards in splits.items():
        rules = [RULES[NAMES[rule]] for rule in boards.extra[RULE].tolist()]
        assert all(part(rule, board) in PARTS[split] for rule, board in zip(rules, boards.inputs, strict=True))
        rows = puzzle.rows(boards, np.arange(len(boards)), np.random.default_rng(0))
        shown = rows["demo_inputs"].astype(np.uint8)
        for rule, grids in zip(rules, shown, strict=True):
            assert all(part(rule, grid) in PARTS["train"] for grid in grids)
            assert len({grid.tobytes() for grid in grids}) == 2
        assert not (shown == rows["inputs"][:, None]).all(2).any()
    names = [name for boards in splits.values() for name in boards.classes.tolist()]
    assert len(names) == len(set(names)) == 120 + 2 * 50


def test_the_audit_sees_a_leak(puzzle: GridRules, splits: dict[str, Boards]) -> None:
    data = PuzzleData(puzzle, splits["train"], splits["validation"], splits["test"])
    found = {finding.guard: finding for finding in audit(data)}
    assert not [finding for finding in found.values() if finding.failed]
    assert found["rules"].sentence.endswith(": background 2, recolour 0, flip left-right, keep 3, border 4, fall down.")
    assert found["answers_test"].sentence == "0 of 60 test labels are not well formed."
    scored = Boards.of({name: array[:9] for name, array in splits["test"].arrays().items()})
    leaky = dataclasses.replace(data, train=scored)
    assert {f.guard: f.number for f in audit(leaky) if f.failed} == {"overlap_test_boards": 9}


def test_demonstrations_of_training_boards_are_drawn_anew(puzzle: GridRules, splits: dict[str, Boards]) -> None:
    train, index = splits["train"], np.zeros(300, dtype=np.int64)
    rows = puzzle.rows(train, index, np.random.default_rng(0))
    first = {grid.tobytes() for grid in rows["demo_inputs"][:, 0]}
    assert len(first) == 120 // 6 - 1  # all others of the same rule
    assert rows["demo_mask"].all()
    fixed = puzzle.rows(train, index[:2])
    np.testing.assert_array_equal(fixed["demo_inputs"][0], train.inputs[[6, 12]])
    scored = puzzle.rows(splits["test"], np.arange(60), np.random.default_rng(1))
    np.testing.assert_array_equal(scored["demo_inputs"], splits["test"].extra["demo_inputs"])


def test_identifiers_are_the_trained_rules(puzzle: GridRules, splits: dict[str, Boards]) -> None:
    rows = puzzle.rows(splits["train"], np.arange(12))
    assert rows["puzzle"].tolist() == [0, 1, 2, 3, 4, 5] * 2
    assert puzzle.identifiers == 6
    alone = GridRules(5, 0, 6).draw(COUNTS, np.random.default_rng(4))
    assert [len(alone[split]) for split in COUNTS] == [30, 20, 120]
    assert "demo_inputs" not in GridRules(5, 0, 6).rows(alone["test"], np.arange(3))


def test_demonstrations_are_different_and_none_is_the_board_itself() -> None:
    most = np.array([4, 7] * 300)
    found = _distinct(most, 4, np.random.default_rng(0))
    assert found.min() == 1
    assert (found <= most[:, None]).all()
    assert all(len(set(row)) == 4 for row in found.tolist())
    counts = np.bincount(found[1::2].reshape(-1), minlength=8)[1:]
    assert counts.min() > 0.8 * counts.mean()


def test_held_out_rules_are_the_same_however_many_are_trained() -> None:
    """And so are their boards."""
    few, many = (GridRules(5, 2, count).draw({"test": 40, "train": 120}, np.random.default_rng(0)) for count in (4, 30))
    new = [sorted(set(split["test"].extra[RULE][split["test"].extra[NEW]].tolist())) for split in (few, many)]
    assert new[0] == new[1]
    assert {*few["test"].classes[few["test"].extra[NEW]]} == {*many["test"].classes[many["test"].extra[NEW]]}
    assert len(new[0]) == 20


def test_oracles_know_the_rules_and_nobody_else_does(puzzle: GridRules, splits: dict[str, Boards]) -> None:
    test = splits["test"]
    predictors = puzzle.predictors(splits["train"])
    exact = {name: (predict(test) == test.labels).all(1).mean() for name, predict in predictors.items()}
    assert exact.pop("oracle: the rule") == 1
    assert exact.pop("oracle: search") > 0.9
    assert max(exact.values()) < 0.05
    assert {"all PAD", "the input", "majority colour", "most frequent", "first demonstration"} == set(exact)


def test_what_a_person_gives(puzzle: GridRules) -> None:
    rows = puzzle.read(puzzle.example)
    assert rows["demo_mask"].all()
    assert pickle.loads(pickle.dumps(puzzle)) == puzzle  # noqa: S301  (written in this line)
    board = rows["inputs"][0].astype(np.uint8)
    assert encode(decode(board, 5), 5).tolist() == board.tolist()  # type: ignore[arg-type]
    assert puzzle.lawful(board[None], board[None]).all()
    with pytest.raises(ConfigError, match=r"^inputs: query: a grid of 1 by 6 does not fit a canvas of side 5"):
        puzzle.read({**puzzle.example, "query": ["111111"]})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train_rules": 41}, "train_rules: input should be less than or equal to 40 (got 41)"),
        ({"size": 31}, "size: no grid is larger than 30 (got 31)"),
        (
            {"task_ids": "fill 9,rotate 180"},
            "task_ids: 'rotate 180' is of a family that is held out; a rule is such as 'background 2'",
        ),
        (
            {"task_ids": "rotate 180 then remove 3"},
            "task_ids: 'rotate 180 then remove 3' is of a family that is held out; a rule is such as 'background 2'",
        ),
        ({"clues": 4}, "clues: grids have none (got 4)"),
        (
            {"train_boards": 35},
            "train_boards: at least 36, as 12 rules need a pair and 2 others each (got 35)",
        ),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make(TRMConfig, {**FIELDS, **fields})
    assert str(refused.value) == message


def test_more_inputs_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.puzzles.rules.PATIENCE", 3)
    with pytest.raises(
        ConfigError, match=r"^test_boards: 3 draws brought no other input of .* at side 3; ask for fewer"
    ):
        GridRules(3, 2, 1).draw({"test": 5000}, np.random.default_rng(0))


def test_a_step_is_a_function_of_seed_and_step(puzzle: GridRules, splits: dict[str, Boards]) -> None:
    config = make(TRMConfig, {**FIELDS, "train_rules": 6})
    one, other = (Sampler(config, splits["train"], 12).rows(7) for _ in range(2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


def test_boards_that_agree_with_the_next_ones_rule(puzzle: GridRules, splits: dict[str, Boards]) -> None:
    """Those of one rule do, and others whose answers happen to be the same."""
    boards = splits["train"]
    order = np.argsort(boards.extra[RULE], kind="stable")
    rules = boards.extra[RULE][order].tolist()
    found = puzzle.agreeing(boards.take(order)).tolist()
    for place, (own, after) in enumerate(zip(rules, [*rules[1:], rules[0]], strict=True)):
        (pair,) = _pairs(puzzle, boards.inputs[order[[place]]], boards.labels[order[[place]]])
        assert found[place] == (RULES[NAMES[after]].answer(pair[0]).tolist() == pair[1].tolist())
        assert found[place] or own != after
    assert not all(found)
    assert sum(puzzle.agreeing(boards)) < len(boards) / 4, "rules take turns"
    assert Sudoku(4).agreeing(boards) is None


def test_grids_may_be_smaller_than_the_canvas() -> None:
    """PAD then fills the rest, on all splits and in all demonstrations."""
    puzzle = GridRules(8, 1, 2, grid_size=4)
    for boards in puzzle.draw({"test": 20, "train": 20}, np.random.default_rng(0)).values():
        for tokens in (
            boards.inputs,
            boards.labels,
            *(boards.extra.get(name, boards.inputs) for name in ("demo_labels",)),
        ):
            sides = [decode(one, 8).shape for one in tokens.reshape(-1, 64)]  # type: ignore[union-attr]
            assert max(map(max, sides)) <= 4
            assert (tokens == 0).mean() > 0.6
    assert puzzle.key == "rules2-side8-grid4-shown1"


def test_rules_by_name() -> None:
    """They stand in the place of the first ones, as identifiers, in the audit and in the key."""
    names = ("fill 9", "border 2")
    puzzle = make(TRMConfig, {**FIELDS, "task_ids": ",".join(names)}).puzzle
    assert isinstance(puzzle, GridRules)
    boards = puzzle.draw(COUNTS, np.random.default_rng(0))
    assert {NAMES[rule] for rule in boards["train"].extra[RULE].tolist()} == set(names)
    assert puzzle.rows(boards["train"], np.arange(4))["puzzle"].tolist() == [0, 1, 0, 1]
    assert {NAMES[rule] for rule in boards["test"].extra[RULE][~boards["test"].extra[NEW]].tolist()} == set(names)
    assert [puzzle.number(name) for name in names] == [0, 1]
    assert puzzle.findings(boards)[0].sentence == "2 rules are trained on: fill 9, border 2."
    assert puzzle.key.endswith("fill 9+border 2")
    with pytest.raises(ConfigError, match=r"^task_ids: no rule 'fill 7' can be trained on"):
        make(TRMConfig, {**FIELDS, "task_ids": "fill 7"})


def test_no_rule_that_may_be_trained_is_of_a_held_family() -> None:
    assert not any(map(is_held, training(len(TRAINED))))
    assert all(is_held(RULES[name]) for name in HELD_FAMILIES)
    assert not any(is_held(RULES[name]) for name in HELD_MEMBERS)
    assert is_held(RULES["hollow out then recolour 14"])
