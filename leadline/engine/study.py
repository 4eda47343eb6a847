"""What a sweep script says, and what a run of it has been asked for."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from leadline import registry
from leadline.config import ConfigError, TrialConfig, did_you_mean, make
from leadline.dotted import load
from leadline.engine.search import Space
from leadline.family import Family
from leadline.ledger.rungs import rungs
from leadline.measure import Report

__all__ = ["CHANGEABLE", "Contrast", "Scale", "Settings", "Study"]

CHANGEABLE = (
    "trials",
    "steps",
    "confirm",
    "replicates",
    "time_limit",
    "target",
    "concurrent",
    "cpus_per_trial",
    "gpus_per_trial",
    "stuck_after",
    "storage_patience",
    "where",
)
"""What a resumed sweep may change; everything else belongs to the question that it asks."""


@dataclass(frozen=True)
class Scale:
    """The size of a study: how many trials of how many steps, over which strata, with which fields fixed.

    `steps` and `grace` count samples where the study's budget does; `startup` is the number of random trials per stratum before TPE begins.
    `enqueue` gives, by stratum, parameters of the space to try first there, such as a log's own; what is fixed is left out of them.
    """

    trials: int
    steps: int
    grace: int
    reduction: int
    confirm: int
    replicates: int
    strata: tuple[Any, ...]
    startup: int = 5
    fields: Mapping[str, Any] = field(default_factory=dict)
    enqueue: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Contrast:
    """A planned comparison: the confirmed best of stratum `a` less that of `b`, which the report answers.

    `margins` gives for each metric the largest difference that would not matter, in the metric's unit.
    """

    a: str
    b: str
    margins: Mapping[str, float]


@dataclass(frozen=True)
class Study:
    """A question: which family, which space, which metric, compared within which strata, at which scales.

    Args:
        name: also the prefix of its sweeps' names.
        family: a name that `leadline.registry` knows, or `package.module:FAMILY`.
        space: define-by-run search space.
        stratify: field that divides the study. Its values are dealt to trials in turn, never searched: trials that differ
            in it are not compared. None for a single stratum.
        scales: by name; "smoke", "laptop" and "full" are expected.
        question: what it asks, in one sentence, for the report's title.
        arms: instead of the values of a field, named sets of fields that the study compares, control arms among them: the
            strata are their names, `stratify` is "arm". A field that an arm fixes is not searched in it.
        shared: fields that follow from the strata and are the same in all, such as a threshold by the largest of them.
        budget: what sizes count. In "samples", trials of different batch sizes see equally many rows.
        comparable: whether strata may be compared with each other, once confirmed: not where they are given different information.
        metric: objective on validation; None for the family's own.
        sampler: "tpe", or "random" as the control.
        contrasts: planned comparisons of strata; the report shows these instead of every pair.
        least_units: test units below which the study claims nothing, where that is more than `leadline.statistics.LEAST_UNITS`.
        without: families to which the question cannot be put, and why.

    Other families answer the same question by a study of their own, of the same name and kind of budget, which
    they name in `Family.studies`; `--family` picks one.
    """

    name: str
    family: str
    space: Space
    stratify: str | None
    scales: Mapping[str, Scale]
    question: str = ""
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shared: Callable[[tuple[Any, ...]], Mapping[str, Any]] = lambda strata: {}
    budget: Literal["steps", "samples"] = "steps"
    comparable: bool = False
    metric: str | None = None
    sampler: Literal["tpe", "random"] = "tpe"
    contrasts: tuple[Contrast, ...] = ()
    least_units: int = 0
    without: Mapping[str, str] = field(default_factory=dict)

    @property
    def families(self) -> tuple[str, ...]:
        """The names of the families that answer the question, the default first. Imports all that are installed."""
        return (self.family, *(name for name in registry.names() if name != self.family and self._answer(name)))

    def of(self, family: str | None) -> Study:
        """The study as it is asked of a family; None for the default.

        Args:
            family: a name that `leadline.registry` knows, or `package.module:FAMILY`.

        Raises:
            ConfigError: if it cannot be asked of that family.
        """
        if family in (None, self.family):
            return self
        assert family is not None, "None is the first"
        answer = self._answer(family)
        if not answer:
            hint = self.without.get(family) or did_you_mean(family, self.families)
            *others, last = self.families
            taken = f"{', '.join(others)} or {last}" if others else last
            reason = hint or f"{self.name} has no search space for it"
            raise ConfigError(f"family: {self.name} takes {taken}, not {family}: {reason}")
        found = load(answer, "study")
        if not isinstance(found, Study) or (found.name, found.budget) != (self.name, self.budget):
            raise ConfigError(
                f"study: {answer} must be a Study called {self.name} that counts {self.budget}, to answer for {family}"
            )
        return dataclasses.replace(found, family=family)

    def _answer(self, family: str) -> str:
        """The dotted name of a family's answer; empty where there is none, or no such family."""
        try:
            return registry.family(family).studies.get(self.name, "")
        except ConfigError:
            return ""


