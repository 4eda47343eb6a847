"""What is measured and reported: values with their number of independent units and an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainables.finding import Finding

__all__ = ["Measure", "Report", "mean_over_units", "two_way_mean"]


@dataclass(frozen=True)
class Measure:
    """A value, the number `n` of independent units behind it, and its 95 % interval [low, high].

    A value without spread (an exact count, a rate of the machine) has low = high = value. `units` are the values of the
    single units, in the family's order, where the value is their mean.
    """

    value: float
    n: int
    low: float
    high: float
    units: tuple[float, ...] = ()

    @staticmethod
    def exact(value: float, n: int = 1) -> Measure:
        """A value that is not an estimate."""
        return Measure(float(value), n, float(value), float(value))

    def to_dict(self, *, units: bool = False) -> dict[str, Any]:
        """Plain JSON values; non-finite numbers as None. `units`: the single units too."""
        numbers = {name: getattr(self, name) for name in ("value", "low", "high")}
        plain: dict[str, Any] = {name: x if math.isfinite(x) else None for name, x in numbers.items()}
        return {**plain, "n": self.n, **({"units": list(self.units)} if units and self.units else {})}

    @staticmethod
    def from_dict(plain: dict[str, Any]) -> Measure:
        """The inverse of `to_dict`; None comes back as NaN."""
        value, low, high = (math.nan if plain[name] is None else float(plain[name]) for name in ("value", "low", "high"))
        return Measure(value, int(plain["n"]), low, high, tuple(plain.get("units", ())))


def mean_over_units(
    values: Sequence[float] | np.ndarray, bounds: tuple[float, float] = (-math.inf, math.inf), resamples: int = 1000
) -> Measure:
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
        return Measure(mean, n, low, high, tuple(units.tolist()))
    draws = np.random.default_rng(20260).integers(0, n, size=(resamples, n))
    low, high = np.quantile(units[draws].mean(axis=1), [0.025, 0.975])
    return Measure(mean, n, float(low), float(high), tuple(units.tolist()))


def two_way_mean(values: np.ndarray, resamples: int = 1000) -> Measure:
    """Mean over replicates and units with a 95 % interval from the two-way bootstrap (Owen 2007, "pigeonhole").

    Args:
        values: one value per training replicate and independent unit, shape [replicates, units].
        resamples: bootstrap samples; rows and columns are drawn independently, with a fixed seed.

    `n` counts the units. With one replicate the interval is that of the units alone.
    """
    replicates, n = values.shape
    mean = float(values.mean())
    if not math.isfinite(mean):
        return Measure(math.nan, n, math.nan, math.nan)
    generator = np.random.default_rng(20260)
    rows = generator.integers(0, replicates, size=(resamples, replicates))
    columns = generator.integers(0, n, size=(resamples, n))
    means = [float(values[np.ix_(row, column)].mean()) for row, column in zip(rows, columns, strict=True)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Measure(mean, n, float(low), float(high))


@dataclass(frozen=True)
class Report:
    """What a trial says at each evaluation.

    `step` is the trial's own count of optimizer steps, monotonic across attempts. `seconds` are those of training alone,
    `overhead` those of evaluating, saving and guards, both summed over all attempts. Metrics are named `split/metric`;
    `findings` are what the guards have found since the report before.
    """

    step: int
    samples: int
    seconds: float
    overhead: float
    metrics: dict[str, Measure]
    facts: dict[str, float] = field(default_factory=dict)
    checkpoint: str | None = None
    findings: tuple[Finding, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; values per unit are kept for the test split alone, where confirmation resamples them."""
        facts = {name: value if math.isfinite(value) else None for name, value in self.facts.items()}
        metrics = {name: measure.to_dict(units=name.startswith("test/")) for name, measure in self.metrics.items()}
        return {**vars(self), "metrics": metrics, "facts": facts, "findings": [finding.to_dict() for finding in self.findings]}

    @staticmethod
    def from_dict(plain: dict[str, Any]) -> Report:
        """The inverse of `to_dict`."""
        facts = {name: math.nan if value is None else value for name, value in plain["facts"].items()}
        metrics = {name: Measure.from_dict(measure) for name, measure in plain["metrics"].items()}
        findings = tuple(Finding.from_dict(finding) for finding in plain.get("findings", ()))
        return Report(**{**plain, "metrics": metrics, "facts": facts, "findings": findings})
