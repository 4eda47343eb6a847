"""Which inputs a network uses: gradient times input, beside the formula's weights.

The method is that of Shrikumar et al. 2017. The zero-parameter formula's V is ln n + sum over i of
c_i (2 - k_i) ln 2, c_i = (L + 1 - i)/(L + 1): a valuation near at hand weighs almost ln 2, the last
one ln 2 / (L + 1). Only the order of V along an orbit matters, so the network's gradients are
brought to the formula's scale by the slope of V on it.

A gradient is that of one column. The drift is a sum of the k_i, so a network can also read them
there: `total` adds what a unit of k_i moves through the drift, the same for every i.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from analysis.collatz.ablation import groups
from analysis.collatz.subject import Subject
from leadline.measure import Measure
from leadline.statistics import mean_over_units
from trainables.collatz.features import BASE, F64, I64, features, width
from trainables.collatz.model import formula

__all__ = ["Attribution", "Position", "Share", "attribution", "formula_weights", "gradients"]

BEYOND = (10, 20, 50)
"""The positions beyond which the share of attribution is reported."""

K_PER_COLUMN = 10.0  # a column holds k / 10
DRIFT = 5  # the column of the drift
_ROWS_AT_ONCE = 4096


class Position(NamedTuple):
    """Position i of the window.

    Measures are means over orbits, in units of V, or of V per unit of k_i.

    Attributes:
        i: 1 for the first valuation.
        gradient: dV/dk_i through its own column.
        scaled: the same over the slope of V on the formula; NaN if that is not positive.
        total: dV/dk_i, drift included, over the slope.
        formula: the formula's weight, -c_i ln 2.
        attribution: |gradient x input|.
        formula_attribution: the same for the formula, on the same nodes.
    """

    i: int
    gradient: Measure
    scaled: float
    total: float
    formula: float
    attribution: Measure
    formula_attribution: Measure


class Share(NamedTuple):
    """A share of the attribution, mean over orbits, for the network and for the formula."""

    of: str
    network: Measure
    formula: Measure


@dataclass(frozen=True)
class Attribution:
    """The attribution of a network on the nodes of the validation split.

    Attributes:
        trial: what titles call the trial.
        orbits: independent units behind the means.
        nodes: numbers that the orbits hold.
        slope: slope of V on the formula, by least squares over the nodes.
        explained: squared correlation of V and the formula.
        correlation: correlation of the mean gradients and the formula's weights over the positions;
            NaN if there is no spread. What goes through the drift is the same everywhere and does
            not change it.
        positions: one for each position of the window.
        groups: shares of all attribution that groups of columns have.
        beyond: shares of the window's attribution that lie beyond some positions.
    """

    trial: str
    orbits: int
    nodes: int
    slope: float
    explained: float
    correlation: float
    positions: list[Position]
    groups: list[Share]
    beyond: list[Share]


def formula_weights(lookahead: int) -> F64:
    """Returns dV/dk_i of the formula, float64 [lookahead]: -c_i ln 2."""
    i = np.arange(1, lookahead + 1)
    return np.asarray(-math.log(2) * (lookahead + 1 - i) / (lookahead + 1))


def gradients(model: nn.Module, x: np.ndarray) -> tuple[F64, F64]:
    """Returns V of inputs float32 [rows, width], and its gradient with respect to them.

    They are float64 [rows] and [rows, width].
    """
    values, slopes = [], []
    for part in torch.split(torch.from_numpy(x), _ROWS_AT_ONCE):
        part = part.clone().requires_grad_()
        v = model(part)
        (slope,) = torch.autograd.grad(v.sum(), part)
        values.append(v.detach())
        slopes.append(slope)
    return torch.cat(values).double().numpy(), torch.cat(slopes).double().numpy()


def _correlation(a: F64, b: F64) -> float:
    """Returns Pearson's correlation; NaN if either has no spread."""
    if len(a) < 2 or a.std() == 0 or b.std() == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def _orbit_means(values: F64, orbit: I64) -> F64:
    """Returns the means of rows [nodes, ...] over each orbit, [orbits, ...]."""
    count = np.bincount(orbit)
    total = np.zeros((len(count), *values.shape[1:]))
    np.add.at(total, orbit, values)
    return np.asarray(total / count.reshape(-1, *[1] * (values.ndim - 1)))


def _shares(network: F64, reference: F64, columns: tuple[int, ...], of: str) -> Share:
    """Returns the share of each orbit's attribution that some columns have.

    Attributions are [orbits, columns]. An orbit without any attribution has a share of 0.
    """

    def mean(values: F64) -> Measure:
        total = values.sum(1)
        own = np.divide(values[:, list(columns)].sum(1), total, out=np.zeros(len(total)), where=total > 0)
        return mean_over_units(own, (0.0, 1.0))

    return Share(of, mean(network), mean(reference))


def attribution(subject: Subject) -> Attribution:
    """Computes gradient times input over the private nodes of the validation orbits."""
    config, data = subject.config, subject.data
    lookahead, mode = config.lookahead, config.features
    rows = data.scored("validation")
    orbit = np.repeat(np.arange(len(rows.count)), rows.count)
    index = np.concatenate(
        [np.arange(first, first + count) for first, count in zip(rows.first, rows.count, strict=True)]
    )
    x = features(data.nodes, index, lookahead, mode)
    values, slopes = gradients(subject.model, x)
    line = formula("full", lookahead)
    sums = features(data.nodes, index, lookahead).astype(np.float64) @ line.weight.double().numpy() + line.bias
    slope = float(np.cov(values, sums)[0, 1] / sums.var(ddof=1))
    base = width(mode, lookahead) - lookahead
    reference = np.zeros(x.shape[1])
    reference[base:] = formula_weights(lookahead) * K_PER_COLUMN
    if base:
        reference[0] = float(line.weight[0])
    own, others = (_orbit_means(np.abs(grad * x), orbit) for grad in (slopes, reference))
    unit = _orbit_means(slopes, orbit) / K_PER_COLUMN
    through = -unit[:, DRIFT].mean() if base == BASE else 0.0
    window = unit[:, base:].mean(0)
    weights = formula_weights(lookahead)
    scale = slope if slope > 0 else math.nan
    positions = [
        Position(
            i + 1,
            mean_over_units(unit[:, base + i]),
            float(window[i] / scale),
            float((window[i] + through) / scale),
            float(weights[i]),
            mean_over_units(own[:, base + i]),
            mean_over_units(others[:, base + i]),
        )
        for i in range(lookahead)
    ]
    beyond = [
        _shares(own[:, base:], others[:, base:], tuple(range(p, lookahead)), f"k beyond {p}, of all k")
        for p in BEYOND
        if p < lookahead
    ]
    return Attribution(
        trial=subject.name,
        orbits=len(rows.count),
        nodes=len(index),
        slope=slope,
        explained=_correlation(values, sums) ** 2,
        correlation=_correlation(window, weights),
        positions=positions,
        groups=[_shares(own, others, group.columns, group.name) for group in groups(mode, lookahead)],
        beyond=beyond,
    )
