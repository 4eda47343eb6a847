"""V of one number that a person asks for: numbers of any length, by Python's integers."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from leadline.config import ConfigError
from trainables.collatz.config import CollatzConfig
from trainables.collatz.features import Nodes, features
from trainables.collatz.orbits import U8

__all__ = ["PredictedStep", "read_number", "values"]


@dataclass(frozen=True)
class PredictedStep:
    """V along one step of the Syracuse map T.

    Attributes:
        number: n.
        following: T(n).
        value: V(n), above 0.
        following_value: V(T(n)).
    """

    number: int
    following: int
    value: float
    following_value: float

    @property
    def falls(self) -> bool:
        """Whether V(T(n)) < V(n), as it should be for every n except 1, where T(1) = 1."""
        return self.following_value < self.value


def _short(number: int) -> str:
    """Writes a number in at most about 60 characters."""
    return str(number) if number.bit_length() <= 200 else f"a number of {number.bit_length()} bits"


def read_number(inputs: Any) -> int:
    """Reads an odd number of at least 1, from an integer or its decimal digits.

    Raises:
        ConfigError: beginning with `inputs`, for anything else.
    """
    try:
        number = int(inputs) if isinstance(inputs, str) else operator.index(inputs)
    except (TypeError, ValueError):
        raise ConfigError(f"inputs: must be an odd whole number of at least 1 (got {inputs!r:.60})") from None
    if isinstance(inputs, bool) or number < 1:
        raise ConfigError(f"inputs: must be an odd whole number of at least 1 (got {_short(number)})")
    if number % 2 == 0:
        odd = number // (number & -number)
        raise ConfigError(f"inputs: T takes odd numbers, and halving leads to {_short(odd)} (got {_short(number)})")
    return number


def _orbit(number: int, steps: int) -> tuple[list[int], int]:
    """Returns the valuations of the first steps of an orbit, and T of its first number."""
    valuations, numbers = [], [number]
    for _ in range(steps):
        tripled = 3 * numbers[-1] + 1
        valuations.append((tripled & -tripled).bit_length() - 1)
        numbers.append(tripled >> valuations[-1])
    return valuations, numbers[1]


def values(model: nn.Module, number: int, config: CollatzConfig) -> PredictedStep:
    """Returns V of an odd number and of T of it, from the same features as in training."""
    valuations, following = _orbit(number, config.lookahead + 1)
    nodes = Nodes(
        # Numbers in training have less than 240 bits, so their valuations fit a byte. A person's
        # number may be halved more often: its valuations stay wider integers.
        cast(U8, np.array(valuations)),
        np.array([0, 1]),
        np.array([math.log(number), math.log(following)]),
        np.array([number % 81, following % 81], dtype=np.uint8),
    )
    inputs = torch.from_numpy(features(nodes, np.array([0, 1]), config.lookahead, config.features))
    with torch.no_grad():
        value, following_value = model(inputs.to(next(model.parameters()).device)).tolist()
    return PredictedStep(number, following, value, following_value)
