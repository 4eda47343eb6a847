"""A curriculum as data: stages, each with its share of the budget and its own settings.

In a configuration it is the field `stages`, of type `Stages`, a tuple of texts, one for each stage:

    NAME:SHARE[:KEY=VALUE]...

    basic:1/4,physics:1/4:energy=1:ramp=0.5:rate=0.5,mixed:1/2:energy=1:rules=base+simple

Three keys mean the same in each family. `rate` is a factor on the learning rate. `ramp` is the
share of the stage over which its numbers and its rate go linearly from those of the stage before,
at the end of its own ramp, to its own; before the first stage all numbers are 0. `until`, as in
`until=exact>=0.95`, ends the stage at the first report whose validation metric is there; its share
is then a cap, the stages after it begin earlier, and the last takes what is left. All other keys
are the family's own, and stand in its `Vocabulary`.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Annotated, Any

import pydantic

from leadline.config import did_you_mean
from leadline.errors import ConfigError
from leadline.measure import Measure

__all__ = ["FIELD", "Curriculum", "Position", "Stage", "StageClock", "Stages", "Vocabulary", "stage_name"]

FIELD = "stages"
"""The field of a configuration that holds its curriculum, by which reports know stages' names."""

Stages = Annotated[
    tuple[str, ...],
    pydantic.BeforeValidator(lambda value: tuple(value.split(",")) if isinstance(value, str) else value),
]
"""The type of a field that holds a curriculum, written as its stages with commas between them."""


@dataclass(frozen=True)
class Vocabulary:
    """What the stages of a family's curriculum can set.

    Attributes:
        numbers: (lowest, highest) by name, such as the weight of a loss term; 0 where a stage says
            nothing.
        choices: the words of each choice, of which a stage names one or several, as
            `rules=base+simple`; the first alone where a stage says nothing.
        metrics: the metrics of the validation split that `until` may ask for.
        beside: names of those that change neither rows nor losses, but what is done between steps,
            so that the guard on no-ops does not look for a change.
    """

    numbers: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    metrics: Sequence[str] = ()
    beside: Sequence[str] = ()

    @property
    def help(self) -> str:
        """How a stage is written, for the help of a field of type `Stages`."""
        numbers = [f"{name}={low:g} to {high:g}" for name, (low, high) in self.numbers.items()]
        choices = [f"{name}={', '.join(words)}, or several joined by +" for name, words in self.choices.items()]
        rule = f"until=METRIC>=BOUND or METRIC<=BOUND, which ends it early; METRIC is one of {', '.join(self.metrics)}"
        until = [rule] if self.metrics else []
        common = ["rate, a factor on the learning rate", "ramp=0 to 1, the part of it in which its numbers are reached"]
        return "NAME:SHARE:KEY=VALUE:..., with commas between stages; keys: " + "; ".join(
            [*numbers, *choices, *common, *until]
        )


@dataclass(frozen=True)
class _Rule:
    """The rule by which a stage ends early: a bound that a metric has to reach."""

    metric: str
    sign: str
    bound: float

    def holds(self, value: float) -> bool:
        """Whether a value has reached the bound; one that is not finite has not."""
        return math.isfinite(value) and (value >= self.bound if self.sign == ">=" else value <= self.bound)


@dataclass(frozen=True)
class Stage:
    """One stage of a curriculum.

    Attributes:
        name: its name, in reports and figures.
        share: its share of the budget; where it has a rule, the most that it may take.
        rate: the factor on the learning rate.
        ramp: the share of the stage over which its numbers and its rate are reached, in [0, 1].
        numbers: its value for every number of the vocabulary.
        choices: its words for every choice of the vocabulary.
        until: the rule by which it ends early, or None.
        given: the names of those numbers and choices that it sets to something else than what they
            are where a stage says nothing: 0, or the first word.
    """

    name: str
    share: Fraction
    rate: float
    ramp: float
    numbers: Mapping[str, float]
    choices: Mapping[str, tuple[str, ...]]
    until: _Rule | None
    given: tuple[str, ...] = ()


@dataclass(frozen=True)
class Curriculum:
    """The stages of a configuration, in order; `Curriculum.of` reads them."""

    stages: tuple[Stage, ...]
    beside: tuple[str, ...] = ()
    """`Vocabulary.beside`."""

    def differ_unseen(self, one: int, other: int) -> bool:
        """Whether two stages differ in a setting of `beside`, which rows and losses do not show."""
        first, second = ({**stage.numbers, **stage.choices} for stage in (self.stages[one], self.stages[other]))
        return any(first[name] != second[name] for name in self.beside)

    @classmethod
    def of(cls, texts: Sequence[str], vocabulary: Vocabulary) -> Curriculum:
        """Reads a field of type `Stages`.

        Raises:
            ConfigError: beginning with `stages`, for a stage that says what cannot be meant, or for
                shares that do not add up to 1.
        """
        found = tuple(_stage(text.strip(), vocabulary) for text in texts)
        if not found:
            raise ConfigError("stages: expected at least one, such as joint:1")
        names = [stage.name for stage in found]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"stages: {name} stands twice; each stage needs a name of its own")
        if found[-1].until:
            raise ConfigError(f"stages: {names[-1]}: until: it is the last stage, which ends with the budget")
        total = float(sum(stage.share for stage in found))
        if abs(total - 1) > 1e-6:
            raise ConfigError(f"stages: the shares add up to {total:.6g}, and should to 1")
        return cls(found, tuple(vocabulary.beside))

    @property
    def last_from(self) -> float:
        """The share of the budget after which the last stage has begun at the latest."""
        return float(sum(stage.share for stage in self.stages[:-1]))


