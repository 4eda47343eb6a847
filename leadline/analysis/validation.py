"""Evaluates a checkpoint again, and compares the scores with those of its own record.

The family builds its data anew, and the same code scores the same weights as when the checkpoint
was saved. What differs then is the machine, the device, the precision or the code.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from leadline import registry
from leadline.analysis.sweep import Sweep
from leadline.checkpoint import Checkpoint, CheckpointStore, DamagedCheckpoint, checkpoints_at
from leadline.config import ConfigError, TrialConfig, to_dict
from leadline.errors import calling
from leadline.family import Family
from leadline.ledger.reader import READING_PATIENCE
from leadline.measure import Measure, Report, as_measures
from leadline.storage import Folder
from leadline.task import Split

__all__ = ["TOLERANCE", "Comparison", "Dtype", "Subject", "compared", "measured", "opened"]

Dtype = Literal["float32", "bfloat16", "float64"]
"""The precision in which a checkpoint can be evaluated."""

Verdict = Literal["equal", "within rounding", "changed"]

TOLERANCE: Mapping[Dtype, float] = {"float32": 1e-5, "float64": 1e-5, "bfloat16": 1e-2}
"""Relative differences that rounding explains.

A number of float32 is exact to 6e-8, and another machine or device adds up many of them in another
order; float64 leaves the rounding of what was recorded. A number of bfloat16 is exact to 4e-3.
"""
COUNTED = 1e-9
"""The relative difference of a mean and its interval that are computed from equal counts."""


@dataclass(frozen=True)
class Subject:
    """A checkpoint with the family and the configuration that it is of.

    Attributes:
        place: the trial's folder.
        checkpoint: the checkpoint.
        family: its family.
        config: its configuration.
    """

    place: Folder
    checkpoint: Checkpoint
    family: Family[Any]
    config: TrialConfig

    @property
    def precision(self) -> Dtype:
        """The precision in which it was evaluated when it was saved."""
        return "bfloat16" if getattr(self.config, "precision", "") == "bfloat16" else "float32"

    @functools.cached_property
    def model(self) -> nn.Module:
        """The model with the weights that were scored, on the CPU, in eval mode.

        Raises:
            ConfigError: if the weights do not fit the family's model.
        """
        return self.family.trained_model(self.config, self.checkpoint.state)

    def recorded(self, split: Split) -> dict[str, Measure]:
        """Returns the measures of its last report on a split by metric, with recorded units.

        Raises:
            ConfigError: if there are none.
        """
        record = self.checkpoint.record
        if not record.get("history"):
            raise ConfigError(f"checkpoint: the record of {self.checkpoint.name} has no report to compare with")
        report = record["history"][-1]["metrics"]
        units = record.get("units", {})
        prefix = f"{split}/"
        found = {
            name.removeprefix(prefix): Measure.from_dict({"units": units.get(name, ()), **plain})
            for name, plain in report.items()
            if name.startswith(prefix)
        }
        if not found:
            held = ", ".join(sorted({name.split("/")[0] for name in report}))
            raise ConfigError(
                f"split: the record of {self.checkpoint.name} has no score on {split}, only on {held}; "
                "replicates alone are scored on test, and between rungs a slow trial on a part of validation: "
                "name another of its checkpoints"
            )
        return found


def opened(place: Folder, family: str = "") -> Subject:
    """Finds and reads a checkpoint.

    Args:
        place: the folder of a checkpoint, or of a trial, whose newest intact one is taken.
        family: the family's name, where it is not installed under the one that is recorded.

    Raises:
        ConfigError: if there is no checkpoint, it is damaged, its record says nothing, or its
            family is not installed or does not take the configuration or the weights any more.
        StorageError: if the storage does not answer.
    """
    try:
        store, names = checkpoints_at(place, READING_PATIENCE)
        found = store.load(names[0]) if store.folder != place else _newest(store, names)
    except DamagedCheckpoint as error:
        raise ConfigError(f"checkpoint: it is damaged: {error}") from None
    except NotADirectoryError:
        raise ConfigError(f"checkpoint: {place} is a file; give the folder of a checkpoint") from None
    if found is None:
        what = "no checkpoint is intact" if names else "there is no checkpoint"
        raise ConfigError(f"checkpoint: {what} at {place}; give the folder of one, or of a trial that has one")
    record = found.record
    if not {"family", "config"} <= record.keys():
        raise ConfigError(f"checkpoint: the record of {found.name} does not say its family and configuration")
    loaded = registry.family(family) if family else _family(store, record["family"])
    if loaded.name != record["family"]:
        raise ConfigError(f"family: {found.name} is of {record['family']}, not of {loaded.name}")
    subject = Subject(store.folder, found, loaded, loaded.config(record["config"]))
    _ = subject.model  # which says it where the weights do not fit
    return subject


def _newest(store: CheckpointStore, names: Sequence[str]) -> Checkpoint | None:
    """Returns the newest intact checkpoint that was scored whole, or else the newest intact one."""
    first = None
    for found in store.intact(names):
        history = found.record.get("history")
        if history and Report.from_dict(history[-1]).whole:
            return found
        first = first or found
    return first


def _family(store: CheckpointStore, name: str) -> Family[Any]:
    """The family of that name, by the dotted name of the trial's sweep where it is in one."""
    sweep = store.folder.above.above
    if store.folder.above.name == "trials" and sweep.exists("ledger"):
        return Sweep.open(sweep).settings.model_family()
    return registry.family(name)


