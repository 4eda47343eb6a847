"""The leaderboard as a table for a terminal, and how such a table fits one."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from leadline.ledger import leaderboard
from leadline.ledger.history import Baseline, History, Trial
from leadline.ledger.ranges import legend, words
from leadline.measure import Measure

__all__ = ["Column", "against", "bounds", "fitted", "leaderboard_table", "number"]

GAP = 3
"""The terminal's columns between two of a table."""
EDGES = 2
"""The terminal's columns left and right of a table."""
SEARCHED = "searched"
"""The heading of what was searched of a trial."""
MARKS = 30
"""The columns that texts of several words get at least, where they are as long."""


def number(value: float | None) -> str:
    """Returns a number with four significant digits; a dash where it is None or not finite."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def bounds(low: float | None, high: float | None) -> str:
    """Returns an interval as `low .. high`."""
    return f"{number(low)} .. {number(high)}"


@dataclass(frozen=True)
class Column:
    """A column of a table for a terminal.

    Attributes:
        heading: what stands above it.
        cells: its text in each row.
        left: whether it is aligned left.
        optional: whether it may be left out where there is no room.
        wraps: whether its texts may go on in a further line, after a space.
    """

    heading: str
    cells: Sequence[str]
    left: bool = False
    optional: bool = False
    wraps: bool = False

    @property
    def whole(self) -> int:
        """The width with which no text goes on in a further line."""
        return max(map(len, [self.heading, *self.cells]))

    @property
    def least(self) -> int:
        """The width that the column needs: no value is cut, and few texts take over two lines."""
        if not self.wraps:
            return self.whole
        longest = max(len(word) for text in [self.heading, *self.cells] for word in text.split() or [""])
        return max(longest, min(self.whole, MARKS), (self.whole + 1) // 2 if self.optional else 0)


def fitted(
    title: str, columns: Sequence[Column], width: int, dim: Collection[int] = (), ends: Collection[int] = ()
) -> Table:
    """Returns a table that fits a terminal, in which no value is cut off.

    Columns that are not optional are always there, the others as far as there is room, first those
    that come first.

    Args:
        title: what stands above the table.
        columns: the columns, with the texts of all rows.
        width: the terminal's columns.
        dim: the places of rows that are shown dim.
        ends: the places of rows with which a section ends.
    """
    room = width - EDGES + GAP - sum(column.least + GAP for column in columns if not column.optional)
    kept = []
    for column in columns:
        if column.optional:
            if column.least + GAP > room:
                continue
            room -= column.least + GAP
        kept.append(column)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in kept:
        wide = None
        if column.optional and column.wraps:
            wide = min(column.whole, column.least + room)
            room -= wide - column.least
        justify: Literal["left", "right"] = "left" if column.left else "right"
        table.add_column(column.heading, justify=justify, no_wrap=not column.wraps, width=wide, overflow="fold")
    for at, cells in enumerate(zip(*(column.cells for column in kept), strict=True)):
        table.add_row(*cells, style="dim" if at in dim else None, end_section=at in ends)
    return table


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
    settings = history.settings
    # A metric has no value where it is optional and no configuration of the sweep has it.
    beside = [metric for metric in settings.beside if _held(history, metric)]
    title = f"{name}: {settings.metric} on validation, {settings.mode}imised; n counts independent units"
    rows: list[list[str]] = []
    dim, ends = set[int](), set[int]()
    for stratum in leaderboard.strata(history):
        rows += [_trial_cells(history, trial, beside) for trial in leaderboard.ranked(history, stratum)[:top]]
        below = [_baseline_cells(history, line, beside) for line in history.baselines if line.stratum == stratum]
        dim |= set(range(len(rows), len(rows) + len(below)))
        rows += below
        ends.add(len(rows) - 1)
    table = fitted(title, _columns(history, rows, beside), width, dim, ends)
    shown: list[RenderableType] = [table]
    headings = [column.header for column in table.columns]
    if SEARCHED in headings:
        shown += map(Text, legend(row[7] for row in rows))
    if confirmed := leaderboard.confirmations(history):
        # Those alone that had room above: each is resampled over the replicates, which takes time.
        shown.append(_confirmed(history, confirmed, [name for name in beside if name in headings], width))
    if history.stopping_off:
        shown.append(Text(history.stopping_off))
    return Group(*shown)


def _columns(history: History, rows: Sequence[Sequence[str]], beside: Sequence[str]) -> list[Column]:
    """Returns the columns of the trials; that of what was searched where anything was."""

    def cells(at: int) -> list[str]:
        return [row[at] for row in rows]

    searched = Column(SEARCHED, cells(7), left=True, optional=True, wraps=True)
    return [
        Column(history.settings.stratify or "stratum", cells(0)),
        Column("trial", cells(1), left=True),
        Column("status", cells(2), left=True),
        Column("value", cells(3)),
        Column("95 %", cells(4), optional=True),
        Column("n", cells(5)),
        Column("samples" if history.settings.unit == "samples" else "step", cells(6)),
        *([searched] if any(searched.cells) else []),
        *(Column(name, cells(8 + at), optional=True) for at, name in enumerate(beside)),
        Column("marks", cells(-1), left=True, wraps=True),
    ]


def _scored(measure: Measure | None) -> list[str]:
    """Returns the value, the interval and the number of units, as cells."""
    shown = measure or Measure(math.nan, 0, math.nan, math.nan)
    return [number(shown.value), bounds(shown.low, shown.high), str(shown.n)]


def _trial_cells(history: History, trial: Trial, beside: Sequence[str]) -> list[str]:
    spent = history.spent(trial.scored) if trial.scored else 0
    others = [number(trial.value(f"validation/{name}")) for name in beside]
    scored = _scored(trial.measure(leaderboard.objective(history)))
    marks = ", ".join(leaderboard.marks(history, trial))
    return [trial.stratum, str(trial.number), trial.status, *scored, str(spent), words(trial), *others, marks]


def _baseline_cells(history: History, line: Baseline, beside: Sequence[str]) -> list[str]:
    kind = "oracle" if leaderboard.is_oracle(line.name) else "trivial"
    scored = _scored(line.metrics.get(leaderboard.objective(history)))
    others = [line.metrics.get(f"validation/{name}") for name in beside]
    shown = [number(measure.value if measure else None) for measure in others]
    return [line.stratum, line.name, kind, *scored, "", "", *shown, ""]


def _confirmed(history: History, rows: Sequence[dict[str, Any]], beside: Sequence[str], width: int) -> Table:
    trials = [history.trials[row["trial"]] for row in rows]
    columns = [
        Column(history.settings.stratify or "stratum", [row["stratum"] for row in rows]),
        Column("trial", [str(row["trial"]) for row in rows]),
        Column("value", [number(row["value"]) for row in rows]),
        Column("95 %", [bounds(row["low"], row["high"]) for row in rows]),
        Column("n", [str(row["n"]) for row in rows]),
        Column("seeds", [str(row["replicates"]) for row in rows]),
        *(Column(name, [_over_replicates(history, trial, name) for trial in trials], optional=True) for name in beside),
        Column("best trivial on test", [against(history, trial) for trial in trials], left=True, wraps=True),
    ]
    return fitted("confirmed: fresh seeds, on the test split, which the search has not seen", columns, width)


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
