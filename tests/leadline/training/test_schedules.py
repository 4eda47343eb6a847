"""A checkpoint of a shorter budget goes on under a longer one: schedules follow the longer one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
)

from leadline.training.schedules import lengthen

Schedule = Callable[[torch.optim.Optimizer, int], LRScheduler]

SCHEDULES: dict[str, Schedule] = {
    "cosine": lambda o, steps: CosineAnnealingLR(o, T_max=steps),
    "linear": lambda o, steps: LinearLR(o, 1.0, 0.01, total_iters=steps),
    "polynomial": lambda o, steps: PolynomialLR(o, total_iters=steps, power=2.0),
    "milestones": lambda o, steps: MultiStepLR(o, [steps // 2, 3 * steps // 4]),
    "one cycle": lambda o, steps: OneCycleLR(o, max_lr=0.1, total_steps=steps + 1),
    "a function": lambda o, steps: LambdaLR(o, lambda step: 1 - step / (2 * steps)),
    "warm-up, then cosine": lambda o, steps: SequentialLR(
        o, [LinearLR(o, 0.1, total_iters=steps // 10), CosineAnnealingLR(o, T_max=steps - steps // 10)], [steps // 10]
    ),
    "chained": lambda o, steps: ChainedScheduler(
        [LinearLR(o, 0.1, total_iters=steps // 10), CosineAnnealingLR(o, T_max=steps)]
    ),
}


def _made(schedule: Schedule, steps: int) -> tuple[torch.optim.Optimizer, LRScheduler]:
    weights = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weights], lr=0.1, weight_decay=0.01)
    return optimizer, schedule(optimizer, steps)


def _stepped(optimizer: torch.optim.Optimizer, scheduler: LRScheduler, steps: int) -> list[dict[str, Any]]:
    """The hyperparameters with which each further step is taken."""
    found = []
    for _ in range(steps):
        found.append({name: value for name, value in optimizer.param_groups[0].items() if name != "params"})
        optimizer.param_groups[0]["params"][0].grad = torch.ones(3)
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rate_is_that_of_the_longer_budget_from_the_next_step_on(name: str) -> None:
    """Also where the shorter one had brought it to 0, from which a loaded cosine never comes back."""
    schedule = SCHEDULES[name]
    whole = _stepped(*_made(schedule, 90), 90)
    shorter = _made(schedule, 30)
    _stepped(*shorter, 30)
    saved = [shorter[0].state_dict()], [shorter[1].state_dict()]
    optimizer, scheduler = _made(schedule, 90)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lengthen([optimizer], [scheduler], saved, 30)
    assert torch.equal(optimizer.state_dict()["state"][0]["exp_avg"], shorter[0].state_dict()["state"][0]["exp_avg"])
    assert _stepped(optimizer, scheduler, 60) == whole[30:]


def test_a_plateau_keeps_what_it_has_seen_and_takes_the_patience_of_the_longer_budget() -> None:
    def made(steps: int) -> tuple[torch.optim.Optimizer, ReduceLROnPlateau]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.4)
        return optimizer, ReduceLROnPlateau(optimizer, factor=0.5, patience=steps // 10)

    first, before = made(30)
    for loss in [1.0, *[2.0] * 5]:
        before.step(loss)
    assert first.param_groups[0]["lr"] == 0.2
    optimizer, scheduler = made(90)
    lengthen([optimizer], [scheduler], ([first.state_dict()], [before.state_dict()]), 6)
    assert (scheduler.patience, scheduler.best, scheduler.num_bad_epochs) == (9, 1.0, before.num_bad_epochs)
    assert optimizer.param_groups[0]["lr"] == 0.2


def test_without_a_schedule_the_saved_rate_stays() -> None:
    """A task may set it by itself."""
    weights = torch.nn.Parameter(torch.ones(1))
    saved = torch.optim.SGD([weights], lr=0.3).state_dict()
    optimizer = torch.optim.SGD([weights], lr=0.1)
    lengthen([optimizer], [], ([saved], []), 30)
    assert optimizer.param_groups[0]["lr"] == 0.3
