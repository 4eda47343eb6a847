"""The network V(n): a perceptron, alone or beside a linear path that starts at a formula."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.collatz.config import CollatzConfig
from trainables.collatz.features import BASE, Mode, width

__all__ = ["DRIFT_COEFFICIENT", "Line", "LyapunovNet", "formula", "network"]

DRIFT_COEFFICIENT = 0.35  # the anchor's target is ln n + 0.35 drift (log)
FLOOR = 1e-6  # keeps V above 0 where softplus underflows


class Line(NamedTuple):
    """A linear function of the features: `weight` float32 [width] and `bias`."""

    weight: Tensor
    bias: float


class LyapunovNet(nn.Module):
    """The network of the log, with the same parameter names.

    It has Linear and LeakyReLU(0.1) for each hidden width, Linear to 1, softplus, and adds 1e-6.
    `drift_param` is the log's scalar 0.35 of the anchor target. A fixed target gives it no
    gradient: it is then frozen, but still counts as a parameter.

    Args:
        width_in: columns of the input.
        layers: hidden widths, none for a linear V.
        skip: start of a linear path that is added before the softplus; the perceptron's last layer
            then starts at zero, so that V starts as softplus of that line.
        drift_trained: whether `drift_param` takes gradients.
    """

    def __init__(
        self, width_in: int, layers: tuple[int, ...], skip: Line | None = None, *, drift_trained: bool = False
    ) -> None:
        super().__init__()
        widths = (width_in, *layers)
        hidden: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            hidden += [nn.Linear(before, after), nn.LeakyReLU(0.1)]
        last = nn.Linear(widths[-1], 1)
        self.net = nn.Sequential(*hidden, last)
        self.skip: nn.Linear | None = None
        if skip is not None:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.skip = nn.Linear(width_in, 1)
            self.skip.load_state_dict({"weight": skip.weight[None], "bias": torch.tensor([skip.bias])})
        self.drift_param = nn.Parameter(torch.tensor(DRIFT_COEFFICIENT), requires_grad=drift_trained)

    def forward(self, x: Tensor) -> Tensor:
        """Returns V of features float32 [rows, width]: [rows], at least 1e-6."""
        y = self.net(x)
        if self.skip is not None:
            y = y + self.skip(x)
        return functional.softplus(y).squeeze(-1) + FLOOR


def formula(mode: Mode, lookahead: int) -> Line:
    """Returns the mean of ln T^j(n) over j = 0..L, as a line in the features.

    Apart from its "+1" terms, ln T^j(n) = ln n + sum over i <= j of (ln 3 - k_i ln 2), so the mean
    over j is ln n + sum over i = 1..L of c_i (ln 3 - k_i ln 2), c_i = (L + 1 - i)/(L + 1). The line
    has (2 - k_i) ln 2 in place of ln 3 - k_i ln 2: that adds the constant (L/2) ln(4/3), leaves
    every difference V(n) - V(Tn) as it is, and makes the line 0 at n = 1 and positive elsewhere,
    where softplus keeps its order. k_i is clipped at 10, as the features are.

    In columns: ln n = 40 ln(10) x_0; k_i = 10 x_(5+i), and 10 x_(5+i) + 2 in the shifted modes.
    """
    c = torch.arange(lookahead, 0, -1, dtype=torch.float64) / (lookahead + 1)
    weight = torch.zeros(width(mode, lookahead), dtype=torch.float64)
    weight[0] = 40 * math.log(10)
    weight[BASE:] = -10 * math.log(2) * c
    bias = 0.0 if mode.endswith("shifted") else 2 * math.log(2) * float(c.sum())
    return Line(weight.to(torch.float32), bias)


def network(config: CollatzConfig) -> LyapunovNet:
    """Returns the untrained network of a configuration, on the CPU.

    It is equal for equal configurations, whatever ran before.
    """
    skip = formula(config.features, config.lookahead) if config.skip else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return LyapunovNet(
            width(config.features, config.lookahead), config.layers, skip, drift_trained=config.target != "fixed"
        )
