"""Looks at sweeps, also while they run.

    python -m analysis list [RESULTS]                       the sweeps of a folder
    python -m analysis leaderboard SWEEP [--json] [--top N] trials ranked within each stratum, baselines, confirmed finalists
    python -m analysis report SWEEP [--output FILE] [--price X]   one self-contained HTML page
    python -m analysis compare A B [--margin X]             the difference between two sweeps, or two strata SWEEP:10 SWEEP:100
    python -m analysis trial SWEEP NUMBER                   configuration, curve, attempts and checkpoints of one trial
    python -m analysis note SWEEP NUMBER [TEXT]             a note on a trial, or the notes that it has
    python -m analysis export SWEEP [--to FOLDER]           trials, reports, findings and baselines as parquet and CSV
    python -m analysis dashboard SWEEP [--to FILE]          a file for optuna-dashboard, and how to open it and TensorBoard
    python -m analysis stop SWEEP                           asks the driver of a running sweep to end, resumable, wherever it runs
    python -m analysis doctor SWEEP [--json]                what is wrong with a sweep's files, and what can be done; read-only
    python -m analysis gc SWEEP [--dry-run]                 removes checkpoints that nobody needs, and what was cut off

RESULTS and SWEEP are folders or s3:// gs:// URIs. Exit code 0, 1 where `doctor` finds damage or `stop` no end, 2 with one line on stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from analysis.collatz import commands as collatz
from leadline.analysis import notes, terminal
from leadline.analysis.commands import compare, export, optuna_dashboard, stop
from leadline.analysis.sweep import Sweep, place
from leadline.analysis.upkeep import doctor, gc
from leadline.command_line import CommandLine, count, price, trial_number
from leadline.config import ConfigError
from leadline.ledger.leaderboard_table import leaderboard_table
from leadline.ledger.segments import LedgerError
from leadline.storage import leave

__all__ = ["main"]

COMMANDS: tuple[Any, ...] = (compare, collatz, export, optuna_dashboard, notes, stop, doctor, gc)
"""Modules of further commands: each has `register(commands)`, which adds its parser and sets `run`.

`run` is a function of the parsed arguments; it returns the exit code, or None for 0.
"""
OK, BAD_INPUT = 0, 2


def _parser() -> CommandLine:
    parser = CommandLine(
        prog="python -m analysis", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    _register(commands)
    for module in COMMANDS:
        module.register(commands)
    return parser


def _register(commands: Any) -> None:
    listing = commands.add_parser("list", help="the sweeps of a folder")
    listing.add_argument(
        "results", nargs="?", default="results", metavar="RESULTS", help="folder or URI that holds sweeps [results]"
    )
    ranking = commands.add_parser("leaderboard", help="trials ranked within each stratum")
    page = commands.add_parser("report", help="one self-contained HTML page")
    single = commands.add_parser("trial", help="one trial")
    for command in (ranking, page, single):
        command.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep")
    ranking.add_argument("--json", action="store_true", help="the whole leaderboard as one JSON document")
    ranking.add_argument("--top", type=count, metavar="N", help="trials shown per stratum [all]")
    page.add_argument("--output", metavar="FILE", help="where to write [report.html in the sweep's folder]")
    page.add_argument(
        "--price",
        type=price,
        metavar="X",
        help="price of an hour of the driver's machine; without it, no word about money",
    )
    single.add_argument("number", type=trial_number, metavar="NUMBER", help="the trial's number")
    for command, run in ((listing, _list), (ranking, _leaderboard), (page, _report), (single, _trial)):
        command.set_defaults(run=run)


def _show(page: RenderableType) -> None:
    terminal.console().print(page)


def _list(given: argparse.Namespace) -> None:
    results = place(given.results)
    if not results.exists():
        raise ConfigError(f"{results}: there is no such folder")
    _show(terminal.sweeps_table(results))


def _leaderboard(given: argparse.Namespace) -> None:
    if given.json and given.top:
        raise ConfigError("top: applies to the table; --json prints the whole leaderboard")
    sweep = Sweep.open(given.sweep)
    if given.json:
        print(json.dumps(sweep.leaderboard(), indent=2, allow_nan=False))
    else:
        _show(leaderboard_table(sweep.history, sweep.name, given.top, terminal.console().width))


def _report(given: argparse.Namespace) -> None:
    from leadline.analysis.report import document

    sweep = Sweep.open(given.sweep)
    if given.output is None:
        print(document.write(sweep.folder, sweep.name, given.price))
        return
    output = Path(given.output)
    if output.is_dir():
        raise ConfigError(f"output: {output} is a folder; name a file")
    try:
        output.write_text(document.page(sweep, given.price), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"output: cannot write {output}: {error.strerror}") from None
    print(output.absolute())


def _trial(given: argparse.Namespace) -> None:
    _show(terminal.trial_page(Sweep.open(given.sweep).trial(given.number)))


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code.

    Args:
        arguments: the command line; None for the process's own.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            given = _parser().parse_args(arguments)
            code = int(given.run(given) or OK)
            sys.stdout.flush()
            return code
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (ValueError, LedgerError, OSError) as error:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            return BAD_INPUT
    return OK


if __name__ == "__main__":
    leave(main())
