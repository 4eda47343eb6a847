"""Which inputs matter: each group of columns masked, permuted, and left out of training.

* masked: the trained network sees the group at its training mean.
* permuted: the trained network sees the group's values of another node (Breiman 2001, permutation
  importance). V is a function of single nodes, so one permutation serves a node both as n and as T
  of its predecessor.
* retrained: the configuration, trained with the group at its training mean throughout, against the
  configuration trained with all inputs from the same fresh seed: the trial's own seed may be what
  it was picked for. The difference that is left is what the other columns cannot stand in for.

Masked and permuted describe one trained network: their intervals are over orbits alone. Retrained
describes the configuration: its intervals are over replicates and orbits, and with few of either
nothing is claimed.

A network that was trained with a column may lean on it although another column says the same (drift
is a sum of the k_i), so masked and permuted overstate what is lost by doing without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from analysis.collatz.subject import Change, Subject, fresh_seeds, network_potential, training, values_of
from leadline.measure import Measure
from leadline.statistics import lacking, mean_over_units, two_way, two_way_mean
from leadline.training.loop import Loop
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CollatzData
from trainables.collatz.family import COLLATZ, CollatzFamily
from trainables.collatz.features import BASE, F64, Mode
from trainables.collatz.metrics import Potential, score
from trainables.collatz.task import CollatzTask

__all__ = ["Ablation", "Effect", "Group", "MaskedFamily", "ablation", "groups", "masked", "permuted", "training_mean"]

NEAR = 10  # valuations of the group "near"
PERMUTATIONS = 5
MEAN_BATCHES = 16  # batches over which the training mean is taken
METRICS = {"hinge": (0.0, float("inf")), "violations": (0.0, 1.0)}
"""The metrics shown, and the bounds of an orbit's value."""
ONE_NETWORK = "one network"
CONFIGURATION = "configuration and budget"

Scores = dict[str, Measure]


class Group(NamedTuple):
    """Columns of the input that belong together."""

    name: str
    columns: tuple[int, ...]


class Effect(NamedTuple):
    """The effect of a change of the inputs.

    Attributes:
        group: name of the changed columns.
        way: masked, permuted or retrained.
        values: hinge and violations; of retrained networks, means over replicates and orbits.
        differences: to what it is compared with, paired over orbits, and over replicates where
            networks were retrained.
        scope: what the differences hold for: `one network`, `configuration and budget`, or why
            nothing is claimed for the latter.
        spread: smallest and largest hinge, over the permutations or the replicates; None if there
            is only one.
    """

    group: str
    way: str
    values: Scores
    differences: Scores
    scope: str
    spread: tuple[float, float] | None = None


@dataclass(frozen=True)
class Ablation:
    """The effects of all groups on the test split.

    Validation, which the trial was picked by, has too few orbits for a claim.

    Attributes:
        trial: what titles call the trial.
        steps: budget of each training.
        seeds: seeds of the replicates.
        groups: the groups of columns.
        intact: scores of the network as it was trained.
        control: scores of the configuration retrained with all inputs, means over replicates and
            orbits.
        effects: the effects, group by group.
        predictors: scores of the predictors without a trained parameter.
    """

    trial: str
    steps: int
    seeds: list[int]
    groups: list[Group]
    intact: Scores
    control: Scores
    effects: list[Effect]
    predictors: dict[str, Scores]


def groups(mode: Mode, lookahead: int) -> list[Group]:
    """Returns the groups of a mode: they are disjoint and hold every column.

    Groups without a column are left out. The last third of the window is far, and the first ten of
    the rest are near. A window of ten has k 1-7 and k 8-10.
    """
    base = 0 if mode.startswith("k_only") else BASE
    far = lookahead - lookahead // 3
    near = min(NEAR, far)
    heads = [Group("size", (0,)), Group("residues", (1, 2, 3, 4)), Group("drift", (5,))] if base else []
    spans = (("near", 0, near), ("middle", near, far), ("far", far, lookahead))
    windows = [Group(f"{name} k ({a + 1}-{b})", tuple(range(base + a, base + b))) for name, a, b in spans if b > a]
    return [*heads, *windows]


def masked(columns: tuple[int, ...], mean: Tensor) -> Change:
    """Returns the change that puts columns at their mean, float32 [width]."""
    chosen = list(columns)

    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, chosen] = mean[chosen]
        return x

    return change


def permuted(columns: tuple[int, ...], seed: int) -> Change:
    """Returns the change that shuffles columns between rows by one permutation."""
    chosen = list(columns)

    def change(x: Tensor) -> Tensor:
        order = torch.from_numpy(np.random.default_rng([seed, *columns[:1]]).permutation(len(x)))
        x, before = x.clone(), x
        x[:, chosen] = before[order][:, chosen]
        return x

    return change


