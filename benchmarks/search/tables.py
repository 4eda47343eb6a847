"""Tables of learning curves, on which sweeps are simulated.

A table gives for any point of its search space a curve of values and what each epoch would cost.
It is called high where its first rung predicts the end (Kendall's tau of at least 0.5 over its
configurations, measured here), else low. Tables in `DESIGN` were looked at while the search was
designed; those in `HELD_OUT` were not, and are quoted apart.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import optuna
import pyarrow.parquet as pq

from leadline.config import ConfigError, did_you_mean
from leadline.engine.search import Pinned, Space, seed_of
from leadline.measure import sign
from leadline.statistics import Concordance

__all__ = [
    "DESIGN",
    "DESIGN_SEED",
    "HELD_OUT",
    "HELD_OUT_SEED",
    "LEAST_TAU",
    "Curve",
    "Hartmann",
    "Recorded",
    "Table",
    "drawn",
    "named",
    "regret",
]

Floats = npt.NDArray[np.float64]
LEAST_TAU = 0.5
"""Kendall's tau between the first rung and the end from which on a table is called high."""
SAMPLE = 400
"""The random points by which a table without recorded configurations is measured."""


class Curve(NamedTuple):
    """The values after each epoch, and the seconds that each epoch takes."""

    values: Floats
    seconds: Floats


class Table(Protocol):
    """What can be searched, and what would come of it.

    Attributes:
        name: as the command line takes it.
        mode: whether smaller or larger values are better.
        epochs: the budget of a whole training.
        grace: the first rung, and the interval between reports, in epochs.
        best: the best true value.
        median: the median true value of its configurations.
        tau: Kendall's tau between the values at the first rung and at the end.
    """

    name: str
    mode: Literal["min", "max"]
    epochs: int
    grace: int
    best: float
    median: float
    tau: float

    def space(self, trial: Any, scale: str = "") -> dict[str, Any]:
        """Suggests a point, as `leadline.engine.search.Space`."""
        ...

    def curve(self, params: Mapping[str, Any], seed: int) -> Curve:
        """Returns what a training at a point reports; equal seeds give equal curves."""
        ...

    def true(self, params: Mapping[str, Any]) -> float:
        """Returns the final value at a point without noise, as far as the table knows it."""
        ...


def regret(table: Table, params: Mapping[str, Any]) -> float:
    """Returns how far a point is from the best one, where the median configuration has 1."""
    worse = sign(table.mode) * (table.true(params) - table.best)
    return max(0.0, float(worse / (sign(table.mode) * (table.median - table.best))))


def concordance(first: Floats, last: Floats) -> float:
    """Returns Kendall's tau-b between the configurations' values at the first rung and the end."""
    found = Concordance()
    for one, other in zip(first, last, strict=True):
        found.add("", float(one), float(other))
    return found.tau


class Hartmann:
    """The multi-fidelity Hartmann function in 3 or 6 dimensions.

    The value after a share z of the budget is -sum_i a_i(z) exp(-sum_j A_ij (x_j - P_ij)^2) with
    a_i(z) = a_i - bias (1 - z), as in Kandasamy et al., "Multi-fidelity Bayesian Optimisation with
    Continuous Approximations" (ICML 2017), plus normal noise of standard deviation
    noise (1 - z), so that the whole budget shows the function itself. The grades, good and
    terrible, are after those of Mallik et al., "PriorBand" (NeurIPS 2023). An epoch takes 0.5 to
    1.5 s, by the first coordinate.

    Args:
        name: the table's name.
        dimensions: 3 or 6.
        bias: by how much the weights of the four bumps are off at z = 0.
        noise: the noise's standard deviation at z = 0; the function's range is about 3.
    """

    mode: Literal["min", "max"] = "min"
    epochs = 27
    grace = 3

    def __init__(self, name: str, dimensions: int, bias: float, noise: float) -> None:
        self.name = name
        self._dimensions, self._bias, self._noise = dimensions, bias, noise
        self._widths, self._centres, best = _HARTMANN[dimensions]
        points = np.random.default_rng(0).random((SAMPLE, dimensions))
        sample = [{f"x{place}": float(x) for place, x in enumerate(point)} for point in points]
        self.best = float(self._at(best, np.ones(1))[0])
        self.median = float(np.median([self.true(params) for params in sample]))
        curves = np.array([self.curve(params, seed=0).values for params in sample])
        self.tau = concordance(curves[:, self.grace - 1], curves[:, -1])

    def space(self, trial: Any, scale: str = "") -> dict[str, Any]:
        """Suggests a point of the unit cube."""
        return {name: trial.suggest_float(name, 0.0, 1.0) for name in map("x{}".format, range(self._dimensions))}

    def curve(self, params: Mapping[str, Any], seed: int) -> Curve:
        """Returns biased and noisy values; the noise is drawn from the point and the seed."""
        x = np.array([params[f"x{place}"] for place in range(self._dimensions)])
        fidelity = np.arange(1, self.epochs + 1) / self.epochs
        key = hashlib.sha256(x.tobytes() + seed.to_bytes(8, "big")).digest()
        noise = np.random.default_rng(int.from_bytes(key[:8], "big")).normal(size=self.epochs)
        values = self._at(x, fidelity) + self._noise * (1 - fidelity) * noise
        return Curve(values, np.full(self.epochs, 0.5 + x[0]))

    def true(self, params: Mapping[str, Any]) -> float:
        """Returns the Hartmann function itself."""
        x = np.array([params[f"x{place}"] for place in range(self._dimensions)])
        return float(self._at(x, np.ones(1))[0])

    def _at(self, x: Floats, fidelity: Floats) -> Floats:
        bumps = np.exp(-np.sum(self._widths * (x - self._centres) ** 2, axis=1))
        weights = np.array([1.0, 1.2, 3.0, 3.2]) - self._bias * (1 - fidelity[:, None])
        found: Floats = -weights @ bumps
        return found


