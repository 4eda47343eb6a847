"""Learning rate schedules of a trial that goes on from a checkpoint under a longer budget.

A scheduler's state holds its budget (`T_max`, `total_iters`, milestones, patience): loaded as it
is, it would bring the shorter one back, and a cosine that has fallen to 0 would stay there.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

__all__ = ["lengthen"]

SEEN = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch", "_last_lr")
"""State of ReduceLROnPlateau that it has learnt, rather than been told."""


def lengthen(
    optimizers: Sequence[Optimizer],
    schedulers: Sequence[LRScheduler],
    saved: tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]],
    step: int,
) -> None:
    """Restores optimizers and schedulers that were just built for the longer budget.

    A schedule that depends on steps alone is run again from its beginning: the rate is then that of
    a trial which has had the longer budget all along. `ReduceLROnPlateau` keeps what it has seen,
    and the rates that it came to, with the patience of the longer budget; where one optimizer has
    both kinds, the first decides the rate.

    Args:
        optimizers: the new optimizers, not yet stepped.
        schedulers: their new schedulers, not yet stepped.
        saved: the states of the optimizers and of the schedulers at `step`.
        step: optimizer steps done, after each of which every scheduler was stepped once.
    """
    fixed = [scheduler for scheduler in schedulers if not isinstance(scheduler, ReduceLROnPlateau)]
    before = {id(optimizer): [dict(group) for group in optimizer.param_groups] for optimizer in optimizers}
    with warnings.catch_warnings():
        # torch warns that no optimizer has stepped, which is meant here.
        warnings.simplefilter("ignore")
        for _ in range(step):
            for scheduler in fixed:
                scheduler.step()
    scheduled = {id(scheduler.optimizer) for scheduler in fixed}
    for optimizer, state in zip(optimizers, saved[0], strict=True):
        groups = state["param_groups"]
        if id(optimizer) in scheduled:
            groups = [
                _with_rates(*triple)
                for triple in zip(groups, before[id(optimizer)], optimizer.param_groups, strict=True)
            ]
        optimizer.load_state_dict({**state, "param_groups": groups})
    for scheduler, state in zip(schedulers, saved[1], strict=True):
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.load_state_dict({name: state[name] for name in SEEN if name in state})


def _with_rates(saved: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """A saved parameter group with what schedules change.

    That is the rate, and whatever else they have changed since the beginning, such as momentum.

    Args:
        saved: the group as it was saved.
        before: the new group before its schedules were run.
        after: the new group after that.
    """
    return {**saved, **{name: after[name] for name in _changed(before, after)}}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[str]:
    """The rate, and names of what else schedules have changed in a parameter group."""
    return ["lr", *(name for name in after if name not in ("lr", "params") and after[name] != before.get(name))]
