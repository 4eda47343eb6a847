"""The training loss of a rollout: which segments count, and how much."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trainables.recursive import losses
from trainables.recursive.act import halts
from trainables.recursive.config import RecursiveConfig
from trainables.recursive.model import RecursiveNet, Rollout

__all__ = ["Judged", "active", "judge", "terms"]

Q_WEIGHT = 0.5
"""The weight of the losses of Q (HRM, TRM)."""


class Judged(NamedTuple):
    """The losses and hits of a rollout, all [T, R]; labels are those of the R rows."""

    cross_entropy: Tensor
    halting: Tensor
    continuing: Tensor | None
    exact: Tensor
    accuracy: Tensor


def judge(config: RecursiveConfig, said: Rollout, labels: Tensor, steps: Tensor) -> Judged:
    """Returns the unreduced losses of every segment of every row, and whether it was right.

    Args:
        config: says which cross entropy is used, and the limit of segments.
        said: the rollout.
        labels: int64 [R, tokens].
        steps: segments spent on the board by the end of each, int64 [T, 1] or [T, R].
    """
    token = losses.stablemax_cross_entropy if config.loss == "stablemax" else losses.softmax_cross_entropy
    every = labels.expand(len(said.logits), *labels.shape)
    exact = losses.exactly_right(said.logits, every)
    continuing = None
    if said.ahead is not None:
        target = losses.continue_target(said.ahead[0], said.ahead[1], steps >= config.halt_max_steps)
        continuing = losses.continue_loss(said.q_continue, target)
    right = losses.accuracy(said.logits.detach(), every)
    cross_entropy = losses.per_row(token(said.logits, every), every)
    return Judged(cross_entropy, losses.halting_loss(said.q_halt, exact), continuing, exact, right)


def active(model: RecursiveNet, said: Rollout) -> Tensor:
    """Tells which segments count, bool [T, R].

    They are those up to the first at which a trajectory halts, that one included; all of them,
    unless halted ones are masked.
    """
    count, rows = said.q_halt.shape
    if model.config.rollout != "act_mask":
        return torch.ones(count, rows, dtype=torch.bool, device=said.q_halt.device)
    steps = torch.arange(1, count + 1, device=said.q_halt.device)[:, None]
    halted = halts(model, steps, said.q_halt.detach(), said.q_continue.detach(), training=True)
    return halted.cumsum(0) - halted.long() == 0


def terms(found: Judged, counts: Tensor) -> dict[str, Tensor]:
    """Returns the loss terms.

    They are means over a trajectory's segments that count, then over trajectories. `counts` says
    which segments count, bool [T, R].
    """
    weight = counts / counts.sum(0) / counts.shape[1]

    def mean(losses: Tensor) -> Tensor:
        return (losses * weight).sum().float()

    said = {"lm": mean(found.cross_entropy), "q_halt": Q_WEIGHT * mean(found.halting)}
    return said if found.continuing is None else {**said, "q_continue": Q_WEIGHT * mean(found.continuing)}