_HARTMANN: dict[int, tuple[Floats, Floats, Floats]] = {
    3: (
        np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]]),
        1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]]),
        np.array([0.114614, 0.555649, 0.852547]),
    ),
    6: (
        np.array(
            [
                [10, 3, 17, 3.5, 1.7, 8],
                [0.05, 10, 17, 0.1, 8, 14],
                [3, 3.5, 1.7, 10, 17, 8],
                [17, 8, 0.05, 10, 0.1, 14],
            ]
        ),
        1e-4
        * np.array(
            [
                [1312, 1696, 5569, 124, 8283, 5886],
                [2329, 4135, 8307, 3736, 1004, 9991],
                [2348, 1451, 3522, 2883, 3047, 6650],
                [4047, 8828, 8732, 5743, 1091, 381],
            ]
        ),
        np.array([0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573]),
    ),
}
"""By dimensions: the bumps' inverse widths A, their centres P, and where the smallest value is."""


class Recorded:
    """Recorded curves, continued between the configurations that were trained.

    Between the levels of a factorial, curves are interpolated linearly in each parameter, on its
    own scale; a random design is continued by inverse distances (Shepard 1968) to the power of the
    number of parameters and one. Either gives weighted means of recorded curves, so that the best
    value is that of a recorded configuration. What was trained from several seeds has as its true
    value the mean of the last values; a sweep sees the curves of one seed.

    Args:
        path: the parquet file, as `benchmarks.search.record.append` writes it.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        read = pq.read_table(path).sort_by([("seed", "ascending"), ("configuration", "ascending")])
        about = json.loads(read.schema.metadata[b"about"])
        self.mode = about["mode"]
        self._distributions: dict[str, Any] = {
            name: optuna.distributions.json_to_distribution(text) for name, text in about["distributions"].items()
        }
        counts = np.bincount(read["seed"].to_numpy())
        seeds = int(np.sum(counts == counts[0]))  # a seed whose recording has not ended is left out
        whole = read.slice(0, seeds * int(counts[0]))
        shape = (seeds, int(counts[0]), -1)
        self._values = np.array(whole["values"].to_pylist()).reshape(shape)
        self._seconds = np.array(whole["seconds"].to_pylist()).reshape(shape)
        self.configurations = [
            {name: row[name] for name in self._distributions} for row in whole.slice(0, shape[1]).to_pylist()
        ]
        self._points = np.array([self._place(params) for params in self.configurations])
        self._factorial = bool(about.get("factorial"))
        self._levels = [np.unique(column) for column in self._points.T] if self._factorial else []
        self.epochs = self._values.shape[2]
        self.grace = max(1, self.epochs // 9)
        self._ends = self._values[:, :, -1].mean(axis=0)
        self.best = float(self._ends.min() if self.mode == "min" else self._ends.max())
        self.median = float(np.median(self._ends))
        self.tau = concordance(self._values[0, :, self.grace - 1], self._values[0, :, -1])

    def _place(self, params: Mapping[str, Any]) -> list[float]:
        """Returns a point's coordinates: 0 to 1 over each range, and a place for each choice."""
        found = []
        for name, kind in self._distributions.items():
            if isinstance(kind, optuna.distributions.CategoricalDistribution):
                found += [float(params[name] == choice) for choice in kind.choices]
            else:
                scale = np.log if kind.log else np.asarray
                low, high, value = (float(scale(one)) for one in (kind.low, kind.high, params[name]))
                found.append((value - low) / (high - low))
        return found

    def _weights(self, params: Mapping[str, Any]) -> Floats:
        """Returns the weight of each recorded configuration at a point; their sum is 1."""
        at = np.array(self._place(params))
        if self._factorial:
            weights = np.ones(len(self._points))
            for levels, column, x in zip(self._levels, self._points.T, at, strict=True):
                hats = np.array([np.interp(x, levels, one) for one in np.eye(len(levels))])
                weights *= hats[np.searchsorted(levels, column)]
            return weights
        squares = np.sum((self._points - at) ** 2, axis=1)
        if squares.min() < 1e-18:
            nearest: Floats = (squares == squares.min()) / np.sum(squares == squares.min())
            return nearest
        powers = (squares / squares.min()) ** (-(len(self._distributions) + 1) / 2)
        found: Floats = powers / powers.sum()
        return found

    def space(self, trial: Any, scale: str = "") -> dict[str, Any]:
        """Suggests a point from the distributions that were recorded."""
        return {name: _suggested(trial, name, kind) for name, kind in self._distributions.items()}

    def curve(self, params: Mapping[str, Any], seed: int) -> Curve:
        """Returns the weighted means of the curves that were recorded from one seed."""
        weights, which = self._weights(params), seed % len(self._values)
        return Curve(weights @ self._values[which], weights @ self._seconds[which])

    def true(self, params: Mapping[str, Any]) -> float:
        """Returns the weighted mean of the last values, over all recorded seeds."""
        return float(self._weights(params) @ self._ends)


