"""What counts as reading a field, and that a stand-in is otherwise the configuration."""

from __future__ import annotations

import copy
import dataclasses
import functools
import pickle
from collections.abc import Callable
from typing import Any, cast

import pydantic
import pytest

from leadline.config import TrialConfig, configuration, knob, to_dict
from leadline.fields_read import watched


@configuration
class Pendulum(TrialConfig):
    """A configuration that computes things from its fields in every way that a class has."""

    length: float = knob(1.0, "length of the rod", unit="m", gt=0)
    mass: float = knob(1.0, "mass of the bob", unit="kg", gt=0)
    tags: tuple[str, ...] = knob((), "words")

    @property
    def period(self) -> float:
        """From the length alone."""
        return 2 * float(self.length**0.5)

    @functools.cached_property
    def inertia(self) -> float:
        """From length and mass, computed once."""
        return float(self.mass * self.length**2)

    def scaled(self, factor: float) -> float:
        """From the period."""
        return factor * self.period

    @pydantic.model_validator(mode="after")
    def _computes(self) -> Pendulum:
        assert self.inertia > 0
        return self


@configuration
class Long(Pendulum):
    """A subclass whose property asks the parent's."""

    @property
    def period(self) -> float:
        """From length and mass."""
        return super().period + self.mass


EVERY = {field.name for field in dataclasses.fields(cast(Any, Pendulum))}


@pytest.mark.parametrize(
    ("use", "fields"),
    [
        (lambda config: config.length, {"length"}),
        (lambda config: getattr(config, "mass"), {"mass"}),  # noqa: B009
        (lambda config: config.period, {"length"}),
        (lambda config: config.scaled(3.0), {"length"}),
        (lambda config: config.inertia, {"length", "mass"}),
        (lambda config: (config.seed, config.tags), {"seed", "tags"}),
        (lambda config: isinstance(config, Pendulum) and config.__class__, set()),
        (lambda config: None, set()),
        (to_dict, EVERY),
        (lambda config: dataclasses.asdict(config), EVERY),
        (lambda config: dataclasses.replace(config, mass=2.0).length, EVERY - {"mass"}),
        (lambda config: [getattr(config, field.name) for field in dataclasses.fields(config)], EVERY),
        (vars, EVERY),
        (hash, EVERY),
        (repr, EVERY),
        (copy.copy, EVERY),
        (copy.deepcopy, EVERY),
        (pickle.dumps, EVERY),
        (lambda config: config == Pendulum(), EVERY),
        (lambda config: pydantic.TypeAdapter(Pendulum).dump_python(config), EVERY),
    ],
)
def test_what_reads_a_field(use: Callable[[Any], Any], fields: set[str]) -> None:
    config = Pendulum(length=2.0)
    stand_in, read = watched(config)
    assert not read
    value = use(stand_in)
    assert read == fields
    if use is not pickle.dumps:
        assert value == use(config)


def test_a_subclass_reads_what_its_parent_reads() -> None:
    stand_in, read = watched(Long())
    assert stand_in.period == 3.0
    assert read == {"length", "mass"}


def test_what_a_validator_has_set_may_come_from_any_field() -> None:
    config = Pendulum()
    object.__setattr__(config, "note", "text")
    stand_in, read = watched(config)
    assert cast(Any, stand_in).note == "text"
    assert read == EVERY


def test_copies_are_ordinary_configurations() -> None:
    stand_in, _ = watched(Pendulum(mass=3.0))
    copies = (copy.copy(stand_in), pickle.loads(pickle.dumps(stand_in)), dataclasses.replace(stand_in, mass=3.0))  # noqa: S301
    assert [type(one) for one in copies] == [Pendulum] * 3
    assert list(copies) == [Pendulum(mass=3.0)] * 3


def test_a_stand_in_is_frozen_too() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        watched(Pendulum())[0].length = 3.0  # type: ignore[misc]
