"""How often the best configuration is confirmed, by rules that spend equally many runs.

    python -m benchmarks.search.confirmation      about two minutes of one core

Sweeps are simulated on Hartmann's function, of whose finished configurations the true values are
known. What the search saw of each, and what a replicate of it shows, is its true value with normal
noise, as a share of the standard deviation of the finished ones. Each rule names one configuration:
the share of sweeps in which it is the best of the finished ones, and how far behind it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.search.simulator import Leadline, simulate
from benchmarks.search.tables import named, regret

__all__ = ["RULES", "main"]

TABLES = ("hartmann3-good", "hartmann3-terrible", "hartmann6-good", "hartmann6-terrible")
SEEDS, NOISES, TRAININGS, WORKERS = 40, (0.1, 0.3, 0.6), 30, 4
REPLICATES = 5
Floats = npt.NDArray[np.float64]


class Seen:
    """The finished configurations of one sweep, as they were seen; smaller is better.

    Attributes:
        points: their parameters, a row each.
        search: the values of the search.
        noise: the standard deviation of one more run.
    """

    def __init__(self, points: Floats, truth: Floats, noise: float, generator: np.random.Generator) -> None:
        self.points, self.noise = points, noise
        self._truth, self._generator = truth, generator
        self.search = truth + noise * generator.normal(size=len(truth))

    def runs(self, place: int, count: int) -> Floats:
        """So many replicates of a configuration."""
        drawn: Floats = self._truth[place] + self.noise * self._generator.normal(size=count)
        return drawn

    def first(self, count: int) -> list[int]:
        """The best by the search."""
        return [int(place) for place in np.argsort(self.search)[:count]]


def as_searched(seen: Seen) -> int:
    """Takes the winner of the search; no run says otherwise."""
    return seen.first(1)[0]


def smoothed(seen: Seen) -> int:
    """Takes the best posterior mean of a Gaussian process over the parameters, the noise known."""
    apart = np.linalg.norm(seen.points[:, None] - seen.points[None], axis=-1)
    spread = float(np.std(seen.search))
    kernel = spread**2 * np.exp(-0.5 * (apart / (0.6 * np.median(apart))) ** 2)
    noisy = kernel + (seen.noise**2 + 1e-9) * np.eye(len(kernel))
    return int(np.argmin(kernel @ np.linalg.solve(noisy, seen.search - seen.search.mean())))


def two_in_full(seen: Seen) -> int:
    """Trains the two best `REPLICATES` times each, and takes the better mean."""
    means = {place: float(seen.runs(place, REPLICATES).mean()) for place in seen.first(2)}
    return min(means, key=lambda place: means[place])


def race(seen: Seen) -> int:
    """Gives four one run, the best two of them one more, and the best of these the rest.

    The search's own value counts as a run.
    """
    runs = {place: [seen.search[place], *seen.runs(place, 1)] for place in seen.first(4)}

    def mean(place: int) -> float:
        return float(np.mean(runs[place]))

    two = sorted(runs, key=mean)[:2]
    for place in two:
        runs[place] += list(seen.runs(place, 1))
    runs[min(two, key=mean)] += list(seen.runs(min(two, key=mean), REPLICATES - 2))
    return min(two, key=mean)


RULES: dict[str, Callable[[Seen], int]] = {
    "the search's winner": as_searched,
    "smoothed over parameters": smoothed,
    "two finalists, 5 runs each": two_in_full,
    "a race of four, 9 runs": race,
}


def _sweep(table: str, seed: int) -> tuple[Floats, Floats]:
    """The points and the true regrets of the configurations that finished."""
    found = named(table)
    played = simulate(
        found, Leadline(found, seed, WORKERS, {"scheduler": "weighed"}),
        workers=WORKERS, trainings=(TRAININGS,), seed=seed,
    )  # fmt: skip
    params = [played.trials[trial] for trial in played.finished]
    points = np.array([[float(value) for value in one.values()] for one in params])
    return points, np.array([regret(found, one) for one in params])


def main(seeds: int = SEEDS, tables: Sequence[str] = TABLES) -> dict[tuple[str, float], tuple[float, float]]:
    """Prints the table, and returns share and distance by rule and noise."""
    sweeps = [(_sweep(table, seed), seed) for table in tables for seed in range(seeds)]
    told = {}
    heads = [f"noise {noise:g}: best, behind" for noise in NOISES]
    print(f"| rule | {' | '.join(heads)} |\n| --- |{' ---: |' * len(heads)}")
    for name, rule in RULES.items():
        cells = []
        for noise in NOISES:
            gaps = []
            for (points, truth), seed in sweeps:
                seen = Seen(points, truth, noise * float(truth.std()), np.random.default_rng([seed, 5]))
                gaps.append(float(truth[rule(seen)] - truth.min()))
            told[name, noise] = float(np.mean(np.array(gaps) == 0)), float(np.mean(gaps))
            cells.append(f"{told[name, noise][0]:.2f}, {told[name, noise][1]:.4f}")
        print(f"| {name} | {' | '.join(cells)} |")
    return told


if __name__ == "__main__":
    main()
