"""Adaptive computation time (Graves 2016) as HRM and TRM stream it.

A slot thinks about its board until it halts, then takes another. A call is one segment for every
slot. Labels come from the carry, never from the boards that were offered: a slot that goes on keeps
its own board.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trainables.recursive.model import RecursiveNet, Rollout

__all__ = ["Carry", "advance", "begin", "fresh", "halts"]


class Carry(NamedTuple):
    """The state that lives on from call to call, by slot.

    Attributes:
        z_h, z_l: float32 [slots, prefix + tokens, width].
        steps: segments spent on the board, int64 [slots].
        halted: bool [slots]; such a slot takes another board at the next call.
        inputs, labels: the board, int64 [slots, tokens].
        puzzles: the board's puzzle identifier, int64 [slots].
    """

    z_h: Tensor
    z_l: Tensor
    steps: Tensor
    halted: Tensor
    inputs: Tensor
    labels: Tensor
    puzzles: Tensor


def fresh(model: RecursiveNet, slots: int) -> Carry:
    """Returns slots without a board, all halted."""
    z_h, z_l = (state.clone() for state in model.start(slots))
    device = z_h.device
    steps = torch.zeros(slots, dtype=torch.int64, device=device)
    board = torch.zeros(slots, model.shape.tokens, dtype=torch.int64, device=device)
    return Carry(z_h, z_l, steps, torch.ones_like(steps, dtype=torch.bool), board, board.clone(), steps.clone())


def begin(carry: Carry, inputs: Tensor, labels: Tensor, puzzles: Tensor, z_h: Tensor, z_l: Tensor) -> Carry:
    """Gives halted slots the offered boards and states.

    What is offered to other slots is dropped.
    """
    taken = (z_h, z_l, torch.zeros_like(carry.steps), carry.halted, inputs, labels, puzzles)

    def chosen(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(carry.halted.view(-1, *[1] * (old.dim() - 1)), new, old)

    return Carry(*(chosen(new, old) for new, old in zip(taken, carry, strict=True)))


def halts(
    model: RecursiveNet,
    steps: Tensor,
    q_halt: Tensor,
    q_continue: Tensor,
    *,
    training: bool,
    least: Tensor | None = None,
) -> Tensor:
    """Tells which slots halt after `steps` segments, bool [slots].

    A slot halts at the limit, and in training also when Q says so.

    Args:
        model: says the limit, and whether it learns the value of going on.
        steps: segments spent on the board, int64 [slots].
        q_halt: logits of halting, float32 [slots].
        q_continue: logits of going on, float32 [slots].
        training: whether Q may halt a slot before the limit.
        least: segments below which a slot goes on, int64 [slots]: exploration, in training alone.
    """
    last = steps >= model.config.halt_max_steps
    if not training:
        return last
    wanted = q_halt > (q_continue if model.learns_to_continue else 0.0)
    return last | (wanted if least is None else wanted & (steps >= least))


def advance(
    carry: Carry, rollout: Rollout, model: RecursiveNet, *, training: bool, least: Tensor | None = None
) -> Carry:
    """Returns the carry after one segment on the boards that `begin` gave."""
    steps = carry.steps + 1
    halted = halts(
        model, steps, rollout.q_halt[0].detach(), rollout.q_continue[0].detach(), training=training, least=least
    )
    return carry._replace(z_h=rollout.z_h, z_l=rollout.z_l, steps=steps, halted=halted)
