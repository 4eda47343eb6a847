"""Gradient coverage: a part that is trained on one step of 16 is named, and so is a parameter that never is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from leadline.task import Batch
from leadline.training.guards.gradients import GradientCoverage, submodules
from leadline.training.guards.guard import APART, looks_at
from tests.leadline.training.guards.faulty import FAULTY, Faulty, FaultyConfig, FaultyTask, config, fired, run


def test_an_encoder_that_is_detached_on_15_of_16_steps_is_named() -> None:
    _, reports = run(FAULTY, config(fault="cached", eval_every=200), GradientCoverage())
    found = list(fired(reports))
    assert {finding.subject for finding in found} == {"encoder"}, "its parameters are not named beside it"
    last = found[-1]
    assert 0 < last.number < 0.2
    assert last.sentence.startswith("encoder received a gradient on ")
    assert last.sentence.endswith(" steps looked at.")


@pytest.mark.parametrize("every", [4, 16, 64])
def test_so_it_is_in_256_steps_with_a_report_every_16(every: int) -> None:
    """Few steps are looked at then, and not those alone on which it is trained, which come every 16 steps too."""
    guard = GradientCoverage()
    _, reports = run(FAULTY, config(fault="cached", eval_every=every, steps=256), guard)
    assert {finding.subject for finding in fired(reports)} == {"encoder"}
    received, looks = guard.state_dict()["parts"]["encoder"]
    assert looks <= 2 + 256 / min(every, APART) + 2
    assert received <= 0.2 * looks


def test_a_parameter_that_never_gets_a_gradient_is_named() -> None:
    _, reports = run(FAULTY, config(fault="dead_parameter", steps=200, eval_every=50), GradientCoverage())
    assert {finding.subject for finding in fired(reports)} == {"decoder.unused"}


def test_a_healthy_model_is_not() -> None:
    _, reports = run(FAULTY, config(), GradientCoverage())
    assert not [finding for report in reports for finding in report.findings]


def test_nothing_is_said_before_16_looks() -> None:
    _, reports = run(FAULTY, config(fault="cached", steps=15, eval_every=15), GradientCoverage())
    assert not reports[0].findings


class ThawingTask(FaultyTask):
    """The encoder is frozen for half of the budget; the last 40 steps have no loss."""

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        for parameter in self.model.get_submodule("encoder").parameters():
            parameter.requires_grad = progress >= 0.5
        return {name: term * (progress < 0.9) for name, term in super().losses(model, batch, progress).items()}


class Thawing(Faulty):
    def task(self, config: FaultyConfig, data: Any, device: torch.device) -> FaultyTask:
        return ThawingTask(config, data, device)


def test_frozen_steps_and_steps_without_any_gradient_do_not_count() -> None:
    guard = GradientCoverage()
    _, reports = run(Thawing(), config(eval_every=16), guard)
    assert not list(fired(reports))
    for part, first in (("encoder", 200), ("decoder", 0)):
        looks = sum(looks_at(step, 16) for step in range(first, 360))
        assert guard.state_dict()["parts"][part] == [looks, looks]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Linear(1, 1), {"weight": ["weight"], "bias": ["bias"]}),
        (
            nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1, False)),
            {"0": ["0.weight", "0.bias"], "2": ["2.weight"]},
        ),
        (
            nn.ModuleDict({"net": nn.Sequential(nn.Linear(1, 1, False), nn.PReLU())}),
            {"net.0": ["net.0.weight"], "net.1": ["net.1.weight"]},
        ),
        (
            nn.ModuleDict({"a": nn.ModuleDict({"b": nn.Linear(1, 1, False)}), "c": nn.PReLU()}),
            {"a": ["a.b.weight"], "c": ["c.weight"]},
        ),
    ],
)
def test_submodules_are_the_children_of_what_holds_the_model(model: nn.Module, expected: dict[str, list[str]]) -> None:
    assert submodules(model) == expected
