"""What commands that question a trial share: their words, how it is opened, and how they answer."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

from rich.console import RenderableType

from leadline.analysis import progress, terminal
from leadline.analysis.sweep import Sweep, TrialView
from leadline.command_line import trial_number
from leadline.config import ConfigError
from leadline.measure import Measure, sign

__all__ = ["best", "opened", "plain", "show", "trial_arguments"]


def trial_arguments(parser: argparse.ArgumentParser, families: str, *, best: bool = False) -> None:
    """Adds SWEEP, NUMBER and `--json`.

    Args:
        parser: the command's.
        families: the names of the families that it reads, for the help.
        best: whether NUMBER may be left out; see `opened`.
    """
    parser.add_argument("sweep", metavar="SWEEP", help=f"folder or URI of a sweep of the {families} family")
    words = "the trial's number [the finished one that is best on validation]" if best else "the trial's number"
    given: dict[str, Any] = {"nargs": "?"} if best else {}
    parser.add_argument("number", type=trial_number, metavar="NUMBER", help=words, **given)
    parser.add_argument("--json", action="store_true", help="the whole answer as one JSON document")


def best(sweep: Sweep) -> TrialView:
    """Returns the finished trial that is best by the objective on validation, of all strata.

    Raises:
        ConfigError: if none has finished.
    """
    found = [trial for stratum in sweep.strata if (trial := progress.best(sweep.history, stratum))]
    if not found:
        raise ConfigError(f"NUMBER: no trial of {sweep.name} has finished; name one")
    objective, factor = f"validation/{sweep.settings.metric}", sign(sweep.settings.mode)
    return sweep.trial(min(found, key=lambda trial: factor * trial.value(objective)).number)


def opened(given: argparse.Namespace, *families: str) -> TrialView:
    """Returns the trial that was named, without reading weights; the `best` one if none was.

    Raises:
        ConfigError: if the sweep trained none of these families, or no trial has finished.
        ValueError: if there is no such sweep or trial.
    """
    sweep = Sweep.open(given.sweep)
    if sweep.settings.family not in families:
        reads = ", ".join(families)
        raise ConfigError(f"sweep: {sweep.name} trained {sweep.settings.family}; this command reads {reads}")
    return best(sweep) if given.number is None else sweep.trial(given.number)


def plain(value: Any) -> Any:
    """Returns plain JSON values of dataclasses, tuples and measures.

    Non-finite numbers become None.
    """
    if isinstance(value, Measure):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(entry) for name, entry in value._asdict().items()}
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show(given: argparse.Namespace, answer: Any, page: Callable[[int], RenderableType]) -> None:
    """Prints the answer as JSON, or as a page for the terminal's width."""
    if given.json:
        print(json.dumps(plain(answer), indent=2, allow_nan=False))
        return
    console = terminal.console()
    console.print(page(console.width))
