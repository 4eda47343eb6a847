"""The command that questions a trained physics network.

leadline failures SWEEP NUMBER       where its predictions go wrong
"""

from __future__ import annotations

import argparse

from analysis.questions import opened, show, trial_arguments
from leadline.command_line import Command

__all__ = ["FAILURES"]


def _arguments(parser: argparse.ArgumentParser) -> None:
    trial_arguments(parser, "physics")


def _failures(given: argparse.Namespace) -> None:
    from analysis.physics.failures import failures
    from analysis.physics.tables import failures_page
    from trainables.physics.family import PHYSICS

    view = opened(given, PHYSICS.name)
    found = failures(view, PHYSICS.config(view.config))
    show(given, found, lambda width: failures_page(found))


FAILURES = Command("where a trial's predicted flights go wrong", _arguments, _failures)
