"""The command that questions a trained SCAN network.

leadline failures SWEEP [NUMBER]     where its answers are wrong
"""

from __future__ import annotations

import argparse

from analysis.questions import opened, show, trial_arguments
from leadline.command_line import Command, count

__all__ = ["FAILURES"]


def _arguments(parser: argparse.ArgumentParser) -> None:
    trial_arguments(parser, "scan", best=True)
    parser.add_argument(
        "--examples", type=count, default=2, metavar="N", help="wrong answers of each score [%(default)s]"
    )


def _failures(given: argparse.Namespace) -> None:
    from analysis.scan.failures import failures
    from analysis.scan.tables import failures_page
    from trainables.scan.family import SCAN

    view = opened(given, SCAN.name)
    found = failures(view, SCAN.config(view.config), given.examples)
    show(given, found, lambda width: failures_page(found))


FAILURES = Command("where a trial's answers are wrong", _arguments, _failures)
