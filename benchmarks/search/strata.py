"""What strata gain from each other, and what they lose where they are not alike.

    python -m benchmarks.search.strata      minutes of one core

One sweep searches two tables of one space as its strata, whose trials are told to each other's
searcher by rank. Beside it each table is searched by a sweep of its own, with the same workers and
as many trainings in all. A figure is the regret together over that apart, paired by seed, as a
geometric mean over both tables with a 95 % bootstrap interval over seeds: below 1, strata that
learn from each other find better. How alike they are is Kendall's tau between their true values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmarks.search.comparison import FLOOR, figure
from benchmarks.search.simulator import Leadline, Method, Proposal, picked, simulate
from benchmarks.search.tables import Curve, Hartmann, Table, concordance, drawn, named, regret
from leadline.measure import sign

__all__ = ["PAIRS", "Apart", "Strata", "main"]

SEEDS, WORKERS, TRAININGS = 20, 4, (10, 30)
"""The trainings are those of each stratum."""
SAMPLE = 200
"""The random points at which two tables are compared."""


class Mirrored(Hartmann):
    """The Hartmann function with each coordinate reversed: what is good lies elsewhere."""

    def _at(self, x: npt.NDArray[np.float64], fidelity: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return super()._at(1 - x, fidelity)


class Strata:
    """Several tables of one space as the strata of one.

    Args:
        members: the tables, by the names of their strata; they have equal budgets and rungs.
    """

    def __init__(self, members: Mapping[str, Table]) -> None:
        self.members = dict(members)
        self.strata = tuple(members)
        first = next(iter(members.values()))
        self.name = "+".join(members)
        self.mode: Literal["min", "max"] = first.mode
        self.epochs, self.grace, self.space = first.epochs, first.grace, first.space
        self.best, self.median, self.tau = 0.0, float(sign(self.mode)), np.nan

    def curve(self, params: Mapping[str, Any], seed: int) -> Curve:
        """Returns what a training reports, by the table of its stratum."""
        return self.members[params["stratum"]].curve(params, seed)

    def true(self, params: Mapping[str, Any]) -> float:
        """Returns the regret in its stratum, with the mode's sign."""
        return float(sign(self.mode)) * regret(self.members[params["stratum"]], params)


class Apart:
    """A sweep for each stratum, which take their turns: each next trial is of the one with fewest.

    Args:
        table: the strata.
        seed: the sweeps' seed.
        workers: trials at a time, of all of them.
    """

    def __init__(self, table: Strata, seed: int, workers: int) -> None:
        self._sweeps = {
            name: Leadline(member, seed, workers, {"scheduler": "weighed"}) for name, member in table.members.items()
        }
        self._trials: list[tuple[str, int]] = []

    def next(self) -> Proposal | None:
        """Places the next trial of the sweep that has placed the fewest."""
        placed = {name: sum(of == name for of, _ in self._trials) for name in self._sweeps}
        name = min(placed, key=placed.__getitem__)
        found = self._sweeps[name].next()
        if found is None:
            return None
        self._trials.append((name, found.trial))
        return Proposal(len(self._trials) - 1, {**found.params, "stratum": name})

    def reported(self, trial: int, epoch: int, value: float) -> bool:
        """Hands a report to the sweep that the trial is of."""
        name, number = self._trials[trial]
        return self._sweeps[name].reported(number, epoch, value)


PAIRS: dict[str, dict[str, Table]] = {
    "lookahead 10, 50": {"10": named("lookahead-10"), "50": named("lookahead-50")},
    "networks on noisy, clean data": {"noisy": named("networks-noisy"), "clean": named("networks-clean")},
    "trees on noisy, clean data": {"noisy": named("trees-noisy"), "clean": named("trees-clean")},
    "hartmann6 good, terrible": {"good": named("hartmann6-good"), "terrible": named("hartmann6-terrible")},
    "hartmann3 good, mirrored": {
        "good": named("hartmann3-good"),
        "mirrored": Mirrored("hartmann3-mirrored", 3, 0.5, 0.1),
    },
}
"""Strata that can be searched together, by what the table calls them."""


def alike(members: Mapping[str, Table]) -> float:
    """Returns Kendall's tau between the true values of two tables at random points."""
    one, other = members.values()
    points = [drawn(one.space, "", number, {})[1] for number in range(SAMPLE)]
    return concordance(*(np.array([table.true(point) for point in points]) for table in (one, other)))


def _regrets(table: Strata, method: Method, seed: int, trainings: int) -> npt.NDArray[np.float64]:
    """Returns the regret in each stratum once so many trainings were spent on each."""
    whole = len(table.strata) * trainings
    sweep = simulate(table, method, workers=WORKERS, trainings=(whole,), seed=seed)
    found = []
    for stratum, member in table.members.items():
        among = [trial for trial, params in sweep.trials.items() if params["stratum"] == stratum]
        found.append(regret(member, picked(table, sweep, among)))
    return np.array(found)


def main(pairs: Mapping[str, Mapping[str, Table]] = PAIRS, seeds: int = SEEDS) -> dict[tuple[str, int], float]:
    """Prints the table, and returns the mean logarithm of the ratio by pair and trainings."""
    told = {}
    print(f"| strata | alike | {' | '.join(f'{count} trainings each' for count in TRAININGS)} |")
    print("| --- | ---: |" + " ---: |" * len(TRAININGS))
    for name, members in pairs.items():
        table, cells = Strata(members), []
        for trainings in TRAININGS:
            logs = []
            for seed in range(seeds):
                together = Leadline(table, seed, WORKERS, {"scheduler": "weighed"}, table.strata)
                one, other = (
                    _regrets(table, method, seed, trainings) for method in (together, Apart(table, seed, WORKERS))
                )
                logs.append(np.mean(np.log((one + FLOOR) / (other + FLOOR))))
            told[name, trainings] = float(np.mean(logs))
            cells.append(figure(np.array(logs)))
        print(f"| {name} | {alike(members):.2f} | {' | '.join(cells)} |", flush=True)
    return told


if __name__ == "__main__":
    main()
