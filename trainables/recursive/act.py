"""Adaptive computation time (Graves 2016) as HRM and TRM stream it.

A slot thinks about its board until it halts, then takes another. A call is one segment for every
slot. Labels come from the carry, never from the boards that were offered: a slot that goes on keeps
its own board.
"""

from __future__ import annotations

from collections.abc import Mapping
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
        shown: what else the model reads beside the board, such as its demonstrations, [slots, ...]
            by name.
    """

    z_h: Tensor
    z_l: Tensor
    steps: Tensor
    halted: Tensor
    inputs: Tensor
    labels: Tensor
    puzzles: Tensor
    shown: Mapping[str, Tensor]

    def tensors(self) -> dict[str, Tensor]:
        """Returns all tensors by name."""
        own = self._asdict()
        return {**own.pop("shown"), **own}

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> Carry:
        """The inverse of `tensors`."""
        own = {name: tensors[name] for name in Carry._fields if name != "shown"}
        return Carry(**own, shown={name: tensor for name, tensor in tensors.items() if name not in own})


def fresh(model: RecursiveNet, slots: int) -> Carry:
    """Returns slots without a board, all halted."""
    z_h, z_l = (state.clone() for state in model.start(slots))
    device = z_h.device
    steps = torch.zeros(slots, dtype=torch.int64, device=device)
    board = torch.zeros(slots, model.shape.tokens, dtype=torch.int64, device=device)
    halted = torch.ones_like(steps, dtype=torch.bool)
    return Carry(z_h, z_l, steps, halted, board, board.clone(), steps.clone(), model.blank(slots))


def begin(
    carry: Carry, inputs: Tensor, labels: Tensor, puzzles: Tensor, z_h: Tensor, z_l: Tensor, **shown: Tensor
) -> Carry:
    """Gives halted slots the offered boards and states, and what is shown beside the boards.

    What is offered to other slots is dropped. What a slot carries and nobody offers, such as a
    cached context, it keeps.
    """
    offered = {"z_h": z_h, "z_l": z_l, "steps": torch.zeros_like(carry.steps), "halted": carry.halted}
    offered |= {"inputs": inputs, "labels": labels, "puzzles": puzzles, **shown}

    def chosen(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(carry.halted.view(-1, *[1] * (old.dim() - 1)), new, old)

    return Carry.of({name: chosen(offered.get(name, old), old) for name, old in carry.tensors().items()})


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
    cached = {"context": rollout.context} if rollout.context is not None and "context" in carry.shown else {}
    return carry._replace(z_h=rollout.z_h, z_l=rollout.z_l, steps=steps, halted=halted, shown={**carry.shown, **cached})
