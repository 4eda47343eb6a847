"""What a function V is worth: its margins V(x_i) - V(x_(i+1)) along orbits, one orbit being one independent unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.collatz.data import CollatzData, Rows
from trainables.collatz.features import F64, I64
from trainables.collatz.split import LOGGED_SEEDS
from trainables.family import Metric, Split
from trainables.measure import Measure, mean_over_units

__all__ = ["METRICS", "Potential", "margins", "population", "relative", "score"]

Potential = Callable[[I64], npt.NDArray[Any]]
"""V of nodes: int64 [rows] to float [rows]."""

SLACK = 0.05

METRICS = (
    Metric("hinge", "min", "orbits", "mean over orbits of the mean max(0, 0.05 - m/s), m a margin and s the mean |m| of all: scale-free"),
    Metric("violations", "min", "orbits", "mean over orbits of the share of steps with margin <= 0; ties count"),
    Metric("margin_p5", "max", "orbits", "5th percentile of m/s over all scored steps"),
    Metric("violation_count", "min", "orbits", "steps with margin <= 0, counted"),
    Metric("logged_violations", "min", "steps", "the log's count on its five seeds' 429 steps, most of them leaked: for comparison"),
    *(Metric(f"logged_{seed}", "min", "steps", f"the same on seed {seed} alone") for seed in LOGGED_SEEDS),
)


def margins(rows: Rows, potential: Potential) -> list[F64]:
    """Margins of each orbit's scored steps, differences taken in the precision of V: float64 [steps] each."""
    spans = [np.arange(first, first + count + 1) for first, count in zip(rows.first, rows.count, strict=True)]
    values = potential(np.concatenate(spans))
    ends = np.cumsum([len(span) for span in spans])
    return [(v[:-1] - v[1:]).astype(np.float64) for v in np.split(values, ends[:-1])]


def relative(found: list[F64]) -> list[F64]:
    """Margins over the mean |margin| of all; -1 everywhere for a constant V, which has no scale."""
    scale = float(np.mean(np.abs(np.concatenate(found))))
    return [np.full_like(m, -1.0) if scale == 0 else m / scale for m in found]


def _violating(m: F64) -> npt.NDArray[np.bool_]:
    return np.asarray(~(m > 0))  # so that NaN violates too


def _percentile(found: list[F64], q: float = 0.05, resamples: int = 200) -> Measure:
    """Quantile of all steps, linear between order statistics, with a 95 % interval from resampling whole orbits."""
    steps = np.concatenate(found)
    value = float(np.quantile(steps, q))
    if not np.isfinite(value) or np.all(steps == steps[0]):
        return Measure(value, len(found), value, value)
    draws = np.random.default_rng(20260).integers(0, len(found), size=(resamples, len(found)))
    again = [np.quantile(np.concatenate([found[i] for i in draw]), q) for draw in draws]
    low, high = np.quantile(again, [0.025, 0.975])
    return Measure(value, len(found), min(value, float(low)), max(value, float(high)))


def score(data: CollatzData, split: Split, potential: Potential) -> dict[str, Measure]:
    """Every declared metric of a function V on a split.

    `hinge` cannot be lowered by scaling V, and is 0 exactly when every margin is at least 5 % of the mean |margin|.
    A V that is not finite scores NaN, and violates wherever its margins are not numbers.
    """
    found = margins(data.scored(split), potential)
    ratios = relative(found)
    violating = [_violating(m) for m in found]
    hinge = [float(np.mean(np.maximum(0.0, SLACK - m))) for m in ratios]
    return {
        "hinge": mean_over_units(hinge, (0.0, np.inf)),
        "violations": mean_over_units([float(v.mean()) for v in violating], (0.0, 1.0)),
        "margin_p5": _percentile(ratios),
        "violation_count": Measure.exact(sum(int(v.sum()) for v in violating), len(found)),
        **_logged(data, potential),
    }


def _logged(data: CollatzData, potential: Potential) -> dict[str, Measure]:
    rows = data.scored("logged")
    counts = [int(_violating(m).sum()) for m in margins(rows, potential)]
    own = zip(rows.seeds.tolist(), counts, rows.count.tolist(), strict=True)
    each = {f"logged_{seed}": Measure.exact(count, steps) for seed, count, steps in own}
    return {"logged_violations": Measure.exact(sum(counts), int(rows.count.sum())), **each}


def population(found: npt.NDArray[np.float32], growth: npt.NDArray[np.bool_], weight: npt.NDArray[np.float32]) -> dict[str, float]:
    """The log's figures on a population of numbers, rates in percent.

    Args:
        found: margins V(n) - V(T n), [rows].
        growth: where T(n) > n, [rows].
        weight: log10(max(1, largest number of n's full Collatz orbit / n)) + 1, [rows].
    """

    def rates(rows: npt.NDArray[np.bool_], prefix: str) -> dict[str, float]:
        passed = found[rows] > 0
        share = float(weight[rows][passed].sum(dtype=np.float64) / weight[rows].sum(dtype=np.float64)) if rows.any() else np.nan
        plain = float(passed.mean()) if rows.any() else np.nan
        return {f"{prefix}pass_rate": 100 * plain, f"{prefix}weighted_pass_rate": 100 * share}

    everything = np.ones(len(found), dtype=np.bool_)
    own = found[growth]
    return {
        **rates(everything, ""),
        **rates(growth, "growth_"),
        "margin_mean": float(found.mean(dtype=np.float64)),
        "margin_median": float(np.median(found)),
        "margin_min": float(found.min()),
        "margin_5pct": float(np.quantile(found.astype(np.float64), 0.05)),
        "growth_margin_mean": float(own.mean(dtype=np.float64)) if len(own) else np.nan,
        "growth_margin_min": float(own.min()) if len(own) else np.nan,
        "n_total": float(len(found)),
        "n_growth": float(growth.sum()),
    }
