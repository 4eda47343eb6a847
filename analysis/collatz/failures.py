"""Where along an orbit V does not fall.

Violations are counted by position, remaining length, kind of step and size of the number. A step
goes from n to T(n); it is violated if V(n) - V(T(n)) is not positive. The violations of the
zero-parameter sum are counted on the same steps, and so are the steps that both violate.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.collatz.subject import Subject
from leadline.measure import Measure
from leadline.statistics import mean_over_units
from trainables.collatz.data import CollatzData
from trainables.collatz.family import COLLATZ
from trainables.collatz.features import F64, I64
from trainables.collatz.metrics import Potential, margins
from trainables.collatz.split import GROUPS, GUARDED, GuardName

__all__ = ["Bin", "Failures", "Steps", "failures", "steps_of", "tally", "violations"]

Mask = npt.NDArray[np.bool_]

FIFTHS = 5  # parts of an orbit by position
SIZES = (0, 3, 6, 9, 12, 15, 18)
"""The lower edges of the bins of log10(n); the last bin has no upper edge."""


@dataclass(frozen=True)
class Steps:
    """The scored steps of a split, orbit by orbit, each array [steps].

    Attributes:
        seed: uint64, first number of the step's orbit.
        orbit: index of the orbit within the split.
        place: steps from the orbit's first number to n.
        remaining: steps from n to 1, at least 1.
        growth: whether T(n) > n.
        log10: log10(n).
        private: whether n lies in the orbit's private prefix: no other scored or training orbit has
            it, nor is it small.
        guarded: whether no training row touches n: it is private, and the configuration's guard
            covers the split.
    """

    seed: npt.NDArray[np.uint64]
    orbit: I64
    place: I64
    remaining: I64
    growth: Mask
    log10: F64
    private: Mask
    guarded: Mask


class Bin(NamedTuple):
    """The counts of one bin: violations of the network, of the formula, and of both at once.

    `share` and `formula_share` are means over the orbits with steps in the bin, None where no
    interval is due.
    """

    by: str
    label: str
    orbits: int
    steps: int
    network: int
    formula: int
    both: int
    share: Measure | None
    formula_share: Measure | None


@dataclass(frozen=True)
class Failures:
    """The bins of a network's violations.

    They count the test split's private steps and the logged seeds' steps; every trivial predictor
    is scored on the test split. `guard` is the configuration's: with `scored`, training may touch
    the logged seeds' private steps too, though not the test split's. `logged_unleaked` and
    `logged_leaked` are the private steps and the others, as in the metrics of these names.
    """

    trial: str
    lookahead: int
    guard: GuardName
    test: list[Bin]
    logged_unleaked: list[Bin]
    logged_leaked: list[Bin]
    predictors: dict[str, dict[str, Measure]]


def steps_of(data: CollatzData, split: str) -> Steps:
    """Returns the steps that a split is scored on, in the order of `violations`."""
    rows = data.scored(split)
    orbit = np.repeat(np.arange(len(rows.count)), rows.count)
    place = np.concatenate([np.arange(count) for count in rows.count])
    index = rows.first[orbit] + place
    private = place < rows.private[orbit]
    return Steps(
        seed=rows.seeds[orbit],
        orbit=orbit,
        place=place,
        remaining=rows.steps[orbit] - place,
        growth=data.nodes.growth(index),
        log10=data.nodes.ln[index] / np.log(10),
        private=private,
        guarded=private & (GROUPS.index(split) in GUARDED[data.guard]),
    )


def violations(data: CollatzData, split: str, potential: Potential) -> Mask:
    """Tells which steps' margins are not positive, bool [steps].

    A margin that is not a number violates.
    """
    return np.asarray(~(np.concatenate(margins(data.scored(split), potential)) > 0))


def _dimensions(steps: Steps, lookahead: int, seeds: bool) -> Iterator[tuple[str, list[str], I64]]:
    """Yields the dimensions: name, labels of the bins, and each step's bin."""
    yield "all", ["all steps"], np.zeros(len(steps.orbit), dtype=np.int64)
    if seeds:
        found = list(dict.fromkeys(steps.seed.tolist()))
        yield (
            "seed",
            [f"seed {seed}" for seed in found],
            np.array([found.index(seed) for seed in steps.seed.tolist()], dtype=np.int64),
        )
    fifth = FIFTHS * steps.place // (steps.place + steps.remaining)
    yield "position", [f"fifth {i + 1} of {FIFTHS}" for i in range(FIFTHS)], fifth
    yield (
        "remaining",
        [f"remaining <= {lookahead}", f"remaining > {lookahead}"],
        (steps.remaining > lookahead).astype(np.int64),
    )
    yield "kind", ["decay steps", "growth steps"], steps.growth.astype(np.int64)
    edges = [f"log10(n) {low} to {high}" for low, high in itertools.pairwise(SIZES)] + [f"log10(n) from {SIZES[-1]}"]
    yield "log10(n)", edges, np.searchsorted(np.array(SIZES[1:]), steps.log10, side="right").astype(np.int64)


def _share(orbit: I64, violated: Mask) -> Measure:
    """Returns the mean over orbits of the share of their steps that are violated."""
    own = [float(violated[orbit == o].mean()) for o in np.unique(orbit)]
    return mean_over_units(own, (0.0, 1.0))


def tally(
    steps: Steps, network: Mask, formula: Mask, lookahead: int, chosen: Mask | None = None, shares: bool = True
) -> list[Bin]:
    """Counts the bins one after the other; those without steps are left out.

    Each dimension's counts add up to those of `all`.

    Args:
        steps: the steps.
        network: bool [steps], violations of the network.
        formula: bool [steps], violations of the zero-parameter sum.
        lookahead: steps that the network sees ahead.
        chosen: bool [steps], the steps that count; None for all.
        shares: whether means over orbits are due; without them each orbit has its own bin.
    """
    within = np.ones(len(network), dtype=np.bool_) if chosen is None else chosen
    found = []
    for by, labels, codes in _dimensions(steps, lookahead, seeds=not shares):
        for code, label in enumerate(labels):
            own = within & (codes == code)
            if not own.any():
                continue
            orbit, n, f = steps.orbit[own], network[own], formula[own]
            means = (_share(orbit, n), _share(orbit, f)) if shares else (None, None)
            counts = (len(np.unique(orbit)), len(orbit), int(n.sum()), int(f.sum()), int((n & f).sum()))
            found.append(Bin(by, label, *counts, *means))
    return found


def failures(subject: Subject) -> Failures:
    """Counts all bins of a network."""
    data, lookahead = subject.data, subject.config.lookahead
    network, formula = subject.potential(), subject.formula()
    test, logged = (
        (steps_of(data, split), violations(data, split, network), violations(data, split, formula))
        for split in ("test", "logged")
    )
    return Failures(
        trial=subject.name,
        lookahead=lookahead,
        guard=data.guard,
        test=tally(*test, lookahead),
        logged_unleaked=tally(*logged, lookahead, logged[0].private, shares=False),
        logged_leaked=tally(*logged, lookahead, ~logged[0].private, shares=False),
        predictors=COLLATZ.baselines(subject.config, data, "test"),
    )
