"""Matrix products of float32 on the CPU through oneDNN, where that is faster than torch's own choice.

torch takes MKL. On an AMD EPYC of the fourth generation, oneDNN's AVX-512 kernels need 5 to 20 % less time at the published sizes, and
up to half where a side is odd, as in TRM's mixer. Sums are taken in another order, so that results differ in the last digits.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["Linear", "product"]

LEAST = 2**24
"""Multiplications below which a call costs more than it saves."""


class Linear(nn.Linear):
    """`nn.Linear` without a bias, whose product is `product`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """[..., inputs] to [..., outputs]."""
        return product(input, self.weight)


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x times the transposed weight: [..., inputs] and [outputs, inputs] to [..., outputs].

    It can be differentiated as often as any other function where oneDNN is not used: on other devices, in autocast, in small
    products, and in the transforms of torch.func; else once, in reverse.
    """
    if not _worthwhile(x, weight):
        return F.linear(x, weight)
    if torch.is_grad_enabled():
        found: Tensor = _Product.apply(x, weight)  # type: ignore[no-untyped-call]
        return found
    return _onednn(x, weight)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _onednn(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x = _onednn(gradient, weight.T) if ctx.needs_input_grad[0] else None
        return for_x, _for_weight(x, gradient) if ctx.needs_input_grad[1] else None


def _for_weight(x: Tensor, gradient: Tensor) -> Tensor:
    """The wider side gives the rows: oneDNN is slow the other way round."""
    x, gradient = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
    if gradient.shape[-1] > x.shape[-1]:
        return _onednn(x.T, gradient.T).T
    return _onednn(gradient.T, x.T)


def _onednn(x: Tensor, weight: Tensor) -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return found


def _worthwhile(x: Tensor, weight: Tensor) -> bool:
    return (
        x.numel() * len(weight) >= LEAST
        and AVAILABLE
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch._C._functorch.is_functorch_wrapped_tensor(x)
        and torch.autograd.forward_ad.unpack_dual(x).tangent is None
    )


def _available() -> bool:
    return (
        torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch._C._functorch, "is_functorch_wrapped_tensor")
    )


AVAILABLE = _available()
"""Whether this machine and this torch have it."""
