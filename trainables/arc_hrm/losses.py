"""The loss: cross entropy of the cells, and the penalty on halting."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

from trainables.arc_hrm.model import Thought
from trainables.puzzles.puzzle import PAD

__all__ = ["IGNORED", "cross_entropy", "targets", "terms"]

IGNORED = -100
"""The label of a cell that is not counted."""


def targets(labels: Tensor, pad: Literal["class", "ignored"]) -> Tensor:
    """Returns the labels of a loss in which PAD is a class, or is ignored; int64 like `labels`."""
    return labels if pad == "class" else labels.masked_fill(labels == PAD, IGNORED)


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Returns the cross entropy with (1 - s) * onehot + s / V, float32 [rows, cells].

    The smoothed label is that of Szegedy et al. 2016. The result is 0 where a cell is not counted.

    Args:
        logits: float32 [rows, cells, V].
        labels: int64 [rows, cells], `IGNORED` where a cell is not counted.
        smoothing: the share s, 0 to below 1.
    """
    return functional.cross_entropy(
        logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
    )


def terms(said: Thought, labels: Tensor, weight: Tensor, smoothing: float, penalty: float) -> dict[str, Tensor]:
    """Returns the loss terms, each a mean over rows, as tensors of shape [].

    Args:
        said: the network's outputs.
        labels: int64 [rows, cells], `IGNORED` where a cell is not counted.
        weight: by which a row's sum over cells is multiplied, float32 [rows]: 1 / cells for the
            mean over all cells.
        smoothing: as for `cross_entropy`.
        penalty: the weight of the probability of halting, which is the mean over rows and over the
            cycles that were run.
    """
    summed = cross_entropy(said.logits, labels, smoothing).sum(1)
    return {"cross_entropy": (summed * weight).mean(), "halting": penalty * said.halt.mean()}
