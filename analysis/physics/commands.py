"""The command that questions a trained physics network.

leadline failures SWEEP NUMBER       where its predictions go wrong
"""

from __future__ import annotations

import argparse
import json

from leadline.analysis import terminal
from leadline.command_line import Command, trial_number
from leadline.config import ConfigError

__all__ = ["FAILURES"]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep of the physics family")
    parser.add_argument("number", type=trial_number, metavar="NUMBER", help="the trial's number")
    parser.add_argument("--json", action="store_true", help="the whole answer as one JSON document")


def _failures(given: argparse.Namespace) -> None:
    from analysis.collatz.tables import plain
    from analysis.physics.failures import failures
    from analysis.physics.tables import failures_page
    from leadline.analysis.sweep import Sweep
    from trainables.physics.family import PHYSICS

    sweep = Sweep.open(given.sweep)
    if sweep.settings.family != PHYSICS.name:
        raise ConfigError(f"sweep: {sweep.name} trained {sweep.settings.family}; this command reads {PHYSICS.name}")
    view = sweep.trial(given.number)
    found = failures(view, PHYSICS.config(view.config))
    if given.json:
        print(json.dumps(plain(found), indent=2, allow_nan=False))
        return
    terminal.console().print(failures_page(found))


FAILURES = Command("where a trial's predicted flights go wrong", _arguments, _failures)
