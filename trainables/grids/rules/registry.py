"""All rules in one order: those that are trained, those held out, and the rest."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from trainables.grids.rules.colours import COLOURING
from trainables.grids.rules.composition import compositions
from trainables.grids.rules.geometry import GEOMETRY
from trainables.grids.rules.halves import HALVES
from trainables.grids.rules.motion import MOTION
from trainables.grids.rules.rule import Rule
from trainables.grids.rules.shapes import SHAPES

__all__ = ["FAMILIES", "HELD_FAMILIES", "HELD_MEMBERS", "RULES", "TRAINED", "held_out", "is_held", "training"]

TRAINED: Final = (
    "background 2",
    "recolour 0",
    "flip left-right",
    "keep 3",
    "border 4",
    "fall down",
    "recolour 1",
    "fill 2",
    "flip up-down",
    "keep the largest object",
    "recolour 2",
    "crop to content",
    "shift right 1",
    "remove 5",
    "symmetry left-right",
    "outline 6",
    "recolour 3",
    "swap 1 and 2",
    "extend right",
    "denoise",
    "mirror right",
    "replace 7 by 8",
    "fall left",
    "recolour 4",
    "most frequent colour fills the grid",
    "corner top-left",
    "background 7",
    "frame 3",
    "flip left-right then recolour 5",
    "keep the most frequent colour",
    "recolour 6",
    "border 8",
    "fill 5",
    "diagonal down-right",
    "majority by row",
    "sort columns rising",
    "shift down 1",
    "keep 6",
    "keep the smallest object",
    "fall down then background 3",
)
"""The names of the rules that can be trained, in the order in which they are taken.

Any first few of them are of different families, as far as it goes; recolouring, whose members are
the only new rules that small networks were seen to learn, comes again and again.
"""

HELD_MEMBERS: Final = (
    "recolour 30",
    "recolour 31",
    "recolour 32",
    "background 5",
    "keep 8",
    "border 7",
    "fill 7",
    "fall right",
    "shift left 1",
    "flip up-down then recolour 0",
)
"""The names of rules that are never trained, from families of which the first 29 of `TRAINED` have
some. The last is a pair whose parts are trained.
"""

HELD_FAMILIES: Final = (
    "rotate 90",
    "transpose",
    "tile right",
    "scale both ways",
    "and of left and right",
    "checkerboard 3",
    "hollow out",
    "connect rows",
    "cross",
    "count objects",
)
"""The names of rules that are never trained, from families of which none is, not even in a pair."""


def _listed() -> Mapping[str, Rule]:
    """Puts the rules in order: trained, held out, and the rest by family."""
    single = {rule.name: rule for rule in (*GEOMETRY, *COLOURING, *MOTION, *SHAPES, *HALVES)}
    every = single | {rule.name: rule for rule in compositions(single)}
    first = (*TRAINED, *HELD_MEMBERS, *HELD_FAMILIES)
    return MappingProxyType({name: every[name] for name in (*first, *(name for name in every if name not in first))})


RULES: Final[Mapping[str, Rule]] = _listed()
"""All rules by name; those of `TRAINED` come first, then `HELD_MEMBERS` and `HELD_FAMILIES`."""
FAMILIES: Final = tuple(dict.fromkeys(rule.family for rule in RULES.values()))
"""The names of the families, in the order of their first rules."""


def is_held(rule: Rule) -> bool:
    """Tells whether a rule, or one of a pair, is of a family of `HELD_FAMILIES`."""
    families = {RULES[name].family for name in HELD_FAMILIES}
    return any(RULES[part].family in families for part in rule.name.split(" then "))


def training(count: int) -> tuple[Rule, ...]:
    """Returns the rules that are trained: the first ones of `TRAINED`.

    Raises:
        ValueError: beginning with `count`, unless it is 1 to 40.
    """
    if not 1 <= count <= len(TRAINED):
        raise ValueError(f"count: from 1 to {len(TRAINED)} (got {count})")
    return tuple(RULES[name] for name in TRAINED[:count])


def held_out(count: int) -> tuple[Rule, ...]:
    """Returns the rules that are new to whoever trains on the first `count`.

    They are the same for every count, so that a curve over it compares like with like: ten of
    `HELD_MEMBERS`, then ten of `HELD_FAMILIES`. For a small count some of the former are of
    families that are not trained yet.

    Raises:
        ValueError: beginning with `count`, unless it is 1 to 40.
    """
    training(count)
    return tuple(RULES[name] for name in (*HELD_MEMBERS, *HELD_FAMILIES))
