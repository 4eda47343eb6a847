"""The plan of a sweep: what it will do, whether it fits, and what it would propose first.

Nothing here starts Ray or writes anything.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leadline import cpus
from leadline.admission import BuiltData, built
from leadline.config import BUDGET_FIELDS, ConfigError, TrialConfig, to_dict
from leadline.engine import mirror
from leadline.engine.director import Assignment, Director
from leadline.engine.search import SPACE, Space
from leadline.engine.space_text import fields_in_words, searched, space_text
from leadline.errors import calling
from leadline.family import Family
from leadline.ledger.events import Event
from leadline.ledger.history import History, Trial
from leadline.ledger.race import field_size
from leadline.ledger.ranges import Range
from leadline.ledger.rungs import judges
from leadline.ledger.settings import Settings
from leadline.plain import plural, whole
from leadline.retention import MOST_KEPT
from leadline.storage import Folder

__all__ = [
    "check_fits",
    "check_memory",
    "complete",
    "describe",
    "expected_search",
    "expected_steps",
    "few_proposals",
    "first_configurations",
    "fitting",
    "judging_rungs",
    "replayed",
    "short_of_room",
    "warnings_of",
]


UNTIMED_STEPS = 5
"""Optimizer steps run before the timed ones, to leave out what happens only at first."""
TIMED_STEPS = 30
"""Optimizer steps that are timed to estimate a sweep's duration."""
SPARE = 2**24
"""Bytes that ledger, logs and views may need until the free room is checked again."""


