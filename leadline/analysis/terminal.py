"""The tables for a terminal: the sweeps of a folder, and one trial."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from leadline.analysis import notes, progress
from leadline.analysis.sweep import Sweep, TrialView, sweep_names
from leadline.ledger import leaderboard
from leadline.ledger.leaderboard_table import number
from leadline.ledger.segments import LedgerError
from leadline.storage import Folder

__all__ = ["PIPED_WIDTH", "console", "sweeps_table", "text", "trial_page"]

PIPED_WIDTH = 200
"""The width of a table that goes into a pipe or a file, where $COLUMNS does not give one."""


def console() -> Console:
    """Returns a console on stdout that shows texts of the ledger as they are.

    It reads no markup and no emoji in them, and highlights nothing.
    """
    made = Console(markup=False, emoji=False, highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPED_WIDTH
    return made


def sweeps_table(results: Folder) -> RenderableType:
    """Returns the sweeps of a folder, in order of their names.

    A sweep that cannot be read says why in its row.
    """
    names = sweep_names(results)
    if not names:
        return Text(f"no sweep in {results}")
    table = Table(title=f"sweeps in {results}", title_justify="left")
    for heading in ("name", "study", "state", "trials", "best finished", "last event"):
        table.add_column(heading, justify="right" if heading == "trials" else "left", overflow="fold")
    for name in names:
        try:
            table.add_row(*_sweep_row(Sweep.open(results / name)))
        except (LedgerError, ValueError) as error:
            table.add_row(name, "", Text(f"unreadable: {error}"), "", "", "")
    return table


def _sweep_row(sweep: Sweep) -> list[str]:
    history = sweep.history
    found = []
    for stratum in sweep.strata:
        trial = progress.best(history, stratum)
        value = f"{number(trial.value(leaderboard.objective(history)))} (trial {trial.number})" if trial else "-"
        found.append(f"{stratum}: {value}" if sweep.settings.stratify else value)
    return [
        sweep.name,
        sweep.settings.study,
        sweep.state,
        f"{progress.done(history)}/{sweep.settings.trials}",
        ", ".join(found),
        progress.clock(history.last_time),
    ]


def text(value: Any) -> str:
    """Returns a setting in one line: six significant digits, lists with commas."""
    if isinstance(value, list | tuple):
        return ",".join(map(text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _facts(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    return table


def trial_page(view: TrialView) -> RenderableType:
    """Returns all that is known of a trial; every checkpoint is read and verified."""
    sweep, trial = view.sweep, view.trial
    kind = "search" if trial.of is None else f"replicate of trial {trial.of}"
    label = sweep.settings.stratify or "stratum"
    unit = progress.unit(sweep.history)
    spent = f"{sweep.history.spent(trial.reports[-1]) if trial.reports else 0:,} of {sweep.settings.budget:,} {unit}"
    facts = [
        ("trial", f"{trial.number} of {sweep.name}: {kind}, {label} {trial.stratum}"),
        ("status", f"{trial.status} after {spent}{'' if unit == 'steps' else f', step {trial.step:,}'}"),
        ("reason", trial.reason.strip() or "-"),
        (
            "attempts",
            f"{trial.attempts}, {trial.failures} of them failed; {progress.duration(trial.wall)} in its place",
        ),
        ("marks", "; ".join(leaderboard.marks(sweep.history, trial)) or "none"),
        ("replicates", ", ".join(f"trial {run.number} ({run.status})" for run in view.replicates) or "none"),
    ]
    found = [
        (finding.mark, f"{'failed' if finding.failed else 'passed'}: {finding.sentence}") for finding in trial.findings
    ]
    said = [
        (progress.clock(note.time), f"{note.author}: {note.text}") for note in notes.read(sweep.folder, trial.number)
    ]
    facts += [("guards", "silent")] if not found else []
    facts += [("heartbeat", _heartbeat(view))] if trial.status == "running" else []
    parts: list[RenderableType] = [_facts(facts)]
    for heading, rows in (("guards", found), ("notes", said)):
        parts += [f"\n{heading}", _facts(rows)] if rows else []
    config = [
        (name, text(value) + (" (searched)" if name in trial.params else "")) for name, value in trial.config.items()
    ]
    return Group(
        *parts, "\nconfiguration", _facts(config), "", _curve(view), "\ncheckpoints", _facts(_checkpoints(view))
    )


def _heartbeat(view: TrialView) -> str:
    """What a running trial has said of itself last, in words, and whether that is long ago."""
    beat = view.heartbeat()
    if beat is None:
        return "none yet"
    now = time.time()
    shown = [f"{progress.duration(max(0.0, now - beat.written))} ago", beat.state]
    shown += [f"step {beat.step:,} of {beat.steps:,}"] if beat.steps else []
    shown += [f"{beat.steps_per_second:.3g} steps/s"] if beat.steps_per_second else []
    shown += [f"about {progress.duration(beat.seconds_left)} left"] if beat.seconds_left is not None else []
    silent = f"; silent: written every {beat.interval:g} s while it lives" if beat.stale(now) else ""
    return ", ".join(shown) + silent


def _curve(view: TrialView) -> Table:
    metric = leaderboard.objective(view.sweep.history)
    table = Table(title=metric, title_justify="left")
    counted = ["samples"] if progress.unit(view.sweep.history) == "samples" else []
    for heading in (*counted, "step", "value", "95 %", "n", "training s", "checkpoint"):
        table.add_column(heading, justify="left" if heading == "checkpoint" else "right")
    for report in view.reports:
        part = leaderboard.part_name(view.sweep.settings.metric)
        measure = report.metrics.get(metric, report.metrics.get(part))
        which = "" if report.whole else " of a part"
        shown = (
            [number(measure.value), f"{number(measure.low)}..{number(measure.high)}", f"{measure.n}{which}"]
            if measure
            else ["-", "-", "-"]
        )
        spent = [f"{report.samples:,}"] if counted else []
        table.add_row(*spent, str(report.step), *shown, f"{report.seconds:.1f}", report.checkpoint or "-")
    return table


def _checkpoints(view: TrialView) -> Iterator[tuple[str, str]]:
    from leadline.checkpoint import DamagedCheckpoint

    store = view.store
    names = store.names()
    if not names:
        yield "none", f"at {store.folder}"
    for name in names:
        try:
            store.load(name)
        except DamagedCheckpoint as error:
            yield name, f"damaged: {error}"
        else:
            yield name, "intact"
