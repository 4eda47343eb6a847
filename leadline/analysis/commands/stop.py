"""The command that ends a running sweep: `leadline stop SWEEP`.

It works from any machine that reaches the sweep's storage. The request is stored beside the
driver's lease, where the driver looks every few seconds. The driver then ends as after Ctrl-C.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from leadline.analysis.sweep import Sweep, place
from leadline.command_line import Command
from leadline.config import ConfigError
from leadline.ledger import lease

__all__ = ["STOP", "stop"]

STARTING = "; a job that was submitted just now may still be starting, try again in a minute"
SECONDS = 60.0
"""Seconds for which the driver is waited for."""


def stop(path: str, seconds: float = SECONDS, say: Callable[[str], None] = print) -> bool:
    """Asks the driver to end and waits until it has given its lease back; returns whether it has.

    Raises:
        ConfigError: if there is no sweep, no driver runs it, or it has ended.
    """
    folder = place(path)
    try:
        Sweep.open(folder)
    except ValueError as error:
        raise ConfigError(f"stop: {error}{STARTING}") from None
    leases = folder / "lease"
    try:
        who = lease.ask_to_stop(leases)
    except LookupError as error:
        raise ConfigError(f"stop: {error}: {folder}{STARTING}") from None
    say(f"asked {who} to stop")
    until = time.monotonic() + seconds
    while not lease.gone(leases):
        if time.monotonic() > until:
            say(
                f"it has not given its lease back after {seconds:g} s; "
                "if its machine is gone, --resume takes the sweep over"
            )
            return False
        time.sleep(0.25)
    say("stopped; the sweep's script goes on with it by --resume")
    return True


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep")


def _stop(given: argparse.Namespace) -> int:
    return 0 if stop(given.sweep) else 1


STOP = Command("asks the driver of a running sweep to end, resumable", _arguments, _stop)
