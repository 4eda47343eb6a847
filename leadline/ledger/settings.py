"""The settings of a sweep, as the ledger records them and everything else reads them."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from leadline.config import ConfigError, TrialConfig
from leadline.errors import calling
from leadline.ledger.rungs import rungs
from leadline.measure import Report
from leadline.plain import plain, type_of, whole

if TYPE_CHECKING:
    from leadline.family import Family

__all__ = ["CHANGEABLE", "SCHEDULERS", "SchedulerName", "Settings"]

SchedulerName = Literal["weighed", "asha", "brackets", "none"]
"""The name of what says whom a rung may stop: see `leadline.engine.scheduler`."""
SCHEDULERS: tuple[SchedulerName, ...] = get_args(SchedulerName)
"""All of these names, the default first."""

CHANGEABLE = (
    "trials",
    "budget",
    "confirm",
    "replicates",
    "time_limit",
    "target",
    "until",
    "scheduler",
    "concurrent",
    "cpus_per_trial",
    "gpus_per_trial",
    "stuck_after",
    "storage_patience",
    "mirror",
    "where",
)
"""The fields that a resumed sweep may change; all others belong to the question that it asks."""


@dataclass(frozen=True)
class Settings:
    """The settings that decide what a sweep does; they are recorded when the sweep opens.

    Times are in seconds, `budget` and `grace` in `unit`.
    """

    study: str
    family: str
    metric: str
    mode: Literal["min", "max"]
    sampler: Literal["tpe", "random"]
    scale: str
    stratify: str | None
    strata: tuple[Any, ...]
    trials: int
    budget: int
    """The budget of a whole trial, in `unit`.

    It is recorded as `steps`, its name before budgets could be in samples.
    """
    grace: int
    """The first rung, and the interval between reports, in `unit`."""
    reduction: int
    startup: int
    seed: int
    confirm: int
    replicates: int
    fields: dict[str, Any]
    overrides: dict[str, Any]
    enqueue: tuple[dict[str, Any], ...] = ()
    time_limit: float | None = None
    target: float | None = None
    concurrent: int | None = None
    """The number of trials at a time.

    None for as many as fit this machine, or the cluster as it grows and shrinks.
    """
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    workers_per_trial: int = 1
    max_failures: int = 2
    beside: tuple[str, ...] = ()
    modes: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The family's metrics by name, as `leadline.measure.Metric.to_dict` has them.

    A report made where the family is not installed knows their units, roles and series from here.
    """
    family_target: str = ""
    """The dotted name of the family, for where the name `family` is not known; empty in
    old ledgers."""
    question: str = ""
    arms: dict[str, dict[str, Any]] = field(default_factory=dict)
    unit: Literal["steps", "samples"] = "steps"
    """The unit of `budget` and `grace`: optimizer steps, or training samples."""
    comparable: bool = False
    """Whether strata may be compared with each other.

    Where a ledger does not say, the strata of arms may.
    """
    stuck_after: float = 600.0
    storage_patience: float = 120.0
    where: dict[str, str] = field(default_factory=dict)
    contrasts: tuple[dict[str, Any], ...] = ()
    least_units: int = 0
    most_workers_per_trial: int | None = None
    """The most workers of an attempt, where there is room when it begins.

    None for `workers_per_trial`, always.
    """
    scheduler: SchedulerName = "weighed"
    """Which trials a rung may stop: see `leadline.engine.scheduler`.

    Ledgers from before this key say it otherwise (`stopping`: `always`, `never`, `auto`), or have
    `asha`.
    """
    until: float | Literal["told"] | None = None
    """The search ends where ten more trials of no stratum are expected to bring this much.

    It is a difference of the objective, or `told`: what the confirmation can tell apart.
    """
    mirror: str = ""
    """The second place, below which the sweep's folder is copied; empty for none."""

    def __post_init__(self) -> None:
        for name in (
            "trials",
            "budget",
            "grace",
            "replicates",
            "concurrent",
            "workers_per_trial",
            "most_workers_per_trial",
        ):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                option = self.unit if name == "budget" else name.replace("_", "-")
                raise ConfigError(f"{option}: must be at least 1 (got {getattr(self, name)})")
        if self.most_workers < self.workers_per_trial:
            raise ConfigError(
                f"most-workers-per-trial: must be at least the {self.workers_per_trial} of --workers-per-trial "
                f"(got {self.most_workers_per_trial})"
            )
        if self.reduction < 2:
            raise ConfigError(f"reduction: must be at least 2 (got {self.reduction})")
        if isinstance(self.until, float) and not 0 < self.until < math.inf:
            raise ConfigError(f"until: must be a difference above 0, or told (got {self.until})")
        if self.scheduler not in SCHEDULERS:
            raise ConfigError(f"scheduler: must be weighed, asha, brackets or none (got {self.scheduler!r})")
        if self.confirm < 0:
            raise ConfigError(f"confirm: must be at least 0 (got {self.confirm})")
        if self.budget < self.grace:
            raise ConfigError(
                f"{self.unit}: {self.budget} is below grace {self.grace}, the first rung; "
                f"raise --{self.unit} or lower --grace"
            )
        if self.cpus_per_trial <= 0:
            raise ConfigError(f"cpus-per-trial: must be positive (got {self.cpus_per_trial})")
        if self.gpus_per_trial < 0 or (self.gpus_per_trial > 1 and self.gpus_per_trial % 1):
            raise ConfigError(f"gpus-per-trial: must be a share up to 1 or a whole number (got {self.gpus_per_trial})")
        if self.time_limit is not None and self.time_limit <= 0:
            raise ConfigError(f"time-limit: must be positive (got {self.time_limit})")
        for name in ("stuck_after", "storage_patience"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name.replace('_', '-')}: must be positive (got {getattr(self, name)})")

    @property
    def most_workers(self) -> int:
        """The most workers of a trial, where there is room for them."""
        return self.most_workers_per_trial or self.workers_per_trial

    @property
    def rungs(self) -> list[int]:
        """The parts of the budget, in `unit`, at which ASHA judges a trial."""
        return rungs(self.grace, self.reduction, self.budget)

    def rung_steps(self, config: Mapping[str, Any]) -> tuple[int, ...]:
        """The rungs in optimizer steps of a configuration, whose reports are a rung apart."""
        return tuple(config["eval_every"] * (rung // self.grace) for rung in self.rungs)

    def workers(self, config: Mapping[str, Any], free: int) -> int:
        """Workers for an attempt when `free` fit: the largest allowed number that divides
        the batch.
        """
        most = min(free, self.most_workers)
        rows = config.get("batch")
        fair = [n for n in range(self.workers_per_trial, most + 1) if not isinstance(rows, int) or not rows % n]
        return max(fair, default=self.workers_per_trial)

    def model_family(self) -> Family[Any]:
        """Returns the family, which is imported where it is needed first.

        Raises:
            ConfigError: if it is not installed.
        """
        return self._family

    @functools.cached_property
    def family_place(self) -> str:
        """The dotted name of the family as it is found here, or as it was recorded.

        It is what every process of a sweep loads, so that driver and workers have the same family.

        Raises:
            ConfigError: if neither is there.
        """
        from leadline import registry  # which imports torch: a leaderboard is read without it

        return registry.target(self.family, self.family_target)

    @functools.cached_property
    def _family(self) -> Family[Any]:
        from leadline import registry

        # Kept, since a name is looked for in all packages, and a replay asks once per trial.
        return registry.family(self.family_place)

    def dealt(self, stratum: Any) -> dict[str, Any]:
        """Returns the fields that a stratum fixes, with their values."""
        if self.arms:
            return dict(self.arms[str(stratum)])
        return {} if self.stratify is None else {self.stratify: stratum}

    def spent(self, report: Report) -> int:
        """Returns how much of the budget a report has spent, in `unit`."""
        return report.samples if self.unit == "samples" else report.step

    def configure(self, fields: Mapping[str, Any], stratum: Any, seed: int) -> TrialConfig:
        """Returns the configuration of a trial.

        The searched fields replace the scale's, overrides replace both, and the stratum's fields
        and the seed replace all.

        Raises:
            ConfigError: if it is impossible, or if a searched field would change the data.
        """
        family = self.model_family()
        given = {**self.overrides, **self.dealt(stratum), "seed": seed}
        config = self._budgeted(family, {**self.fields, **fields, **given})
        key = self.data_key(config)
        if fields and key != self.data_key(self._budgeted(family, {**self.fields, **given})):
            raise ConfigError(
                f"{', '.join(fields)}: would change the data, on which trials are compared; fix it on the command line"
            )
        rows = getattr(config, "batch", None)
        if isinstance(rows, int) and rows % self.workers_per_trial:
            raise ConfigError(
                f"batch: {rows} rows cannot be shared by {self.workers_per_trial} workers per trial; take a multiple"
            )
        return config

    def data_key(self, config: TrialConfig) -> str:
        """Returns the family's name for the data that a configuration needs.

        Raises:
            ConfigError: if it is no text, or the family raises.
        """
        with calling("data_key"):
            key = self.model_family().data_key(config)
        if not isinstance(key, str):
            raise ConfigError(f"data_key: {self.family}'s must be text (got {type_of(key)})")
        return str(key)

    def judged_from(self, config: TrialConfig) -> float:
        """Returns the share of the budget after which a trial's last stage has begun.

        It is 0 where there are no stages, and for a trial that has one alone.

        Raises:
            ConfigError: if the family raises.
        """
        with calling("curriculum"):
            curriculum = self.model_family().curriculum(config)
            return curriculum.last_from if curriculum else 0.0

    def _budgeted(self, family: Family[Any], values: Mapping[str, Any]) -> TrialConfig:
        """Returns the configuration with the steps and the interval that the budget gives.

        The budget is in steps or samples.

        Raises:
            ConfigError: if it is impossible, or if a budget in samples is no whole number of
                batches.
        """
        rows = 1
        if self.unit == "samples":
            made = family.config(values)
            with calling("samples_per_step"):
                rows = whole(family.samples_per_step(made), "samples_per_step")
            if not rows:
                raise ConfigError(f"samples_per_step: {self.family}'s must be at least 1 (got 0)")
            for name, size in (("samples", self.budget), ("grace", self.grace)):
                if size % rows:
                    raise ConfigError(f"{name}: {size} is no whole number of batches of {rows}; take a multiple")
        budget = {"steps": self.budget // rows, "eval_every": self.grace // rows}
        config: TrialConfig = family.config({**values, **budget})
        return config

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings as they are recorded, as plain JSON values.

        Raises:
            ConfigError: naming a setting that cannot be recorded.
        """
        values = dataclasses.asdict(self).items()
        return {_RECORDED_AS.get(name, name): plain(value, f"study: {name}") for name, value in values}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Settings:
        """Reads recorded settings of any version so far, which is the inverse of `to_dict`.

        What is not recorded has its default. What a newer version has recorded beyond is ignored:
        see `unknown`.

        Raises:
            ConfigError: for values that no sweep can have.
        """
        values = {name: plain[key] for name, key in _keys().items() if key in plain}
        # JSON has lists alone, and settings must have their tuples again to be equal.
        values |= {name: tuple(values[name]) for name in ("strata", "enqueue", "beside", "contrasts") if name in values}
        before = _SCHEDULERS_BEFORE.get(plain.get("stopping", "always"), "asha")
        return Settings(**{"comparable": bool(values.get("arms")), "scheduler": before, **values})

    @staticmethod
    def unknown(plain: Mapping[str, Any]) -> list[str]:
        """Returns the keys of recorded settings that only a newer version knows."""
        return [key for key in plain if key not in (*_keys().values(), "stopping")]


_SCHEDULERS_BEFORE: dict[str, SchedulerName] = {"always": "asha", "never": "none", "auto": "weighed"}
"""The scheduler of a ledger that still records `stopping`; `auto` ended early stopping for good
where the first rung predicted badly, and what it recorded of that holds."""

_RECORDED_AS = {"budget": "steps"}
"""The recorded keys of fields that have another name today; ledgers keep their first names."""


def _keys() -> dict[str, str]:
    """Returns the recorded key of each field."""
    return {one.name: _RECORDED_AS.get(one.name, one.name) for one in dataclasses.fields(Settings)}
