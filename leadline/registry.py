"""Families by name: those of this package, those of other packages by entry point, or any by `package.module:NAME`."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any

from leadline.config import ConfigError
from leadline.family import Family

__all__ = ["family", "names", "resolve"]

GROUP = "leadline.families"
_BUILT_IN = {
    "collatz": "trainables.collatz.family:COLLATZ",
    "hrm": "trainables.recursive.family:HRM_FAMILY",
    "trm": "trainables.recursive.family:TRM_FAMILY",
}


def _targets() -> dict[str, str]:
    return {**{entry.name: entry.value for entry in entry_points(group=GROUP)}, **_BUILT_IN}


def names() -> list[str]:
    """Names of the families that are installed."""
    return sorted(_targets())


def resolve(target: str, field: str, otherwise: str = "not") -> Any:
    """The object at `package.module:NAME`.

    Args:
        target: where it stands.
        field: what a message begins with.
        otherwise: how a message says that `target` is of another form.

    Raises:
        ConfigError: if there is none.
    """
    module, _, attribute = target.partition(":")
    if not module or not attribute or module.startswith("."):
        raise ConfigError(f"{field}: {target!r} is {otherwise} package.module:NAME")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{field}: cannot load {target}: {error}") from None


def family(name: str) -> Family[Any]:
    """The family called `name`, or the object at `package.module:NAME`.

    Raises:
        ConfigError: if there is none.
    """
    target = name if ":" in name else _targets().get(name)
    if target is None:
        raise ConfigError(f"family: no {name!r}; installed: {', '.join(names())}")
    found = resolve(target, "family", "neither a name nor")
    if not isinstance(found, Family):
        raise ConfigError(f"family: {target} is a {type(found).__name__}, not a leadline.family.Family")
    return found
