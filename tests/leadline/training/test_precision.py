"""Mixed precision, and activations that are computed again, on a small network with dropout."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from leadline.training.precision import Precision, mixed, through

CPU = torch.device("cpu")
UNIT = 2.0**-8
"""The largest relative error of rounding to bfloat16, whose significand has 8 bits."""


class Net(nn.Module):
    """Two residual blocks with dropout, and a head."""

    def __init__(self, again: bool = False, dropout: float = 0.5) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Dropout(dropout), nn.Linear(128, 64)) for _ in range(2)
        )
        self.head = nn.Linear(64, 1)
        self.again = again

    def forward(self, x: Tensor) -> Tensor:
        """Maps [rows, 64] to [rows]."""
        for block in self.blocks:
            x = x + through(block, x, again=self.again)
        return self.head(x)[:, 0]  # type: ignore[no-any-return]


def gradients(net: Net, precision: Precision = "float32") -> dict[str, Tensor]:
    """The gradients of a squared error, with the generator at the same place each time."""
    rows = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(5)
    with mixed(precision, CPU):
        loss = (net(rows).float() - 1).square().mean()
    loss.backward()
    return {name: parameter.grad for name, parameter in net.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recomputing_changes_no_bit_of_a_gradient_and_dropout_drops_the_same(precision: Precision) -> None:
    kept, again = gradients(Net(), precision), gradients(Net(again=True), precision)
    assert len(kept) == 10
    for name, gradient in kept.items():
        assert torch.equal(gradient, again[name]), name


def test_the_generator_is_where_it_would_be_without_recomputing() -> None:
    gradients(Net())
    after = torch.get_rng_state()
    gradients(Net(again=True))
    assert torch.equal(torch.get_rng_state(), after)


def saved(net: Net) -> int:
    """The bytes that a forward pass keeps for the backward pass, weights left out."""
    weights = {parameter.data_ptr() for parameter in net.parameters()}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(torch.randn(32, 64)).sum()
    return sum(found.values())


def test_recomputing_keeps_only_what_enters_a_block() -> None:
    assert saved(Net(again=True)) <= 3 * 32 * 64 * 4 < saved(Net()) / 3


def test_without_gradients_nothing_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*inputs: Any, **options: Any) -> Any:
        raise AssertionError("computed again")

    monkeypatch.setattr("torch.utils.checkpoint.checkpoint", never)
    with torch.no_grad():
        Net(again=True)(torch.randn(2, 64))
    with pytest.raises(AssertionError, match="computed again"):
        Net(again=True)(torch.randn(2, 64))


def test_gradients_in_bfloat16_are_those_in_float32_within_its_rounding() -> None:
    """A gradient is a sum of products through at most 5 matrix products forward and 5 back.

    Each rounds its inputs and its output once; independent roundings add up as a root of their
    number, 30, and the norm of the difference stays below their sum.
    """
    exact, rounded = gradients(Net(dropout=0.0)), gradients(Net(dropout=0.0), "bfloat16")
    for name, gradient in exact.items():
        assert rounded[name].dtype == torch.float32
        error = (rounded[name] - gradient).norm() / gradient.norm()
        assert 0 < error < 30 * UNIT, name
    weight = Net(dropout=0.0)
    with mixed("bfloat16", CPU):
        assert weight.head(torch.randn(2, 64)).dtype == torch.bfloat16
    with mixed("float32", CPU):
        assert weight.head(torch.randn(2, 64)).dtype == torch.float32
