"""Runs a study from its command line to its leaderboard."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence

from sweeps.engine import options, plan
from sweeps.engine.driver import Driver
from sweeps.engine.study import Settings, Study
from sweeps.engine.supervisor import DONE, FAILED, Parent, supervise
from sweeps.ledger.history import History
from sweeps.ledger.lease import Held, Lease
from sweeps.ledger.segments import Event, LedgerError, read
from trainables.config import ConfigError
from trainables.storage import Folder

__all__ = ["BAD_INPUT", "drive", "main"]

BAD_INPUT = 2


def main(study: Study, manual: str = "", arguments: Sequence[str] | None = None) -> None:
    """The whole of a sweep script: exits with 0 done, 1 failed, 2 bad input, 130 interrupted.

    Args:
        study: what the script asks.
        manual: its docstring, shown by `--help`.
        arguments: the command line; None for the process's own.
    """

    def driver(given: Sequence[str], parent: Parent) -> int:
        return drive(study, manual, given, parent)

    sys.exit(supervise(driver, sys.argv[1:] if arguments is None else arguments))


def drive(study: Study, manual: str, arguments: Sequence[str], parent: Parent) -> int:
    """A driver's life; bad input ends it with one line, before anything is started or written. Returns the exit code."""
    try:
        request = options.parse(study, arguments, manual)
        storage = Folder.at(request.storage)
        try:
            return _begin(study, storage, request, parent)
        except OSError as error:
            raise ConfigError(f"storage: cannot use {storage}: {error}") from None
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


def _begin(study: Study, storage: Folder, request: options.Request, parent: Parent) -> int:
    recorded: list[Event] = []
    if request.resume:
        recorded = _recorded(storage, request.resume)
        history = History.of(recorded)
        settings = options.resumed_settings(Settings.from_dict(history.settings), study, request)
        _check_resumable(settings, history, request.resume)
        name = request.resume
        if not request.dry_run and plan.complete(settings, study.space, recorded):
            more = f"--trials {settings.trials + len(settings.strata)} or --{settings.unit} {settings.reduction * settings.steps}"
            print(f"{name} is finished: nothing that was asked for is left to do; {more} extends it")
            return DONE
    else:
        settings = options.settings(study, request)
        name = _free_name(storage, request.name, study.name)
    if not request.dry_run:
        _check_writable(storage)
    checkpoint = plan.check_fits(settings, study.space, storage, recorded)
    if request.dry_run:
        print(plan.describe(settings, study.space, recorded))
        return DONE
    lease = _take(storage / name, name, parent)
    try:
        return Driver(study.space, settings, storage / name, name, request.storage, lease, parent, checkpoint).go()
    finally:
        with contextlib.suppress(OSError):  # it then runs out by itself
            lease.release()


def _take(folder: Folder, name: str, parent: Parent) -> Lease:
    def lost(reason: str) -> None:
        print(f"\n{name}: this driver may not write any more: {reason}", file=sys.stderr, flush=True)
        parent.ended(FAILED)
        os._exit(FAILED)

    try:
        return Lease.take(folder / "lease", lost)
    except Held as holder:
        raise ConfigError(f"resume: {name} is still run by {holder}; end that one first") from None


def _recorded(storage: Folder, name: str) -> list[Event]:
    if not (storage / name).exists():
        raise ConfigError(f"resume: no sweep {name} in {storage}; sweeps there: {', '.join(storage.folders()) or 'none'}")
    try:
        events = read(storage / name / "ledger")
    except LedgerError as error:
        raise ConfigError(f"resume: {error}") from None
    if not events:
        raise ConfigError(f"resume: {name} in {storage} holds no event yet; begin it anew under another name")
    return events


def _check_resumable(settings: Settings, history: History, name: str) -> None:
    proposed = len(history.search_trials())
    if settings.trials < proposed:
        raise ConfigError(f"trials: {settings.trials} are fewer than the {proposed} that {name} has proposed already")


def _free_name(storage: Folder, asked: str | None, study: str) -> str:
    name = asked or f"{study}-{time.strftime('%Y%m%d-%H%M%S')}"
    if (storage / name).exists():
        raise ConfigError(f"name: {name} exists in {storage}; go on with it by --resume {name}, or choose another name")
    return name


def _check_writable(storage: Folder) -> None:
    try:
        storage.write(".writable", b"")
        storage.files.delete_file(f"{storage.path}/.writable")
    except OSError as error:
        raise ConfigError(f"storage: cannot write to {storage}: {error}") from None
