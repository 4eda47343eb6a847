"""Grids written as text, and grids to try rules on."""

from __future__ import annotations

import functools

import numpy as np

from trainables.grids.rules.registry import RULES
from trainables.grids.rules.rule import Grid


def grid(text: str) -> Grid:
    """Reads a grid such as `120/034`, a digit for each cell and `/` between the rows."""
    return np.array([[int(cell) for cell in row] for row in text.split("/")], dtype=np.uint8)


def text(cells: Grid) -> str:
    """Writes a grid as `grid` reads it."""
    return "/".join("".join(map(str, row)) for row in cells.tolist())


@functools.cache
def mixture() -> tuple[Grid, ...]:
    """Draws an input of each rule."""
    generator = np.random.default_rng(5)
    return tuple(rule.draw(generator, 3, 6) for rule in RULES.values())