def measured(
    subject: Subject, data: Any, split: Split, device: torch.device, dtype: Dtype | None = None
) -> dict[str, Measure]:
    """Scores a checkpoint on a split, as training has done it.

    Args:
        subject: the checkpoint.
        data: what the family's `build_data` returned for its configuration.
        split: the split.
        device: where the model is evaluated.
        dtype: the precision; by default that in which it was evaluated when it was saved.

    Raises:
        ConfigError: if the family raises.
    """
    config = subject.config if dtype is None else _in_precision(subject, dtype)
    state = subject.checkpoint.state
    torch.manual_seed(config.seed)
    with calling("task"):
        task = subject.family.task(config, data, device)
        task.model.load_state_dict(state["model"])
        if task.clock is not None:
            task.clock.load_state_dict(state["clock"])
        task.load_state_dict(state["task"])
    task.model.eval()
    if dtype == "bfloat16":  # as numpy, into which scores are brought, has no such type
        task.model.register_forward_hook(lambda module, given, output: tree_map(_widened, output))
    with calling("evaluate"), torch.no_grad(), _computing(dtype, device):
        return as_measures(task.evaluate(split), subject.family.metrics, "evaluate")


def _in_precision(subject: Subject, dtype: Dtype) -> TrialConfig:
    """The configuration with its field `precision`, if it has one, as the dtype asks."""
    if not hasattr(subject.config, "precision"):
        return subject.config
    fields = {**to_dict(subject.config), "precision": "bfloat16" if dtype == "bfloat16" else "float32"}
    try:
        changed: TrialConfig = subject.family.config(fields)
    except ConfigError:  # some of the family's models have no choice
        return subject.config
    return changed


@contextlib.contextmanager
def _computing(dtype: Dtype | None, device: torch.device) -> Iterator[None]:
    """A context in which torch computes in that precision."""
    if dtype == "bfloat16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
    elif dtype == "float64":
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            with _Doubled():  # type: ignore[no-untyped-call]  # torch's constructor
                yield
        finally:
            torch.set_default_dtype(before)
    else:
        yield


class _Doubled(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Computes in float64 what was to be computed in float32, wherever it is written down.

    Memory that others see stays what it is: what is written in place, and views. Random numbers are
    those of float32.
    """

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        schema = operation._schema
        if torch.Tag.nondeterministic_seeded in operation.tags:
            if any(one.name == "dtype" for one in schema.arguments):
                kwargs["dtype"] = kwargs.get("dtype") or torch.float32
            return operation(*args, **kwargs)
        if any(one.alias_info is not None for one in schema.returns):
            target = args[0] if schema.is_mutable and args else None
            if not isinstance(target, torch.Tensor) or target.dtype != torch.float64:
                return operation(*args, **kwargs)
            return operation(target, *tree_map(_doubled, args[1:]), **kwargs)
        args, kwargs = tree_map(_doubled, (args, kwargs))
        return operation(*args, **kwargs)


def _widened(value: Any) -> Any:
    return value.float() if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16 else value


def _doubled(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
        return value.double()
    return torch.float64 if value is torch.float32 else value


@dataclass(frozen=True)
class Comparison:
    """A metric as it was recorded, and as it was measured again.

    Attributes:
        name: the metric's name.
        recorded: what the record says.
        measured: what was measured; None where the family does not measure it any more.
        verdict: `equal` is bit for bit.
        units: the numbers of the units that differ by more than rounding.
    """

    name: str
    recorded: Measure
    measured: Measure | None
    verdict: Verdict
    units: tuple[int, ...] = ()


def compared(name: str, recorded: Measure, found: Measure | None, tolerance: float) -> Comparison:
    """Compares a measure with the one that was recorded, unit by unit where units were recorded.

    Differences are relative to the larger of what was recorded and the metric's value. Units that
    are all 0 or 1 are counted, not rounded, so that each must be equal.

    Args:
        name: the metric's name.
        recorded: what the record says; what was not finite is NaN in it.
        found: what was measured; None for nothing.
        tolerance: the relative difference up to which numbers are the same but for rounding.
    """
    if found is None:
        return Comparison(name, recorded, None, "changed")
    found = Measure.from_dict(found.to_dict(units=True))
    discrete = bool(found.units) and all(unit in (0, 1) for unit in found.units)
    if not recorded.units:
        found = replace(found, units=())
    if found.n != recorded.n or len(found.units) != len(recorded.units):
        return Comparison(name, recorded, found, "changed")
    pairs = [(getattr(recorded, end), getattr(found, end)) for end in ("value", "low", "high")]
    if all(_near(*pair) for pair in [*pairs, *zip(recorded.units, found.units, strict=True)]):
        return Comparison(name, recorded, found, "equal")
    scale = abs(recorded.value)
    units = _differing(recorded.units, found.units, 0.0 if discrete else tolerance, scale)
    same = all(_near(*pair, COUNTED if discrete else tolerance, scale) for pair in pairs)
    return Comparison(name, recorded, found, "within rounding" if same and not units else "changed", units)


def _differing(one: Sequence[float], other: Sequence[float], tolerance: float, scale: float) -> tuple[int, ...]:
    pairs = enumerate(zip(one, other, strict=True))
    return tuple(at for at, pair in pairs if not _near(*pair, tolerance, scale))


def _near(one: float, other: float, tolerance: float = 0.0, scale: float = 0.0) -> bool:
    """Whether two numbers differ by no more than a part of the first, or of the scale."""
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    largest = max(abs(one), 0.0 if math.isnan(scale) else scale)
    return one == other or abs(one - other) <= tolerance * largest
