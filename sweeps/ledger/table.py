"""The leaderboard as a table for a terminal."""

from __future__ import annotations

import math

from rich.console import Group
from rich.table import Table

from sweeps.ledger import leaderboard
from sweeps.ledger.history import History

__all__ = ["leaderboard_table", "number"]


def number(value: float | None) -> str:
    """Four significant digits, or a dash."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def leaderboard_table(history: History, name: str, top: int | None = 3) -> Group:
    """The leaderboard for a terminal: the `top` trials of each stratum, baselines beside them, then what was confirmed."""
    board = leaderboard.board(history, name)
    label = history.settings["stratify"] or "stratum"
    table = Table(title=f"{name}: {board['metric']} on validation ({board['mode']}), n = independent units", title_justify="left")
    for heading in (label, "trial", "status", "value", "95 %", "n", "step", "s", "marks"):
        table.add_column(heading, justify="left" if heading in ("marks", "status") else "right")
    for stratum in leaderboard.strata(history):
        rows = [row for row in board["rows"] if row["stratum"] == stratum]
        for row in rows[:top]:
            interval = f"{number(row['low'])}..{number(row['high'])}"
            table.add_row(
                stratum, str(row["trial"]), row["status"], number(row["value"]), interval, str(row["n"]), str(row["step"]),
                f"{row['seconds']:.1f}", "; ".join(row["marks"]),
            )  # fmt: skip
        for line in board["baselines"]:
            if line["stratum"] == stratum:
                table.add_row(stratum, "", "baseline", number(line["value"]), "", str(line["n"]), "", "", line["name"], style="dim")
        table.add_section()
    confirmed = Table(title="confirmed from fresh seeds on the test split, which the search has not seen", title_justify="left")
    for heading in (label, "trial", "value", "95 %", "replicates"):
        confirmed.add_column(heading, justify="right")
    for row in board["confirmed"]:
        interval = f"{number(row['low'])}..{number(row['high'])}"
        confirmed.add_row(row["stratum"], str(row["trial"]), number(row["value"]), interval, str(row["replicates"]))
    return Group(table, confirmed) if board["confirmed"] else Group(table)