def _stage(text: str, vocabulary: Vocabulary) -> Stage:
    name, *rest = text.split(":")
    if not name or not rest:
        raise ConfigError(
            f"stages: {text or 'an empty text'}: expected NAME:SHARE, such as {name or 'basic'}:1/4"
            + _words_hint(name, vocabulary)
        )
    settings: dict[str, str] = {}
    for word in rest[1:]:
        key, sign, value = word.partition("=")
        if not sign or not key or not value:
            raise ConfigError(f"stages: {name}: expected KEY=VALUE (got {word!r}); commas stand between stages")
        if key in settings:
            raise ConfigError(f"stages: {name}: {key} is given twice")
        settings[key] = value
    known = ["rate", "ramp", "until", *vocabulary.numbers, *vocabulary.choices]
    for key in settings:
        if key not in known:
            hint = did_you_mean(key, known) or f"known: {', '.join(known)}"
            raise ConfigError(f"stages: {name}: no setting {key!r}; {hint}")
    numbers = {
        key: _number(name, key, settings[key], bounds) if key in settings else 0.0
        for key, bounds in vocabulary.numbers.items()
    }
    choices = {key: _words(name, key, settings.get(key, words[0]), words) for key, words in vocabulary.choices.items()}
    given = [key for key, value in numbers.items() if value]
    given += [key for key, words in choices.items() if words != vocabulary.choices[key][:1]]
    rate = _number(name, "rate", settings.get("rate", "1"), (0.0, 1e3))
    if not rate:
        raise ConfigError(f"stages: {name}: rate: a factor of 0 would train nothing")
    return Stage(
        name,
        _share(name, rest[0], vocabulary),
        rate,
        _number(name, "ramp", settings.get("ramp", "0"), (0.0, 1.0)),
        numbers,
        choices,
        _rule(name, settings["until"], vocabulary.metrics) if "until" in settings else None,
        tuple(given),
    )


def _words_hint(name: str, vocabulary: Vocabulary) -> str:
    """A hint for a stage that has the name of a word, as if commas could stand between words."""
    if name not in {word for words in vocabulary.choices.values() for word in words}:
        return ""
    return f"; is {name} another word of the choice before it? These are joined by +"


def _share(name: str, text: str, vocabulary: Vocabulary) -> Fraction:
    try:
        share = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ConfigError(
            f"stages: {name}: expected a share of the budget, such as 1/4 (got {text!r})"
            + _words_hint(name, vocabulary)
        ) from None
    if not 0 < share <= 1:
        raise ConfigError(f"stages: {name}: a stage needs a share of the budget above 0, up to 1 (got {text})")
    return share


def _number(name: str, key: str, text: str, bounds: tuple[float, float]) -> float:
    low, high = bounds
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(f"stages: {name}: {key}: expected a number (got {text!r})") from None
    if not low <= value <= high:
        raise ConfigError(f"stages: {name}: {key}: expected {low:g} to {high:g} (got {text})")
    return value


