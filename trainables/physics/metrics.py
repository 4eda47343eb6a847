"""The metrics of predicted frames. An episode is the independent unit; its windows are one unit.

N windows, H frames ahead, B balls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leadline.measure import Measure, Metric, Series
from leadline.statistics import mean_over_units
from trainables.physics.episodes import F32
from trainables.physics.record import I64, Bool
from trainables.physics.world import F64, INSIDE, KINDS, REGIMES

__all__ = ["DISTANCES", "LOGGED_SCALE", "METRICS", "RIGHT", "Errors", "Rows", "score", "windows_of"]

LOGGED_SCALE = 10.0
"""The log's "accuracy" is 1 - MAE / 10, whatever the units of a feature."""

DISTANCES = ((0.0, 0.15), (0.15, 0.4), (0.4, 1.0), (1.0, np.inf))
"""Bins of the distance outside the training box, in widths of the range; without the lower end."""

RIGHT = 1e-6
"""The least MSE, in variances of training, that a skill is taken over.

A rival that is right to rounding, as flights without any contact are, would make skills of -1e15.
"""

SKILL = "1 - MSE / MSE of the best predictor that learns nothing, on the same windows"
_OTHERS = tuple(one.name for one in REGIMES if one is not INSIDE)
_HALVES = ("early", "late")


def _distance_metric(low: float, high: float) -> Metric:
    label = f"{low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}"
    series = Series("skill", low, "distance outside the training box", "widths of the range", label, SKILL)
    return Metric(f"skill_beyond_{low:g}", "max", "episodes", f"skill on worlds {label} widths outside", series=series)


METRICS = (
    Metric("skill", "max", "episodes", f"inside the training ranges: {SKILL}; MSE in standard deviations of training"),
    Metric("nrmse", "min", "episodes", "inside: mean over episodes of the RMSE in standard deviations of x, y, vx, vy"),
    *(Metric(f"{half}_skill", "max", "episodes", f"skill inside, {half} half of the frames ahead") for half in _HALVES),
    *(Metric(f"{half}_nrmse", "min", "episodes", f"nrmse inside, {half} half of the frames ahead") for half in _HALVES),
    Metric("energy", "min", "episodes", "inside: mean |E - simulator's E|, in standard deviations of E in training"),
    Metric("extrapolation_skill", "max", "episodes", "skill on all worlds with one parameter outside its range"),
    Metric("extrapolation_nrmse", "min", "episodes", "nrmse on these"),
    Metric("extrapolation_energy", "min", "episodes", "energy error on these"),
    Metric("novel_skill", "max", "episodes", "skill on all novel regimes"),
    Metric("novel_nrmse", "min", "episodes", "nrmse on these"),
    Metric("novel_energy", "min", "episodes", "energy error on these"),
    *(Metric(f"skill_{name}", "max", "episodes", f"skill in the regime {name}") for name in _OTHERS),
    *(_distance_metric(*bin_) for bin_ in DISTANCES),
    Metric(
        "logged_inside",
        "max",
        "episodes",
        "the log's figure, max(0, 1 - MAE/10) over raw features: says next to nothing, see its baselines",
    ),
    Metric("logged_extrapolation", "max", "episodes", "the same where the log's figure was 0.8351"),
)


@dataclass(frozen=True)
class Errors:
    """The errors of one predictor.

    Attributes:
        states: squared error in units of training, mean over balls and x, y, vx, vy: [N, H].
        energy: absolute error of the energy in units of training: [N, H].
        features: absolute error of the log's raw features, mean over them: [N, H].
    """

    states: F32
    energy: F32
    features: F32


@dataclass(frozen=True)
class Rows:
    """What the windows of a split are.

    Attributes:
        episode: int64 [N].
        regime: int64 [N], places in `REGIMES`.
        distance: float32 [N], outside the training box.
        rivals: the squared errors [N, H] of the predictors that learn nothing, oracles left out.
    """

    episode: I64
    regime: I64
    distance: F32
    rivals: Mapping[str, F32]

    def take(self, index: I64) -> Rows:
        """The windows at `index`, int64 [rows]."""
        rivals = {name: states[index] for name, states in self.rivals.items()}
        return Rows(self.episode[index], self.regime[index], self.distance[index], rivals)


