"""Demonstrations in the input: what the network reads of them, and what is scored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from leadline.config import ConfigError
from trainables.arc_hrm.family import ARC_HRM
from trainables.arc_hrm.model import parameter_count
from trainables.arc_hrm.scoring import answers, read_of
from trainables.arc_hrm.task import ArcHRMTask
from trainables.puzzles.data import PuzzleData
from trainables.puzzles.grids import DEMO_INPUTS, DEMO_LABELS
from trainables.puzzles.puzzle import PAD, Rows

SMALL: dict[str, Any] = {
    "task": "rules",
    "size": 6,
    "grid_size": 4,
    "train_rules": 2,
    "train_boards": 40,
    "validation_boards": 20,
    "test_boards": 20,
    "demonstrations": 2,
    "hidden": 16,
    "heads": 2,
    "max_cycles": 2,
    "batch": 8,
}
READING = {**SMALL, "demonstrations_in_input": True}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> PuzzleData:
    return ARC_HRM.build_data(ARC_HRM.config(SMALL))


def made(data: PuzzleData, fields: dict[str, Any]) -> ArcHRMTask:
    torch.manual_seed(0)
    task = ARC_HRM.task(ARC_HRM.config(fields), data, CPU)
    task.net.eval()
    return task


def rows_of(data: PuzzleData, count: int) -> Rows:
    return data.puzzle.rows(data.validation, np.arange(count))


def test_both_kinds_of_network_have_the_same_boards() -> None:
    """So that their scores are paired."""
    assert ARC_HRM.config(SMALL).data_key == ARC_HRM.config(READING).data_key


def test_the_answer_depends_on_what_is_shown(data: PuzzleData) -> None:
    rows = rows_of(data, 6)
    others = {**rows, DEMO_INPUTS: np.roll(rows[DEMO_INPUTS], 1, 0), DEMO_LABELS: np.roll(rows[DEMO_LABELS], 1, 0)}
    for fields, depends in ((READING, True), (SMALL, False)):
        net = made(data, fields).net
        said, changed = (
            net(**{name: torch.from_numpy(array) for name, array in read_of(net.config, one).items()}).logits
            for one in (rows, others)
        )
        assert torch.equal(said, changed) is not depends


def test_which_grid_is_the_answer_of_which_can_be_told(data: PuzzleData) -> None:
    rows = rows_of(data, 4)
    exchanged = {**rows, DEMO_INPUTS: rows[DEMO_LABELS], DEMO_LABELS: rows[DEMO_INPUTS]}
    net = made(data, READING).net
    assert not np.allclose(answers(net, rows, CPU).halt, answers(net, exchanged, CPU).halt)


def test_a_board_is_answered_as_if_it_were_alone(data: PuzzleData) -> None:
    """Demonstrations of other rows decide which cells are computed, and change no answer."""
    rows = rows_of(data, 8)
    net = made(data, READING).net
    read = {name: torch.from_numpy(array) for name, array in read_of(net.config, rows).items()}
    together = net(**read, each=True).logits
    for row in range(8):
        alone = net(**{name: tensor[row : row + 1] for name, tensor in read.items()}, each=True).logits[0]
        torch.testing.assert_close(alone, together[row], atol=1e-5, rtol=1e-4)


def test_a_missing_demonstration_is_read_by_nobody(data: PuzzleData) -> None:
    rows = rows_of(data, 4)
    for name in (DEMO_INPUTS, DEMO_LABELS):
        rows[name][:, 1] = PAD
    wide = made(data, READING).net
    narrow = made(data, {**READING, "demonstrations": 1}).net
    narrow.load_state_dict(
        {**wide.state_dict(), "grid_embedding.weight": wide.state_dict()["grid_embedding.weight"][:3]}
    )
    one = {**rows, DEMO_INPUTS: rows[DEMO_INPUTS][:, :1], DEMO_LABELS: rows[DEMO_LABELS][:, :1]}
    np.testing.assert_allclose(answers(narrow, one, CPU).halt, answers(wide, rows, CPU).halt, rtol=1e-5)


def test_a_grid_s_embedding_is_all_that_is_added(data: PuzzleData) -> None:
    """Networks without demonstrations keep the published size."""
    counts = [sum(one.numel() for one in made(data, fields).net.parameters()) for fields in (SMALL, READING)]
    assert counts == [parameter_count(16, 2, 12), parameter_count(16, 2, 12) + 5 * 16]


def test_new_rules_are_scored_apart(data: PuzzleData) -> None:
    """`exact` is on rules that are trained, for trials and trivial predictors alike."""
    for fields in (SMALL, READING):
        with torch.no_grad():
            found = made(data, fields).evaluate("validation")
        assert found["exact"].n == found["cells_without_pad"].n == 20
        assert found["exact_new"].n == 20, "rules"
    said = ARC_HRM.baselines(ARC_HRM.config(SMALL), data, "validation")
    assert {name: measure.n for name, measure in said["all PAD"].items()} == {
        "exact": 20,
        "cells": 20,
        "cells_without_pad": 20,
        "shape": 20,
        "exact_new": 20,
    }
    assert said["oracle: the rule"]["exact_new"].value == 1


def test_the_audit_says_whether_the_rule_can_be_known(data: PuzzleData) -> None:
    for fields, said in ((SMALL, True), (READING, False)):
        found = {finding.guard for finding in ARC_HRM.audit(ARC_HRM.config(fields), data)}
        assert ("unnamed_tasks" in found) is said


def test_predicting_reads_demonstrations(data: PuzzleData) -> None:
    config = ARC_HRM.config(READING)
    net = made(data, READING).net
    example = ARC_HRM.example(config)
    assert len(example["demonstrations"]) == 2
    assert ARC_HRM.predict(net, example, config) == ARC_HRM.predict(net, example, config)
    for given in (example["query"], {"query": example["query"], "task": example["task"]}):
        with pytest.raises(ConfigError, match=r"^inputs: needs `demonstrations`, pairs of grids"):
            ARC_HRM.predict(net, given, config)


def test_a_network_that_reads_no_demonstrations_answers_a_bare_grid(data: PuzzleData) -> None:
    config = ARC_HRM.config(SMALL)
    net = made(data, SMALL).net
    example = ARC_HRM.example(config)
    assert ARC_HRM.predict(net, example["query"], config) == ARC_HRM.predict(net, example, config)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ["demonstrations=2 has no effect on a network that reads none"]),
        ({"demonstrations_in_input": True}, []),
        (
            {"demonstrations_in_input": True, "task_ids": "background 1,background 2,border 1", "train_rules": 3},
            ["train_rules=3 has no effect with task_ids"],
        ),
        (
            {"task": "sudoku", "size": 6, "demonstrations": 0, "task_ids": "background 1", "clues": 30},
            [
                "task_ids=('background 1',) has no effect without task=arc or task=rules",
                "train_rules=2 has no effect without task=rules",
                "grid_size=4 has no effect without task=rules",
            ],
        ),
        (
            {"demonstrations_in_input": True, "restart_period": 9},
            ["restart_period=9 has no effect without schedule=restarts"],
        ),
    ],
)
def test_fields_without_effect(fields: dict[str, Any], said: list[str]) -> None:
    assert ARC_HRM.config({**SMALL, **fields}).unused() == said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"demonstrations": 0}, r"demonstrations: must be at least 1 with demonstrations_in_input \(got 0\)"),
        ({"task": "sudoku", "size": 6, "grid_size": 0}, r"demonstrations: must be 0, as sudoku has none \(got 2\)"),
        ({"grid_size": 7}, r"grid_size: from 3 to size, which is 6, or 0 \(got 7\)"),
        ({"task_ids": "flip"}, r"task_ids: no rule 'flip' can be trained on; a rule is such as 'background 2'"),
        ({"task_ids": "flip up-down,flip up-down"}, r"task_ids: each rule once"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{said}$"):
        ARC_HRM.config({**READING, **fields})
