"""Whether full optimizer steps of a sweep's configurations fit the memory, before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from leadline import errors
from leadline.config import ConfigError, TrialConfig
from leadline.errors import calling
from leadline.family import Family
from leadline.ledger.settings import Settings
from leadline.plain import plural
from leadline.training.guards.memory import human, meter
from leadline.training.memory_plan import MemoryNeed, needed, smaller

__all__ = ["Told", "check_memory", "in_words", "limit_of", "plainly_small", "told"]

USES = 30
"""Bytes of a step for each byte of a checkpoint and each sample, beyond what networks were seen to
need: HRM, TRM and Collatz networks need 0.05 to 0.4.
"""


class Told(NamedTuple):
    """What a stratum's configuration needs.

    Attributes:
        stratum: its name; empty without strata.
        config: the configuration.
        data: its data.
        need: what a full step needs; None where that cannot be told.
        why: why it cannot.
    """

    stratum: str
    config: TrialConfig
    data: Any
    need: MemoryNeed | None
    why: str = ""


def _device(settings: Settings) -> torch.device:
    return torch.device("cuda" if settings.gpus_per_trial else "cpu")


def limit_of(settings: Settings, at_once: int) -> float:
    """The bytes that each process of a trial may hold on this machine.

    That is its share of a GPU, or of what the machine has available now.

    Args:
        settings: what was asked for.
        at_once: trials at a time.
    """
    if settings.gpus_per_trial:
        total = torch.cuda.get_device_properties(0).total_memory
        return min(1.0, settings.gpus_per_trial) * float(total)
    return meter(torch.device("cpu")).limit() / at_once / settings.workers_per_trial


def plainly_small(family: Family[Any], config: TrialConfig, checkpoint: int, limit: float) -> bool:
    """Whether a step fits so well that it need not be asked, which takes seconds.

    Args:
        family: the model family.
        config: a configuration.
        checkpoint: bytes of its checkpoint.
        limit: bytes that a process may hold.
    """
    try:
        samples = family.samples_per_step(config)
    except ConfigError:  # of a family whose budgets do not count samples
        samples = 1
    return USES * checkpoint * samples < limit


def told(
    settings: Settings, family: Family[Any], configs: Mapping[str, TrialConfig], data: Sequence[Any] = ()
) -> list[Told]:
    """What full steps need, by stratum; configurations that differ in nothing are asked once.

    Args:
        settings: what was asked for.
        family: the model family.
        configs: a configuration for each stratum, by its name.
        data: the data of each configuration, if they have been built.
    """
    built = dict(zip(map(settings.data_key, configs.values()), data, strict=False))
    found: list[Told] = []
    for stratum, config in configs.items():
        key = settings.data_key(config)
        if key not in built:
            with calling("build_data"):
                built[key] = family.build_data(config)
        try:
            need = needed(family, config, built[key], _device(settings), settings.workers_per_trial)
        except (Exception, SystemExit) as error:  # of code of the family's
            found.append(Told(stratum, config, built[key], None, errors.told(error)))
            continue
        found.append(Told(stratum, config, built[key], need))
    return found


def in_words(found: Sequence[Told]) -> str:
    """One line on the step that needs the most, or why none could be told."""
    known = [(one.need.peak, one) for one in found if one.need]
    if not known:
        return f"not known: {found[0].why}" if found else "not known"
    most = max(known, key=lambda pair: pair[0])[1]
    need = most.need
    assert need is not None
    parts = {
        "weights": need.weights,
        "optimizer": need.optimizer,
        "kept": need.kept,
        "activations": need.activations,
        "allocator": need.holes,
    }
    listed = ", ".join(f"{name} {human(value)}" for name, value in parts.items() if value)
    where = f" of {most.stratum}" if most.stratum and len(found) > 1 else ""
    return f"a full step{where} needs {human(need.peak)} with micro-batches of {plural(need.rows, 'row')}: {listed}"


def check_memory(settings: Settings, family: Family[Any], found: Sequence[Told], at_once: int) -> None:
    """Refuses steps that do not fit.

    Raises:
        ConfigError: naming the micro-batch that would fit, or else the batch.
    """
    limit = limit_of(settings, at_once)
    for one in found:
        if one.need is None or one.need.peak <= limit:
            continue
        where = f" of {one.stratum}" if one.stratum else ""
        said = f"a full step{where} needs {human(one.need.peak)}, and a trial may hold {human(limit)}"
        if not settings.gpus_per_trial and at_once > 1:
            said += f" with {at_once} at a time"
        if one.need.rows > 1:
            fits = smaller(family, one.config, one.data, limit, _device(settings), settings.workers_per_trial)
            if fits:
                raise ConfigError(f"micro_batch: {said}; micro_batch={fits} fits")
        fewer = int(at_once * limit // one.need.peak)
        if fewer and not settings.gpus_per_trial:
            raise ConfigError(f"concurrent: {said}, in no micro-batch; --concurrent {fewer} fits")
        raise ConfigError(f"batch: {said}; no micro-batch of it fits, so take smaller weights, or another machine")
