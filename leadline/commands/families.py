"""`leadline families [NAME]`: the families that are installed, and what one of them brings."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from leadline import registry
from leadline.command_line import Command
from leadline.config import ConfigError, describe
from leadline.family import Family

__all__ = ["FAMILIES"]


def _arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a family, by name or as package.module:FAMILY")


def _run(given: argparse.Namespace) -> None:
    """Prints all families, or what one of them brings."""
    if given.name:
        print("\n".join(_lines(given.name, registry.family(given.name))))
        return
    for name in registry.names():
        print(f"{name:<12} {_summary(name)}")


def _summary(name: str) -> str:
    """Describes a family in a line, or says why it cannot be loaded."""
    try:
        family = registry.family(name)
    except ConfigError as error:
        return str(error)
    return (type(family).__doc__ or "").strip().partition("\n")[0]


def _lines(name: str, family: Family[Any]) -> Iterator[str]:
    """What a family brings, line by line."""
    yield f"{name}: {_summary(name)}"
    yield f"from       {registry.target(name)}"
    yield f"objective  {family.objective}, {family.metric(family.objective).doc}"
    yield f"fields     {', '.join(field for field, *_ in describe(family.Config))}: leadline train {name} --help"
    yield f"presets    {', '.join(family.presets) or 'none'}"
    yield f"commands   {', '.join(family.commands) or 'none'}: leadline COMMAND --help"
    yield f"studies    {', '.join(family.studies) or 'none'}, beside those whose default it is"
    yield f"claims     {family.claims or 'none'}"
    yield f"figures    {family.figures or 'none'}"
    yield f"opening    {family.opening or 'what predictors that learn nothing score'}"


FAMILIES = Command("the families that are installed, and what each brings", _arguments, _run)
