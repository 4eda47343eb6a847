"""What must not change what is learnt: copies without noise, the order of trajectories, masks of
what never halts, micro-batches.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from leadline.config import make
from trainables.recursive.act import halts
from trainables.recursive.config import TRMConfig
from trainables.recursive.family import HRM_FAMILY, TRM_FAMILY, RecursiveFamily
from trainables.recursive.start import RecursiveData
from trainables.recursive.task import RecursiveTask

SMALL: dict[str, Any] = {
    "train_boards": 24,
    "validation_boards": 8,
    "test_boards": 8,
    "hidden": 16,
    "heads": 2,
    "round_to": 16,
    "halt_max_steps": 3,
    "batch": 6,
    "ramp": 0,
    "explore": 0,
}
CPU = torch.device("cpu")
FAMILIES = [TRM_FAMILY, HRM_FAMILY]


@pytest.fixture(scope="module")
def data() -> RecursiveData:
    return TRM_FAMILY.build_data(make(TRMConfig, SMALL))


def task(family: RecursiveFamily[Any], data: RecursiveData, **fields: Any) -> RecursiveTask:
    torch.manual_seed(0)
    return family.task(family.config({**SMALL, **fields}), data, CPU)


def gradient(
    one: RecursiveTask, calls: int = 1, *, batches: list[dict[str, Tensor]] | None = None, progress: float = 0.5
) -> Tensor:
    """Of the mean loss of several calls on the first step's boards, flat."""
    for call in range(calls):
        for part in batches or [one.batch(0)]:
            loss = torch.stack(list(one.losses(one.model, part, progress).values())).sum()
            torch.autograd.backward(loss * len(part["slot"]) / SMALL["batch"] / calls)
        one.after_step(call + 1)
    return torch.cat([p.grad.flatten() if p.grad is not None else torch.zeros(p.numel()) for p in one.net.parameters()])


def difference(found: Tensor, expected: Tensor) -> float:
    """Relative L2 norm."""
    assert expected.norm() > 1e-3
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rollout", ["serial_act", "parallel_fixed", "act_mask"])
def test_copies_without_noise_change_nothing(family: RecursiveFamily[Any], rollout: str, data: RecursiveData) -> None:
    """K trajectories before the ramp has begun are K times the same."""
    alone = gradient(task(family, data, rollout=rollout), 2)
    copies = gradient(task(family, data, rollout=rollout, mode="multi_perturbed_ce", k=3, ramp=1.0), 2, progress=0.0)
    assert difference(copies, alone) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_noise_changes_the_gradient(family: RecursiveFamily[Any], data: RecursiveData) -> None:
    """So that the tests around this one compare something."""
    noisy: dict[str, Any] = {"mode": "multi_perturbed_ce", "k": 3, "noise": "fixed", "sigma_max": 0.3}
    clean = gradient(task(family, data, rollout="parallel_fixed"))
    assert difference(gradient(task(family, data, rollout="parallel_fixed", **noisy)), clean) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_one_after_another_as_at_once(family: RecursiveFamily[Any], data: RecursiveData) -> None:
    """Streaming for as many calls as a rollout has segments, where no weight changes and nothing
    halts early, is that rollout.
    """
    noisy: dict[str, Any] = {"mode": "multi_perturbed_ce", "k": 3, "sigma_min": 0.05, "sigma_max": 0.3}
    streamed = gradient(task(family, data, **noisy), SMALL["halt_max_steps"])
    at_once = gradient(task(family, data, rollout="parallel_fixed", **noisy))
    assert difference(streamed, at_once) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_masks_of_what_never_halts(family: RecursiveFamily[Any], data: RecursiveData) -> None:
    noisy: dict[str, Any] = {"mode": "single_perturbed_ce", "sigma_min": 0.05, "sigma_max": 0.3}
    masked = gradient(task(family, data, rollout="act_mask", **noisy))
    assert torch.equal(masked, gradient(task(family, data, rollout="parallel_fixed", **noisy)))


