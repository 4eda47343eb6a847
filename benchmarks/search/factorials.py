"""Records factorials of small networks and boosted trees, as tables of the search benchmark.

    python -m benchmarks.search.factorials [NAME ...]

Each is 8 x 3 x 3 x 3 x 3 = 648 configurations, trained for 81 epochs (networks) or trees from two
seeds, on data that are drawn here. The networks of all configurations are trained at once, as one
batch of matrices. Values are losses on validation; the seconds of an epoch are a model of what it
would cost, by width or depth, since a batch of networks has no times of its own.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import optuna
import torch

from benchmarks.search.record import CURVES, append

__all__ = ["EPOCHS", "FACTORIALS", "Rows", "record"]

EPOCHS = 81
SEEDS = 2
Floats = npt.NDArray[np.float64]
Levels = Mapping[str, tuple[Sequence[float], bool]]
"""The levels of each parameter, and whether they are searched on a logarithmic scale."""


class Rows(NamedTuple):
    """Inputs and targets of training and validation."""

    x: Floats
    y: Floats
    x_validation: Floats
    y_validation: Floats


NETWORK: Levels = {
    "lr": (np.geomspace(0.003, 3.0, 8).tolist(), True),
    "weight_decay": ([1e-5, 1e-3, 1e-1], True),
    "held": ([0.2, 0.6, 1.0], False),  # the share of training before the rate falls
    "momentum": ([0.0, 0.5, 0.9], False),
    "width": ([8.0, 24.0, 72.0], True),
}
TREES: Levels = {
    "lr": (np.geomspace(0.01, 0.8, 8).tolist(), True),
    "depth": ([1.0, 3.0, 5.0], False),
    "shrinkage": ([0.1, 3.0, 90.0], True),
    "rows": ([0.3, 0.65, 1.0], False),  # the share that a tree is grown on
    "columns": ([0.3, 0.65, 1.0], False),
}


def _grid(levels: Levels) -> dict[str, Floats]:
    """Returns the value of each parameter in each configuration of the factorial."""
    columns = np.array(list(itertools.product(*(values for values, _ in levels.values())))).T
    return dict(zip(levels, columns, strict=True))


def classes(rows: int, noise: float, inputs: int = 12) -> Rows:
    """Draws two classes that a random network tells apart.

    Args:
        rows: those of training; validation has 600.
        noise: the share of labels that are drawn anew.
        inputs: the number of inputs, half of which say nothing.
    """
    draw = np.random.default_rng(rows)
    x = draw.normal(size=(rows + 600, inputs))
    hidden = np.tanh(x[:, : inputs // 2] @ draw.normal(size=(inputs // 2, 16)))
    score = hidden @ draw.normal(size=16)
    label = score > np.median(score)
    labels: Floats = np.where(draw.random(len(x)) < noise, draw.random(len(x)) < 0.5, label).astype(np.float64)
    return Rows(x[:rows], labels[:rows], x[rows:], labels[rows:])


def surface(rows: int, noise: float, inputs: int = 8) -> Rows:
    """Draws a regression with interactions, after Friedman (1991), beside inputs that say nothing.

    Args:
        rows: those of training; validation has 600.
        noise: the standard deviation of the targets' noise, where the signal's is about 1.
        inputs: the number of inputs, five of which say something.
    """
    draw = np.random.default_rng(rows)
    x = draw.random((rows + 600, inputs))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    y = (y - y.mean()) / y.std() + noise * draw.normal(size=len(y))
    return Rows(x[:rows], y[:rows], x[rows:], y[rows:])


def networks(rows: Rows, seed: int, batch: int = 32) -> tuple[Floats, Floats]:
    """Trains a network of one hidden layer for each configuration, by SGD with momentum.

    Returns:
        the log loss on validation and the seconds, each by configuration and epoch. A loss that is
        above 3 or no number is recorded as 3.
    """
    grid = {name: torch.tensor(values, dtype=torch.float32) for name, values in _grid(NETWORK).items()}
    generator = torch.Generator().manual_seed(seed)
    inputs, widest = rows.x.shape[1], int(grid["width"].max())
    active = (torch.arange(widest) < grid["width"][:, None]).float()[:, None]
    # All configurations of a seed begin with the same weights, as trials of a sweep do.
    first = torch.randn(inputs, widest, generator=generator) / inputs**0.5
    last = torch.randn(widest, 1, generator=generator) * (active.transpose(1, 2) / grid["width"][:, None, None] ** 0.5)
    weights = [first.repeat(len(active), 1, 1), torch.zeros(len(active), 1, widest), last, torch.zeros(len(active), 1)]
    for weight in weights:
        weight.requires_grad_()
    moments = [torch.zeros_like(weight) for weight in weights]
    x, y, x_val, y_val = (torch.tensor(part, dtype=torch.float32) for part in rows)

    def losses(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(inputs @ weights[0] + weights[1]) * active
        score = (hidden @ weights[2]).squeeze(-1) + weights[3]
        found: torch.Tensor = (torch.nn.functional.softplus(score) - labels * score).mean(-1)
        return found

    values = np.empty((len(active), EPOCHS))
    steps = len(x) // batch
    for epoch in range(EPOCHS):
        order = torch.randperm(len(x), generator=generator)
        for step in range(steps):
            done = (epoch + step / steps) / EPOCHS
            left = ((1 - done) / (1 - grid["held"]).clamp_min(1e-9)).clamp_max(1.0)
            rate = grid["lr"] * torch.where(grid["held"] < 1, left, 1.0)
            chosen = order[step * batch : (step + 1) * batch]
            slopes = torch.autograd.grad(losses(x[chosen], y[chosen]).clamp_max(20).sum(), weights)
            for weight, moment, slope in zip(weights, moments, slopes, strict=True):
                shape = (-1, *[1] * (weight.ndim - 1))
                with torch.no_grad():
                    decayed = slope + grid["weight_decay"].view(shape) * weight
                    moment.mul_(grid["momentum"].view(shape)).add_(decayed)
                    weight.sub_(rate.view(shape) * moment).clamp_(-1e3, 1e3)
        with torch.no_grad():
            values[:, epoch] = losses(x_val, y_val).nan_to_num(3.0).clamp_max(3.0)
    seconds = 1 + grid["width"].numpy() / 24
    return values, np.repeat(seconds[:, None], EPOCHS, axis=1)


def trees(rows: Rows, seed: int, bins: int = 16) -> tuple[Floats, Floats]:
    """Boosts trees on squared errors for each configuration, level by level on binned inputs.

    Returns:
        the mean squared error on validation and the seconds, each by configuration and tree.
    """
    edges = np.quantile(rows.x, np.linspace(0, 1, bins + 1)[1:-1], axis=0)
    binned, binned_val = (
        np.stack([np.searchsorted(edges[:, one], part[:, one]) for one in range(part.shape[1])], axis=1)
        for part in (rows.x, rows.x_validation)
    )
    grid = _grid(TREES)
    values = np.empty((len(grid["lr"]), EPOCHS))
    for number, chosen in enumerate(zip(*grid.values(), strict=True)):
        values[number] = _boosted(
            binned, rows.y, binned_val, rows.y_validation, dict(zip(grid, chosen, strict=True)), seed
        )
    seconds = 0.5 + grid["depth"] * grid["rows"] * grid["columns"]
    return values, np.repeat(seconds[:, None], EPOCHS, axis=1)


def _boosted(
    x: npt.NDArray[np.int64],
    y: Floats,
    x_val: npt.NDArray[np.int64],
    y_val: Floats,
    chosen: Mapping[str, float],
    seed: int,
) -> list[float]:
    """Returns the error on validation after each tree."""
    draw = np.random.default_rng(seed)
    rest, guess, errors = y - y.mean(), np.full(len(y_val), y.mean()), []
    for _ in range(EPOCHS):
        some = draw.permutation(len(x))[: round(chosen["rows"] * len(x))]
        columns = draw.permutation(x.shape[1])[: max(1, round(chosen["columns"] * x.shape[1]))]
        fitted, fitted_val = _tree(x, rest, some, columns, x_val, int(chosen["depth"]), chosen["shrinkage"])
        rest = rest - chosen["lr"] * fitted
        guess = guess + chosen["lr"] * fitted_val
        errors.append(float(np.mean((guess - y_val) ** 2)))
    return errors


def _tree(
    x: npt.NDArray[np.int64],
    rest: Floats,
    some: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    x_val: npt.NDArray[np.int64],
    depth: int,
    shrinkage: float,
) -> tuple[Floats, Floats]:
    """Grows a tree on some rows and columns; returns its predictions for training and validation.

    A split maximises the gain of Chen and Guestrin, "XGBoost" (KDD 2016), eq. 7, and a leaf is
    their eq. 5, for squared errors.
    """
    bins, wide = 16, len(columns)
    node, leaf, leaf_val = np.zeros(len(some), int), np.zeros(len(x), int), np.zeros(len(x_val), int)
    for level in range(depth):
        nodes = 2**level
        keys = ((node[:, None] * wide + np.arange(wide)) * bins + x[np.ix_(some, columns)]).ravel()
        sums = np.bincount(keys, np.repeat(rest[some], wide), nodes * wide * bins).reshape(nodes, wide, bins)
        counts = np.bincount(keys, None, nodes * wide * bins).reshape(nodes, wide, bins)
        sums, counts = sums.cumsum(-1), counts.cumsum(-1)
        right, others = sums[..., -1:] - sums, counts[..., -1:] - counts
        gain = sums**2 / (counts + shrinkage) + right**2 / (others + shrinkage)
        best = gain.reshape(nodes, -1).argmax(-1)
        column, cut = columns[best // bins], best % bins
        node = 2 * node + (x[some, column[node]] > cut[node])
        leaf = 2 * leaf + (x[np.arange(len(x)), column[leaf]] > cut[leaf])
        leaf_val = 2 * leaf_val + (x_val[np.arange(len(x_val)), column[leaf_val]] > cut[leaf_val])
    total = np.bincount(node, rest[some], 2**depth)
    value = total / (np.bincount(node, None, 2**depth) + shrinkage)
    return value[leaf], value[leaf_val]


FACTORIALS: dict[str, tuple[Levels, Callable[[int], tuple[Floats, Floats]]]] = {
    "networks-clean": (NETWORK, lambda seed: networks(classes(1024, noise=0.0), seed, batch=64)),
    "networks-noisy": (NETWORK, lambda seed: networks(classes(256, noise=0.5), seed)),
    "trees-clean": (TREES, lambda seed: trees(surface(320, noise=0.1), seed)),
    "trees-noisy": (TREES, lambda seed: trees(surface(160, noise=1.0), seed)),
}


def record(name: str, seed: int) -> None:
    """Trains all configurations of a factorial from one seed, and adds them to its table."""
    levels, train = FACTORIALS[name]
    values, seconds = train(seed)
    ranges = {
        parameter: optuna.distributions.FloatDistribution(min(given), max(given), log=log)
        for parameter, (given, log) in levels.items()
    }
    about = {
        "mode": "min",
        "factorial": True,
        "distributions": {one: optuna.distributions.distribution_to_json(kind) for one, kind in ranges.items()},
    }
    grid = _grid(levels)
    rows = [
        {
            "configuration": number,
            "seed": seed,
            **{parameter: float(grid[parameter][number]) for parameter in levels},
            "values": values[number].tolist(),
            "seconds": seconds[number].tolist(),
        }
        for number in range(len(values))
    ]
    append(CURVES / f"{name}.parquet", about, rows)


def main(names: Sequence[str] = ()) -> None:
    """Records the named factorials anew, or all."""
    torch.set_num_threads(1)
    for name in names or FACTORIALS:
        (CURVES / f"{name}.parquet").unlink(missing_ok=True)
        for seed in range(SEEDS):
            record(name, seed)
            print(f"{name}: seed {seed} of {SEEDS}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
