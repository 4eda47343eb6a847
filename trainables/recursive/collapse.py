"""Does an encoder's context say anything? Its spread over boards, and exchanged demonstrations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from leadline.measure import Measure, Metric
from leadline.statistics import mean_over_units
from trainables.puzzles.puzzle import Boards
from trainables.recursive.metrics import PROBED, judged, parts, shown, tensors, think
from trainables.recursive.model import ETRM

__all__ = ["COLLAPSE", "collapse"]

COLLAPSE = (
    Metric(
        "context_spread",
        "max",
        "boards",
        f"variance of the context between boards, as a share of its mean square, on at most {PROBED} boards; "
        "0: collapsed, the encoder says the same of all",
        role="descriptive",
    ),
    Metric(
        "exact_exchanged",
        "min",
        "boards",
        "share of boards that are right although each is shown the demonstrations of the next; "
        "as high as exact: the demonstrations are not used",
        role="descriptive",
    ),
)


@torch.no_grad()
def collapse(model: ETRM, boards: Boards, device: torch.device) -> dict[str, Measure]:
    """Returns both metrics.

    The exchange is a fixed derangement, each board's demonstrations being those of the next and the
    last one's those of the first. What is still right then is so by chance: because both boards are
    of one task, or because an answer needs no demonstration.
    """
    right = []
    for index, rows in parts(model, boards, len(boards), device):
        others = tensors(model.config.puzzle.rows(boards, (index + 1) % len(boards)), device)
        said = think(model, {**rows, **shown(model, others)})
        right.append(judged(model, said, rows["labels"]).exact)
    return {
        "context_spread": _spread(_contexts(model, boards, device)),
        "exact_exchanged": mean_over_units(np.concatenate(right), (0.0, 1.0)),
    }


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
