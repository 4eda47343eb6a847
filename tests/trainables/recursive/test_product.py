"""Products through oneDNN against those of torch, and where torch's own must be taken."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.recursive import product as module
from trainables.recursive.product import Linear, product

needed = pytest.mark.skipif(not module.AVAILABLE, reason="this machine or this torch has no oneDNN product to compare")


@pytest.fixture(autouse=True)
def _small_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST", 1)


def _both(x: Tensor, weight: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Value and gradients by `product` and by torch."""
    found = []
    for function in (product, F.linear):
        leaves = x.clone().requires_grad_(), weight.clone().requires_grad_()
        y = function(*leaves)
        (y * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum().backward()  # type: ignore[no-untyped-call]
        found.append([y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)])
    return found[0], found[1]


@needed
@pytest.mark.parametrize("outputs", [8, 40])
@pytest.mark.parametrize("transposed", [False, True])
def test_value_and_gradients_are_those_of_torch(outputs: int, transposed: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 20, 5).transpose(1, 2) if transposed else torch.randn(3, 5, 20)
    ours, theirs = _both(x, torch.randn(outputs, 20))
    assert len(ours) == len(theirs) == 3
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5)


@needed
def test_onednn_is_taken_where_it_is_worthwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []
    real = module._onednn

    def noted(x: Tensor, weight: Tensor) -> Tensor:
        calls.append(tuple(x.shape))
        return real(x, weight)

    monkeypatch.setattr(module, "_onednn", noted)
    layer, x = Linear(6, 4), torch.randn(2, 6)
    with torch.no_grad():
        layer(x)
    assert calls == [(2, 6)]
    layer(x).sum().backward()
    assert calls[1:] == [(2, 6), (4, 2)], "x needs no gradient: the forward product and that of the weights alone"
    monkeypatch.setattr(module, "LEAST", 2**24)
    layer(x)
    assert len(calls) == 3


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_are_left_to_torch(dtype: torch.dtype) -> None:
    x, weight = torch.randn(3, 5, dtype=dtype), torch.randn(4, 5, dtype=dtype)
    assert torch.equal(product(x, weight), F.linear(x, weight))


def test_autocast_is_left_to_torch() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert Linear(6, 4)(torch.randn(2, 6)).dtype is torch.bfloat16


def test_transforms_go_through_it() -> None:
    """The Lyapunov exponents take forward and reverse modes of many tangents at once."""
    torch.manual_seed(0)
    weight, x, tangents = torch.randn(4, 6), torch.randn(2, 6), torch.randn(3, 2, 6)

    def push(tangent: Tensor) -> Tensor:
        pushed: Tensor = torch.func.jvp(lambda z: product(z, weight), (x,), (tangent,))[1]
        return pushed

    torch.testing.assert_close(torch.func.vmap(push)(tangents), tangents @ weight.T)
    pull = torch.func.vjp(lambda z: product(z, weight), x)[1]
    (pulled,) = torch.func.vmap(pull)(torch.ones(3, 2, 4))
    torch.testing.assert_close(pulled, torch.ones(3, 2, 4) @ weight)


def test_dual_numbers_keep_their_tangents() -> None:
    weight, x, tangent = torch.randn(4, 6), torch.randn(2, 6), torch.randn(2, 6)
    with torch.no_grad(), torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, tangent)  # type: ignore[no-untyped-call]
        found = torch.autograd.forward_ad.unpack_dual(product(dual, weight)).tangent  # type: ignore[no-untyped-call]
    torch.testing.assert_close(found, tangent @ weight.T)


def test_it_begins_as_torch_begins_and_has_the_same_state() -> None:
    torch.manual_seed(3)
    ours = Linear(6, 4)
    torch.manual_seed(3)
    theirs = torch.nn.Linear(6, 4, bias=False)
    assert list(ours.state_dict()) == ["weight"]
    assert torch.equal(ours.weight, theirs.weight)
