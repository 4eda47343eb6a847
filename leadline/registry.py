"""Families by name: those of this package, those of other packages by entry point, or any by `package.module:NAME`."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any

from leadline.config import ConfigError
from leadline.family import Family

__all__ = ["family", "names"]

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


def family(name: str) -> Family[Any]:
    """The family called `name`, or the object at `package.module:NAME`.

    Raises:
        ConfigError: if there is none.
    """
    target = name if ":" in name else _targets().get(name)
    if target is None:
        raise ConfigError(f"family: no {name!r}; installed: {', '.join(names())}")
    module, _, attribute = target.partition(":")
    if not module or not attribute or module.startswith("."):
        raise ConfigError(f"family: {target!r} is neither a name nor package.module:NAME")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"family: cannot load {target}: {error}") from None
    if not isinstance(found, Family):
        raise ConfigError(f"family: {target} is a {type(found).__name__}, not a leadline.family.Family")
    return found