def fitting(cpus_per_trial: float, gpus_per_trial: float, workers: int) -> int:
    """The number of trials that fit on this machine at a time.

    Args:
        cpus_per_trial: CPUs of each worker of a trial.
        gpus_per_trial: GPUs of each worker of a trial, which may be a fraction.
        workers: workers of a trial.

    Raises:
        ConfigError: if not even one does.
    """
    import torch

    usable = cpus.usable()
    gpus = torch.cuda.device_count()
    if cpus_per_trial * workers > usable:
        raise ConfigError(
            f"cpus-per-trial: {cpus_per_trial:g} for each of {plural(workers, 'worker')} is more than the "
            f"{cpus.in_words()}"
        )
    if gpus_per_trial * workers > gpus:
        raise ConfigError(
            f"gpus-per-trial: {gpus_per_trial:g} for each of {plural(workers, 'worker')} is more than the "
            f"{plural(gpus, 'GPU')} here"
        )
    counts = [int(usable // (cpus_per_trial * workers))]
    if gpus_per_trial:
        # The division by the workers comes last: how many shares fit is a whole number.
        counts.append(int(gpus // gpus_per_trial) // workers)
    return max(1, min(counts))


FEW_PROPOSALS = 10
"""The proposals of TPE in a stratum below which its search is called random.

With 5 of them after 5 random ones, the regret on the lookahead study was that of random search.
"""


def at_a_time(settings: Settings) -> int:
    """The number of trials to run at a time on this machine: as many as were asked for, or fit.

    Raises:
        ConfigError: if not even one does.
    """
    return settings.concurrent or fitting(settings.cpus_per_trial, settings.gpus_per_trial, settings.workers_per_trial)


def expected_search(settings: Settings) -> float:
    """The mean budget that a search trial spends, if every rung lets one in `reduction` go on.

    It is in optimizer steps or samples, whichever the budget counts. A stratum's rungs are those
    after the last stage of its configurations has begun, as far as the sweep fixes them.
    """
    return statistics.mean(_expected(settings, judging_rungs(settings, stratum)) for stratum in settings.strata)


def judging_rungs(settings: Settings, stratum: Any) -> list[int]:
    """The rungs at which trials of a stratum may be stopped."""
    if settings.scheduler == "none":
        return []
    judged_from = settings.judged_from(settings.configure({}, stratum, 0))
    return [rung for rung in settings.rungs if judges(rung, judged_from, settings.budget)]


def _expected(settings: Settings, rungs: Sequence[int]) -> float:
    levels = [*rungs, settings.budget]
    per_stratum = settings.trials / len(settings.strata)
    searched = 0.0
    alive = per_stratum
    before = 0
    for level in levels:
        searched += alive * (level - before)
        before = level
        alive = max(1.0, alive / settings.reduction)
    return searched / per_stratum


def few_proposals(settings: Settings) -> str:
    """Says where TPE would make so few proposals that the search is random; empty where not."""
    trials = settings.trials // len(settings.strata)
    learnt = max(0, trials - settings.startup)
    if settings.sampler != "tpe" or learnt >= FEW_PROPOSALS:
        return ""
    where = " of a stratum" if len(settings.strata) > 1 else ""
    return (
        f"TPE proposes {learnt} of the {trials} trials{where}, after {settings.startup} at random: the search is random"
    )


def expected_steps(settings: Settings) -> float:
    """The budget that the whole sweep spends, confirmation included, in the budget's own unit."""
    strata = len(settings.strata)
    confirmed = strata * min(settings.confirm, settings.trials / strata) * settings.replicates
    return settings.trials * expected_search(settings) + confirmed * settings.budget


def replayed(settings: Settings, space: Space, past: Sequence[Event]) -> Director:
    """A director in the state in which the sweep was left; it does not record yet.

    Raises:
        ConfigError: naming a parameter, if recorded trials do not fit the search space any more.
    """
    director = Director(settings, space)
    director.replay(past)
    return director


def _replayed(
    settings: Settings, space: Space, past: Sequence[Event], opening: Mapping[str, Any] | None = None
) -> Director:
    """A director in the state in which the next driver will begin, with the manifest `opening`."""
    director = replayed(settings, space, past)
    director.opened(dict(opening or {}))
    return director


def complete(settings: Settings, space: Space, past: Sequence[Event], opening: Mapping[str, Any]) -> bool:
    """Whether a sweep that has ended by itself has done everything that these settings ask for.

    Args:
        settings: what is asked for now.
        space: the search space.
        past: the events of the sweep.
        opening: the manifest of the driver that would begin; a configuration that was trained by
            other code of the family than it names is trained again.

    Raises:
        ConfigError: naming a parameter, if its trials do not fit the search space any more.
    """
    return _replayed(settings, space, past, opening).next() == "done"


def _first_proposals(director: Director, count: int, new: bool = True) -> list[Assignment]:
    found: list[Assignment] = []
    while len(found) < count:
        proposal = director.next()
        if not isinstance(proposal, Assignment):
            break
        director.started(proposal.trial, proposal.attempt)
        found.append(proposal)
    failed = [trial for trial in director.history.trials.values() if trial.status == "failed"]
    # A configuration that the family does not take is a result. A fault of the space's own code is
    # one to mend before anything is trained.
    reasons = [trial.reason.removeprefix("infeasible: ") for trial in failed]
    known = {field.name for field in dataclasses.fields(director.settings.model_family().Config)}
    misspelt = [reason for trial, reason in zip(failed, reasons, strict=True) if not known.issuperset(trial.config)]
    faults = [reason for reason in reasons if reason.startswith(f"{SPACE}: ")]
    if new and (faults or misspelt):
        raise ConfigError(faults[0] if faults else f"{SPACE}: {misspelt[0]}")
    if not found and new and failed:
        raise ConfigError(f"{SPACE}: proposes nothing that the family takes: {reasons[0]}")
    return found


def first_configurations(settings: Settings, space: Space) -> list[TrialConfig]:
    """A first configuration for each stratum."""
    return list(_by_stratum(settings, space).values())


def _by_stratum(settings: Settings, space: Space) -> dict[str, TrialConfig]:
    """A first configuration for each stratum, by its name; an empty one where there are none."""
    family = settings.model_family()
    director = _replayed(settings, space, ())
    proposals = _first_proposals(director, len(settings.strata))
    found: dict[str, TrialConfig] = {}
    for one in proposals:
        stratum = f"{settings.stratify}={director.history.trials[one.trial].stratum}" if settings.stratify else ""
        found[stratum] = family.config(one.config)
    return found


def check_memory(settings: Settings, space: Space, checkpoint: int) -> str:
    """Refuses a plan whose first full step of a stratum does not fit this machine's memory.

    Data are built for it, unless checkpoints are so small that any step of theirs fits.

    Args:
        settings: what was asked for.
        space: the search space.
        checkpoint: the bytes that a checkpoint may have.

    Returns:
        what a full step needs, in words; empty if it was not asked.

    Raises:
        ConfigError: naming the micro-batch that would fit, or else the batch.
    """
    from leadline.engine import memory_check

    family, at_once = settings.model_family(), at_a_time(settings)
    configs = _by_stratum(settings, space)
    limit = memory_check.limit_of(settings, at_once)
    if all(memory_check.plainly_small(family, config, checkpoint, limit) for config in configs.values()):
        return ""
    found = memory_check.told(settings, family, configs)
    memory_check.check_memory(settings, family, found, at_once)
    return memory_check.in_words(found)


def check_fits(
    settings: Settings, space: Space, folder: Folder, history: History | None = None, *, alone: bool = True
) -> int:
    """Refuses what cannot work here: too few CPUs or GPUs, or no room for checkpoints.

    Args:
        settings: what was asked for.
        space: the search space.
        folder: the folder of all sweeps.
        history: the history of a sweep that has begun; None for a new one.
        alone: whether it is to run on this machine alone; whether it fits a cluster is checked when
            that is joined.

    Returns:
        the bytes that a checkpoint may have.

    Raises:
        ConfigError: naming the option.
    """
    most = fitting(settings.cpus_per_trial, settings.gpus_per_trial, settings.workers_per_trial) if alone else math.inf
    if settings.concurrent is not None and settings.concurrent > most:
        limit = "" if settings.gpus_per_trial else f": {cpus.in_words()}"
        raise ConfigError(
            f"concurrent: {settings.concurrent} trials at a time are more than the {most} that fit this machine{limit}"
        )
    trials = history.trials.values() if history else []
    for trial in trials:
        _check_extension(settings, trial)
    family = settings.model_family()
    configs = first_configurations(settings, space)
    with calling("checkpoint_bytes"):
        checkpoint = max(whole(family.checkpoint_bytes(config), "checkpoint_bytes") for config in configs)
        stages = max(len(c.stages) if (c := family.curriculum(config)) else 0 for config in configs)
    ended = sum(not trial.open for trial in trials)
    runs = max(0, settings.trials + settings.confirm * settings.replicates * len(settings.strata) - ended)
    needed = checkpoint * (MOST_KEPT + stages) * runs
    free = _free(folder)
    if needed > free:
        raise ConfigError(
            f"storage: {folder} has {free / 2**30:.1f} GiB free, the plan's checkpoints need up to "
            f"{needed / 2**30:.1f} GiB; lower --trials or choose another --storage"
        )
    return checkpoint


def _check_extension(settings: Settings, trial: Trial) -> None:
    """Refuses a budget that a trial which may go on cannot spend in whole batches."""
    rows = trial.budget // trial.config["steps"] if trial.status not in ("stopped", "failed") else 0
    if rows and settings.budget % rows:
        size = f"{settings.unit}: {settings.budget} is no whole number of batches of {rows}"
        raise ConfigError(f"{size}, which trial {trial.number} has; take a multiple")


def short_of_room(folder: Folder, needed: int) -> str:
    """Why the running trials may not go on; empty if there is room.

    They may not if a local disk has less room than twice what they are about to write.

    Args:
        folder: the sweep's folder.
        needed: the bytes that the running trials are about to write.
    """
    needed = 2 * needed + SPARE
    free = _free(folder)
    if free >= needed:
        return ""
    return f"{free / 2**20:,.0f} MiB free, the running trials need {needed / 2**20:,.0f} MiB; make room"


def _free(folder: Folder) -> float:
    """The free bytes on the disk of a folder; infinite on a remote store."""
    if not folder.local:
        return math.inf
    place = next(parent for parent in [Path(folder.path), *Path(folder.path).parents] if parent.exists())
    return float(shutil.disk_usage(place).free)


def _seconds_per_step(family: Family[Any], config: TrialConfig, data: Any) -> float:
    """The seconds that an optimizer step takes with its part of a report, measured in this process.

    The trial is trained as it is and stopped early. The first steps are not timed, because they
    include the choice of a micro-batch and the checks that are made once in a trial.
    """
    from leadline.training.loop import Loop

    loop = Loop(family, config, data)
    marks: list[tuple[float, ...]] = []
    for stop in (min(UNTIMED_STEPS, config.steps - 1), UNTIMED_STEPS + TIMED_STEPS):
        for _ in loop.run(stop):
            pass
        marks.append((loop.step, loop.seconds, loop.overhead, len(loop.history)))
    before, after = marks
    steps, seconds, overhead, reports = (b - a for a, b in zip(before, after, strict=True))
    return seconds / steps + overhead / reports / min(config.eval_every, config.steps)


def _data(settings: Settings, configs: Sequence[TrialConfig]) -> list[Any]:
    """The data of each configuration, built once for each key, as a sweep shares them.

    Raises:
        ConfigError: if the family fails, or two configurations share a key and differ in a field
            that it reads.
    """
    family = settings.model_family()
    shared: dict[str, BuiltData] = {}
    for config in (*(settings.configure({}, stratum, 0) for stratum in settings.strata), *configs):
        key = settings.data_key(config)
        if key not in shared:
            with calling("build_data"):
                shared[key] = built(family, config)
        if reason := shared[key].unkeyed(config):
            raise ConfigError(reason)
    return [shared[settings.data_key(config)].data for config in configs]


def _points(searched: Range) -> int | float:
    """The number of values that a parameter can have; infinite where it is continuous."""
    if searched.choices:
        return len(searched.choices)
    return math.inf if searched.step is None else round((searched.high - searched.low) / searched.step) + 1


def _space(settings: Settings, space: Space) -> dict[str, dict[str, Range]]:
    """The ranges that are searched, by stratum and parameter."""
    fixed = {str(stratum): {**settings.overrides, **settings.dealt(stratum)} for stratum in settings.strata}
    return searched(space, settings.scale, fixed)


def _space_size(settings: Settings, space: Space) -> int | float:
    """The number of configurations in the space, in the stratum with the fewest.

    Parameters that are asked for only beside certain values of others count as if they always were.
    """
    return min(math.prod(map(_points, ranges.values())) for ranges in _space(settings, space).values())


def warnings_of(settings: Settings, space: Space) -> list[str]:
    """What the sizes of a sweep make impossible, one sentence each."""
    found = []
    per_stratum = settings.trials // len(settings.strata)
    if (size := _space_size(settings, space)) < per_stratum:
        found.append(
            f"the search space has {plural(int(size), 'configuration')}, fewer than the {per_stratum:,} trials "
            "per stratum: a repeated one is not trained again"
        )
    if remark := few_proposals(settings):
        found.append(remark)
    if settings.scheduler == "none":
        pass  # as was asked for
    elif not settings.rungs:
        found.append(
            f"{settings.unit} {settings.budget} leave no rung above grace {settings.grace}: "
            "nothing will be stopped early"
        )
    elif per_stratum < settings.reduction:
        found.append(
            f"{plural(per_stratum, 'trial per stratum is', 'trials per stratum are')} "
            f"fewer than the reduction {settings.reduction}: "
            "few or none will be stopped early"
        )
    if settings.trials % len(settings.strata):
        more = len(settings.strata) - settings.trials % len(settings.strata)
        found.append(
            f"{plural(settings.trials, 'trial is', 'trials are')} no multiple of {len(settings.strata)} strata: "
            f"some get one more; take {settings.trials + more}"
        )
    return found


def describe(
    settings: Settings,
    space: Space,
    past: Sequence[Event] = (),
    where: str = "",
    opening: Mapping[str, Any] | None = None,
    changed: Sequence[str] = (),
) -> str:
    """The plan of a sweep as text.

    It builds the data and times a few steps, to estimate how long the sweep will take.

    Args:
        settings: what was asked for.
        space: the search space.
        past: the events of a sweep that has begun; empty for a new one.
        where: the address of the cluster that it is to run on, which is not contacted; empty for
            this machine.
        opening: the manifest of the driver that would begin.
        changed: why the sweep would not go on bit for bit as before.
    """
    import torch

    from leadline.engine import memory_check

    family = settings.model_family()
    begun = History.of(past).trials.values()
    by_stratum = _by_stratum(settings, space)
    configs = list(by_stratum.values())
    began = time.perf_counter()
    data = _data(settings, configs)
    built_in = time.perf_counter() - began
    steps_told = memory_check.told(settings, family, by_stratum, data)
    if not where:
        memory_check.check_memory(settings, family, steps_told, at_a_time(settings))
    torch.set_num_threads(max(1, int(settings.cpus_per_trial)))
    with calling("first steps"):
        rates = [_seconds_per_step(family, config, one) for config, one in zip(configs, data, strict=True)]
    per_step = [family.samples_per_step(config) if settings.unit == "samples" else 1 for config in configs]
    steps = expected_steps(settings)
    # A cluster is not contacted here, so that without --concurrent one trial at a time is assumed.
    at_once = (settings.concurrent or 1) if where else at_a_time(settings)
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
        f"study       {settings.study}: family {family.name}, {settings.mode}imise {settings.metric}, "
        f"sampler {settings.sampler}",
        f"trials      {settings.trials}, {how_many}, seed {settings.seed}",
        f"strata      {settings.stratify} = {', '.join(map(str, settings.strata))}"
        if settings.stratify
        else "strata      one",
        *(f"  {name}: {fields_in_words(settings.arms[name])}" for name in settings.strata if settings.arms),
        *(f"compares    {one['a']} less {one['b']}: {_margins(one['margins'])}" for one in settings.contrasts),
        *_rungs(settings),
        f"confirm     {_confirmed(settings)}, on the test split",
        *_listed_below("searched", space_text(_space(settings, space), settings.stratify or "stratum")),
        f"fixed       {fields_in_words(fixed)}",
        f"budget      about {steps:,.0f} {unit} in all",
        f"time        about {seconds / 60:.1f} min at {rate}{alone}, data {built_in:.1f} s",
        f"memory      {memory_check.in_words(steps_told)}",
        *([f"mirror      {mirror.shown(settings.mirror)}"] if settings.mirror else []),
        *(f"warning     {text}" for text in warnings_of(settings, space)),
        *(
            [f"begun       {plural(sum(not trial.open for trial in begun), 'run has', 'runs have')} ended"]
            if past
            else []
        ),
        "next proposals" if past else "first proposals",
    ]
    director = _replayed(settings, space, past, opening)
    usual = to_dict(family.config({}))
    lines[-1:] = [*(f"note        {remark}" for remark in [*changed, *director.remarks]), *lines[-1:]]
    told = {*fixed, *BUDGET_FIELDS, "seed"}
    for proposal in _first_proposals(director, 4, new=not past):
        searched = director.history.trials[proposal.trial].params
        shown = {
            name: value
            for name, value in proposal.config.items()
            if name not in told and (name in searched or value != usual[name])
        }
        lines.append(f"  {proposal.trial}: " + fields_in_words(shown, " "))
    return "\n".join(lines)


def _listed_below(heading: str, lines: Sequence[str]) -> list[str]:
    """The lines below each other, the first beside the heading."""
    return [f"{'' if at else heading:<12}{line}" for at, line in enumerate(lines)]


def _confirmed(settings: Settings) -> str:
    """What confirmation will train."""
    runs, seeds = settings.confirm * settings.replicates, plural(settings.replicates, "fresh seed")
    if settings.confirm < 2:
        return f"{settings.confirm} per stratum, {seeds} each"
    return (
        f"the {field_size(settings.confirm)} best of each stratum race for {runs} runs, {seeds} or more for the first"
    )


def _rungs(settings: Settings) -> list[str]:
    """The rungs, and for each stratum with stages those at which its trials are judged."""
    never = settings.scheduler == "none"
    words = "no trial is stopped (scheduler none)" if never else f"one in {settings.reduction} goes on"
    lines = [f"rungs       {_listed(settings.rungs)} of {settings.budget} {settings.unit}; {words}"]
    for stratum in () if never else settings.strata:
        judging = judging_rungs(settings, stratum)
        if judging != settings.rungs:
            words = f"{_listed(judging)} alone, after" if judging else "none, as"
            lines.append(
                f"  {stratum}: judged at {words} the last stage {'has begun' if judging else 'begins after them'}"
            )
    return lines


def _listed(rungs: Sequence[int]) -> str:
    return ", ".join(map(str, rungs)) or "none"


def _margins(margins: Mapping[str, float]) -> str:
    return ", ".join(f"{name} (margin {margin:g})" for name, margin in margins.items())
