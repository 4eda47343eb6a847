"""Functions V without a trained parameter, scored on the same rows as trials."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leadline.measure import Measure
from leadline.task import Split
from trainables.collatz.data import CollatzData
from trainables.collatz.features import F64, I64, REACH, drift
from trainables.collatz.metrics import Potential, score

__all__ = ["baselines", "potentials"]

NAMES = ("constant", "ln n", "ln n + 0.35 drift", "ln n + 0.5 drift", "sum of ln T^k", "oracle: steps to 1")


def _remaining(data: CollatzData) -> npt.NDArray[np.int64]:
    """Returns the steps to 1 of every orbit node, int64 [orbit nodes]; 0 past the 1."""
    parts = [np.maximum(np.arange(steps + REACH, -1, -1) - REACH, 0) for steps in data.steps]
    return np.concatenate(parts)


def potentials(data: CollatzData, lookahead: int) -> dict[str, Potential]:
    """Returns every baseline's V by name.

    Each V takes orbit nodes, not nodes of the pool. Those with a drift or a sum look `lookahead`
    steps ahead. The oracle counts the Syracuse steps to 1 and never violates: it shows what a
    perfect score looks like. The sum is that of ln T^j(n) for j = 0..lookahead, exact; its margin
    is ln n - ln T^(lookahead + 1)(n).
    """
    nodes = data.nodes
    remaining = _remaining(data)
    running = np.concatenate([[0.0], np.cumsum(nodes.ln[: len(remaining)])])

    def log(index: I64) -> F64:
        return np.asarray(nodes.ln[index])

    def drifting(coefficient: float) -> Potential:
        return lambda index: nodes.ln[index] + coefficient * drift(nodes, index, lookahead)

    def summed(index: I64) -> F64:
        ahead = np.minimum(lookahead + 1, remaining[index])  # all later terms are ln 1
        return np.asarray(running[index + ahead] - running[index])

    functions: tuple[Potential, ...] = (
        lambda index: np.zeros(len(index)),
        log,
        drifting(0.35),
        drifting(0.5),
        summed,
        lambda index: remaining[index].astype(np.float64),
    )
    return dict(zip(NAMES, functions, strict=True))


def baselines(data: CollatzData, lookahead: int, split: Split, common: int = 0) -> dict[str, dict[str, Measure]]:
    """Returns every metric of every baseline on a split; `common` is that of `metrics.score`."""
    return {
        name: score(data, split, potential, lookahead, common)
        for name, potential in potentials(data, lookahead).items()
    }
