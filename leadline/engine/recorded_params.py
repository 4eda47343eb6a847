"""Recorded proposals in the search space as it is now: accepted where they fit, explained where not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)

from leadline.config import ConfigError
from leadline.engine.optuna_private import KnownTrial, holds

__all__ = ["Recorded", "changed", "unlike"]

_REMEDY = "put the space back, or begin a new sweep, to which --enqueue can give old configurations"


class Recorded(KnownTrial):
    """A trial on which everything is known: a space may ask for exactly its parameters, from ranges that hold their values.

    Optuna would draw a value for a parameter that is new, and warn of one that lies outside.
    """

    def known(self, name: str, distribution: BaseDistribution) -> None:
        """Refuses what the space asks for where it does not fit what is recorded.

        Raises:
            ConfigError: naming a parameter that is not recorded, or whose value the space's range does not hold any more.
        """
        if name not in self.given:
            asked = f"the space now asks for one from {range_of(distribution)}"
            raise ConfigError(f"{name}: trial {self.number} has none, and {asked}; {_REMEDY}")
        value = self.given[name]
        if not holds(distribution, value):
            now = f"outside {range_of(distribution)}, the space's range now"
            raise ConfigError(f"{name}: trial {self.number} has {value}, {now}; {_REMEDY}")

    def complete(self) -> None:
        """All was asked for.

        Raises:
            ConfigError: naming a parameter that the space has no more.
        """
        for name, value in self.given.items():
            if name not in self.params:
                raise ConfigError(
                    f"{name}: trial {self.number} has {value}, and the space no longer asks for it; {_REMEDY}"
                )


def unlike(number: int, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Compares the configuration that a trial was proposed with, as far as the space decides it, with what the space makes of it now.

    Raises:
        ConfigError: naming a field that differs.
    """
    for name, value in now.items():
        if name in was and was[name] != value:
            raise ConfigError(
                f"{name}: trial {number} has {was[name]}, and the space makes {value} of the same parameters now; {_REMEDY}"
            )


def range_of(distribution: BaseDistribution) -> str:
    """`[0.001, 0.1] log`, `{a, b}`."""
    if isinstance(distribution, CategoricalDistribution):
        return f"{{{', '.join(map(str, distribution.choices))}}}"
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    step = f" in steps of {distribution.step:g}" if distribution.step not in (None, 1) else ""
    return f"[{distribution.low:g}, {distribution.high:g}]{' log' if distribution.log else ''}{step}"


def changed(name: str, was: str, now: str) -> str:
    """Two ranges of a parameter, as Optuna's JSON, in words."""
    return f"space changed: {name} was {range_of(json_to_distribution(was))}, is {range_of(json_to_distribution(now))}"
