"""The failures of a network as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from leadline.ledger.leaderboard_table import number

if TYPE_CHECKING:
    from analysis.physics.failures import Failures

__all__ = ["failures_page"]


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column, justify="left" if column in ("bin", "regime", "best trivial") else "right")
    return table


def failures_page(found: Failures) -> RenderableType:
    """Draws the bins and the worst windows."""
    bins = _table("bin", "episodes", "MSE", "95 %", "best trivial", "its MSE", "skill")
    for line, after in zip(found.bins, [*found.bins[1:], None], strict=True):
        interval = f"{number(line.error.low)}..{number(line.error.high)}"
        cells = (line.label, str(line.episodes), number(line.error.value), interval, line.rival)
        end = after is None or after.by != line.by
        bins.add_row(*cells, number(line.rival_error.value), number(line.skill), end_section=end)
    windows = _table("regime", "episode", "from s", "walls", "balls", "MSE", "best trivial", "its MSE")
    for one in found.worst:
        place = (one.regime, str(one.episode), number(one.time), str(one.walls), str(one.balls))
        windows.add_row(*place, number(one.error), one.rival, number(one.rival_error))
    title = f"{found.trial}: squared errors on the test split, in standard deviations of training"
    note = "Contacts and frames ahead are of worlds inside the training ranges."
    head = "The worst windows, with contacts ahead, beside what is best in their regime."
    return Group(Text(title), bins, Text(note), Text(f"\n{head}"), windows)
