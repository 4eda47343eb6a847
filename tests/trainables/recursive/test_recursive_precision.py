"""Recomputation and bfloat16 in HRM and TRM: gradients, carried states and losses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from leadline.family import Family
from trainables.recursive.family import HRM_FAMILY, TRM_FAMILY
from trainables.recursive.task import RecursiveTask

UNIT = 2.0**-8
"""The largest relative error of rounding to bfloat16, whose significand has 8 bits."""
SMALL: dict[str, Any] = {
    "train_boards": 16,
    "validation_boards": 2,
    "test_boards": 2,
    "hidden": 32,
    "round_to": 16,
    "l_layers": 2,
    "batch": 4,
}
MULTI = {"mode": "multi_perturbed_ce", "k": 2, "rollout": "parallel_fixed", "halt_max_steps": 2, "ramp": 0.0}
MODELS = [
    pytest.param(HRM_FAMILY, {}, id="hrm"),
    pytest.param(TRM_FAMILY, {"positions": "rope", "puzzle_emb": 32}, id="trm"),
    pytest.param(TRM_FAMILY, {"positions": "none", "mlp_t": True}, id="mixer"),
    pytest.param(TRM_FAMILY, MULTI, id="perturbed"),
]


def backward(family: Family[Any], **fields: Any) -> tuple[RecursiveTask, dict[str, Tensor], dict[str, Tensor]]:
    """A task after the backward pass of its first batch, the loss terms and the gradients."""
    config = family.config({**SMALL, **fields})
    torch.manual_seed(config.seed)
    task = family.task(config, family.build_data(config), torch.device("cpu"))
    assert isinstance(task, RecursiveTask)
    with torch.no_grad():  # at first no gradient passes the Q head, whose weights are zeros
        task.net.q_head.weight.normal_(generator=torch.Generator().manual_seed(1))
    terms = task.losses(task.model, task.batch(0), 0.5)
    torch.autograd.backward(list(terms.values()))
    named = task.net.named_parameters()
    return task, terms, {name: one.grad.to_dense() for name, one in named if one.grad is not None}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("family", "fields"), MODELS)
def test_recomputing_changes_no_bit(family: Family[Any], fields: dict[str, Any], precision: str) -> None:
    kept, again = (backward(family, **fields, precision=precision, recompute=given) for given in (False, True))
    assert kept[2].keys() == again[2].keys()
    assert len(kept[2]) >= 8
    for before, after in zip(kept[1:], again[1:], strict=True):
        for name, value in before.items():
            assert torch.equal(value, after[name]), name


@pytest.mark.parametrize(("family", "fields"), MODELS)
def test_gradients_in_bfloat16_are_those_in_float32_within_its_rounding(
    family: Family[Any], fields: dict[str, Any]
) -> None:
    """A segment has at most 6 updates of 2 blocks, each of at most 6 products, whose inputs and
    outputs are rounded; errors of as many roundings, independent of each other, add up as the root
    of their number, and the backward pass has twice as many.
    """
    exact, rounded = (backward(family, **fields, precision=given)[2] for given in ("float32", "bfloat16"))
    error = sum((rounded[name] - value).square().sum() for name, value in exact.items())
    size = sum(value.square().sum() for value in exact.values())
    assert 0 < (error / size) ** 0.5 < (3 * 6 * 2 * 6 * 3) ** 0.5 * UNIT
    assert all(value.dtype == torch.float32 for value in rounded.values())


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("family", [HRM_FAMILY, TRM_FAMILY], ids=["hrm", "trm"])
def test_states_are_carried_in_float32_and_stablemax_in_float64(
    family: Family[Any], recompute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainables.recursive import losses

    seen: list[torch.dtype] = []
    whole = losses.stablemax_cross_entropy

    def watched(logits: Tensor, labels: Tensor) -> Tensor:
        found = whole(logits, labels)
        seen.append(found.dtype)
        return found

    monkeypatch.setattr(losses, "stablemax_cross_entropy", watched)
    task, terms, _ = backward(family, precision="bfloat16", recompute=recompute)
    task.after_step(1)
    assert {task.carried()[name].dtype for name in ("z_h", "z_l")} == {torch.float32}
    assert seen == [torch.float64]
    assert {term.dtype for term in terms.values()} == {torch.float32}
    # Of numbers that bfloat16 could hold, few are left: the states were not rounded on the way.
    z = task.carried()["z_h"]
    assert (z.to(torch.bfloat16).float() == z).float().mean() < 0.05


def test_exponents_are_computed_where_blocks_are_computed_again() -> None:
    """torch.func, which they take, does not support recomputation."""
    task, _, _ = backward(TRM_FAMILY, recompute=True)
    task.model.eval()
    with torch.no_grad():
        scores = task.evaluate("validation")
    assert math.isfinite(scores["lambda1"].value)
