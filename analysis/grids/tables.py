"""The failures of a network on grids as a table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from leadline.ledger.leaderboard_table import number

if TYPE_CHECKING:
    from analysis.grids.failures import Bin, Failures

__all__ = ["failures_page"]

NARROW = 100
"""The width below which there is no room for intervals, and right answers are not counted."""


def _number(value: float) -> str:
    return number(round(value, 3))


def _cells(line: Bin) -> dict[str, str]:
    """Returns the cells of a bin by heading."""
    share = "" if line.wrong_cells is None else f"{line.wrong_cells:.0%}"
    span = f"{_number(line.exact.low)}..{_number(line.exact.high)}" if line.exact.n > 1 else ""
    votes = {"pass@1": line.pass1, "pass@2": line.pass2}
    return {
        "bin": line.label if line.by == "all" else f"  {line.label.split(',')[0]}",
        "boards": str(line.boards),
        "right": str(line.right),
        "shape": str(line.shape),
        "content": str(line.content),
        "cells": share,
        "edge": str(line.edge),
        "exact": _number(line.exact.value),
        "95 %": span,
        "trivial": _number(line.trivial.value),
        **{name: _number(measure.value) for name, measure in votes.items() if measure is not None},
    }


def failures_page(found: Failures, width: int) -> RenderableType:
    """Draws the bins, the worst first; an interval stands where a bin has several units."""
    edge = any(line.edge for line in found.bins)
    hidden = {*(() if edge else ("edge",)), *(("right", "95 %") if width < NARROW else ())}
    rows = [_cells(line) for line in found.bins]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    headings = [heading for heading in rows[0] if heading not in hidden]
    for heading in headings:
        words = heading == "bin"
        table.add_column(heading, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for line, after, row in zip(found.bins, [*found.bins[1:], None], rows, strict=True):
        last = after is None or (after.by == "all" and line.by != "all")
        table.add_row(*(row[heading] for heading in headings), end_section=last)
    best = ", which is right most often" if any(line.trivial.value for line in found.bins) else "; none is ever right"
    title = f"{found.trial}: answers to the boards of the {found.split} split, the worst first"
    notes = [
        "shape: answers of another height or width; content: of the right shape with wrong colours; cells: their "
        "share of wrong cells" + ("; edge: right but for the EOS around them" if edge else "") + ".",
        f"trivial: exact of {found.trivial!r}{best}.",
        f"pass@1, pass@2: by the votes of {found.votes} images of each board." if found.votes else "",
    ]
    return Group(Text(title), table, Text("\n".join(note for note in notes if note)))
