"""Ends a running sweep from anywhere that reaches its storage: `python -m analysis stop SWEEP`.

The request lies beside the driver's lease, where the driver looks every few seconds. It closes its books as after Ctrl-C.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from leadline.analysis.sweep import Sweep, place
from leadline.config import ConfigError
from leadline.ledger import lease

__all__ = ["register"]

STARTING = "; a job that was submitted just now may still be starting, try again in a minute"
SECONDS = 60.0
"""How long the driver is waited for."""


def stop(path: str, seconds: float = SECONDS, say: Callable[[str], None] = print) -> bool:
    """Asks the driver to end and waits until it has given its lease back. Returns whether it has.

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
                f"it has not given its lease back after {seconds:g} s; if its machine is gone, --resume takes the sweep over"
            )
            return False
        time.sleep(0.25)
    say("stopped; the sweep's script goes on with it by --resume")
    return True


def register(commands: Any) -> None:
    """Adds `stop`."""
    parser = commands.add_parser("stop", help="asks the driver of a running sweep to end, resumable")
    parser.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep")
    parser.set_defaults(run=_stop)


def _stop(given: argparse.Namespace) -> int:
    return 0 if stop(given.sweep) else 1
