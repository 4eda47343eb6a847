"""The commands that show sweeps: `leadline list`, `leaderboard`, `report` and `trial`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from leadline.analysis import as_json, terminal
from leadline.analysis.sweep import Sweep, place
from leadline.command_line import Command, count, local_path, price, trial_number
from leadline.config import ConfigError
from leadline.ledger.leaderboard_table import leaderboard_table
from leadline.plain import without_nan

__all__ = ["LEADERBOARD", "LIST", "REPORT", "TRIAL"]


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results", nargs="?", default="results", metavar="RESULTS", help="folder or URI that holds sweeps [results]"
    )
    parser.add_argument("--json", action="store_true", help="a JSON list, with an object for each sweep")


def _sweep_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep")


def _leaderboard_arguments(parser: argparse.ArgumentParser) -> None:
    _sweep_argument(parser)
    parser.add_argument("--json", action="store_true", help="the whole leaderboard as one JSON document")
    parser.add_argument("--top", type=count, metavar="N", help="trials shown per stratum [all]")


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    _sweep_argument(parser)
    parser.add_argument(
        "--output", type=local_path, metavar="FILE", help="where to write [report.html in the sweep's folder]"
    )
    parser.add_argument(
        "--price",
        type=price,
        metavar="X",
        help="price of an hour of the driver's machine; without it, no word of money",
    )


def _trial_arguments(parser: argparse.ArgumentParser) -> None:
    _sweep_argument(parser)
    parser.add_argument("number", type=trial_number, metavar="NUMBER", help="the trial's number")
    parser.add_argument("--json", action="store_true", help="all of it as one JSON object")


def _show(page: RenderableType) -> None:
    terminal.console().print(page)


def _print_json(values: Any) -> None:
    print(json.dumps(without_nan(values), indent=2, allow_nan=False))


def _list(given: argparse.Namespace) -> None:
    results = place(given.results)
    if not results.exists():
        raise ConfigError(f"{results}: there is no such folder")
    if given.json:
        _print_json(as_json.sweeps(results))
    else:
        _show(terminal.sweeps_table(results))


def _leaderboard(given: argparse.Namespace) -> None:
    if given.json and given.top:
        raise ConfigError("top: applies to the table; --json prints the whole leaderboard")
    sweep = Sweep.open(given.sweep)
    if given.json:
        _print_json(sweep.leaderboard())
    else:
        _show(leaderboard_table(sweep.history, sweep.name, given.top, terminal.console().width))


def _report(given: argparse.Namespace) -> None:
    from leadline.analysis.report import document

    sweep = Sweep.open(given.sweep)
    if given.output is None:
        print(document.write(sweep.folder, sweep.name, given.price))
        return
    output: Path = given.output
    if output.is_dir():
        raise ConfigError(f"output: {output} is a folder; name a file")
    try:
        output.write_text(document.page(sweep, given.price), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"output: cannot write {output}: {error.strerror}") from None
    print(output.absolute())


def _trial(given: argparse.Namespace) -> None:
    view = Sweep.open(given.sweep).trial(given.number)
    if given.json:
        _print_json(as_json.trial(view))
    else:
        _show(terminal.trial_page(view))


LIST = Command("the sweeps of a folder", _list_arguments, _list)
LEADERBOARD = Command("trials ranked within each stratum", _leaderboard_arguments, _leaderboard)
REPORT = Command("one self-contained HTML page", _report_arguments, _report)
TRIAL = Command("one trial", _trial_arguments, _trial)
