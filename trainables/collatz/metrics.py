"""The metrics of a function V, from its margins V(x_i) - V(x_(i+1)) along orbits.

One orbit is one independent unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from leadline.measure import Measure, Metric
from leadline.statistics import mean_over_units
from leadline.task import Split
from trainables.collatz.data import CollatzData, Rows
from trainables.collatz.features import F64, I64
from trainables.collatz.split import LOGGED_SEEDS

__all__ = [
    "METRICS",
    "Potential",
    "coverage",
    "margins",
    "population",
    "relative",
    "score",
    "score_rows",
    "worst_margin",
]

Potential = Callable[[I64], npt.NDArray[Any]]
"""A function V of nodes: int64 [rows] to float [rows]."""

SLACK = 0.05  # margin over the mean |margin| from which a step adds nothing to `hinge`

METRICS = (
    Metric(
        "hinge",
        "min",
        "orbits",
        "mean over orbits of the mean max(0, 0.05 - m/s), m a margin and s the mean |m| of all: scale-free",
    ),
    Metric("violations", "min", "orbits", "mean over orbits of the share of steps with margin <= 0; ties count"),
    Metric("margin_p5", "max", "orbits", "5th percentile of m/s over all scored steps"),
    Metric("violation_count", "min", "orbits", "steps with margin <= 0, counted"),
    Metric(
        "common_hinge",
        "min",
        "orbits",
        "hinge on the common subset, steps with more left to 1 than `common`; s as in hinge",
        role="common",
    ),
    Metric(
        "common_violations",
        "min",
        "orbits",
        "violations on the common subset, over the orbits that have such steps",
        role="common",
    ),
    Metric(
        "coverage",
        "min",
        "steps",
        "share of the scored steps with at most `lookahead` left to 1, where the input contains the answer",
        role="coverage",
    ),
    Metric(
        "logged_violations",
        "min",
        "steps",
        "the log's count on its five seeds' 429 steps, most of them leaked: for comparison",
    ),
    Metric(
        "logged_leaked",
        "min",
        "steps",
        "those of its steps that may be trained on: small numbers, and numbers on several orbits",
    ),
    Metric(
        "logged_unleaked",
        "min",
        "steps",
        "those of its private steps, which no training row touches unless guard=scored",
    ),
    Metric(
        "logged_worst",
        "max",
        "steps",
        "smallest margin among the logged violations, in units of V as the log has it; NaN without any",
    ),
    *(Metric(f"logged_{seed}", "min", "steps", f"the same on seed {seed} alone") for seed in LOGGED_SEEDS),
)


def margins(rows: Rows, potential: Potential) -> list[F64]:
    """Returns the margins of each orbit's scored steps, float64 [steps] each.

    Differences are taken in the precision of V.
    """
    spans = [np.arange(first, first + count + 1) for first, count in zip(rows.first, rows.count, strict=True)]
    values = potential(np.concatenate(spans))
    ends = np.cumsum([len(span) for span in spans])
    return [(v[:-1] - v[1:]).astype(np.float64) for v in np.split(values, ends[:-1])]


def relative(found: list[F64]) -> list[F64]:
    """Returns the margins over the mean |margin| of all.

    A constant V has no scale: its margins become -1 everywhere.
    """
    scale = float(np.mean(np.abs(np.concatenate(found))))
    return [np.full_like(m, -1.0) if scale == 0 else m / scale for m in found]


def _violating(m: F64) -> npt.NDArray[np.bool_]:
    return np.asarray(~(m > 0))  # so that NaN violates too


def _resampled(found: list[F64], draws: I64, q: float) -> F64:
    """Returns a quantile of the steps of each draw of orbits, as `np.quantile` has it.

    All steps are sorted once, rather than those of each draw: in a draw, each counts as often as
    its orbit was drawn.

    Args:
        found: the steps of each orbit.
        draws: which orbits were drawn, [draws, orbits].
        q: the quantile, in [0, 1].
    """
    steps = np.concatenate(found)
    order = np.argsort(steps)
    orbit = np.repeat(np.arange(len(found)), [len(one) for one in found])[order]
    between = np.empty((len(draws), 3))
    for row, draw in zip(between, draws, strict=True):
        ends = np.cumsum(np.bincount(draw, minlength=len(found))[orbit])
        first, share = divmod((ends[-1] - 1) * q, 1)
        pair = np.searchsorted(ends, (first, min(first + 1, ends[-1] - 1)), side="right")
        row[:] = *steps[order[pair]], share
    low, high, share = between.T
    return np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))


def _percentile(found: list[F64], q: float = 0.05, resamples: int = 200) -> Measure:
    """Returns a quantile of all steps, linear between order statistics, with a 95 % interval.

    The interval comes from resampling whole orbits, since the steps of one orbit are not
    independent.
    """
    steps = np.concatenate(found)
    value = float(np.quantile(steps, q))
    if not np.isfinite(value) or np.all(steps == steps[0]):
        return Measure(value, len(found), value, value)
    draws = np.random.default_rng(20260).integers(0, len(found), size=(resamples, len(found)))
    again = _resampled(found, draws, q)
    low, high = np.quantile(again, [0.025, 0.975])
    return Measure(value, len(found), min(value, float(low)), max(value, float(high)))


def score(data: CollatzData, split: Split, potential: Potential, lookahead: int, common: int = 0) -> dict[str, Measure]:
    """Returns every declared metric of a function V on a split.

    `hinge` cannot be lowered by scaling V, and is 0 exactly when every margin is at least 5 % of
    the mean |margin|. A V that is not finite scores NaN, and violates wherever its margins are not
    numbers.

    Args:
        data: the orbits.
        split: the split that is scored.
        potential: the function V.
        lookahead: steps that V sees ahead.
        common: steps with more than this many left to 1 form the common subset; 0 stands for the
            lookahead.
    """
    return {**score_rows(data.scored(split), potential, lookahead, common), **_logged(data, potential)}


def score_rows(rows: Rows, potential: Potential, lookahead: int, common: int = 0) -> dict[str, Measure]:
    """Returns the metrics of a function V on the steps of some orbits; see `score`."""
    found = margins(rows, potential)
    ratios = relative(found)
    violating = [_violating(m) for m in found]
    hinge = [np.maximum(0.0, SLACK - m) for m in ratios]
    left = [steps - np.arange(count) for steps, count in zip(rows.steps, rows.count, strict=True)]
    shared = [steps > (common or lookahead) for steps in left]
    return {
        "hinge": mean_over_units([float(np.mean(h)) for h in hinge], (0.0, np.inf)),
        "violations": mean_over_units([float(v.mean()) for v in violating], (0.0, 1.0)),
        "margin_p5": _percentile(ratios),
        "violation_count": Measure.exact(sum(int(v.sum()) for v in violating), len(found)),
        "common_hinge": mean_over_units(_means(hinge, shared), (0.0, np.inf)),
        "common_violations": mean_over_units(_means(violating, shared), (0.0, 1.0)),
        "coverage": coverage(np.concatenate(left), lookahead),
    }


def coverage(remaining: I64, lookahead: int) -> Measure:
    """Returns the share of steps with at most `lookahead` left to 1.

    `remaining` holds the Syracuse steps from each to 1, int64 [steps].
    """
    return Measure.exact(float((remaining <= lookahead).mean()), len(remaining))


def _means(values: Sequence[npt.NDArray[Any]], where: list[npt.NDArray[np.bool_]]) -> list[float]:
    """Returns the mean of each orbit's chosen steps, for the orbits that have any."""
    return [float(value[chosen].mean()) for value, chosen in zip(values, where, strict=True) if chosen.any()]


