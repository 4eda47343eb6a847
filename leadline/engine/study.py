"""What a sweep script declares: its question, and the sizes at which it may be asked."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import pydantic

from leadline import registry
from leadline.config import ConfigError, did_you_mean, refused
from leadline.dotted import load
from leadline.engine.search import Space
from leadline.ledger.settings import SchedulerName
from leadline.plain import plain

__all__ = ["Contrast", "Scale", "Study"]


@dataclass(frozen=True)
class Scale:
    """The size of a study: number of trials, their budget, strata, and fixed fields.

    Args:
        trials: search trials over all strata.
        budget: the budget of a whole trial, in optimizer steps or samples, as `Study.budget` says.
        grace: the first rung and the interval between reports, in the same unit.
        reduction: one in how many trials goes on at a rung, and the factor between rungs.
        confirm: finalists of each stratum that are trained again from fresh seeds. Of two or more,
            twice as many race for their runs: see `leadline.ledger.race`.
        replicates: fresh seeds for each of these finalists.
        strata: the values of `Study.stratify` that are compared.
        startup: random trials of each stratum before TPE begins.
        scheduler: which trials rungs stop; `none` where a rung is known to predict badly.
        fields: fields of the configuration that are fixed at this size.
        enqueue: for each stratum, parameters of the space to try first there, such as a log's own;
            those that are fixed are left out.
    """

    trials: int
    budget: int
    grace: int
    reduction: int
    confirm: int
    replicates: int
    strata: tuple[Any, ...]
    startup: int = 5
    scheduler: SchedulerName = "weighed"
    fields: Mapping[str, Any] = field(default_factory=dict)
    enqueue: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Contrast:
    """A planned comparison: the confirmed best of stratum `a` less that of `b`.

    The report answers it.

    `margins` gives for each metric the largest difference that would not matter, in the metric's
    unit.
    """

    a: str
    b: str
    margins: Mapping[str, float]


@dataclass(frozen=True)
class Study:
    """A question: family, search space, metric, strata and scales.

    Args:
        name: the study's name, which is also the prefix of its sweeps' names.
        family: a name that `leadline.registry` knows, or `package.module:FAMILY`.
        space: the define-by-run search space.
        stratify: the field that divides the study. Its values are dealt to trials in turn and never
            searched, and trials that differ in it are not compared. None for a single stratum.
        scales: the sizes by name; "smoke", "laptop" and "full" are expected.
        question: what the study asks, in one sentence, for the report's title.
        arms: named sets of fields that the study compares instead of the values of a field, control
            arms among them. The strata are then the names, and `stratify` is "arm". A field that an
            arm fixes is not searched in it.
        shared: gives the fields that follow from the strata and are the same in all of them, such
            as a threshold by the largest stratum.
        budget: what sizes count. In "samples", trials of different batch sizes see equally many
            rows.
        comparable: whether strata may be compared with each other, once confirmed. They may not
            where they are given different information.
        metric: the objective on validation; None for the family's own.
        sampler: "tpe", or "random" as the control.
        contrasts: planned comparisons of strata; the report shows these instead of every pair.
        least_units: the number of test units below which the study claims nothing, where that is
            more than `leadline.statistics.LEAST_UNITS`.
        without: for each family to which the question cannot be put, the reason.

    Other families answer the same question by a study of their own, of the same name and kind of
    budget, which they name in `Family.studies`; `--family` picks one.
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
        """The names of the families that answer the question, the default first.

        This imports every family that is installed.
        """
        return (self.family, *(name for name in registry.names() if name != self.family and self._answer(name)))

    def of(self, family: str | None) -> Study:
        """The study as it is asked of a family, with plain values alone, as the ledger takes them.

        Args:
            family: a name that `leadline.registry` knows, or `package.module:FAMILY`; None for the
                default.

        Raises:
            ConfigError: if it cannot be asked of that family, or, beginning with `study`, if it
                holds what cannot be recorded.
        """
        if family in (None, self.family):
            return _checked(self)
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
        return _checked(dataclasses.replace(found, family=family))

    def _answer(self, family: str) -> str:
        """The dotted name of a family's own study; empty if there is none, or no such family."""
        try:
            return registry.family(family).studies.get(self.name, "")
        except ConfigError:
            return ""


_Part = TypeVar("_Part", Study, Scale, Contrast)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
"""The pattern of a study's name, with which the names of its sweeps begin."""


def _checked(study: Study) -> Study:
    """The study with values of the declared types, as the ledger takes them.

    Raises:
        ConfigError: beginning with `study`, and naming the field.
    """
    study = _typed(study, vars(study), "study")
    if not _NAME.fullmatch(study.name):
        raise ConfigError(f"study: name: must be letters, digits, '.', '_' or '-' (got {study.name!r})")
    scales = {}
    for name, scale in study.scales.items():
        place = f"study: scales.{name}"
        scales[name] = _typed(scale, plain(vars(scale), place), place)
        named = list(map(str, scales[name].strata))
        if not named or len(set(named)) < len(named):
            raise ConfigError(f"{place}: strata: at least one, and each once (got {', '.join(named) or 'none'})")
        if missing := [one for one in named if study.arms and one not in study.arms]:
            raise ConfigError(f"{place}: strata: no arm {missing[0]!r}; the arms are {', '.join(study.arms)}")
    contrasts = tuple(_typed(one, plain(vars(one), "study: contrasts"), "study: contrasts") for one in study.contrasts)
    arms = plain(study.arms, "study: arms")
    return dataclasses.replace(study, scales=scales, contrasts=contrasts, arms=arms)


@functools.cache
def _adapter(part: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(part)


def _typed(part: _Part, values: Mapping[str, Any], place: str) -> _Part:
    """The same with these values, each of its declared type."""
    kind: Any = type(part)  # typeshed takes no dataclass for hashable where eq is generated
    try:
        found: _Part = _adapter(kind).validate_python(dict(values))
    except pydantic.ValidationError as error:
        raise ConfigError(f"{place}: {refused(error)}") from None
    return found
