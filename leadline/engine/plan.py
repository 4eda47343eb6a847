"""The plan of a sweep: what it will do, whether it fits here, and what it would propose first. Nothing is started."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch

from leadline.config import ConfigError, TrialConfig, to_dict
from leadline.engine.director import Assignment, Director
from leadline.engine.search import Space
from leadline.family import Family
from leadline.ledger.events import Event
from leadline.ledger.history import History, Trial
from leadline.ledger.settings import Settings
from leadline.retention import MOST_KEPT
from leadline.storage import Folder
from leadline.training.loop import Loop

__all__ = [
    "check_fits",
    "complete",
    "describe",
    "expected_search",
    "expected_steps",
    "fitting",
    "replayed",
    "short_of_room",
    "warnings_of",
]


UNTIMED_STEPS, TIMED_STEPS = 5, 30
SPARE = 2**24
"""Bytes that ledger, logs and views may need before anybody looks again."""


def fitting(cpus_per_trial: float, gpus_per_trial: float, workers: int) -> int:
    """Trials that fit on this machine at a time.

    Raises:
        ConfigError: if not even one does.
    """
    cpus, gpus = psutil.cpu_count() or 1, torch.cuda.device_count()
    if cpus_per_trial * workers > cpus:
        raise ConfigError(
            f"cpus-per-trial: {cpus_per_trial:g} for each of {workers} worker(s) is more than the {cpus} CPUs here"
        )
    if gpus_per_trial * workers > gpus:
        raise ConfigError(
            f"gpus-per-trial: {gpus_per_trial:g} for each of {workers} worker(s) is more than the {gpus} GPUs here"
        )
    counts = [int(cpus // (cpus_per_trial * workers))]
    if gpus_per_trial:
        counts.append(int(gpus // gpus_per_trial) // workers)
    return max(1, min(counts))


def at_a_time(settings: Settings) -> int:
    """Trials on this machine: as many as were asked for, or fit.

    Raises:
        ConfigError: if not even one does.
    """
    return settings.concurrent or fitting(settings.cpus_per_trial, settings.gpus_per_trial, settings.workers_per_trial)


def expected_search(settings: Settings) -> float:
    """Mean optimizer steps of a search trial, or samples, whichever the budget counts, if every rung lets one in `reduction` go on."""
    levels = [*settings.rungs, settings.budget]
    per_stratum = settings.trials / len(settings.strata)
    searched, alive, before = 0.0, per_stratum, 0
    for level in levels:
        searched += alive * (level - before)
        before, alive = level, max(1.0, alive / settings.reduction)
    return searched / per_stratum


def expected_steps(settings: Settings) -> float:
    """Those of the whole sweep, confirmation included."""
    confirmed = (
        len(settings.strata) * min(settings.confirm, settings.trials / len(settings.strata)) * settings.replicates
    )
    return settings.trials * expected_search(settings) + confirmed * settings.budget


def replayed(settings: Settings, space: Space, past: Sequence[Event]) -> Director:
    """A director that stands where the sweep was left; it records nowhere yet.

    Raises:
        ConfigError: naming a parameter, if recorded trials do not fit the search space any more.
    """
    director = Director(settings, space)
    director.replay(past)
    return director


def _replayed(settings: Settings, space: Space, past: Sequence[Event]) -> Director:
    """One that stands where the next driver will begin."""
    director = replayed(settings, space, past)
    director.opened({})
    return director


def complete(settings: Settings, space: Space, past: Sequence[Event]) -> bool:
    """Whether a sweep that has ended by itself has done all that these settings ask for.

    Raises:
        ConfigError: naming a parameter, if its trials do not fit the search space any more.
    """
    return _replayed(settings, space, past).next() == "done"


def _first_proposals(director: Director, count: int, new: bool = True) -> list[Assignment]:
    found: list[Assignment] = []
    while len(found) < count:
        proposal = director.next()
        if not isinstance(proposal, Assignment):
            break
        director.started(proposal.trial, proposal.attempt)
        found.append(proposal)
    failed = [trial for trial in director.history.trials.values() if trial.status == "failed"]
    if not found and new and failed:
        raise ConfigError(
            f"space: proposes nothing that the family takes: {failed[0].reason.removeprefix('infeasible: ')}"
        )
    return found


def _configs(settings: Settings, space: Space) -> list[TrialConfig]:
    """A first configuration for each stratum."""
    family = settings.model_family()
    proposals = _first_proposals(_replayed(settings, space, ()), len(settings.strata))
    return [family.config(proposal.config) for proposal in proposals]


def check_fits(
    settings: Settings, space: Space, folder: Folder, history: History | None = None, *, alone: bool = True
) -> int:
    """Refuses what cannot work here: too few CPUs or GPUs, no room for checkpoints. Returns the bytes that a checkpoint may have.

    Args:
        history: of a sweep that has begun.
        alone: whether it is to run on this machine alone; what fits a cluster is seen when it is joined.

    Raises:
        ConfigError: naming the option.
    """
    most = fitting(settings.cpus_per_trial, settings.gpus_per_trial, settings.workers_per_trial) if alone else math.inf
    if settings.concurrent is not None and settings.concurrent > most:
        raise ConfigError(
            f"concurrent: {settings.concurrent} trials at a time are more than the {most} that fit this machine"
        )
    trials = history.trials.values() if history else []
    for trial in trials:
        _check_extension(settings, trial)
    family = settings.model_family()
    checkpoint = max(family.checkpoint_bytes(config) for config in _configs(settings, space))
    ended = sum(not trial.open for trial in trials)
    runs = max(0, settings.trials + settings.confirm * settings.replicates * len(settings.strata) - ended)
    needed, free = checkpoint * MOST_KEPT * runs, _free(folder)
    if needed > free:
        raise ConfigError(
            f"storage: {folder} has {free / 2**30:.1f} GiB free, the plan's checkpoints need up to {needed / 2**30:.1f} GiB; "
            "lower --trials or choose another --storage"
        )
    return checkpoint


def _check_extension(settings: Settings, trial: Trial) -> None:
    """A trial that may go on must spend the budget in whole batches."""
    rows = trial.budget // trial.config["steps"] if trial.status not in ("stopped", "failed") else 0
    if rows and settings.budget % rows:
        size = f"{settings.unit}: {settings.budget} is no whole number of batches of {rows}"
        raise ConfigError(f"{size}, which trial {trial.number} has; take a multiple")


def short_of_room(folder: Folder, needed: int) -> str:
    """Why the running trials may not go on, in words, where a local disk has less room than twice what they are about to write."""
    needed, free = 2 * needed + SPARE, _free(folder)
    return (
        f"{free / 2**20:,.0f} MiB free, the running trials need {needed / 2**20:,.0f} MiB; make room"
        if free < needed
        else ""
    )


def _free(folder: Folder) -> float:
    """Bytes; infinite on a remote store."""
    if not folder.local:
        return math.inf
    place = next(parent for parent in [Path(folder.path), *Path(folder.path).parents] if parent.exists())
    return float(shutil.disk_usage(place).free)


def _seconds_per_step(family: Family[Any], config: TrialConfig, data: Any) -> float:
    """Measured in this process: steps of the trial as it is, stopped early, and a step's part of a report.

    The first steps count for nothing, for they have the choice of a micro-batch and what is looked at once in a trial.
    """
    loop = Loop(family, config, data)
    marks: list[tuple[float, ...]] = []
    for stop in (min(UNTIMED_STEPS, config.steps - 1), UNTIMED_STEPS + TIMED_STEPS):
        for _ in loop.run(stop):
            pass
        marks.append((loop.step, loop.seconds, loop.overhead, len(loop.history)))
    before, after = marks
    steps, seconds, overhead, reports = (b - a for a, b in zip(before, after, strict=True))
    return seconds / steps + overhead / reports / min(config.eval_every, config.steps)


def warnings_of(settings: Settings) -> list[str]:
    """What the sizes make impossible, in words."""
    found = []
    per_stratum = settings.trials // len(settings.strata)
    if not settings.rungs:
        found.append(
            f"{settings.unit} {settings.budget} leave no rung above grace {settings.grace}: nothing will be stopped early"
        )
    elif per_stratum < settings.reduction:
        found.append(
            f"{per_stratum} trials per stratum are fewer than the reduction {settings.reduction}: few or none will be stopped early"
        )
    if settings.trials % len(settings.strata):
        more = len(settings.strata) - settings.trials % len(settings.strata)
        found.append(
            f"{settings.trials} trials are no multiple of {len(settings.strata)} strata: some get one more; take {settings.trials + more}"
        )
    if settings.sampler == "tpe" and per_stratum <= settings.startup:
        found.append(
            f"{per_stratum} trials per stratum do not leave TPE's {settings.startup} random start-up trials: the search is random"
        )
    return found


def describe(settings: Settings, space: Space, past: Sequence[Event] = (), where: str = "") -> str:
    """The plan as text, of a sweep that may have begun; builds the data and times a few steps to say how long it will take.

    Args:
        where: the address of the cluster that it is to run on, which is not asked; empty for this machine.
    """
    family = settings.model_family()
    configs = _configs(settings, space)
    began = time.perf_counter()
    data = family.build_data(configs[0])
    built = time.perf_counter() - began
    torch.set_num_threads(max(1, int(settings.cpus_per_trial)))
    rates = [_seconds_per_step(family, config, data) for config in configs]
    per_step = [family.samples_per_step(config) if settings.unit == "samples" else 1 for config in configs]
    steps, at_once = expected_steps(settings), (settings.concurrent or 1) if where else at_a_time(settings)
    seconds = steps * sum(rate / size for rate, size in zip(rates, per_step, strict=True)) / len(rates) / at_once
    unit = "samples" if settings.unit == "samples" else family.budget_unit
    fixed = {**settings.fields, **settings.overrides}
    how_many = (
        f"{settings.concurrent or 'as many as fit'} at a time on the cluster at {where}"
        if where
        else f"{at_once} at a time"
    )
    alone = ", one trial at a time" if where and not settings.concurrent else ""
    rate = f"{1000 * sum(rates) / len(rates):.1f} ms a step ({TIMED_STEPS} timed here)"
    lines = [
        f"study       {settings.study}: family {family.name}, {settings.mode}imise {settings.metric}, sampler {settings.sampler}",
        f"trials      {settings.trials}, {how_many}, seed {settings.seed}",
        f"strata      {settings.stratify} = {', '.join(map(str, settings.strata))}"
        if settings.stratify
        else "strata      one",
        *(f"  {name}: {_fields(settings.arms[name])}" for name in settings.strata if settings.arms),
        *(f"compares    {one['a']} less {one['b']}: {_margins(one['margins'])}" for one in settings.contrasts),
        f"rungs       {', '.join(map(str, settings.rungs)) or 'none'} of {settings.budget} {settings.unit}; "
        f"one in {settings.reduction} goes on",
        f"confirm     {settings.confirm} per stratum, {settings.replicates} fresh seeds each, on the test split",
        f"fixed       {_fields(fixed)}",
        f"budget      about {steps:,.0f} {unit} in all",
        f"time        about {seconds / 60:.1f} min at {rate}{alone}, data {built:.1f} s",
        *(f"warning     {text}" for text in warnings_of(settings)),
        *(
            [f"begun       {sum(not trial.open for trial in History.of(past).trials.values())} runs have ended"]
            if past
            else []
        ),
        "next proposals" if past else "first proposals",
    ]
    director, usual = _replayed(settings, space, past), to_dict(family.Config())
    lines[-1:] = [*(f"note        {remark}" for remark in director.remarks), *lines[-1:]]
    for proposal in _first_proposals(director, 4, new=not past):
        told, searched = (
            {**fixed, "steps": 0, "eval_every": 0, "seed": 0},
            director.history.trials[proposal.trial].params,
        )
        shown = {
            name: value
            for name, value in proposal.config.items()
            if name not in told and (name in searched or value != usual[name])
        }
        lines.append(f"  {proposal.trial}: " + " ".join(f"{name}={_short(value)}" for name, value in shown.items()))
    return "\n".join(lines)


def _fields(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in values.items()) or "nothing"


def _margins(margins: Mapping[str, float]) -> str:
    return ", ".join(f"{name} (margin {margin:g})" for name, margin in margins.items())


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
