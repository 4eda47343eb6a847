"""Checks recorded proposals against the present family and search space, and explains what does
not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json

from leadline.config import ConfigError
from leadline.engine.optuna_private import KnownTrial, holds
from leadline.family import Family
from leadline.ledger.events import Event, Proposed
from leadline.ledger.ranges import Range, in_words

__all__ = ["Recorded", "changed", "check_fields", "unlike"]

_GIVE_BACK = "give the field back, or begin a new sweep"
_REMEDY = "put the space back, or begin a new sweep, to which --enqueue can give old configurations"


def check_fields(family: Family[Any], events: Iterable[Event], *, changed: bool) -> list[str]:
    """Refuses trials whose configurations the family does not take any more.

    A field that is new stands at its default. Trials that were infeasible have no configuration.

    Args:
        family: the family.
        events: the recorded events.
        changed: whether the family's code is another than it was, or may be; without that, values
            are what they were, and only names are looked at.

    Returns:
        A sentence on new fields, if there are any.

    Raises:
        ConfigError: naming the first such trial, and the field.
    """
    known = family.Config.__dataclass_fields__.keys()
    added: dict[str, Any] = {}
    for event in events:
        if not isinstance(event, Proposed) or event.infeasible:
            continue
        if unknown := [name for name in event.config if name not in known]:
            raise ConfigError(
                f"resume: trial {event.trial} has {unknown[0]}={event.config[unknown[0]]}, which the family "
                f"{family.name} does not have now; {_GIVE_BACK}"
            )
        if not changed:
            continue
        try:
            config = family.config(event.config)
        except ConfigError as error:
            raise ConfigError(
                f"resume: trial {event.trial} does not fit the family {family.name} any more: {error}; {_GIVE_BACK}"
            ) from None
        added |= {name: getattr(config, name) for name in known - event.config.keys()}
    new = ", ".join(f"{name}={value}" for name, value in sorted(added.items()))
    return [f"the family has new fields, whose defaults stand for trials recorded without them: {new}"] if new else []


class Recorded(KnownTrial):
    """A recorded trial, from which a space may only ask for what is recorded.

    The space must ask for exactly the trial's parameters, from ranges that hold their values.
    Optuna itself would draw a value for a new parameter, and only warn of a value outside its
    range.
    """

    def known(self, name: str, distribution: BaseDistribution) -> None:
        """Refuses a parameter that the space asks for if it does not fit what is recorded.

        Raises:
            ConfigError: naming a parameter that is not recorded, or whose value the space's range
                does not hold any more.
        """
        if name not in self.given:
            asked = f"the space now asks for one from {_in_words(distribution)}"
            raise ConfigError(f"{name}: trial {self.number} has none, and {asked}; {_REMEDY}")
        value = self.given[name]
        if not holds(distribution, value):
            now = f"outside {_in_words(distribution, value)}, the space's range now"
            raise ConfigError(f"{name}: trial {self.number} has {value}, {now}; {_REMEDY}")

    def complete(self) -> None:
        """Checks that the space has asked for every recorded parameter.

        Raises:
            ConfigError: naming a parameter that the space no longer asks for.
        """
        for name, value in self.given.items():
            if name not in self.params:
                raise ConfigError(
                    f"{name}: trial {self.number} has {value}, and the space no longer asks for it; {_REMEDY}"
                )


def unlike(number: int, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuses a trial of whose parameters the space now makes another configuration.

    Args:
        number: the trial's number.
        was: the configuration that was recorded.
        now: the fields that the space sets, as it makes them of the same parameters now.

    Raises:
        ConfigError: naming a field that differs.
    """
    for name, value in now.items():
        if name in was and was[name] != value:
            raise ConfigError(
                f"{name}: trial {number} has {was[name]}, and the space makes {value} of the same parameters now; "
                f"{_REMEDY}"
            )


def changed(name: str, was: str, now: str) -> str:
    """A sentence for a parameter whose range has changed; the ranges are given as Optuna's JSON."""
    before, after = in_words([Range.of(was), Range.of(now)])
    return f"space changed: {name} was {before}, is {after}"


def _in_words(distribution: BaseDistribution, value: Any = None) -> str:
    """A distribution in words, whose bounds read otherwise than a value that is not among them."""
    beside = [value] if isinstance(value, int | float) else []
    (words,) = in_words([Range.of(distribution_to_json(distribution))], *beside)
    return words
