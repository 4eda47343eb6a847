"""How well a search decides, beside plain ASHA with TPE and beside Optuna's own pruners.

    python -m benchmarks.search                    all tables and methods, 4 workers
    python -m benchmarks.search --quick            5 tables, 5 seeds: under 3 minutes
    python -m benchmarks.search --workers 16 --trainings 100 --methods "asha + TPE,random + asha"

Sweeps are simulated on tables of learning curves. A figure is the regret of the best finished
configuration over that of plain ASHA with TPE on the same table from the same seed, as a geometric
mean, with a 95 % bootstrap interval over tables and seeds: below 1 is better. To each regret, as a
share of the median configuration's, 0.001 is added, so that none is zero. Tables are called high
where their first rung predicts the end, and low where not. Those that were looked at while the
search was designed are told apart from those that were not.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt

from benchmarks.search.rivals import METHODS, PLAIN, RIVALS, SYNE_TUNE, known, made
from benchmarks.search.simulator import simulate
from benchmarks.search.tables import DESIGN, DESIGN_SEED, HELD_OUT, HELD_OUT_SEED, LEAST_TAU, named
from leadline.config import ConfigError, did_you_mean
from leadline.plain import plural

__all__ = ["main", "ratios"]

FLOOR = 1e-3
"""What is added to each regret, as a share of the median configuration's."""
RESAMPLES = 2000
Key = tuple[str, str, int]
"""A method, a table and a seed."""


def _played(key: Key, workers: int, trainings: Sequence[int]) -> dict[int, float]:
    """Returns the regrets of a sweep."""
    method, table, seed = key
    found = simulate(
        named(table), made(method, named(table), seed, workers), workers=workers, trainings=trainings, seed=seed
    )
    return found.regrets


def _all(keys: Sequence[Key], workers: int, trainings: Sequence[int], processes: int) -> dict[Key, dict[int, float]]:
    """Plays all sweeps, over so many processes."""
    if processes == 1:
        return {key: _played(key, workers, trainings) for key in keys}
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        many = itertools.repeat(workers), itertools.repeat(trainings)
        return dict(zip(keys, pool.map(_played, keys, *many, chunksize=8), strict=True))


def ratios(
    regrets: Mapping[Key, Mapping[int, float]], method: str, tables: Sequence[str], trainings: int
) -> npt.NDArray[np.float64]:
    """Returns the logarithms of a method's regrets over the plain one's, by table and seed."""
    found = [
        np.log((regrets[key][trainings] + FLOOR) / (regrets[PLAIN, *key[1:]][trainings] + FLOOR))
        for key in regrets
        if key[0] == method and key[1] in tables
    ]
    return np.array(found)


def _figure(logs: npt.NDArray[np.float64]) -> str:
    """Formats the geometric mean with its interval."""
    if not len(logs):
        return "-"
    draws = np.random.default_rng(0).choice(logs, (RESAMPLES, len(logs))).mean(axis=1)
    low, high = np.exp(np.quantile(draws, [0.025, 0.975]))
    return f"{np.exp(logs.mean()):.2f} ({low:.2f} to {high:.2f})"


def _show(regrets: Mapping[Key, Mapping[int, float]], tables: Sequence[str], trainings: Sequence[int]) -> None:
    """Prints a table: a method a row, and for each checkpoint all, high and low tables."""
    groups = {
        "all": tables,
        "high": [name for name in tables if named(name).tau >= LEAST_TAU],
        "low": [name for name in tables if named(name).tau < LEAST_TAU],
    }
    heads = [f"{count} trainings, {group}" for count in trainings for group in groups]
    print(f"| method | {' | '.join(heads)} |\n| --- |{' ---: |' * len(heads)}")
    for method in dict.fromkeys(key[0] for key in regrets):
        cells = [_figure(ratios(regrets, method, among, count)) for count in trainings for among in groups.values()]
        print(f"| {method} | {' | '.join(cells)} |")


def _chosen(text: str, known: Sequence[str], option: str) -> list[str]:
    """Returns the names that an option lists; all where it is empty.

    Raises:
        ConfigError: for a name that is not known.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise ConfigError(f"{option}: no {name!r}; {did_you_mean(name, known) or 'known: ' + ', '.join(known)}")
    return names or list(known)


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, plays the sweeps and prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 tables and 5 seeds")
    parser.add_argument("--workers", type=int, default=4, help="trials at a time [4]")
    parser.add_argument("--trainings", default="10,30", help="checkpoints, in whole trainings [10,30]")
    parser.add_argument("--seeds", type=int, help="sweeps of each method on each table [20; 5 with --quick]")
    parser.add_argument("--methods", default="", help="names, separated by commas [all]")
    parser.add_argument("--tables", default="", help="names, separated by commas [all; with --quick, the design's]")
    parser.add_argument("--processes", type=int, default=2, help="sweeps to simulate at a time [2]")
    given = parser.parse_args(arguments)
    try:
        methods = _chosen(given.methods, [*METHODS, *RIVALS, *SYNE_TUNE], "methods") if given.methods else known()
        tables = _chosen(given.tables, [*DESIGN, *HELD_OUT], "tables")
    except ConfigError as error:
        parser.error(str(error))
    if given.quick and not given.tables:
        tables = list(DESIGN)
    seeds = given.seeds or (5 if given.quick else 20)
    trainings = [int(count) for count in given.trainings.split(",")]
    began = time.monotonic()
    first = {name: HELD_OUT_SEED if name in HELD_OUT else DESIGN_SEED for name in tables}
    keys = [
        (method, table, first[table] + seed)
        for method in dict.fromkeys([PLAIN, *methods])
        for table in tables
        for seed in range(seeds)
    ]
    regrets = _all(keys, given.workers, trainings, given.processes)
    print(f"{plural(given.workers, 'worker')}, {plural(seeds, 'seed')}; tau between the first rung and the end:")
    for title, among in (("Design", DESIGN), ("Held out", HELD_OUT)):
        if shown := [name for name in tables if name in among]:
            print(f"\n{title}: {', '.join(f'{name} {named(name).tau:.2f}' for name in shown)}\n")
            _show(regrets, shown, trainings)
    print(f"\n{plural(len(keys), 'sweep')} in {time.monotonic() - began:.0f} s")
