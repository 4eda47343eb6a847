"""Does an encoder's context say anything? Its spread over boards, and exchanged demonstrations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from leadline.measure import Measure
from leadline.statistics import mean_over_units
from trainables.puzzles.puzzle import Boards
from trainables.puzzles.scoring import Array, by_unit
from trainables.recursive.metrics import PROBED
from trainables.recursive.model import ETRM
from trainables.recursive.scoring import judged, parts, shown, tensors, think

__all__ = ["collapse"]

ROUNDING = 1e-12
"""The variance that rounding in float32 leaves, as a share of the mean square."""


@torch.no_grad()
def collapse(model: ETRM, boards: Boards, device: torch.device) -> dict[str, Measure]:
    """Returns all metrics that the puzzle allows.

    The exchange is a fixed derangement, each board's demonstrations being those of the next and the
    last one's those of the first. What is still right then is so by chance: because both boards are
    of one task, or because an answer needs no demonstration.
    """
    right = []
    for index, rows in parts(model, boards, len(boards), device):
        others = tensors(model.config.puzzle.rows(boards, (index + 1) % len(boards)), device)
        said = think(model, {**rows, **shown(model, others)})
        right.append(judged(model, said, rows["labels"]).exact)
    units = model.config.puzzle.units(boards)

    def share(values: Array) -> Measure:
        return mean_over_units(by_unit(values, units), (0.0, 1.0))

    contexts = _contexts(model, boards, device)
    found = {"context_spread": _spread(contexts), "exact_exchanged": share(np.concatenate(right))}
    if (alike := model.config.puzzle.agreeing(boards)) is not None:
        found["chance"] = share(alike.astype(np.float64))
    tasks = model.config.puzzle.tasks(boards)
    if tasks is None or len(np.unique(tasks[: len(contexts)])) in (1, len(contexts)):
        return found
    places = np.unique(tasks[: len(contexts)], return_inverse=True)[1]
    return {**found, "context_between": _between(contexts, torch.from_numpy(places))}


def _contexts(model: ETRM, boards: Boards, device: torch.device) -> Tensor:
    """Returns the context of the first boards, float64 [boards, numbers]."""
    found = []
    for _, rows in parts(model, boards, min(PROBED, len(boards)), device):
        (context,) = model.contexts(rows["puzzle"], 1, **shown(model, rows))
        assert context.tokens is not None
        found.append(context.tokens.flatten(1).double())
    return torch.cat(found)


def _spread(contexts: Tensor) -> Measure:
    """Returns the mean squared distance from the mean context, over the mean square."""
    away = (contexts - contexts.mean(0)).square().sum(1)
    return mean_over_units((away / contexts.square().sum(1).mean()).cpu().numpy())


def _between(contexts: Tensor, tasks: Tensor) -> Measure:
    """Returns the variance between tasks, int64 [boards] from 0, over that within them."""
    numbers = tasks.to(contexts.device)
    sums = contexts.new_zeros(int(tasks.max()) + 1, contexts.shape[1]).index_add(0, numbers, contexts)
    own = (sums / torch.bincount(numbers)[:, None])[numbers]
    # Boards of a task may all be shown the same: rounding is the least variance.
    within = (contexts - own).square().sum(1).mean() + ROUNDING * contexts.square().sum(1).mean()
    return mean_over_units(((own - contexts.mean(0)).square().sum(1) / within).cpu().numpy())