def _words(name: str, key: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    words = tuple(text.split("+"))
    for word in words:
        if word not in known:
            hint = did_you_mean(word, known) or f"known: {', '.join(known)}, and several joined by +"
            raise ConfigError(f"stages: {name}: {key}: no {word!r}; {hint}")
    return words


def _rule(name: str, text: str, metrics: Sequence[str]) -> _Rule:
    sign = next((sign for sign in (">=", "<=") if sign in text), "")
    metric, _, bound = text.partition(sign) if sign else (text, "", "")
    if not sign:
        raise ConfigError(f"stages: {name}: until: expected METRIC>=BOUND or METRIC<=BOUND (got {text!r})")
    if metric not in metrics:
        hint = did_you_mean(metric, metrics) or f"known: {', '.join(metrics)}"
        raise ConfigError(f"stages: {name}: until: no metric {metric!r}; {hint}")
    return _Rule(metric, sign, _number(name, "until", bound, (-1e300, 1e300)))


def stage_name(values: Mapping[str, Any], index: int) -> str:
    """The name of a stage of a recorded configuration, such as `physics`, or `stage 1` without one.

    Args:
        values: the configuration's plain values, by field.
        index: the stage's number, from 0.
    """
    texts = values.get(FIELD)
    if not isinstance(texts, list | tuple) or not 0 <= index < len(texts):
        return f"stage {index}"
    return str(texts[index]).strip().partition(":")[0]


@dataclass(frozen=True)
class Position:
    """A place in a curriculum.

    Attributes:
        index: the stage's number, from 0.
        stage: the stage.
        former: the stage before it, or None.
        reached: how far the ramp has come, in [0, 1].
        asked: the clock's set of the names of numbers and choices that were asked for.
    """

    index: int
    stage: Stage
    former: Stage | None = None
    reached: float = 1.0
    asked: set[str] = field(default_factory=set, compare=False)

    def number(self, name: str) -> float:
        """The value of a number here, on its ramp."""
        self.asked.add(name)
        before = self.former.numbers[name] if self.former else 0.0
        return before + (self.stage.numbers[name] - before) * self.reached

    def choice(self, name: str) -> tuple[str, ...]:
        """The words of a choice here."""
        self.asked.add(name)
        return self.stage.choices[name]

    @property
    def rate(self) -> float:
        """The factor on the learning rate here, on its ramp; the first stage has none."""
        if self.former is None:
            return self.stage.rate
        return self.former.rate + (self.stage.rate - self.former.rate) * self.reached


class StageClock:
    """Where a trial stands in its curriculum; a task holds it as `Task.clock`.

    The loop ends stages by their rules, evaluates at the end of each, and keeps the clock's state
    in checkpoints. A rule is heard after the step's scheduler, so that the first step of a stage
    that came early is still taken at the rate of the one before.

    Args:
        curriculum: the stages.
        steps: the budget of the trial, in optimizer steps.

    Raises:
        ConfigError: beginning with `stages`, if the budget is too short for one of them.
    """

    def __init__(self, curriculum: Curriculum, steps: int) -> None:
        self.curriculum = curriculum
        self.steps = steps
        self._early: dict[int, int] = {}
        """The step at which a stage was ended by its rule, by its number."""
        self._pretended: int | None = None
        self.asked: set[str] = set()
        """The names of the numbers and choices that training has asked for in this process."""
        for index, (first, after) in enumerate(itertools.pairwise(self._bounds())):
            if first >= after:
                name = curriculum.stages[index].name
                raise ConfigError(f"stages: {name} has no step in a budget of {steps} optimizer steps")

    def _bounds(self) -> list[int]:
        """The first step of each stage, and the budget."""
        bounds, exact = [0], Fraction(0)
        for index, stage in enumerate(self.curriculum.stages[:-1]):
            # The exact sum is rounded, so that no stage is cut by rounding that has piled up.
            exact = Fraction(self._early[index]) if index in self._early else exact + self.steps * stage.share
            bounds.append(min(round(exact), self.steps))
        return [*bounds, self.steps]

    def at(self, step: float) -> Position:
        """The place of an optimizer step, counted from 0."""
        stages = self.curriculum.stages
        if self._pretended is not None:
            return Position(self._pretended, stages[self._pretended], asked=self.asked)
        bounds = self._bounds()
        index = max(i for i in range(len(stages)) if bounds[i] <= max(step, 0))
        stage = stages[index]
        length = max(1.0, min(float(self.steps * stage.share), bounds[index + 1] - bounds[index]))
        within = (step - bounds[index]) / length
        reached = 1.0 if stage.ramp == 0 else min(1.0, max(0.0, within / stage.ramp))
        return Position(index, stage, stages[index - 1] if index else None, reached, self.asked)

    def during(self, progress: float) -> Position:
        """The place at a share of the budget, as `Task.losses` is told it."""
        # A share of a whole number of steps may fall short of it by the last bit.
        return self.at(round(progress * self.steps))

    def next_end(self, step: int) -> int:
        """The first end of a stage after `step` steps are done."""
        return next((bound for bound in self._bounds()[1:] if bound > step), self.steps)

    def satisfied(self, step: int, measures: Mapping[str, Measure]) -> bool:
        """Whether the report after `step` steps ends its stage by the stage's rule.

        Args:
            step: the optimizer steps that are done.
            measures: those of the validation split, by metric.
        """
        rule = self.at(step - 1).stage.until
        measure = measures.get(rule.metric) if rule else None
        return rule is not None and measure is not None and rule.holds(measure.value)

    def end(self, step: int) -> None:
        """Ends the stage of the last step, so that step `step` is the first of the next stage."""
        bounds = self._bounds()
        index = self.at(step - 1).index
        # Stages before it keep the ends that they had.
        self._early |= {before: bounds[before + 1] for before in range(index)} | {index: step}

    @contextlib.contextmanager
    def describing(self) -> Iterator[None]:
        """Does not note what is asked for meanwhile, as what is only told changes nothing."""
        before = set(self.asked)
        try:
            yield
        finally:
            self.asked &= before

    @contextlib.contextmanager
    def pretending(self, index: int) -> Iterator[None]:
        """Makes every step one of that stage, at the end of its ramp, for as long as this lasts."""
        before, self._pretended = self._pretended, index
        try:
            yield
        finally:
            self._pretended = before

    def state_dict(self) -> dict[str, Any]:
        """Returns the stages that have ended by their rule."""
        return {"early": {str(index): step for index, step in self._early.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._early = {int(index): step for index, step in state["early"].items()}
