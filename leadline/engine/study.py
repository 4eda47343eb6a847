"""What a sweep script says: its question, and the sizes at which it may be asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from leadline import registry
from leadline.config import ConfigError, did_you_mean
from leadline.dotted import load
from leadline.engine.search import Space

__all__ = ["Contrast", "Scale", "Study"]


@dataclass(frozen=True)
class Scale:
    """The size of a study: how many trials of which budget, over which strata, with which fields fixed.

    `budget` and `grace` count what `Study.budget` says, optimizer steps or samples. `startup` is the number of random trials per
    stratum before TPE begins.
    `enqueue` gives, by stratum, parameters of the space to try first there, such as a log's own; what is fixed is left out of them.
    """

    trials: int
    budget: int
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
