"""Which inputs matter: each group of columns masked, permuted, and left out of training.

* masked: the trained network sees the group at its training mean.
* permuted: the trained network sees the group's values of another node (Breiman 2001, permutation importance). V is a function of
  single nodes, so one permutation serves a node both as n and as T of its predecessor.
* retrained: the same configuration and seed, trained with the group at its training mean throughout. What is left of the
  difference then is what the other columns cannot stand in for.

A network that was trained with a column may lean on it although another column says the same (drift is a sum of the k_i), so
masked and permuted overstate what is lost by doing without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from analysis.collatz.subject import Change, Subject, values_of
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CollatzData
from trainables.collatz.family import COLLATZ, CollatzFamily
from trainables.collatz.features import BASE, Mode
from trainables.collatz.metrics import score
from trainables.collatz.task import CollatzTask
from trainables.loop import Loop
from trainables.measure import Measure
from trainables.statistics import mean_over_units

__all__ = ["Ablation", "Effect", "Group", "MaskedFamily", "ablation", "groups", "masked", "permuted", "training_mean"]

NEAR = 10
PERMUTATIONS = 5
MEAN_BATCHES = 16
METRICS = {"hinge": (0.0, float("inf")), "violations": (0.0, 1.0)}
"""The metrics shown, and the bounds of an orbit's value."""


class Group(NamedTuple):
    """Columns of the input that belong together."""

    name: str
    columns: tuple[int, ...]


class Effect(NamedTuple):
    """What a change does to the network.

    `differences` are to the network it is compared with, paired over orbits; `spread` is the smallest and largest hinge over
    the permutations.
    """

    group: str
    way: str
    values: dict[str, Measure]
    differences: dict[str, Measure]
    spread: tuple[float, float] | None = None


@dataclass(frozen=True)
class Ablation:
    """Effects on the validation split; `steps` is the budget of what was retrained."""

    trial: str
    steps: int
    groups: list[Group]
    intact: dict[str, Measure]
    control: dict[str, Measure]
    effects: list[Effect]
    predictors: dict[str, dict[str, Measure]]


def groups(mode: Mode, lookahead: int) -> list[Group]:
    """The groups of a mode: they are disjoint and hold every column; those without a column are left out.

    Of the window, the last third is far, the first ten of the rest near. A window of ten has k 1-7 and k 8-10.
    """
    base = 0 if mode.startswith("k_only") else BASE
    far = lookahead - lookahead // 3
    near = min(NEAR, far)
    heads = [Group("size", (0,)), Group("residues", (1, 2, 3, 4)), Group("drift", (5,))] if base else []
    spans = (("near", 0, near), ("middle", near, far), ("far", far, lookahead))
    windows = [Group(f"{name} k ({a + 1}-{b})", tuple(range(base + a, base + b))) for name, a, b in spans if b > a]
    return [*heads, *windows]


def masked(columns: tuple[int, ...], mean: Tensor) -> Change:
    """Puts columns at their mean, float32 [width]."""
    chosen = list(columns)

    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, chosen] = mean[chosen]
        return x

    return change


def permuted(columns: tuple[int, ...], seed: int) -> Change:
    """Shuffles columns between rows, all by the same permutation."""
    chosen = list(columns)

    def change(x: Tensor) -> Tensor:
        order = torch.from_numpy(np.random.default_rng([seed, *columns[:1]]).permutation(len(x)))
        x, before = x.clone(), x
        x[:, chosen] = before[order][:, chosen]
        return x

    return change


def training_mean(config: CollatzConfig, data: CollatzData) -> Tensor:
    """Mean of the inputs over batches that are spread over the budget, float32 [width]."""
    task = COLLATZ.task(config, data, torch.device("cpu"))
    at = [config.steps * i // MEAN_BATCHES for i in range(MEAN_BATCHES)]
    return torch.cat([task.batch(step)["now"] for step in at]).double().mean(0).float()


class MaskedFamily(CollatzFamily):
    """The Collatz family with an input that never sees some columns change, in training as in evaluation."""

    def __init__(self, columns: tuple[int, ...], mean: Tensor) -> None:
        self._change = masked(columns, mean)

    def task(self, config: CollatzConfig, data: CollatzData, device: torch.device) -> CollatzTask:
        """A fresh task whose model masks its input before anything else."""
        task = super().task(config, data, device)
        task.model.register_forward_pre_hook(lambda module, inputs: (self._change(inputs[0]), *inputs[1:]))
        return task


def _scores(subject: Subject, change: Change | None = None) -> dict[str, Measure]:
    found = score(subject.data, "validation", subject.potential(change), subject.config.lookahead)
    return {name: found[name] for name in METRICS}


def _difference(values: list[dict[str, Measure]], other: dict[str, Measure]) -> dict[str, Measure]:
    """Per metric the mean over `values`, minus `other`, paired over orbits."""
    return {
        name: mean_over_units(np.mean([values_of(value[name]) - values_of(other[name]) for value in values], axis=0)) for name in METRICS
    }


def _retrained(config: CollatzConfig, data: CollatzData, columns: tuple[int, ...], mean: Tensor) -> dict[str, Measure]:
    loop = Loop(MaskedFamily(columns, mean), config, data)
    report = list(loop.run())[-1]
    return {name: report.metrics[f"validation/{name}"] for name in METRICS}


def ablation(subject: Subject, steps: int | None = None, log: Callable[[str], None] = lambda line: None) -> Ablation:
    """All groups in all ways.

    Args:
        steps: budget of each retraining; None for that of the configuration.
        log: takes one line for each training.
    """
    config, data = subject.config, subject.data
    budget = steps or config.steps
    again = replace(config, steps=budget, eval_every=budget)
    mean = training_mean(config, data)
    intact = _scores(subject)
    log(f"intact network again, {budget} steps")
    control = _retrained(again, data, (), mean)
    effects = []
    found = groups(config.features, config.lookahead)
    for group in found:
        effects += _in_place(subject, group, mean, intact)
        log(f"without {group.name}, {budget} steps")
        value = _retrained(again, data, group.columns, mean)
        effects.append(Effect(group.name, "retrained", value, _difference([value], control)))
    predictors = COLLATZ.baselines(config, data, "validation")
    return Ablation(subject.name, budget, found, intact, control, effects, predictors)


def _in_place(subject: Subject, group: Group, mean: Tensor, intact: dict[str, Measure]) -> list[Effect]:
    """The trained network as it is, its inputs masked, then permuted."""
    hidden = _scores(subject, masked(group.columns, mean))
    runs = [_scores(subject, permuted(group.columns, seed)) for seed in range(PERMUTATIONS)]
    hinges = [run["hinge"].value for run in runs]
    average = {name: mean_over_units(np.mean([values_of(run[name]) for run in runs], axis=0), bounds) for name, bounds in METRICS.items()}
    return [
        Effect(group.name, "masked", hidden, _difference([hidden], intact)),
        Effect(group.name, "permuted", average, _difference(runs, intact), (min(hinges), max(hinges))),
    ]
