"""The tables for a terminal: the sweeps of a folder, and one trial."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from leadline.analysis import as_json, progress
from leadline.analysis.sweep import TrialView
from leadline.ledger import leaderboard
from leadline.ledger.leaderboard_table import number
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
    sweeps = as_json.sweeps(results)
    if not sweeps:
        return Text(f"no sweep in {results}")
    table = Table(title=f"sweeps in {results}", title_justify="left")
    for heading in ("name", "study", "state", "trials", "best finished", "last event"):
        table.add_column(heading, justify="right" if heading == "trials" else "left", overflow="fold")
    for sweep in sweeps:
        if "unreadable" in sweep:
            table.add_row(sweep["name"], "", Text(f"unreadable: {sweep['unreadable']}"), "", "", "")
        else:
            table.add_row(*_sweep_row(sweep))
    return table


def _sweep_row(sweep: Mapping[str, Any]) -> list[str]:
    """Returns the cells of what `as_json.sweep_row` says."""
    best = {one["stratum"]: f"{number(one['value'])} (trial {one['trial']})" for one in sweep["best"]}
    values = {stratum: best.get(stratum, "-") for stratum in sweep["strata"]}
    return [
        sweep["name"],
        sweep["study"],
        sweep["state"],
        f"{sweep['ended']}/{sweep['trials']}",
        ", ".join(f"{stratum}: {value}" if sweep["stratify"] else value for stratum, value in values.items()),
        progress.clock(sweep["last_event"] or 0.0),
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
    trial = as_json.trial(view)
    kind = "search" if trial["of"] is None else f"replicate of trial {trial['of']}"
    label = view.sweep.settings.stratify or "stratum"
    unit = progress.unit(view.sweep.history)
    spent = f"{trial['spent']:,} of {trial['budget']:,} {unit}"
    step = "" if unit == "steps" else f", step {trial['step']:,}"
    wall = progress.duration(trial["wall"])
    facts = [
        ("trial", f"{trial['trial']} of {trial['sweep']}: {kind}, {label} {trial['stratum']}"),
        ("status", f"{trial['status']} after {spent}{step}"),
        ("reason", trial["reason"] or "-"),
        ("attempts", f"{trial['attempts']}, {trial['failures']} of them failed; {wall} in its place"),
        ("marks", "; ".join(trial["marks"]) or "none"),
        ("replicates", ", ".join(f"trial {run['trial']} ({run['status']})" for run in trial["replicates"]) or "none"),
    ]
    found = [
        (finding.mark, f"{'failed' if finding.failed else 'passed'}: {finding.sentence}")
        for finding in view.trial.findings
    ]
    said = [(progress.clock(note["time"]), f"{note['author']}: {note['text']}") for note in trial["notes"]]
    facts += [("guards", "silent")] if not found else []
    facts += [("heartbeat", _heartbeat(trial["heartbeat"]))] if trial["status"] == "running" else []
    parts: list[RenderableType] = [_facts(facts)]
    for heading, rows in (("guards", found), ("notes", said)):
        parts += [f"\n{heading}", _facts(rows)] if rows else []
    config = [
        (name, text(value) + (" (searched)" if name in trial["params"] else ""))
        for name, value in trial["config"].items()
    ]
    checkpoints = [
        (one["name"], "intact" if one["damaged"] is None else f"damaged: {one['damaged']}")
        for one in trial["checkpoints"]
    ] or [("none", f"at {view.store.folder}")]
    return Group(*parts, "\nconfiguration", _facts(config), "", _curve(view), "\ncheckpoints", _facts(checkpoints))


def _heartbeat(said: Mapping[str, Any] | None) -> str:
    """What a running trial has said of itself last, in words, and whether that is long ago."""
    from leadline.heartbeat import Beat  # which imports torch: a list is shown without it

    if said is None:
        return "none yet"
    beat = Beat(**said)
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
