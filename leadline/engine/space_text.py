"""The search space in words: what is searched in each stratum, and from which ranges.

A space is code, which is asked for proposals to see what it asks for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from leadline.config import ConfigError, shown
from leadline.engine.search import Search, Space
from leadline.ledger.ranges import Range, by_stratum

__all__ = ["ASKED", "fields_in_words", "searched", "space_text"]

ASKED = 16
"""Random proposals of each stratum from which the search space is told.

A parameter that is asked for only beside rare values of others may be missed.
"""


def searched(space: Space, scale: str, fixed: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Range]]:
    """The ranges that a space asks values from, by stratum and parameter.

    A space that fails is told as far as it got; whoever proposes trials says why it failed.

    Args:
        space: the search space.
        scale: passed on to the space.
        fixed: for each stratum, the fields that are fixed in it and so are not searched.
    """
    found: dict[str, dict[str, Range]] = {}
    for stratum, fields in fixed.items():
        search = Search(space, scale, sampler="random", seed=0, startup=1, pinned=fields)
        words: dict[str, str] = {}
        for number in range(ASKED):
            with contextlib.suppress(ConfigError):
                search.ask(number)
            words |= search.observations.distributions(number)
        found[stratum] = {name: Range.of(word) for name, word in words.items()}
    return found


def space_text(found: Mapping[str, Mapping[str, Range]], label: str) -> list[str]:
    """Lines of a parameter each, with its range; strata stand above theirs where they differ.

    Args:
        found: what `searched` returned.
        label: the field that divides the study.
    """
    words = by_stratum(found)
    alike: dict[tuple[str, ...], list[str]] = {}
    for stratum, ranges in words.items():
        width = max(map(len, ranges), default=0)
        lines = tuple(f"{name:<{width}}  {one}" for name, one in ranges.items()) or ("nothing",)
        alike.setdefault(lines, []).append(stratum)
    if len(alike) < 2:
        return [line for lines in alike for line in lines]
    told: list[str] = []
    for lines, strata in alike.items():
        told += [f"{label} {', '.join(strata)}:", *(f"  {line}" for line in lines)]
    return told


def fields_in_words(values: Mapping[str, Any], between: str = ", ") -> str:
    """Fields as `skip=True, ramp=0.5`, with four significant digits; `nothing` for none."""
    return between.join(f"{name}={shown(value, 4)}" for name, value in values.items()) or "nothing"
