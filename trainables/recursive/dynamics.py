"""Local Lyapunov exponents of a latent map: how fast nearby latent states part or meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["lyapunov"]

State = TypeVar("State", Tensor, tuple[Tensor, ...])


def lyapunov(
    f: Callable[[State], State], start: State, segments: int, count: int, generator: torch.Generator, turns: int = 1
) -> Tensor:
    """Returns the largest exponents along each board's orbit (Benettin et al. 1980).

    An exponent is the mean log growth of tangents that QR keeps orthonormal. A random direction of
    n numbers is seldom one of growth: over few segments, tangents that start at random miss up to
    ln(n) / (2 * segments) of an exponent. They are therefore first taken along the orbit and back
    by the transposed Jacobians, `turns` times: a power iteration whose limit is ln(singular value
    of the whole orbit's Jacobian) / segments.

    Args:
        f: one segment for fixed inputs, z to z; boards must not act on one another. Nothing in it
            may detach z, nor stop its gradient if there are turns. Attention in it is computed by
            torch's plain kernel, which alone has a forward mode and whose transposed Jacobian fails
            under an autocast inside of `f`.
        start: z, [boards, ...], or a tuple of such tensors, in float32 or float64.
        segments: length of the orbit.
        count: exponents of each board, at most the numbers of one board's z.
        generator: draws the first tangents.
        turns: times that the tangents go forth and back; 0 is enough for an orbit of hundreds of
            segments.

    Returns:
        The exponents in nats a segment, of z's dtype, [boards, count], descending. A direction that
        vanishes grows by the dtype's smallest number.

    Raises:
        ValueError: if count, segments or turns is out of range.
        RuntimeError: if the output of `f`, or a part of it, does not depend on z.
    """
    parts = _parts(start)
    first, width = parts[0], sum(part[0].numel() for part in parts)
    if not 1 <= count <= width:
        raise ValueError(f"count: must be at least 1 and at most {width}, the numbers of a board's z (got {count})")
    if segments < 1 or turns < 0:
        raise ValueError(f"segments: must be at least 1, and turns at least 0 (got {segments} and {turns})")
    drawn = torch.randn(len(first), width, count, generator=generator, device=generator.device, dtype=first.dtype)
    tangents, _ = torch.linalg.qr(drawn.to(first.device))
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        orbit, tangents, growth = _forth(f, start, tangents, segments)
        for _ in range(turns):
            for state in reversed(orbit):
                tangents, _ = torch.linalg.qr(_pulled(f, state, tangents))
            _, tangents, growth = _forth(f, start, tangents, segments)
    return (growth / segments).sort(dim=-1, descending=True).values


def _forth(
    f: Callable[[State], State], state: State, tangents: Tensor, segments: int
) -> tuple[list[State], Tensor, Tensor]:
    """Follows an orbit with its tangents.

    Returns:
        The orbit without its end, the last tangents, and the logarithms of their growth, [boards,
        count].
    """
    orbit, growth = [], torch.zeros_like(tangents[:, 0])
    for _ in range(segments):
        orbit.append(state)
        state, pushed = _pushed(f, state, tangents)
        tangents, stretched = torch.linalg.qr(pushed)
        sizes = stretched.diagonal(dim1=-2, dim2=-1).abs()
        growth += sizes.clamp(min=torch.finfo(sizes.dtype).tiny).log()
    return orbit, tangents, growth


def _pushed(f: Callable[[State], State], state: State, tangents: Tensor) -> tuple[State, Tensor]:
    """Returns f(state), and the tangents after its Jacobian."""

    def push(tangent: State) -> tuple[State, State]:
        return cast(tuple[State, State], torch.func.jvp(f, (state,), (tangent,), strict=True))

    out: Any = (None, 0)  # tangents differ, the state does not
    after, pushed = torch.func.vmap(push, out_dims=out)(_split(tangents, state))
    return after, _joined(pushed)


def _pulled(f: Callable[[State], State], state: State, tangents: Tensor) -> Tensor:
    """Returns the tangents after the transposed Jacobian of f."""
    pull = torch.func.vjp(f, state)[1]
    (pulled,) = torch.func.vmap(pull)(_split(tangents, state))
    return _joined(pulled)


def _split(tangents: Tensor, like: State) -> State:
    """Splits tangents, [boards, numbers, count], into the parts of a state.

    Each part is [count, boards, ...].
    """
    parts = _parts(like)
    flat = torch.split(tangents.movedim(-1, 0), [part[0].numel() for part in parts], dim=-1)
    split = tuple(tangent.reshape(-1, *part.shape) for part, tangent in zip(parts, flat, strict=True))
    return split[0] if isinstance(like, Tensor) else split


def _joined(split: State) -> Tensor:
    """The inverse of `_split`."""
    return torch.cat([part.reshape(*part.shape[:2], -1) for part in _parts(split)], dim=-1).movedim(0, -1)


def _parts(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (state,) if isinstance(state, Tensor) else state
