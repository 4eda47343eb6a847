"""Rules of two steps: one rule, then another on its answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from trainables.grids.rules.rule import Grid, Rule, same
from trainables.grids.rules.scenes import noise

__all__ = ["STEPS", "composition", "compositions"]

STEPS: Final[tuple[tuple[str, str], ...]] = (
    ("flip left-right", "recolour 5"),
    ("flip up-down", "recolour 0"),
    ("flip left-right", "fall down"),
    ("flip up-down", "fill 5"),
    ("shift right 1", "flip up-down"),
    ("shift right 1", "border 4"),
    ("shift down 1", "recolour 9"),
    ("rotate 180", "recolour 13"),
    ("rotate 180", "remove 3"),
    ("recolour 3", "keep 8"),
    ("recolour 4", "border 2"),
    ("recolour 6", "background 5"),
    ("replace 7 by 8", "keep 8"),
    ("replace 2 by 6", "flip up-down"),
    ("swap 1 and 2", "flip left-right"),
    ("swap 3 and 4", "fall up"),
    ("background 5", "border 1"),
    ("background 2", "flip left-right"),
    ("keep 3", "fall down"),
    ("keep 3", "recolour 7"),
    ("keep 6", "outline 1"),
    ("remove 5", "fall left"),
    ("remove 5", "flip up-down"),
    ("fall down", "background 3"),
    ("fall down", "border 8"),
    ("fall left", "recolour 8"),
    ("fill 2", "flip left-right"),
    ("fill 2", "recolour 7"),
    ("fill 4", "keep 4"),
    ("fill 3", "background 6"),
    ("keep the largest object", "flip up-down"),
    ("keep the largest object", "recolour 8"),
    ("keep the largest object", "outline 3"),
    ("keep the largest object", "corner bottom-left"),
    ("keep the smallest object", "shift right 1"),
    ("denoise", "flip left-right"),
    ("denoise", "recolour 10"),
    ("outline 6", "flip up-down"),
    ("extend right", "flip up-down"),
    ("extend down", "recolour 11"),
    ("symmetry left-right", "recolour 12"),
    ("symmetry up-down", "flip left-right"),
    ("hollow out", "recolour 14"),
    ("majority by row", "flip up-down"),
    ("sort columns rising", "recolour 15"),
    ("checkerboard 0", "fall down"),
)
"""The first and the second rule of each composition; both keep the shape of a grid."""


def _in_turn(grid: Grid, *, first: Rule, second: Rule) -> Grid:
    """Applies one rule, and the other to its answer."""
    return second.answer(first.answer(grid))


def _both_show(grid: Grid, *, first: Rule, second: Rule) -> bool:
    """Tells whether each rule shows, and has a part in the answer."""
    between = first.answer(grid)
    if not (first.shows(grid) and second.shows(between)):
        return False
    answer = second.answer(between)
    return not (same(grid, between) or same(between, answer) or same(answer, second.answer(grid)))


def composition(first: Rule, second: Rule) -> Rule:
    """Makes a rule of two.

    Its inputs come from the first rule's scene, or from the second's where the first shows on any
    noise.
    """
    return Rule(
        "composition",
        f"{first.name} then {second.name}",
        partial(_in_turn, first=first, second=second),
        second.scene if first.scene is noise else first.scene,
        partial(_both_show, first=first, second=second),
    )


def compositions(rules: Mapping[str, Rule]) -> tuple[Rule, ...]:
    """Makes all compositions that are listed, of rules by name."""
    return tuple(composition(rules[first], rules[second]) for first, second in STEPS)