def _suggested(trial: Any, name: str, kind: Any) -> Any:
    """Asks a trial for a parameter that has a distribution."""
    if isinstance(kind, optuna.distributions.CategoricalDistribution):
        return trial.suggest_categorical(name, kind.choices)
    if isinstance(kind, optuna.distributions.IntDistribution):
        return trial.suggest_int(name, kind.low, kind.high, step=kind.step, log=kind.log)
    return trial.suggest_float(name, kind.low, kind.high, step=kind.step, log=kind.log)


def drawn(space: Space, scale: str, number: int, given: Mapping[str, Any]) -> tuple[optuna.Trial, dict[str, Any]]:
    """Draws random configuration `number` of a space.

    Args:
        space: what is drawn from.
        scale: passed on to the space.
        number: equal numbers give equal configurations.
        given: fields that are not drawn.

    Returns:
        Optuna's trial, which knows the parameters and their distributions, and all fields.
    """
    sampler = optuna.samplers.RandomSampler(seed=seed_of(seed_of(0), number) % 2**32)
    trial = optuna.create_study(sampler=sampler).ask()
    return trial, {**space(Pinned(trial, given), scale), **given}


_CURVES = Path(__file__).parent / "curves"
_GOOD, _TERRIBLE = (0.5, 0.1), (4.0, 0.8)
"""The bias and the noise of two grades of the Hartmann functions."""
_MAKERS: dict[str, Callable[[], Table]] = {
    "hartmann3-good": lambda: Hartmann("hartmann3-good", 3, *_GOOD),
    "hartmann3-terrible": lambda: Hartmann("hartmann3-terrible", 3, *_TERRIBLE),
    "hartmann6-good": lambda: Hartmann("hartmann6-good", 6, *_GOOD),
    "hartmann6-terrible": lambda: Hartmann("hartmann6-terrible", 6, *_TERRIBLE),
}
DESIGN = ("hartmann3-good", "hartmann6-terrible", "lookahead-10", "networks-noisy", "trees-clean")
"""The tables that were looked at while the search was designed."""
HELD_OUT = ("hartmann3-terrible", "hartmann6-good", "lookahead-50", "networks-clean", "trees-noisy")
"""The tables that were not looked at while the search was designed."""
DESIGN_SEED, HELD_OUT_SEED = 0, 1000
"""The first seed of the sweeps over the one and the other."""


@functools.cache
def named(name: str) -> Table:
    """Returns a table by its name.

    Raises:
        ConfigError: if there is none of that name.
    """
    known = (*DESIGN, *HELD_OUT)
    if name not in known:
        raise ConfigError(f"tables: no {name!r}; {did_you_mean(name, known) or 'known: ' + ', '.join(known)}")
    return _MAKERS[name]() if name in _MAKERS else Recorded(_CURVES / f"{name}.parquet")
