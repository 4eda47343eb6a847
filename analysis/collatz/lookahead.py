"""Would a longer lookahead help? One configuration, trained at several lookaheads.

All are trained on the same rows, samples and seeds. Lookahead is information: where the orbit ends
within it, the input contains the answer. So each lookahead has the zero-parameter sum beside it,
which sees as far, and the share of steps on which it sees the end; and all are compared once more
on the steps that none of them sees to the end of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.collatz.failures import steps_of
from analysis.collatz.subject import fresh_seeds, network_potential, sum_potential, training, values_of
from leadline.config import ConfigError, make, to_dict
from leadline.measure import Measure
from leadline.plain import plural
from leadline.statistics import lacking, mean_over_units, two_way_mean
from leadline.training.loop import Loop
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CollatzData
from trainables.collatz.family import COLLATZ
from trainables.collatz.features import F64, MAX_LOOKAHEAD
from trainables.collatz.metrics import Potential, coverage, score
from trainables.collatz.split import LOGGED_SEEDS

__all__ = ["Curve", "Point", "curve", "doubled", "sentences"]

QUESTION = 626331
"""The logged seed that lookahead 100 left unsolved."""


@dataclass(frozen=True)
class Point:
    """The scores at one lookahead.

    Measures are means over replicates and test orbits; those of the sum are over test orbits.
    `logged` counts violations per seed: smallest and largest over the replicates.

    Attributes:
        coverage: the metric of that name on test: share of the scored steps that end within the
            lookahead.
        logged_coverage: the same share of each logged seed's steps.
        difference: violations of the network minus those of the sum, paired over orbits.
        beyond: violations on the steps that end within no lookahead of the curve; `sum_beyond` is
            the sum's.
        logged: seed to smallest and largest count; `sum_logged` is seed to count.
    """

    lookahead: int
    coverage: Measure
    logged_coverage: dict[int, float]
    hinge: Measure
    violations: Measure
    sum_hinge: Measure
    sum_violations: Measure
    difference: Measure
    beyond: Measure
    sum_beyond: Measure
    logged: dict[int, tuple[int, int]]
    sum_logged: dict[int, int]


@dataclass(frozen=True)
class Curve:
    """All points, in order of their lookahead, and what was trained."""

    trial: str
    layers: tuple[int, ...]
    skip: bool
    steps: int
    seeds: list[int]
    points: list[Point]


def doubled(first: int, last: int) -> list[int]:
    """Returns `first`, its doubles below `last`, and `last`.

    Raises:
        ConfigError: if `last` is not beyond `first`, or beyond what there is data for.
    """
    if not first < last <= MAX_LOOKAHEAD:
        raise ConfigError(
            f"to: must be above the trial's own lookahead {first}, and at most {MAX_LOOKAHEAD} (got {last})"
        )
    found = [first]
    while found[-1] * 2 < last:
        found.append(found[-1] * 2)
    return [*found, last]


def curve(
    name: str,
    config: CollatzConfig,
    data: CollatzData,
    lookaheads: list[int],
    steps: int,
    replicates: int,
    log: Callable[[str], None] = lambda line: None,
) -> Curve:
    """Trains and scores every lookahead.

    Args:
        name: what titles call the trial.
        config: the configuration, whose lookahead is replaced.
        data: the data of all lookaheads.
        lookaheads: what is trained.
        steps: budget of each training.
        replicates: trainings of each lookahead.
        log: takes a line on what will be trained, then one after each training.

    Raises:
        ConfigError: if the configuration does not admit one of the lookaheads, before anything is
            trained.
    """
    seeds = fresh_seeds(replicates)
    common = {"steps": steps, "eval_every": steps, "common": max(lookaheads)}
    wanted = {
        at: [make(CollatzConfig, {**to_dict(config), **common, "lookahead": at, "seed": seed}) for seed in seeds]
        for at in sorted(set(lookaheads))
    }
    log(f"{training(len(wanted) * replicates, steps)}: at lookahead {', '.join(map(str, wanted))}")
    points = []
    for at, configs in wanted.items():
        found = []
        for r, one in enumerate(configs):
            found.append(_Scores(data, _trained(one, data), at, max(wanted)))
            hinge = found[-1].hinge.mean()
            counts = sum(found[-1].logged.values())
            scores = f"hinge {hinge:.4g} on test, {counts} logged violations"
            log(f"lookahead {at}, replicate {r + 1} of {replicates}: {scores}")
        points.append(_point(data, at, found, _Scores(data, sum_potential(data, at), at, max(wanted))))
    return Curve(name, tuple(config.layers), config.skip, steps, seeds, points)


def _trained(config: CollatzConfig, data: CollatzData) -> Potential:
    loop = Loop(COLLATZ, config, data)
    for _ in loop.run():
        pass
    return network_potential(config, data, loop.task.model.eval())


class _Scores:
    """The scores of one function V.

    They are hinge and violations per test orbit, violations per orbit beyond `furthest`, and counts
    on the logged seeds.
    """

    def __init__(self, data: CollatzData, potential: Potential, lookahead: int, furthest: int) -> None:
        found = score(data, "test", potential, lookahead, furthest)
        self.hinge, self.violations, self.beyond = (
            values_of(found[name]) for name in ("hinge", "violations", "common_violations")
        )
        self.logged = {seed: int(found[f"logged_{seed}"].value) for seed in LOGGED_SEEDS}


def _point(data: CollatzData, lookahead: int, runs: list[_Scores], other: _Scores) -> Point:
    def both(name: str) -> F64:
        return np.stack([getattr(run, name) for run in runs])

    test, logged = steps_of(data, "test"), steps_of(data, "logged")
    beyond = both("beyond")
    unknown = Measure(np.nan, 0, np.nan, np.nan)
    return Point(
        lookahead=lookahead,
        coverage=coverage(test.remaining, lookahead),
        logged_coverage={
            seed: coverage(logged.remaining[logged.seed == seed], lookahead).value for seed in LOGGED_SEEDS
        },
        hinge=two_way_mean(both("hinge"), (0.0, np.inf)),
        violations=two_way_mean(both("violations"), (0.0, 1.0)),
        sum_hinge=mean_over_units(other.hinge, (0.0, np.inf)),
        sum_violations=mean_over_units(other.violations, (0.0, 1.0)),
        difference=two_way_mean(both("violations") - other.violations),
        beyond=two_way_mean(beyond, (0.0, 1.0)) if beyond.size else unknown,
        sum_beyond=mean_over_units(other.beyond, (0.0, 1.0)) if beyond.size else unknown,
        logged={
            seed: (min(counts), max(counts)) for seed in LOGGED_SEEDS if (counts := [run.logged[seed] for run in runs])
        },
        sum_logged=other.logged,
    )


def sentences(found: Curve) -> list[str]:
    """Returns what the curve says on the log's question, and no more than that.

    The question is whether the longest lookahead solves 626331.
    """
    last = found.points[-1]
    low, high = last.logged[QUESTION]
    total = len(found.seeds)
    word = "solved in every replicate" if high == 0 else "solved in some replicates" if low == 0 else "not solved"
    layers = ",".join(map(str, found.layers)) or "linear"
    network = f"layers {layers}{', skip path' if found.skip else ''}"
    budget = f"{network}, {plural(found.steps, 'step')}, {plural(total, 'replicate')}"
    within = last.logged_coverage[QUESTION]
    counts = str(low) if low == high else f"{low} to {high}"
    return [
        f"For this model class and budget ({budget}): at lookahead {last.lookahead}, {QUESTION} is {word}: "
        f"{counts} violations.",
        f"At lookahead {last.lookahead} the input contains the answer on {within:.0%} of the steps of {QUESTION}, "
        f"and on {last.coverage.value:.0%} of the test split's.",
        _sum_sentence(found.points),
        *([f"Too little for a claim: {missing}."] if (missing := lacking(total, last.hinge.n, "orbits")) else []),
    ]


def _sum_sentence(points: list[Point]) -> str:
    def places(clean: Callable[[Point], bool]) -> str:
        at = [str(point.lookahead) for point in points if clean(point)]
        return f"at lookahead {', '.join(at)}" if at else "at none of these lookaheads"

    question = places(lambda point: point.sum_logged[QUESTION] == 0)
    logged = places(lambda point: not any(point.sum_logged.values()))
    test = places(lambda point: point.sum_violations.value == 0)
    return (
        f"The zero-parameter sum alone is free of violations on {QUESTION} {question}; "
        f"on all five logged seeds {logged}; on test {test}."
    )