def _groups(rows: Rows) -> Iterator[tuple[str, Bool]]:
    """The groups of windows that skills are measured on, by the name of the metric."""
    kinds = np.array([KINDS.index(one.kind) for one in REGIMES])[rows.regime]
    yield "extrapolation_skill", kinds == KINDS.index("extrapolation")
    yield "novel_skill", kinds == KINDS.index("novel")
    for place, regime in enumerate(REGIMES):
        if regime is not INSIDE:
            yield f"skill_{regime.name}", rows.regime == place
    for low, high in DISTANCES:
        yield f"skill_beyond_{low:g}", (rows.distance > low) & (rows.distance <= high)


def windows_of(metric: str, rows: Rows) -> Bool:
    """Tells which windows a metric is of, bool [N]; all others have no part in it."""
    groups = dict(_groups(rows))
    if metric in groups:
        return groups[metric]
    kind = next((kind for kind in ("extrapolation", "novel") if kind in metric), None)
    return groups[f"{kind}_skill"] if kind else rows.regime == 0


def _means(values: npt.NDArray[np.floating], episode: I64) -> F64:
    """The mean of each episode's windows: [episodes], in the order of their numbers."""
    _, place = np.unique(episode, return_inverse=True)
    return np.asarray(np.bincount(place, weights=values) / np.bincount(place))


def _skill(states: F32, rows: Rows, chosen: Bool, frames: slice) -> Measure:
    """Returns 1 - R, where R is the ratio of two means over episodes: own MSE and the best rival's.

    The rival is the one that is best on these windows and frames. An episode's value is that of the
    ratio linearised at the two means, 1 - R - (own - R rival) / mean rival. Their mean is 1 - R,
    and their spread is that of the ratio, the uncertainty of the rival included (the delta method).
    """
    if not chosen.any():
        return mean_over_units([])
    rivals = [_means(error[chosen, frames].mean(1), rows.episode[chosen]) for error in rows.rivals.values()]
    best = min(rivals, key=lambda found: float(found.mean()))
    own = _means(states[chosen, frames].mean(1), rows.episode[chosen])
    if best.mean() < RIGHT:
        return mean_over_units(1 - own / RIGHT)
    ratio = own.mean() / best.mean()
    return mean_over_units(1 - ratio - (own - ratio * best) / best.mean())


def _nrmse(states: F32, rows: Rows, chosen: Bool, frames: slice) -> Measure:
    return mean_over_units(np.sqrt(_means(states[chosen, frames].mean(1), rows.episode[chosen])), (0.0, np.inf))


def score(errors: Errors, rows: Rows) -> dict[str, Measure]:
    """Returns every declared metric of a predictor's errors."""
    horizon = errors.states.shape[1]
    whole = slice(None)
    halves = {"early": slice(0, (horizon + 1) // 2), "late": slice(horizon // 2, None)}
    groups = dict(_groups(rows))
    kinds = {kind: windows_of(f"{kind}skill", rows) for kind in ("", "extrapolation_", "novel_")}

    def mean(values: F32, chosen: Bool) -> Measure:
        return mean_over_units(_means(values[chosen].mean(1), rows.episode[chosen]), (0.0, np.inf))

    def logged(chosen: Bool) -> Measure:
        error = _means(errors.features[chosen].mean(1), rows.episode[chosen])
        return mean_over_units(np.maximum(0.0, 1 - error / LOGGED_SCALE), (0.0, 1.0))

    return {
        "skill": _skill(errors.states, rows, kinds[""], whole),
        **{name: _skill(errors.states, rows, chosen, whole) for name, chosen in groups.items()},
        **{f"{name}_skill": _skill(errors.states, rows, kinds[""], frames) for name, frames in halves.items()},
        **{f"{name}_nrmse": _nrmse(errors.states, rows, kinds[""], frames) for name, frames in halves.items()},
        **{f"{kind}nrmse": _nrmse(errors.states, rows, chosen, whole) for kind, chosen in kinds.items()},
        **{f"{kind}energy": mean(errors.energy, chosen) for kind, chosen in kinds.items()},
        "logged_inside": logged(kinds[""]),
        "logged_extrapolation": logged(kinds["extrapolation_"]),
    }
