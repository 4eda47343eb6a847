"""The leaderboard as a table for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from leadline.ledger import leaderboard
from leadline.ledger.history import History, Trial
from leadline.measure import Measure

__all__ = ["against", "bounds", "leaderboard_table", "number"]

OTHERS = 107
"""The terminal's columns that the leaderboard takes without the metrics beside the objective."""
VALUE = 10
"""The columns of the longest number, such as `-1.234e-05`."""
GAP = 3
"""The terminal's columns between two of a table."""


def number(value: float | None) -> str:
    """Returns a number with four significant digits; a dash where it is None or not finite."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def bounds(low: float | None, high: float | None) -> str:
    """Returns an interval as `low .. high`."""
    return f"{number(low)} .. {number(high)}"


def _table(title: str, columns: str) -> Table:
    """Returns a table in which only the last column wraps.

    A column whose name begins with `<` is aligned left.
    """
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    names = columns.split(", ")
    for column in names:
        table.add_column(
            column.lstrip("<"), justify="left" if column.startswith("<") else "right", no_wrap=column != names[-1]
        )
    return table


def _beside(history: History, room: int) -> list[str]:
    """Returns the metrics beside the objective that have a value and fit the room, in columns.

    One has no value where it is optional and no configuration of the sweep has it.
    """
    found = []
    for name in [name for name in history.settings.beside if _held(history, name)]:
        taken = max(len(name), VALUE) + GAP
        if taken <= room:
            room -= taken
            found.append(name)
    return found


def _held(history: History, name: str) -> bool:
    """Returns whether a trial or a trivial predictor has a metric on a split."""
    labels = (f"validation/{name}", f"test/{name}")
    return any(
        any(trial.measure(label) for trial in history.trials.values())
        or any(label in line.metrics for line in history.baselines)
        for label in labels
    )


def leaderboard_table(history: History, name: str, top: int | None = 3, width: int = 160) -> Group:
    """Returns the leaderboard for a terminal.

    It has the best trials of each stratum, the trivial predictors below them, then what was
    confirmed.

    Args:
        history: the state of the sweep.
        name: the sweep's name.
        top: how many trials of each stratum are shown; None for all.
        width: the terminal's columns; a narrow one gets fewer columns, never values that are cut
            off.
    """
    board = leaderboard.board(history, name)
    label, objective = history.settings.stratify or "stratum", leaderboard.objective(history)
    title = f"{name}: {board['metric']} on validation, {board['mode']}imised; n counts independent units"
    beside = _beside(history, width - OTHERS) if width >= 150 else []
    interval = ["95 %"] if width >= 110 else []
    spent = "samples" if history.settings.unit == "samples" else "step"
    table = _table(title, ", ".join([f"{label}, <trial, <status, value", *interval, "n", spent, *beside, "<marks"]))
    for stratum in leaderboard.strata(history):
        for row in [row for row in board["rows"] if row["stratum"] == stratum][:top]:
            trial = history.trials[row["trial"]]
            others = [number(trial.value(f"validation/{name}")) for name in beside]
            span = [bounds(row["low"], row["high"])] if interval else []
            cells = [str(row["trial"]), row["status"], number(row["value"]), *span, str(row["n"]), str(row[spent])]
            table.add_row(stratum, *cells, *others, ", ".join(row["marks"]))
        for line in [line for line in history.baselines if line.stratum == stratum]:
            unknown = Measure(math.nan, 0, math.nan, math.nan)
            value, *rest = (
                line.metrics.get(name, unknown) for name in (objective, *(f"validation/{name}" for name in beside))
            )
            kind = "oracle" if leaderboard.is_oracle(line.name) else "trivial"
            span = [bounds(value.low, value.high)] if interval else []
            cells = [line.name, kind, number(value.value), *span, str(value.n), ""]
            table.add_row(stratum, *cells, *[number(measure.value) for measure in rest], style="dim")
        table.add_section()
    shown: list[RenderableType] = [table]
    if board["confirmed"]:
        shown.append(_confirmed(history, board, label, beside))
    if history.stopping_off:
        shown.append(Text(history.stopping_off))
    return Group(*shown)


def _confirmed(history: History, board: dict[str, Any], label: str, beside: Sequence[str]) -> Table:
    table = _table(
        "confirmed: fresh seeds, on the test split, which the search has not seen",
        ", ".join([f"{label}, trial, value, 95 %, n, seeds", *beside, "<best trivial on test"]),
    )
    for row in board["confirmed"]:
        trial = history.trials[row["trial"]]
        cells = (
            row["stratum"],
            str(row["trial"]),
            number(row["value"]),
            bounds(row["low"], row["high"]),
            str(row["n"]),
            str(row["replicates"]),
        )
        table.add_row(*cells, *(_over_replicates(history, trial, name) for name in beside), against(history, trial))
    return table


def _over_replicates(history: History, trial: Trial, metric: str) -> str:
    """Returns a metric over replicates: a count's median and range, otherwise the mean."""
    if count := leaderboard.counts(history, trial).get(metric):
        return (
            f"{number(count.median)} ({number(count.low)} to {number(count.high)})"
            if count.replicates > 1
            else number(count.median)
        )
    measure = leaderboard.confirmation(history, trial, metric)
    return number(measure.value if measure else None)


def against(history: History, trial: Trial) -> str:
    """Compares a finalist with the best trivial predictor on test, in words."""
    found = leaderboard.versus_trivial(history, trial)
    if found is None:
        return "none"
    word = f"no claim, {found.missing}" if found.missing else found.verdict
    worse = [one.metric for one in leaderboard.contrary(found, leaderboard.besides(history, trial))]
    by = f"; worse by {', '.join(worse)}" if worse else ""
    marks = "".join(f"; {mark}" for mark in leaderboard.replicate_marks(history, trial))
    unpaired = "" if found.estimate else ", unpaired"
    return f"{number(found.b.measure.value)} ({found.b.label}): {word}{unpaired}{by}{marks}"
