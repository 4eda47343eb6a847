"""Wrong answers as drawn grids: demonstrations, query, right answer, and what the network says."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainables.grids.grid import Grid

if TYPE_CHECKING:
    from analysis.grids.failures import Example

__all__ = ["COLOURS", "drawn", "sheet"]

COLOURS = (
    "#000000",
    "#0074d9",
    "#ff4136",
    "#2ecc40",
    "#ffdc00",
    "#aaaaaa",
    "#f012be",
    "#ff851b",
    "#7fdbff",
    "#870c25",
)
"""The colours 0 to 9, as the ARC Prize shows them."""
SIDE = 132  # pixels of the largest grid of an example
CELL = (4.0, 20.0)  # pixels of a cell, at least and at most
LINE = "#777777"
NOTHING = "\u00a0"  # a caption that takes its room and says nothing

STYLE = """<style>
body { max-width: none; }
h2 { font-size: 1rem; margin: 1.6rem 0 .3rem; }
h2 span { font-weight: normal; }
.row { display: flex; flex-wrap: wrap; gap: .5rem 1.4rem; align-items: flex-end; }
.row > div { display: flex; gap: .4rem; align-items: flex-end; }
.row span { padding-bottom: 1.3rem; }
.row figure { margin: 0; }
.row figure:nth-of-type(3) { margin-left: 1rem; }
figcaption { font-size: .75rem; opacity: .75; }
svg { display: block; }
</style>"""


def _grid(rows: Sequence[str]) -> Grid:
    return np.array([[int(cell) for cell in row] for row in rows], dtype=np.uint8).reshape(len(rows), -1)


def _path(cells: Sequence[Sequence[int]], shape: str) -> str:
    """Returns a path that draws one shape in each of some cells, (row, column)."""
    return "".join(f"M{column} {row}{shape}" for row, column in cells)


def drawn(grid: Grid, cell: float, right: Grid | None = None) -> str:
    """Draws a grid as SVG.

    Args:
        grid: the grid, which may be empty.
        cell: pixels of a cell's side.
        right: the right grid, if this is an answer: its wrong cells are crossed out, and where the
            shape differs a dashed frame shows the right one.
    """
    high, wide = grid.shape
    parts = []
    for colour, fill in enumerate(COLOURS):
        if cells := np.argwhere(grid == colour).tolist():
            path = _path(cells, "h1v1h-1z")
            parts.append(f'<path d="{path}" fill="{fill}" stroke="{LINE}" stroke-width=".04"/>')
    if right is not None:
        both = tuple(min(sizes) for sizes in zip(grid.shape, right.shape, strict=True))
        corner = (slice(both[0]), slice(both[1]))
        if wrong := np.argwhere(grid[corner] != right[corner]).tolist():
            cross = _path(wrong, "m.25 .25l.5 .5m0 -.5l-.5 .5")
            for stroke, width in (("#000000", 0.24), ("#ffffff", 0.12)):
                parts.append(
                    f'<path class="wrong" d="{cross}" fill="none" stroke="{stroke}" stroke-width="{width}" '
                    'stroke-linecap="round"/>'
                )
        if grid.shape != right.shape:
            high, wide = max(high, right.shape[0]), max(wide, right.shape[1])
            parts.append(
                f'<rect class="shape" width="{right.shape[1]}" height="{right.shape[0]}" fill="none" '
                'stroke="#e0403a" stroke-width=".14" stroke-dasharray=".35 .25"/>'
            )
    room = 0.12  # for strokes along the edge
    box = f"{-room} {-room} {wide + 2 * room} {high + 2 * room}"
    size = f'width="{cell * (wide + 2 * room):.0f}" height="{cell * (high + 2 * room):.0f}"'
    return f'<svg viewBox="{box}" {size} role="img">{"".join(parts)}</svg>'


def _captioned(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _example(one: Example) -> str:
    shown = [(_grid(query), _grid(answer)) for query, answer in one.demonstrations]
    query, wanted, said = (_grid(rows) for rows in (one.query, one.wanted, one.said))
    every = [*(grid for pair in shown for grid in pair), query, wanted, said]
    cell = min(max(SIDE / max(max(grid.shape) for grid in every), CELL[0]), CELL[1])
    arrow = "<span>&rarr;</span>"
    drawings = [
        f"<div>{_captioned(drawn(left, cell), f'shown {number}')}{arrow}{_captioned(drawn(right, cell), NOTHING)}</div>"
        for number, (left, right) in enumerate(shown, 1)
    ]
    asked = _captioned(drawn(query, cell), "query") + arrow + _captioned(drawn(wanted, cell), "right")
    drawings.append(f"<div>{asked}{_captioned(drawn(said, cell, wanted), 'answer')}</div>")
    label = "" if one.label == one.task else f"{one.label}, "
    where = html.escape(f"({label}board {one.board}): {one.words}")
    return f'<h2>{html.escape(one.task)} <span>{where}</span></h2><div class="row">{"".join(drawings)}</div>'


def sheet(examples: Sequence[Example]) -> str:
    """Draws examples one below the other, as HTML with SVG inside."""
    return STYLE + "".join(map(_example, examples))