def training_mean(config: CollatzConfig, data: CollatzData) -> Tensor:
    """Returns the inputs' mean over batches spread over the budget, float32 [width]."""
    task = COLLATZ.task(config, data, torch.device("cpu"))
    at = [config.steps * i // MEAN_BATCHES for i in range(MEAN_BATCHES)]
    return torch.cat([task.batch(step)["now"] for step in at]).double().mean(0).float()


class MaskedFamily(CollatzFamily):
    """The Collatz family with some input columns held constant, in training as in evaluation."""

    def __init__(self, columns: tuple[int, ...], mean: Tensor) -> None:
        self._change = masked(columns, mean)

    def task(self, config: CollatzConfig, data: CollatzData, device: torch.device) -> CollatzTask:
        """Returns a fresh task whose model masks its input before anything else."""
        task = super().task(config, data, device)
        task.model.register_forward_pre_hook(lambda module, inputs: (self._change(inputs[0]), *inputs[1:]))
        return task


def ablation(
    subject: Subject, steps: int | None = None, replicates: int = 1, log: Callable[[str], None] = lambda line: None
) -> Ablation:
    """Measures all groups in all ways.

    Args:
        subject: the network.
        steps: budget of each training; None for that of the configuration.
        replicates: trainings without each group, and as many with all inputs from the same seeds.
        log: takes a line on what will be trained, then one for each training.
    """
    config, data = subject.config, subject.data
    budget = steps or config.steps
    seeds = fresh_seeds(replicates)
    found = groups(config.features, config.lookahead)
    log(f"{training((1 + len(found)) * replicates, budget)}: with all inputs and without each of {len(found)} groups")
    mean = training_mean(config, data)
    intact = _scores(data, subject.potential(), config.lookahead)

    def retrained(name: str, columns: tuple[int, ...]) -> list[Scores]:
        runs = []
        for r, seed in enumerate(seeds):
            log(f"{name}, replicate {r + 1} of {replicates}, {budget} steps")
            runs.append(_retrained(replace(config, steps=budget, eval_every=budget, seed=seed), data, columns, mean))
        return runs

    control = retrained("with all inputs", ())
    effects = []
    for group in found:
        effects += _in_place(subject, group, mean, intact)
        effects.append(_paired(group, retrained(f"without {group.name}", group.columns), control))
    predictors = COLLATZ.baselines(config, data, "test")
    return Ablation(subject.name, budget, seeds, found, intact, _over_replicates(control), effects, predictors)


def _scores(data: CollatzData, potential: Potential, lookahead: int) -> Scores:
    found = score(data, "test", potential, lookahead)
    return {name: found[name] for name in METRICS}


def _retrained(config: CollatzConfig, data: CollatzData, columns: tuple[int, ...], mean: Tensor) -> Scores:
    loop = Loop(MaskedFamily(columns, mean), config, data)
    for _ in loop.run():
        pass
    return _scores(data, network_potential(config, data, loop.task.model.eval()), config.lookahead)


def _values(runs: list[Scores], name: str) -> F64:
    """Returns one metric of several networks, float64 [networks, orbits]."""
    return np.stack([values_of(run[name]) for run in runs])


def _over_replicates(runs: list[Scores]) -> Scores:
    return {name: two_way_mean(_values(runs, name), bounds) for name, bounds in METRICS.items()}


def _paired(group: Group, runs: list[Scores], control: list[Scores]) -> Effect:
    """Compares retrained networks with those of the same seeds and all inputs."""
    differences = {name: two_way(_values(runs, name) - _values(control, name)).measure() for name in METRICS}
    missing = lacking(len(runs), differences["hinge"].n, "orbits")
    scope = f"no claim: only {missing}" if missing else CONFIGURATION
    return Effect(group.name, "retrained", _over_replicates(runs), differences, scope, _spread(runs))


def _in_place(subject: Subject, group: Group, mean: Tensor, intact: Scores) -> list[Effect]:
    """Returns the effects on the trained network: its inputs masked, then permuted."""

    def scores(change: Change) -> Scores:
        return _scores(subject.data, subject.potential(change), subject.config.lookahead)

    def effect(way: str, runs: list[Scores]) -> Effect:
        values = {name: mean_over_units(_values(runs, name).mean(0), bounds) for name, bounds in METRICS.items()}
        differences = {
            name: mean_over_units((_values(runs, name) - values_of(intact[name])).mean(0)) for name in METRICS
        }
        return Effect(group.name, way, values, differences, ONE_NETWORK, _spread(runs))

    hidden = [scores(masked(group.columns, mean))]
    return [
        effect("masked", hidden),
        effect("permuted", [scores(permuted(group.columns, seed)) for seed in range(PERMUTATIONS)]),
    ]


def _spread(runs: list[Scores]) -> tuple[float, float] | None:
    """Returns the smallest and the largest hinge; None for a single network."""
    hinges = [run["hinge"].value for run in runs]
    return (min(hinges), max(hinges)) if len(runs) > 1 else None
