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
"""The width below which there is no room for both intervals and votes."""


def _number(value: float) -> str:
    return number(round(value, 3))


def _cells(line: Bin, edge: bool, spans: bool) -> list[str]:
    counts = [line.boards, line.right, line.shape, line.content, *([line.edge] if edge else [])]
    share = "" if line.wrong_cells is None else f"{line.wrong_cells:.0%}"
    span = f"{_number(line.exact.low)}..{_number(line.exact.high)}" if line.exact.n > 1 else ""
    means = [_number(found.value) for found in (line.trivial, line.pass1, line.pass2) if found is not None]
    return [line.label, *map(str, counts), share, _number(line.exact.value), *([span] if spans else []), *means]


def failures_page(found: Failures, width: int) -> RenderableType:
    """Draws the bins, the worst first; an interval stands where a bin has several units."""
    spans = width >= NARROW or not found.votes
    edge = any(line.edge for line in found.bins)
    votes = ["pass@1", "pass@2"] if found.votes else []
    wrong = ["shape", "content", *(["edge"] if edge else []), "cells"]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in ("bin", "boards", "right", *wrong, "exact", *(["95 %"] if spans else []), "trivial", *votes):
        table.add_column(heading, justify="left" if heading == "bin" else "right", no_wrap=heading != "bin")
    for line, after in zip(found.bins, [*found.bins[1:], None], strict=True):
        table.add_row(*_cells(line, edge, spans), end_section=after is None or after.by != line.by)
    title = f"{found.trial}: answers to the boards of the {found.split} split, the worst first"
    notes = [
        "shape: answers of another height or width; content: of the right shape with wrong colours; cells: their "
        "share of wrong cells" + ("; edge: right but for the EOS around them" if edge else "") + ".",
        f"trivial: exact of {found.trivial!r}, which is right most often.",
        f"pass@1, pass@2: by the votes of {found.votes} images of each board." if votes else "",
    ]
    return Group(Text(title), table, Text("\n".join(note for note in notes if note)))
