"""Finds families by name.

A name comes from one of three places, of which the first that knows it wins:

* the environment variable `LEADLINE_FAMILIES`, by which whoever submits a job hands on what is
  installed where it was submitted: `name=package.module:NAME`, separated by commas;
* a list of families, which a package names by the entry point group `leadline.family_lists`: a
  mapping of names to dotted names, so that a new family of that package needs no new
  installation;
* the entry point group `leadline.families`, one entry for each family.

Where a name is asked for, `package.module:NAME` does as well.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from leadline.config import ConfigError, TrialConfig, did_you_mean
from leadline.dotted import load
from leadline.family import Family
from leadline.measure import Metric
from leadline.plain import type_of

__all__ = ["HANDED_ON", "family", "handed_on", "names", "target"]

FAMILIES, LISTS = "leadline.families", "leadline.family_lists"
HANDED_ON = "LEADLINE_FAMILIES"
"""The environment variable that tells a job's processes the families of its submitter."""


@functools.lru_cache(maxsize=8)
def _entries(path: tuple[str, ...]) -> dict[str, list[tuple[str, str]]]:
    """Reads names and values of the entry points of both groups, once for a path of packages.

    It opens the metadata of every package that is installed. One that is installed while a process
    runs is seen by the next process.
    """
    found = entry_points()
    return {group: [(entry.name, entry.value) for entry in found.select(group=group)] for group in (FAMILIES, LISTS)}


def _entries_here(group: str) -> list[tuple[str, str]]:
    """Names and values of the entry points of a group, by the path of this process as it is now."""
    return _entries(tuple(map(os.path.abspath, sys.path)))[group]


def _listed() -> tuple[dict[str, str], list[str]]:
    """Reads the lists of families: dotted names by family, and why lists are unreadable."""
    found: dict[str, str] = {}
    wrong: list[str] = []
    for _, place in _entries_here(LISTS):
        try:
            listed = load(place, "family")
        except ConfigError as error:
            wrong.append(str(error).removeprefix("family: "))
            continue
        places = dict(listed) if isinstance(listed, Mapping) else {}
        if not places or not all(isinstance(word, str) for pair in places.items() for word in pair):
            # A package of the user's own may have the list's name, and costs no other family.
            wrong.append(f"{place} is no mapping of names to dotted names")
            continue
        found |= places
    return found, wrong


def _targets() -> tuple[dict[str, str], list[str]]:
    """Reads all three places: dotted names by family, and why lists are unreadable."""
    listed, wrong = _listed()
    single = dict(_entries_here(FAMILIES))
    given = [word.partition("=") for word in os.environ.get(HANDED_ON, "").split(",") if word]
    # What was handed on wins: a job must train the family of its submitter, whatever the node has.
    return {**single, **listed, **{name: value for name, _, value in given}}, wrong


def names() -> list[str]:
    """The names of the families that are installed, sorted."""
    return sorted(_targets()[0])


def target(name: str, recorded: str = "") -> str:
    """The dotted name of the family called `name`; a dotted name is its own.

    Args:
        name: the family's name, or a dotted name.
        recorded: the dotted name that a sweep has recorded, used where the name is not known here.

    Raises:
        ConfigError: if no family has that name.
    """
    if ":" in name:
        return name
    known, wrong = _targets()
    found = known.get(name) or recorded
    if not found:
        near = [hint] if (hint := did_you_mean(name, known)) else []
        installed = ", ".join(sorted(known)) or "none"
        raise ConfigError("; ".join([f"family: no {name!r}; installed: {installed}", *near, *wrong]))
    return found


def family(name: str, recorded: str = "") -> Family[Any]:
    """Loads the family called `name`, or that at `package.module:NAME`; arguments as in `target`.

    Raises:
        ConfigError: if there is none, saying which package is missing or hidden.
    """
    place = target(name, recorded)
    found = load(place, "family")
    if not isinstance(found, Family):
        raise ConfigError(f"family: {place} is {type_of(found)}, not a leadline.Family")
    if wrong := _wrong(found):
        raise ConfigError(f"family: {place}: {wrong}")
    return found


def _wrong(family: Family[Any]) -> str:
    """What is wrong with the attributes of a family, in words; empty where nothing is."""
    lacking = [name for name in ("name", "Config", "metrics", "objective") if not hasattr(family, name)]
    if lacking:
        return f"has no {lacking[0]}, which every family sets on its class"
    if not isinstance(family.name, str) or not family.name:
        return f"name: expected text (got {family.name!r})"
    if not (isinstance(family.Config, type) and issubclass(family.Config, TrialConfig)):
        return f"Config: expected a class made by leadline.configuration (got {family.Config!r})"
    if not isinstance(family.metrics, list | tuple) or not all(isinstance(one, Metric) for one in family.metrics):
        return f"metrics: expected a tuple of leadline.Metric (got {family.metrics!r})"
    names = [metric.name for metric in family.metrics]
    for name in names:
        if names.count(name) > 1:
            return f"metrics: {name!r} is declared twice"
    for name in family.beside:
        if name not in names:
            return f"beside: {name!r} is no metric; the metrics are {', '.join(names)}"
    modes = [metric for metric in family.metrics if metric.mode not in ("min", "max")]
    return f"metrics: {modes[0].name}: mode must be min or max (got {modes[0].mode!r})" if modes else ""


def handed_on() -> str:
    """The value of `LEADLINE_FAMILIES` by which another machine finds the families installed here.

    All of them, since a sweep that is resumed says only by its ledger which one it is of.
    """
    return ",".join(f"{name}={place}" for name, place in sorted(_targets()[0].items()))