def test_masks_of_what_halts_at_once(data: RecursiveData) -> None:
    """Only the first segment of each trajectory counts, as in a rollout of one."""
    masked, short = (
        task(TRM_FAMILY, data, rollout="act_mask"),
        task(TRM_FAMILY, data, rollout="parallel_fixed", halt_max_steps=1),
    )
    for one in (masked, short):
        torch.nn.init.constant_(one.net.q_head.bias, 5.0)
    assert difference(gradient(masked), gradient(short)) < 1e-6
    assert masked.tallies()["train/steps"].tolist() == [6.0, 6.0]


@pytest.mark.parametrize("rollout", ["serial_act", "parallel_fixed"])
def test_micro_batches_add_up(rollout: str, data: RecursiveData) -> None:
    """Each row's noise is its own, and each slot's carry finds its way back."""
    noisy: dict[str, Any] = {
        "mode": "multi_perturbed_ce",
        "k": 2,
        "sigma_min": 0.05,
        "sigma_max": 0.3,
        "rollout": rollout,
        "explore": 0.5,
    }
    whole, parts = task(TRM_FAMILY, data, **noisy), task(TRM_FAMILY, data, **noisy)
    batch = parts.batch(0)
    two = [{name: tensor[rows] for name, tensor in batch.items()} for rows in (slice(0, 2), slice(2, 6))]
    assert difference(gradient(parts, 2, batches=two), gradient(whole, 2)) < 1e-5
    for name, tensor in whole.carried().items():
        torch.testing.assert_close(parts.carried()[name], tensor, atol=1e-5, rtol=0)
    tallies = whole.tallies()
    assert all(torch.allclose(found, tallies[name]) for name, found in parts.tallies().items())


def test_a_slot_takes_another_board_when_it_halts(data: RecursiveData) -> None:
    """Not before: what was offered meanwhile is dropped, and the loss is about the boards that are worked on."""
    one = task(TRM_FAMILY, data)
    seen = []
    for step in range(2 * SMALL["halt_max_steps"]):
        one.losses(one.model, one.batch(step), 0.0)
        one.after_step(step + 1)
        seen.append(one.carried()["inputs"][:, 0].clone())
    first, second = one.batch(0)["inputs"], one.batch(SMALL["halt_max_steps"])["inputs"]
    assert all(torch.equal(board, first) for board in seen[:3])
    assert all(torch.equal(board, second) for board in seen[3:])


def test_exploration_keeps_a_slot_from_halting(data: RecursiveData) -> None:
    """Q says halt at once; explored trajectories go on until their minimum, others do not."""
    one = task(TRM_FAMILY, data, explore=1.0)
    torch.nn.init.constant_(one.net.q_head.bias, 5.0)
    one.losses(one.model, one.batch(0), 0.0)
    one.after_step(1)
    assert not one.carried()["halted"].any(), "a minimum is at least 2"
    least = one.batch(1)["least"]
    one.losses(one.model, one.batch(1), 0.0)
    one.after_step(2)
    assert torch.equal(one.carried()["halted"], least <= 2)
    assert set(least.flatten().tolist()) <= {2, 3}


def test_q_decides_only_in_training(data: RecursiveData) -> None:
    net = task(HRM_FAMILY, data).net
    steps, q_halt, q_continue = torch.tensor([1, 1, 3]), torch.tensor([1.0, 1.0, -1.0]), torch.tensor([2.0, 0.0, 0.0])
    assert halts(net, steps, q_halt, q_continue, training=True).tolist() == [False, True, True]
    assert halts(net, steps, q_halt, q_continue, training=False).tolist() == [False, False, True]
    assert halts(task(TRM_FAMILY, data).net, steps, q_halt, q_continue, training=True).tolist() == [True, True, True]


@pytest.mark.parametrize("rollout", ["serial_act", "parallel_fixed"])
def test_a_budget_counts_boards_trajectories_and_segments(rollout: str, data: RecursiveData) -> None:
    for mode, count in (("none", 1), ("single_perturbed_ce", 1), ("multi_perturbed_ce", 4)):
        one = task(TRM_FAMILY, data, mode=mode, rollout=rollout)
        spent = 6 * count * (1 if rollout == "serial_act" else 3)
        assert one.samples(one.batch(0)) == TRM_FAMILY.samples_per_step(one.config) == spent  # type: ignore[arg-type]
