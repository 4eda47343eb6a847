"""Measured values with their number of independent units and an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Measure", "mean_over_units"]


@dataclass(frozen=True)
class Measure:
    """A value, the number `n` of independent units behind it, and its 95 % interval [low, high].

    A value without spread (an exact count, a rate of the machine) has low = high = value.
    """

    value: float
    n: int
    low: float
    high: float

    @staticmethod
    def exact(value: float, n: int = 1) -> Measure:
        """A value that is not an estimate."""
        return Measure(float(value), n, float(value), float(value))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; non-finite numbers as None."""
        numbers = {name: getattr(self, name) for name in ("value", "low", "high")}
        plain: dict[str, Any] = {name: x if math.isfinite(x) else None for name, x in numbers.items()}
        return {**plain, "n": self.n}

    @staticmethod
    def from_dict(plain: dict[str, Any]) -> Measure:
        """The inverse of `to_dict`; None comes back as NaN."""
        value, low, high = (math.nan if plain[name] is None else float(plain[name]) for name in ("value", "low", "high"))
        return Measure(value, int(plain["n"]), low, high)


def mean_over_units(values: Sequence[float] | np.ndarray, bounds: tuple[float, float] = (-math.inf, math.inf), resamples: int = 1000) -> Measure:
    """Mean over independent units with a 95 % bootstrap interval (percentile method, Efron and Tibshirani 1993, ch. 13).

    Args:
        values: one value per independent unit (orbit, board, task), shape [n].
        bounds: smallest and largest possible value of a unit.
        resamples: bootstrap samples; the generator's seed is fixed, so equal values give equal intervals.

    Where every unit has the same value, which sits on a bound, the bootstrap says nothing: the interval then reaches
    from that bound by the rule of three, 3/n of the range (Hanley and Lippman-Hand 1983), where the range is finite.
    """
    units = np.asarray(values, dtype=np.float64)
    n = int(units.size)
    if n == 0 or not np.all(np.isfinite(units)):
        return Measure(math.nan, n, math.nan, math.nan)
    mean = float(units.mean())
    spread = min(1.0, 3.0 / n) * (bounds[1] - bounds[0])
    if np.all(units == units[0]):
        low = mean - spread if mean == bounds[1] and math.isfinite(spread) else mean
        high = mean + spread if mean == bounds[0] and math.isfinite(spread) else mean
        return Measure(mean, n, low, high)
    draws = np.random.default_rng(20260).integers(0, n, size=(resamples, n))
    low, high = np.quantile(units[draws].mean(axis=1), [0.025, 0.975])
    return Measure(mean, n, float(low), float(high))
