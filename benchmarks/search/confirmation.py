"""How often the best configuration is confirmed, by rules that spend about as many runs.

    python -m benchmarks.search.confirmation      about a minute of one core

Sweeps are simulated on Hartmann's function, of whose finished configurations the true values are
known. What the search saw of each, and what a replicate of it shows, is its true value with normal
noise, as a share of the standard deviation of the finished ones. Each rule names one configuration:
in each cell the share of sweeps in which it is the best of the finished ones, how far behind the
best it is, and by how much its replicates' mean flatters it, in standard deviations of one run.
That is the most by which scores on test can be flattered, where a seed that is lucky on validation
is as lucky on test. Last come the runs that were made.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.search.simulator import Leadline, simulate
from benchmarks.search.tables import named, regret
from leadline.ledger.race import Racer, field_size, next_runner

__all__ = ["RULES", "main"]

TABLES = ("hartmann3-good", "hartmann3-terrible", "hartmann6-good", "hartmann6-terrible")
SEEDS, NOISES, TRAININGS, WORKERS = 40, (0.1, 0.3, 0.6), 30, 4
AGAIN = 20
"""How often the noise of each sweep is drawn."""
REPLICATES = 5
Floats = npt.NDArray[np.float64]


class Named(NamedTuple):
    """The configuration that a rule takes for the best, its runs, and how many were made in all."""

    place: int
    runs: tuple[float, ...]
    spent: int


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


def smoothed(seen: Seen) -> Named:
    """Takes the best posterior mean of a Gaussian process over the parameters, the noise known."""
    apart = np.linalg.norm(seen.points[:, None] - seen.points[None], axis=-1)
    spread = float(np.std(seen.search))
    kernel = spread**2 * np.exp(-0.5 * (apart / (0.6 * np.median(apart))) ** 2)
    noisy = kernel + (seen.noise**2 + 1e-9) * np.eye(len(kernel))
    best = int(np.argmin(kernel @ np.linalg.solve(noisy, seen.search - seen.search.mean())))
    return Named(best, tuple(seen.runs(best, REPLICATES)), REPLICATES)


def in_full(seen: Seen, confirm: int) -> Named:
    """Trains the best of the search `REPLICATES` times each, and takes the best mean."""
    spent = confirm * REPLICATES
    found = [Named(place, tuple(seen.runs(place, REPLICATES)), spent) for place in seen.first(confirm)]
    return min(found, key=lambda named: float(np.mean(named.runs)))


def race(seen: Seen, confirm: int = 2, at_once: int = 1) -> Named:
    """Runs `leadline.ledger.race`; with several at once, a run ends before the next begins."""
    field = seen.first(field_size(confirm))
    runs: dict[int, list[float]] = {place: [] for place in field}
    training: list[int] = []
    while True:
        racers = [Racer(seen.search[place], tuple(runs[place]), training.count(place)) for place in field]
        chosen = next_runner(racers, confirm * REPLICATES, REPLICATES)
        if chosen is not None:
            training.append(field[chosen])
        elif not training:
            best = min(range(len(field)), key=lambda place: racers[place].mean)
            return Named(field[best], tuple(runs[field[best]]), sum(racer.held for racer in racers))
        if chosen is None or len(training) == at_once:
            place = training.pop(0)
            runs[place] += list(seen.runs(place, 1))


RULES: dict[str, Callable[[Seen], Named]] = {
    "the search's winner": functools.partial(in_full, confirm=1),
    "smoothed over parameters": smoothed,
    "two finalists in full": functools.partial(in_full, confirm=2),
    "three finalists in full": functools.partial(in_full, confirm=3),
    "race of four": race,
    "the same, four at a time": functools.partial(race, at_once=4),
    "the same, all at once": functools.partial(race, at_once=10),
    "race of six": functools.partial(race, confirm=3),
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


def main(seeds: int = SEEDS, tables: Sequence[str] = TABLES) -> dict[tuple[str, float], tuple[float, ...]]:
    """Prints the table, and returns its four figures by rule and noise."""
    sweeps = [_sweep(table, seed) for table in tables for seed in range(seeds)]
    told: dict[tuple[str, float], tuple[float, ...]] = {}
    heads = [f"noise {noise:g}: best, behind, flattered, runs" for noise in NOISES]
    print(f"| rule | {' | '.join(heads)} |\n| --- |{' ---: |' * len(heads)}")
    for name, rule in RULES.items():
        cells = []
        for noise in NOISES:
            found = []
            for number, (points, truth) in enumerate(sweeps):
                for again in range(AGAIN):
                    generator = np.random.default_rng([number, again, 5])
                    seen = Seen(points, truth, noise * float(truth.std()), generator)
                    place, runs, spent = rule(seen)
                    behind = truth[place] - truth.min()
                    found.append((behind == 0, behind, (truth[place] - np.mean(runs)) / seen.noise, spent))
            best, behind, flattered, made = (float(mean) for mean in np.mean(np.array(found, dtype=float), axis=0))
            told[name, noise] = best, behind, flattered, made
            cells.append(f"{best:.2f}, {behind:.4f}, {flattered:+.2f}, {made:.3g}")
        print(f"| {name} | {' | '.join(cells)} |")
    return told


if __name__ == "__main__":
    main()
