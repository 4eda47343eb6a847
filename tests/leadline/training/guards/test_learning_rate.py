"""The learning rate's guard: dead rates are named, healthy schedules are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from leadline.checkpoint import CheckpointStore
from leadline.storage import Folder
from leadline.training.guards.learning_rate import LearningRate
from tests.leadline.training.guards.mistakes import MISTAKES, findings, interval, told, watched


def test_a_plateau_rule_fed_with_single_minibatches_is_caught_and_named() -> None:
    found = told(watched(MISTAKES, LearningRate(), fault="single_minibatches", lr=0.1))
    assert [finding.failed for finding in found] == [True]
    assert 0 < found[0].number < 1e-3
    assert "likely cause: ReduceLROnPlateau is fed single minibatches' losses" in found[0].sentence


def test_a_rate_of_0_before_the_end_is_caught() -> None:
    found = told(watched(MISTAKES, LearningRate(), fault="stuck"))
    assert [(finding.failed, finding.number) for finding in found] == [(True, 0.0)]
    assert "ReduceLROnPlateau" not in found[0].sentence
    step = int(found[0].sentence.partition("since step ")[2].split()[0])
    assert 180 <= step <= 200, "the step at which it died, to within a look"


@pytest.mark.parametrize("fields", [{}, {"warm_up": 0.6}, {"cycles": 4, "steps": 800}, {"steps": 90, "eval_every": 20}])
def test_healthy_schedules_are_quiet(fields: dict[str, Any]) -> None:
    assert told(watched(MISTAKES, LearningRate(), **fields)) == []


def test_a_rate_may_become_small_in_the_second_half() -> None:
    rates = [0.1 * 10 ** (-step / 30) for step in range(0, 100, 10)]
    slow = [interval(10 * i, 1.0, rates=(rate,)) for i, rate in enumerate(rates, 1)]
    assert findings(_guard(), slow) == []


def test_groups_are_named_and_taken_back() -> None:
    rates = [(0.1, 0.1), (0.1, 0.0), (0.1, 0.0), (0.1, 0.05)]
    found = findings(_guard(2), [interval(10 * i, 1.0, rates=pair) for i, pair in enumerate(rates, 1)])
    assert [(finding.subject, finding.failed) for finding in found] == [("group 1", True), ("group 1", False)]
    assert "back at 0.05 at step 40" in found[1].sentence


def test_a_rate_that_never_leaves_0_is_dead() -> None:
    found = findings(_guard(), [interval(step, 1.0, rates=(0.0,)) for step in range(10, 101, 10)])
    assert [finding.sentence for finding in found] == [
        "the learning rate has been 0 for all of the first 50 of 100 steps"
    ]


def test_a_resumed_trial_says_the_same(tmp_path: Path) -> None:
    def loop(attempt: int, folder: str) -> Any:
        store = CheckpointStore(Folder.at(str(tmp_path / folder)), attempt)
        return watched(MISTAKES, LearningRate(), store, fault="single_minibatches", lr=0.1)

    whole = told(loop(1, "whole"))
    told(loop(1, "cut"), reports=2)
    assert told(loop(2, "cut")) == whole


def _guard(groups: int = 1) -> LearningRate:
    guard = LearningRate()
    loop = watched(MISTAKES, guard)
    parameters = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)]
    loop.task.optimizers, loop.task.schedulers = [torch.optim.SGD(parameters, lr=0.1)], ()
    return guard
