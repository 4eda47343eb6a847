"""The post-norm transformer blocks of HRM and TRM.

Each has attention or a token mixer, then SwiGLU, without biases. Formulas: RMS norm, Zhang and
Sennrich 2019, without weight; rotary positions, Su et al. 2021, half-split; SwiGLU, Shazeer 2020.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.training.precision import through

__all__ = ["Block", "Mixer", "Rotation", "Stack", "rotation", "truncated_normal_"]

EPS = 1e-5
_TRUNCATED = 0.879596566
"""The standard deviation of a unit normal that is cut off at 2 on both sides."""


class Rotation(NamedTuple):
    """The cosines and sines of rotary positions, both float32 [positions, 1, head width].

    The first half of the sines is negative.
    """

    cos: Tensor
    sin: Tensor


def rms(x: Tensor) -> Tensor:
    """Divides x by its root mean square along the last dimension, in float32; same shape."""
    return F.rms_norm(x.float(), x.shape[-1:], eps=EPS)


def truncated_normal_(weight: Tensor, std: float) -> Tensor:
    """Fills a tensor with normal values of this standard deviation, cut off at about 2.27 of it.

    The values are drawn from torch's global generator.
    """
    with torch.no_grad():
        return nn.init.trunc_normal_(weight, std=1.0, a=-2.0, b=2.0).mul_(std / _TRUNCATED)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Returns a linear map without bias.

    Its weights have standard deviation 1/sqrt(inputs) (LeCun et al. 1998).
    """
    layer = nn.Linear(inputs, outputs, bias=False)
    truncated_normal_(layer.weight, 1 / math.sqrt(inputs))
    return layer


def rotation(positions: int, width: int, theta: float) -> Rotation:
    """Returns the rotary positions 0 to `positions` - 1 for heads of an even width."""
    frequency = theta ** -(torch.arange(0, width, 2, dtype=torch.float32) / width)
    angle = torch.outer(torch.arange(positions, dtype=torch.float32), frequency)
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    return Rotation(torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1))


def _rotate(x: Tensor, by: Rotation) -> Tensor:
    """Rotates x, [rows, positions, heads, width], by its positions."""
    return torch.addcmul(x * by.cos, x.roll(x.shape[-1] // 2, -1), by.sin)


class Attention(nn.Module):
    """Multi-head attention of every token to every token.

    The fused projection holds all query heads, then all key heads, then all value heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = linear(width, 3 * width)
        self.out = linear(width, width)

    def forward(self, x: Tensor, by: Rotation | None) -> Tensor:
        """Maps [rows, positions, width] to the same shape."""
        rows, positions, width = x.shape
        qkv = self.qkv(x).view(rows, positions, 3 * self.heads, width // self.heads)
        if by is not None:
            # Not slices: the gradient of each would be padded with zeros, and then added.
            turned, value = qkv.split([2 * self.heads, self.heads], 2)
            query, key = _rotate(turned, by).to(qkv.dtype).chunk(2, 2)
        else:
            query, key, value = qkv.chunk(3, 2)
        seen = F.scaled_dot_product_attention(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2))
        return self.out(seen.transpose(1, 2).reshape(rows, positions, width))  # type: ignore[no-any-return]


class SwiGLU(nn.Module):
    """The layer silu(gate) * up, projected back to the width.

    The fused projection holds the gate first.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_up = linear(width, 2 * inner)
        self.down = linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [..., width] to the same shape."""
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.down(F.silu(gate) * up)  # type: ignore[no-any-return]


class Block(nn.Module):
    """A transformer block: x := rms(x + attention(x)); x := rms(x + swiglu(x))."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.mlp = SwiGLU(width, inner)

    def forward(self, x: Tensor, by: Rotation | None) -> Tensor:
        """Maps [rows, positions, width] to the same shape."""
        x = rms(x + self.attention(x, by))
        return rms(x + self.mlp(x))


class Mixer(nn.Module):
    """A block that mixes tokens by a SwiGLU over the positions, channel by channel.

    It normalises along the positions too.
    """

    def __init__(self, width: int, positions: int, inner: int, mixed: int) -> None:
        super().__init__()
        self.tokens = SwiGLU(positions, mixed)
        self.mlp = SwiGLU(width, inner)

    def forward(self, x: Tensor, by: Rotation | None) -> Tensor:
        """Maps [rows, positions, width] to the same shape; `by` is not used."""
        gate, up = _from_left(self.tokens.gate_up, x).chunk(2, 1)
        x = x + _from_left(self.tokens.down, F.silu(gate) * up)
        x = x * torch.rsqrt(x.float().square().mean(1, keepdim=True) + EPS)
        return rms(x + self.mlp(x))


def _from_left(layer: nn.Linear, x: Tensor) -> Tensor:
    """Applies the layer along the positions of [rows, positions, width].

    It makes no transposed copies, and its products have the width as their long side.
    `torch.matmul` would transpose after all where the weight wants a gradient.
    """
    return torch.bmm(layer.weight.expand(len(x), -1, -1), x)


class Stack(nn.Module):
    """Blocks one after another on a state and what is injected into it."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, z: Tensor, injected: Tensor, by: Rotation | None, again: bool = False) -> Tensor:
        """Maps z and what is injected, [rows, positions, width] both, to float32 of that shape.

        With `again`, the inside of each block is computed again in the backward pass.
        """
        x = z + injected
        for block in self.blocks:
            x = through(block, x, by, again=again)
        return x
