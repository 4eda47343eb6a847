"""The loss terms and schedules of the log (github gabrielberger1000/collatz_lyapunov 04c9667)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["HARD_WEIGHTS", "RANDOM_WEIGHTS", "active_seeds", "anchor_loss", "anchor_weight", "t1", "t4", "t8"]

HARD_WEIGHTS = (2.0, 20.0)
"""The weights in T1 of a row from a hard orbit: where T(n) < n, and where T(n) > n (log)."""

RANDOM_WEIGHTS = (1.0, 10.0)
"""The weights in T1 of a random row: where T(n) < n, and where T(n) > n (log)."""


def descent(now: Tensor, later: Tensor, margin: float) -> Tensor:
    """Returns the hinge max(0, margin - (V(n) - V(T^j n))), [rows]."""
    return torch.clamp(margin - (now - later), min=0)


def t1(now: Tensor, later: Tensor, weight: Tensor, margin: float) -> Tensor:
    """Returns the mean of weight times hinge with V(T n), not divided by the sum of weights."""
    return (weight * descent(now, later, margin)).mean()


def t4(now: Tensor, later: Tensor, margin: float) -> Tensor:
    """Returns 0.5 times the mean hinge with V(T^4 n)."""
    return 0.5 * descent(now, later, margin).mean()


def t8(now: Tensor, later: Tensor, margin: float) -> Tensor:
    """Returns 0.2 times the mean hinge with V(T^8 n)."""
    return 0.2 * descent(now, later, margin).mean()


def anchor_loss(now: Tensor, target: Tensor) -> Tensor:
    """Returns the mean squared distance of V(n) from its target, such as ln n + 0.35 drift."""
    return functional.mse_loss(now, target)


def anchor_weight(time: float, start: float, length: float, minimum: float) -> float:
    """Returns the share of the anchor's weight that is left at a time.

    It is 1 before `start`, then minimum + (1 - minimum) * 0.001^min(1, (time - start)/length). The
    three times may be in any one unit.
    """
    if time < start:
        return 1.0
    share = min(1.0, (time - start) / length) if length else 1.0
    return float(minimum + (1 - minimum) * 0.001**share)


def active_seeds(time: float, ramp: float, start: int, total: int) -> int:
    """Returns how many hard seeds, from the first, are in use.

    Formula: int(start + (total - start) * min(1, time/ramp)).
    """
    share = min(1.0, max(0.0, time / ramp)) if ramp else 1.0
    return int(start + (total - start) * share)