@dataclass(frozen=True)
class Settings:
    """All that decides what a sweep does; recorded when it opens. Times are in seconds, `steps` and `grace` in `unit`."""

    study: str
    family: str
    metric: str
    mode: Literal["min", "max"]
    sampler: Literal["tpe", "random"]
    scale: str
    stratify: str | None
    strata: tuple[Any, ...]
    trials: int
    steps: int
    grace: int
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
    """Trials at a time; None: as many as fit this machine, or the cluster as it grows and shrinks."""
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    workers_per_trial: int = 1
    max_failures: int = 2
    beside: tuple[str, ...] = ()
    modes: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the family says of its metrics, by name, as `leadline.family.Metric.to_dict` has it.

    A report made where the family is not installed knows from here their units, roles and series.
    """
    question: str = ""
    arms: dict[str, dict[str, Any]] = field(default_factory=dict)
    unit: Literal["steps", "samples"] = "steps"
    comparable: bool = False
    stuck_after: float = 600.0
    storage_patience: float = 120.0
    where: dict[str, str] = field(default_factory=dict)
    contrasts: tuple[dict[str, Any], ...] = ()
    least_units: int = 0
    most_workers_per_trial: int | None = None
    """Where there is room when an attempt begins; None: `workers_per_trial`, always."""

    def __post_init__(self) -> None:
        for name in (
            "trials",
            "steps",
            "grace",
            "replicates",
            "concurrent",
            "workers_per_trial",
            "most_workers_per_trial",
        ):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"{name.replace('_', '-')}: must be at least 1 (got {getattr(self, name)})")
        if self.most_workers < self.workers_per_trial:
            raise ConfigError(
                f"most-workers-per-trial: must be at least the {self.workers_per_trial} of --workers-per-trial "
                f"(got {self.most_workers_per_trial})"
            )
        if self.reduction < 2:
            raise ConfigError(f"reduction: must be at least 2 (got {self.reduction})")
        if self.confirm < 0:
            raise ConfigError(f"confirm: must be at least 0 (got {self.confirm})")
        if self.steps < self.grace:
            raise ConfigError(
                f"{self.unit}: {self.steps} is below grace {self.grace}, the first rung; raise --{self.unit} or lower --grace"
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
        """Of a trial, where there is room."""
        return self.most_workers_per_trial or self.workers_per_trial

    @property
    def rungs(self) -> list[int]:
        """Steps at which ASHA judges."""
        return rungs(self.grace, self.reduction, self.steps)

    def workers(self, config: Mapping[str, Any], free: int) -> int:
        """Of an attempt, where there is room for `free`: as many as are wanted, and share its batch."""
        most = min(free, self.most_workers)
        rows = config.get("batch")
        fair = [n for n in range(self.workers_per_trial, most + 1) if not isinstance(rows, int) or not rows % n]
        return max(fair, default=self.workers_per_trial)

    def model_family(self) -> Family[Any]:
        """The family."""
        return self._family

    @functools.cached_property
    def _family(self) -> Family[Any]:
        return registry.family(self.family)  # looks through all packages for a name, and a replay asks once per trial

    def dealt(self, stratum: Any) -> dict[str, Any]:
        """The fields that a stratum fixes."""
        if self.arms:
            return dict(self.arms[str(stratum)])
        return {} if self.stratify is None else {self.stratify: stratum}

    def spent(self, report: Report) -> int:
        """How much of the budget a report has spent, in `unit`."""
        return report.samples if self.unit == "samples" else report.step

    def configure(self, fields: Mapping[str, Any], stratum: Any, seed: int) -> TrialConfig:
        """The configuration of a trial: the scale's fields, then the searched ones, then overrides, then the stratum's.

        Raises:
            ConfigError: if it is impossible.
        """
        family = self.model_family()
        given = {**self.overrides, **self.dealt(stratum), "seed": seed}
        config = self._budgeted(family, {**self.fields, **fields, **given})
        if fields and family.data_key(config) != family.data_key(self._budgeted(family, {**self.fields, **given})):
            raise ConfigError(
                f"{', '.join(fields)}: would change the data, on which trials are compared; fix it on the command line"
            )
        rows = getattr(config, "batch", None)
        if isinstance(rows, int) and rows % self.workers_per_trial:
            raise ConfigError(
                f"batch: {rows} rows cannot be shared by {self.workers_per_trial} workers per trial; take a multiple"
            )
        return config

    def _budgeted(self, family: Family[Any], values: Mapping[str, Any]) -> TrialConfig:
        """The configuration with its steps and interval, from a budget in steps or samples."""
        rows = 1
        if self.unit == "samples":
            rows = family.samples_per_step(make(family.Config, values, family.name))
            for name, size in (("samples", self.steps), ("grace", self.grace)):
                if size % rows:
                    raise ConfigError(f"{name}: {size} is no whole number of batches of {rows}; take a multiple")
        budget = {"steps": self.steps // rows, "eval_every": self.grace // rows}
        config: TrialConfig = make(family.Config, {**values, **budget}, family.name)
        return config

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Settings:
        """The inverse of `to_dict`."""
        tuples = {name: tuple(plain.get(name, ())) for name in ("strata", "enqueue", "beside", "contrasts")}
        return Settings(**{**plain, **tuples})
