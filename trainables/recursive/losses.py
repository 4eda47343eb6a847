"""The loss terms of HRM and TRM, by token or by row; the task weighs and sums them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

__all__ = [
    "IGNORED",
    "accuracy",
    "continue_loss",
    "continue_target",
    "exactly_right",
    "halting_loss",
    "per_row",
    "softmax_cross_entropy",
    "stablemax_cross_entropy",
]

IGNORED = -100
"""The label of a token that is not counted."""


class _Stablemax(torch.autograd.Function):
    """The stablemax cross entropy with a gradient written by hand.

    It is several times as fast as the same formula under autograd, and finite at logits of 0 and of
    1.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        x = logits.double()
        s = x.clamp(min=0).add_(x.clamp(max=0).neg_().add_(1).reciprocal_())
        counted = labels != IGNORED
        label = torch.where(counted, labels, 0).unsqueeze(-1)
        total, own = s.sum(-1, keepdim=True), s.gather(-1, label)
        ctx.save_for_backward(s, total, own, label, counted)
        ctx.dtype = logits.dtype
        return torch.where(counted, torch.log(total / own).squeeze(-1), 0.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        s, total, own, label, counted = ctx.saved_tensors
        slope = s.clamp(max=1).square_()
        gradient = torch.where(counted, gradient, 0.0).unsqueeze(-1)
        own_part = slope.gather(-1, label) * (gradient / own)
        return slope.mul_(gradient / total).scatter_add_(-1, label, -own_part).to(ctx.dtype), None


def stablemax_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns -log(s_y / sum s), with s(x) = x + 1 for x >= 0 and 1 / (1 - x) below.

    The formula is that of Prieto et al. 2025 (arXiv 2501.04697). It is computed in float64
    throughout: the 1e-30 that HRM and TRM add vanishes there, as it does in theirs.

    Args:
        logits: [..., V].
        labels: int64 [...], `IGNORED` where a token is not counted.

    Returns:
        float64 [...], 0 where a token is not counted. It can be differentiated once.
    """
    found: Tensor = _Stablemax.apply(logits, labels)  # type: ignore[no-untyped-call]
    return found


def softmax_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the usual cross entropy, float32 [...], 0 where a token is not counted.

    Arguments are those of `stablemax_cross_entropy`.
    """
    flat = functional.cross_entropy(
        logits.float().flatten(0, -2), labels.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return flat.view(labels.shape)


def per_row(losses: Tensor, labels: Tensor) -> Tensor:
    """Returns means over the tokens that count, [rows, S] to [rows]; 0 for a row without any."""
    return losses.sum(-1) / (labels != IGNORED).sum(-1).clamp(min=1)


def exactly_right(logits: Tensor, labels: Tensor) -> Tensor:
    """Tells which rows are exactly right, bool [rows].

    Such a row has, for every token that counts, the highest logit at the label. A row without such
    tokens is right.

    Args:
        logits: [rows, S, V].
        labels: int64 [rows, S].
    """
    return ((logits.argmax(-1) == labels) | (labels == IGNORED)).all(-1)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the share of the counted tokens that are right, float32 [rows].

    Shapes are those of `exactly_right`.
    """
    counted = labels != IGNORED
    return ((logits.argmax(-1) == labels) & counted).sum(-1) / counted.sum(-1).clamp(min=1)


def halting_loss(q_halt: Tensor, exact: Tensor) -> Tensor:
    """Returns the binary cross entropy of the logit `q_halt`, [rows].

    The target is whether the answer is exactly right, bool [rows].
    """
    return functional.binary_cross_entropy_with_logits(q_halt, exact.to(q_halt.dtype), reduction="none")


def continue_target(q_halt: Tensor, q_continue: Tensor, last: Tensor) -> Tensor:
    """Returns what going on is worth, [rows] (HRM).

    It is the next segment's best choice, or halting if the next segment is the last that is left.

    Args:
        q_halt: logits of the segment after this one, without gradient, [rows].
        q_continue: logits of going on in that segment, without gradient, [rows].
        last: bool [rows], where this segment is the last that the row is given.
    """
    return torch.sigmoid(torch.where(last, q_halt, torch.maximum(q_halt, q_continue)))


def continue_loss(q_continue: Tensor, target: Tensor) -> Tensor:
    """Returns the binary cross entropy of the logit `q_continue`, [rows].

    The target is the probability that `continue_target` returns.
    """
    return functional.binary_cross_entropy_with_logits(q_continue, target, reduction="none")
