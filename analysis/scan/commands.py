"""The command that questions a trained SCAN network.

leadline failures SWEEP [NUMBER]     where its answers are wrong
"""

from __future__ import annotations

import argparse
import json

from leadline.analysis import progress, terminal
from leadline.analysis.sweep import Sweep, TrialView
from leadline.command_line import Command, count, trial_number
from leadline.config import ConfigError
from leadline.measure import sign

__all__ = ["FAILURES"]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep of the scan family")
    parser.add_argument(
        "number",
        type=trial_number,
        nargs="?",
        metavar="NUMBER",
        help="the trial's number [the finished one that is best on validation]",
    )
    parser.add_argument("--json", action="store_true", help="the whole answer as one JSON document")
    parser.add_argument(
        "--examples", type=count, default=2, metavar="N", help="wrong answers of each score [%(default)s]"
    )


def _best(sweep: Sweep) -> TrialView:
    """Returns the finished trial that is best by the objective on validation, of all strata.

    Raises:
        ConfigError: if none has finished.
    """
    found = [trial for stratum in sweep.strata if (trial := progress.best(sweep.history, stratum))]
    if not found:
        raise ConfigError(f"NUMBER: no trial of {sweep.name} has finished; name one")
    objective, factor = f"validation/{sweep.settings.metric}", sign(sweep.settings.mode)
    return sweep.trial(min(found, key=lambda trial: factor * trial.reports[-1].value(objective)).number)


def _failures(given: argparse.Namespace) -> None:
    from analysis.collatz.tables import plain
    from analysis.scan.failures import failures
    from analysis.scan.tables import failures_page
    from trainables.scan.family import SCAN

    sweep = Sweep.open(given.sweep)
    if sweep.settings.family != SCAN.name:
        raise ConfigError(f"sweep: {sweep.name} trained {sweep.settings.family}; this command reads {SCAN.name}")
    view = _best(sweep) if given.number is None else sweep.trial(given.number)
    found = failures(view, SCAN.config(view.config), given.examples)
    if given.json:
        print(json.dumps(plain(found), indent=2, allow_nan=False))
        return
    terminal.console().print(failures_page(found))


FAILURES = Command("where a trial's answers are wrong", _arguments, _failures)