def _logged(data: CollatzData, potential: Potential) -> dict[str, Measure]:
    rows = data.scored("logged")
    found = margins(rows, potential)
    counts = [int(_violating(m).sum()) for m in found]
    unleaked = sum(int(_violating(m[:length]).sum()) for m, length in zip(found, rows.private, strict=True))
    steps, private = int(rows.count.sum()), int(rows.private.sum())
    own = zip(rows.seeds.tolist(), counts, rows.count.tolist(), strict=True)
    return {
        "logged_violations": Measure.exact(sum(counts), steps),
        "logged_leaked": Measure.exact(sum(counts) - unleaked, steps - private),
        "logged_unleaked": Measure.exact(unleaked, private),
        "logged_worst": Measure.exact(worst_margin(found), steps),
        **{f"logged_{seed}": Measure.exact(count, length) for seed, count, length in own},
    }


def worst_margin(found: list[F64]) -> float:
    """Returns the smallest margin among the violations of all orbits; NaN if there are none."""
    below = [float(m[m <= 0].min()) for m in found if (m <= 0).any()]
    return min(below, default=math.nan)


def population(
    found: npt.NDArray[np.float32], growth: npt.NDArray[np.bool_], weight: npt.NDArray[np.float32]
) -> dict[str, float]:
    """Returns the log's figures on a population of numbers, rates in percent.

    Args:
        found: margins V(n) - V(T n), [rows].
        growth: where T(n) > n, [rows].
        weight: log10(max(1, largest number of n's full Collatz orbit / n)) + 1, [rows].
    """

    def rates(rows: npt.NDArray[np.bool_], prefix: str) -> dict[str, float]:
        plain = weighted = np.nan
        if rows.any():
            passed = found[rows] > 0
            plain = float(passed.mean())
            weighted = float(weight[rows][passed].sum(dtype=np.float64) / weight[rows].sum(dtype=np.float64))
        return {f"{prefix}pass_rate": 100 * plain, f"{prefix}weighted_pass_rate": 100 * weighted}

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
