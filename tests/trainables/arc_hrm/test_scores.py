"""What is scored and said: metrics, baselines, the guard on near constants, audits, answers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from leadline.measure import Measure
from leadline.training.guards.guard import Interval
from trainables.arc_hrm import baselines
from trainables.arc_hrm.family import ARC_HRM
from trainables.arc_hrm.guards import NearConstant, spread
from trainables.arc_hrm.losses import IGNORED
from trainables.arc_hrm.scoring import score_answers
from trainables.puzzles.data import PuzzleData
from trainables.puzzles.puzzle import I64, PAD, Boards
from trainables.puzzles.sudoku import Sudoku

SMALL: dict[str, Any] = {
    "train_boards": 48,
    "validation_boards": 24,
    "test_boards": 16,
    "hidden": 16,
    "heads": 2,
    "max_cycles": 3,
    "batch": 8,
}
CPU = torch.device("cpu")


@dataclasses.dataclass(frozen=True)
class OfTasks(Sudoku):
    """Sudokus of which several are a task."""

    def tasks(self, boards: Boards) -> I64:
        return np.asarray(boards.extra["task"], dtype=np.int64)

    def units(self, boards: Boards) -> I64:
        return self.tasks(boards)


@pytest.fixture(scope="module")
def data() -> PuzzleData:
    return ARC_HRM.build_data(ARC_HRM.config(SMALL))


def padded(boards: Boards) -> Boards:
    """The boards with three quarters of their cells outside of the grid; three boards are a task."""
    labels = boards.labels.copy()
    labels[:, 4:] = PAD
    return dataclasses.replace(boards, labels=labels, extra={"task": np.arange(len(boards)) // 3})


@pytest.fixture(scope="module")
def padded_data(data: PuzzleData) -> PuzzleData:
    splits = {split: padded(data.scored(split)) for split in ("train", "validation", "test")}
    return dataclasses.replace(data, puzzle=OfTasks(4), **splits)


def boards_of(labels: list[list[int]], **extra: list[int]) -> Boards:
    array = np.array(labels, dtype=np.uint8)
    arrays = {name: np.array(values) for name, values in extra.items()}
    return Boards(array, array, np.zeros(len(array), "S24"), np.zeros(len(array), np.int32), arrays)


def test_what_counts() -> None:
    """PAD counts among all cells, and not for `exact`; an ignored label counts nowhere."""
    labels = np.array([[2, 3, PAD, PAD], [2, 3, IGNORED, PAD], [2, 3, 4, PAD]])
    answers = np.array([[2, 3, 9, PAD], [2, 9, 9, 9], [2, 3, 4, PAD]])
    found = score_answers(Sudoku(4), boards_of([[0] * 4] * 3), answers, labels)
    assert found["exact"].units == (1, 0, 1)
    assert found["cells"].units == pytest.approx((3 / 4, 1 / 3, 1))
    assert found["cells_without_pad"].units == pytest.approx((1, 1 / 2, 1))


def test_tasks_are_the_units() -> None:
    """The mean of each task's boards first, so that a task of many boards weighs no more."""
    boards = boards_of([[2]] * 4, task=[7, 7, 7, 3])
    labels = np.full((4, 1), 2)
    found = score_answers(OfTasks(4), boards, np.array([[2], [9], [9], [2]]), labels)["exact"]
    assert found.units == pytest.approx((1, 1 / 3)), "task 3, then task 7"
    assert found.value == pytest.approx(2 / 3)
    assert found.n == 2
    missing = score_answers(OfTasks(4), boards, np.array([[-1], [9], [9], [2]]), labels)["exact"]
    assert math.isnan(missing.value), "task 7 has no score"


def test_answers_of_weights_that_are_no_numbers_have_no_score() -> None:
    found = score_answers(Sudoku(4), boards_of([[2, 0]]), np.array([[-1, -1]]), np.array([[2, PAD]]))
    assert all(math.isnan(measure.value) for measure in found.values())


def test_baselines_are_those_of_the_puzzle(data: PuzzleData) -> None:
    found = ARC_HRM.baselines(ARC_HRM.config(SMALL), data, "validation")
    assert found.keys() == data.puzzle.predictors(data.train).keys()
    assert found["oracle: solver"]["exact"].value == 1
    assert found["copy the clues"]["exact"].value == 0


def test_all_pad_has_the_score_of_pad(padded_data: PuzzleData) -> None:
    """As in the log: a high share of cells, and nothing else."""
    found = baselines.baselines(padded_data, "test")[baselines.ALL_PAD]
    assert {name: measure.value for name, measure in found.items()} == {
        "exact": 0,
        "cells": 0.75,
        "cells_without_pad": 0,
    }
    assert found["cells"].n == 6, "tasks"


