"""No-ops: loss terms and stages of the curriculum that change no gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from leadline.measure import Measure
from leadline.task import Batch
from leadline.training.guards.guard import Interval
from leadline.training.guards.no_op import NoOpStage, NoOpTerm
from tests.leadline.training.guards.faulty import FAULTY, Faulty, FaultyConfig, FaultyTask, config, fired, run


def test_a_term_without_a_gradient_is_named() -> None:
    _, reports = run(FAULTY, config(fault="dead_term"), NoOpTerm())
    found = list(fired(reports))
    assert {finding.subject for finding in found} == {"size"}
    assert found[0].number >= 3
    assert found[0].sentence == f"size changed the gradient on none of {found[0].number} steps looked at."


def test_a_term_with_a_value_and_no_gradient_is_named_at_once() -> None:
    _, reports = run(FAULTY, config(fault="dead_term"), NoOpTerm())
    assert [finding.subject for finding in reports[0].findings] == ["size"]


def test_so_it_is_where_reports_come_every_16_steps() -> None:
    _, reports = run(FAULTY, config(fault="dead_term", steps=64, eval_every=16), NoOpTerm())
    assert [finding.subject for finding in reports[0].findings] == ["size"]


def test_a_healthy_one_is_not() -> None:
    _, reports = run(FAULTY, config(), NoOpTerm())
    assert not [finding for report in reports for finding in report.findings]


def test_a_term_without_weight_is_named_at_half_of_the_budget_and_taken_back_when_it_comes_alive() -> None:
    _, reports = run(FAULTY, config(late=0.6), NoOpTerm())
    told = [(report.step, finding.failed, finding.sentence) for report in reports for finding in report.findings]
    assert told[0][:2] == (200, True)
    assert told[-1] == (300, False, "size changes the gradient.")


class HingedTask(FaultyTask):
    """A hinge beside the fit: satisfied until a share of the budget, then active."""

    active = 1.0

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        y = model(batch["x"])
        margin = 1.0 if progress >= self.active else -1e6
        return {"fit": ((y - batch["y"]) ** 2).mean(), "hinge": torch.relu(margin + y.square()).mean()}


class Hinged(Faulty):
    def __init__(self, active: float) -> None:
        self.active = active

    def task(self, config: FaultyConfig, data: Any, device: torch.device) -> FaultyTask:
        task = HingedTask(config, data, device)
        task.active = self.active
        return task


def test_a_hinge_that_is_always_satisfied_is_named_at_half_of_the_budget() -> None:
    _, reports = run(Hinged(1.0), config(), NoOpTerm())
    assert [bool(report.findings) for report in reports] == [False, True, True, True]
    found = list(fired(reports))
    assert {finding.subject for finding in found} == {"hinge"}
    assert (
        found[0].sentence == f"hinge was 0 on each of {found[0].number} steps looked at, so it never taught anything."
    )


@pytest.mark.parametrize("active", [0.0, 0.3])
def test_a_hinge_that_is_satisfied_for_a_while_is_not(active: float) -> None:
    guard = NoOpTerm()
    _, reports = run(Hinged(active), config(), guard)
    assert not [finding for report in reports for finding in report.findings]
    assert guard.state_dict()["alive"] == ["fit", "hinge"]


def looked(guard: NoOpTerm, term: torch.Tensor, looks: int, step: int) -> list[str]:
    """What a guard says at a step after some more looks at one term."""
    for _ in range(looks):
        guard.before_backward(0, {}, {"term": term})
    return [finding.sentence for finding in guard.report(interval(step))]


def test_looks_at_zero_do_not_count_as_looks_at_a_value() -> None:
    guard = NoOpTerm()
    guard.started(FAULTY.task(config(), FAULTY.build_data(config()), torch.device("cpu")))
    zero, one = torch.zeros(()), torch.ones(())
    assert looked(guard, zero, 5, 100) == []
    assert looked(guard, one, 2, 150) == []
    again = NoOpTerm()
    again.load_state_dict(guard.state_dict())
    again.started(guard.task)
    for other in (guard, again):
        assert looked(other, one, 1, 175) == ["term changed the gradient on none of 8 steps looked at."]


def test_both_kinds_together_count_from_half_of_the_budget_on() -> None:
    guard = NoOpTerm()
    guard.started(FAULTY.task(config(), FAULTY.build_data(config()), torch.device("cpu")))
    assert looked(guard, torch.zeros(()), 2, 100) == []
    assert looked(guard, torch.ones(()), 1, 199) == []
    assert looked(guard, torch.ones(()), 0, 200) == ["term changed the gradient on none of 3 steps looked at."]


def test_a_live_term_is_not_looked_at_again() -> None:
    guard = NoOpTerm()
    run(FAULTY, config(), guard)
    assert guard.state_dict()["alive"] == ["fit", "size"]
    assert guard.state_dict()["idle"] == {
        "fit": guard.state_dict()["idle"]["size"],
        "size": guard.state_dict()["idle"]["fit"],
    }
    assert guard.state_dict()["idle"]["fit"] == 1, "nor in the interval of the look at which it was seen to be alive"


@pytest.mark.parametrize(
    ("fault", "eval_every"), [("same_rows", 100), ("same_rows", 16), ("unread_stage", 50), ("unread_stage", 16)]
)
def test_stages_that_change_nothing_are_named(fault: str, eval_every: int) -> None:
    _, reports = run(FAULTY, config(fault=fault, stages=4, steps=800, eval_every=eval_every), NoOpStage())
    found = list(fired(reports))
    assert {finding.subject for finding in found} == {"stage 1", "stage 2", "stage 3"}, (
        "and not the first, which has none before it"
    )
    assert {finding.number for finding in found} <= {8, 9}


@pytest.mark.parametrize("stages", [1, 4, 100])
def test_stages_that_change_something_are_not(stages: int) -> None:
    _, reports = run(FAULTY, config(stages=stages, steps=800, eval_every=50), NoOpStage())
    assert not [finding for report in reports for finding in report.findings]


def test_many_stages_cost_one_comparison_of_gradients() -> None:
    """What that one found the loss to read needs no other."""
    guard, again = NoOpStage(), NoOpStage()
    loop, _ = run(FAULTY, config(stages=100), guard)
    alone, _ = run(FAULTY, config(stages=100))
    assert isinstance(loop.task, FaultyTask)
    assert isinstance(alone.task, FaultyTask)
    assert loop.task.calls == alone.task.calls + 2
    assert guard.state_dict()["read"] == [["y"]]
    again.load_state_dict(guard.state_dict())
    assert again.state_dict() == guard.state_dict()


class RareTask(FaultyTask):
    """A stage adds something to every fourth batch."""

    def staged_batch(self, step: int, stage: int) -> Batch:
        return super().staged_batch(step, stage if step % 4 == 0 else 0)


class Rare(Faulty):
    def task(self, config: FaultyConfig, data: Any, device: torch.device) -> FaultyTask:
        return RareTask(config, data, device)


def test_a_stage_that_changes_some_batches_is_not_named() -> None:
    guard = NoOpStage()
    _, reports = run(Rare(), config(stages=2), guard)
    assert not [finding for report in reports for finding in report.findings]
    assert guard.state_dict()["different"] == [1]
    assert guard.state_dict()["alike"][1] > 0, "or this test shows nothing"


class BiggerTask(FaultyTask):
    """A stage doubles the batch."""

    def staged_batch(self, step: int, stage: int) -> Batch:
        whole = super().staged_batch(step, 0)
        return whole if stage else {name: tensor[:8] for name, tensor in whole.items()}


class Bigger(Faulty):
    def task(self, config: FaultyConfig, data: Any, device: torch.device) -> FaultyTask:
        return BiggerTask(config, data, device)


def test_batches_of_different_size_are_compared() -> None:
    guard = NoOpStage()
    run(Bigger(), config(stages=2), guard)
    assert guard.state_dict()["different"] == [1]


def interval(step: int) -> Interval:
    return Interval(step, 100, 400, 1.0, np.zeros(100), (0.1,), Measure.exact(1.0), minimise=True)


def test_the_comparison_of_gradients_puts_everything_back() -> None:
    """Weights, buffers, gradients, mode and carry; it does call the loss."""
    task = FAULTY.task(config(stages=2, dropout=0.5), FAULTY.build_data(config()), torch.device("cpu"))
    task.model.eval()
    task.carry = 0.25
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    guard = NoOpStage()
    guard.started(task)
    for step in (199, 200):
        guard.before_backward(step, task.batch(step), {})
    list(guard.report(interval(300)))
    assert task.calls == 2
    assert guard.state_dict()["different"] == [1]
    assert not task.model.training
    assert task.carry == 0.25
    assert all(parameter.grad is None for parameter in task.model.parameters())
    for name, tensor in task.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_micro_batch_that_differs_is_compared() -> None:
    """The first rows are equal in both stages."""
    task = FAULTY.task(config(stages=2), FAULTY.build_data(config()), torch.device("cpu"))
    guard = NoOpStage()
    guard.started(task)
    whole = task.staged_batch

    def staged(step: int, stage: int) -> Batch:
        return {name: torch.cat([whole(step, 0)[name][:12], whole(step, stage)[name][12:]]) for name in ("x", "y")}

    task.staged_batch = staged  # type: ignore[method-assign]
    for step in (199, 200):
        guard.before_backward(step, {name: tensor[:4] for name, tensor in task.batch(step).items()}, {})
    list(guard.report(interval(300)))
    assert guard.state_dict()["different"] == [1]
