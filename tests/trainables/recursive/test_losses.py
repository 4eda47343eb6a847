"""Losses against recorded numbers, see tests/golden/README.md."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from trainables.recursive import losses

GOLDEN = Path(__file__).parents[2] / "golden"
TRAINED = (
    "hrm_learned_train",
    "hrm_puzzle_train",
    "hrm_rope_train",
    "trm_att_rope_train",
    "trm_att_learned_puzzle_train",
    "trm_mlp_t_train",
)


def load(name: str) -> dict[str, npt.NDArray[Any]]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def tensor(array: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(array.astype(np.int64) if array.dtype == np.int32 else array)


def formula(logits: Tensor, labels: Tensor) -> Tensor:
    """Stablemax as it is written down, in float64; for labels that all count, and logits other than 0."""
    x = logits.double()
    s = torch.where(x >= 0, x + 1, 1 / (1 - x.clamp(max=0) + 1e-30))
    return -torch.log(s.gather(-1, labels.unsqueeze(-1)).squeeze(-1) / s.sum(-1))


def test_stablemax() -> None:
    golden = load("stablemax")
    logits, labels = tensor(golden["logits"]).requires_grad_(), tensor(golden["labels"])
    found = losses.stablemax_cross_entropy(logits, labels)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.detach(), golden["loss_per_token"], rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(found.sum(), logits, retain_graph=True)
    np.testing.assert_allclose(gradient, golden["grad_of_summed_loss"], rtol=0, atol=1e-6)
    assert float(losses.per_row(found, labels).sum().detach()) == pytest.approx(
        float(golden["lm_loss_trainer"]), abs=1e-12
    )


@pytest.mark.parametrize("label", range(11))
def test_every_log_probability_of_stablemax(label: int) -> None:
    golden = load("stablemax")
    label = min(label, golden["logits"].shape[-1] - 1)
    found = losses.stablemax_cross_entropy(tensor(golden["logits"]), torch.full(golden["labels"].shape, label))
    np.testing.assert_allclose(-found, golden["log_probs"][..., label], rtol=0, atol=1e-12)


def test_gradients_of_stablemax_are_finite_where_branches_meet() -> None:
    """At 0 the slope of s is 1 from both sides; at 1 the other branch would divide by 1e-30 in float32."""
    logits = torch.tensor([[[1.0, 0.0, -1.0], [0.0, 0.0, 0.0], [1.0, 1.0, -0.0]]], requires_grad=True)
    labels = torch.tensor([[0, 1, losses.IGNORED]])
    losses.stablemax_cross_entropy(logits, labels).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    total = 2 + 1 + 0.5
    expected = [[1 / total - 1 / 2, 1 / total, 0.25 / total], [1 / 3, 1 / 3 - 1, 1 / 3], [0, 0, 0]]
    torch.testing.assert_close(logits.grad[0], torch.tensor(expected), rtol=0, atol=1e-7)


def test_gradients_of_stablemax_are_those_of_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(5, 7, 4, generator=generator)
    labels, weight = torch.randint(4, (5, 7), generator=generator), torch.rand(5, 7, generator=generator)
    found, expected = (
        torch.autograd.grad((f(x := logits.clone().requires_grad_(), labels) * weight).sum(), x)[0]
        for f in (losses.stablemax_cross_entropy, formula)
    )
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)


def test_stablemax_of_halves_is_that_of_the_same_numbers() -> None:
    logits, labels = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).bfloat16(), torch.arange(4)
    assert torch.equal(
        losses.stablemax_cross_entropy(logits, labels), losses.stablemax_cross_entropy(logits.float(), labels)
    )


def test_softmax() -> None:
    golden = load("stablemax")
    found = losses.softmax_cross_entropy(tensor(golden["logits"]), tensor(golden["labels"]))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, golden["softmax_loss_per_token"], rtol=1e-5, atol=1e-7)


def test_rows_without_a_label() -> None:
    labels = torch.tensor([[1, losses.IGNORED], [losses.IGNORED] * 2, [0, 1]])
    logits = torch.tensor([[[0.0, 1.0], [9.0, 0.0]], [[0.0, 1.0]] * 2, [[1.0, 0.0], [1.0, 0.0]]])
    assert losses.exactly_right(logits, labels).tolist() == [True, True, False]
    for loss in (losses.stablemax_cross_entropy, losses.softmax_cross_entropy):
        found = losses.per_row(loss(logits, labels), labels)
        assert found[1] == 0
        assert found[0] == loss(logits, labels)[0, 0]
        assert found[2] == loss(logits, labels)[2].mean()


def test_more_dimensions() -> None:
    """Segments and trajectories lead the rows, as in a rollout."""
    golden = load("traj_trm")
    logits = tensor(golden["out/logits"])
    labels = tensor(golden["batch/labels"]).expand(logits.shape[:-1])
    found = losses.per_row(losses.stablemax_cross_entropy(logits, labels), labels)
    np.testing.assert_allclose(found, golden["loss/ce_per_trajectory"], rtol=0, atol=1e-12)
    exact = losses.exactly_right(logits, labels)
    halting = losses.halting_loss(tensor(golden["out/q_halt_logits"]), exact)
    np.testing.assert_allclose(halting, golden["loss/q_halt_bce_per_trajectory"], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", TRAINED)
def test_the_loss_of_every_call(name: str) -> None:
    golden = load(name)
    logits, labels = tensor(golden["out/logits"]), tensor(golden["carry/labels"])
    tokens = losses.per_row(losses.stablemax_cross_entropy(logits, labels), labels).sum(-1)
    np.testing.assert_allclose(tokens, golden["loss/lm_loss"], rtol=1e-6)
    exact = losses.exactly_right(logits, labels)
    halting = losses.halting_loss(tensor(golden["out/q_halt_logits"]), exact).sum(-1)
    np.testing.assert_allclose(halting, golden["loss/q_halt_loss"], rtol=1e-6)
    continuing = torch.zeros(())
    if "loss/q_continue_loss" in golden:
        target = tensor(golden["out/target_q_continue"])
        continuing = losses.continue_loss(tensor(golden["out/q_continue_logits"]), target).sum(-1)
        np.testing.assert_allclose(continuing, golden["loss/q_continue_loss"], rtol=1e-6)
    np.testing.assert_allclose(tokens + 0.5 * (halting + continuing), golden["loss/total"], rtol=1e-6)
    counted = tensor(golden["carry/halted"]) & (labels != losses.IGNORED).any(-1)
    assert ((exact & counted).sum(-1).numpy() == golden["metrics/exact_accuracy"]).all()


def test_what_going_on_is_worth() -> None:
    q_halt, q_continue = torch.tensor([0.5, 0.5, -1.0]), torch.tensor([2.0, 2.0, -3.0])
    found = losses.continue_target(q_halt, q_continue, torch.tensor([False, True, False]))
    torch.testing.assert_close(found, torch.sigmoid(torch.tensor([2.0, 0.5, -1.0])))