def test_who_is_not_asked_for_pad_has_no_score_by_it(padded_data: PuzzleData) -> None:
    """Nor is it compared by it with the constant, which has next to nothing else right."""
    for pad, scored in (("class", True), ("ignored", False)):
        task = ARC_HRM.task(ARC_HRM.config({**SMALL, "pad": pad}), padded_data, CPU)
        task.net.eval()
        found = [task.evaluate("validation"), task.evaluate_part("exact", np.arange(3))]
        assert [("cells" in measures) for measures in found] == [scored, scored]
        assert all("cells_without_pad" in measures for measures in found)


def test_audits_say_how_much_is_padding_and_that_tasks_are_not_seen(padded_data: PuzzleData) -> None:
    config = ARC_HRM.config({**SMALL, "restart_period": 9})
    found = {finding.guard: finding for finding in ARC_HRM.audit(config, padded_data)}
    assert found["padding"].sentence.startswith("75.0% of the cells of validation labels are PAD")
    assert found["unnamed_tasks"].number == 16
    assert found["unused_fields"].sentence == "restart_period=9 has no effect without schedule=restarts."
    assert not any(found[name].failed for name in ("padding", "unnamed_tasks", "unused_fields"))


def test_audits_of_boards_without_either(data: PuzzleData) -> None:
    found = {finding.guard for finding in ARC_HRM.audit(ARC_HRM.config(SMALL), data)}
    assert not found & {"padding", "unnamed_tasks", "unused_fields"}
    assert "overlap" in " ".join(found)


def test_the_loss_ignores_padding_where_it_is_told_to(padded_data: PuzzleData) -> None:
    """A row's weight makes a mean over the counted cells of the batch."""
    for pad, cells in (("class", 16), ("ignored", 4)):
        task = ARC_HRM.task(ARC_HRM.config({**SMALL, "pad": pad, "augment": False}), padded_data, CPU)
        batch = task.batch(3)
        assert int((batch["labels"] != IGNORED).sum()) == 8 * cells
        assert batch["weight"].tolist() == [1 / cells] * 8
        loss = task.losses(task.model, batch, 0.0)["cross_entropy"]
        said = task.net(batch["inputs"]).logits.log_softmax(-1)
        counted = batch["labels"] != IGNORED
        picked = said.gather(-1, batch["labels"].clamp(min=0)[..., None])[..., 0]
        torch.testing.assert_close(loss, -picked[counted].mean())


def test_spread() -> None:
    assert spread(np.array([[1, 2], [1, 2], [1, 2], [1, 2]])) == 0
    assert spread(np.array([[1, 2], [1, 3], [1, 4], [1, 2]])) == pytest.approx(0.25)


def interval() -> Interval:
    return Interval(10, 10, 20, 1.0, np.ones(10), (1e-3,), Measure.exact(0.0), False)


def test_a_near_constant_is_named_and_taken_back(padded_data: PuzzleData) -> None:
    """All PAD, the log's network, by its bias; and an answer that differs as the labels do."""
    task = ARC_HRM.task(ARC_HRM.config(SMALL), padded_data, CPU)
    guard = NearConstant()
    guard.started(task)
    bias = task.net.output.bias
    healthy = bias.detach().clone()
    with torch.no_grad():
        bias[PAD] += 1e4
    (said,) = guard.report(interval())
    assert said.failed
    assert said.number == 0
    assert said.sentence.startswith("Answers to 24 boards differ in 0.0% of their cells from the most frequent one")
    assert list(guard.report(interval())) == [], "it was said"
    again = NearConstant()
    again.started(task)
    again.load_state_dict(guard.state_dict())
    assert list(again.report(interval())) == []
    with torch.no_grad():
        bias.copy_(healthy)
        task.net.output.weight.mul_(10)
    training = task.net.training
    (said,) = again.report(interval())
    assert not said.failed
    assert said.number > 0.1
    assert task.net.training is training


def test_predicting_agrees_with_evaluating(data: PuzzleData) -> None:
    """Board by board, with a threshold at which some stop early."""
    config = ARC_HRM.config({**SMALL, "halt_threshold": 0.5})
    torch.manual_seed(0)
    task = ARC_HRM.task(config, data, CPU)
    model = task.net.eval()
    with torch.no_grad():  # so that the probabilities of boards lie on both sides of the threshold
        probability = model(torch.from_numpy(data.validation.inputs.astype(np.int64))).halt[1]
        model.halt_predictor.bias.sub_(torch.logit(probability.median()))
        scores = task.evaluate("validation")
    said = [ARC_HRM.predict(model, data.puzzle.show(board), config) for board in data.validation.inputs]
    assert {answer.cycles for answer in said} == {2, 3}
    assert [float(answer.cycles) for answer in said] == list(scores["cycles"].units)
    assert [answer.halt for answer in said] == pytest.approx(scores["halt"].units, abs=1e-5)
    assert [float(bool(answer.valid)) for answer in said] == list(scores["exact"].units)
    assert str(said[0]) == "\n".join(said[0].board)
