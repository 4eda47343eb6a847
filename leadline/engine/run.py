"""Runs a study from its command line to its leaderboard."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from leadline.config import ConfigError
from leadline.engine import mirror, options, plan, provenance
from leadline.engine.address import Address, check_answers, find
from leadline.engine.driver import Driver
from leadline.engine.manifest import changes, manifest
from leadline.engine.ray import environment
from leadline.engine.ray.temporary import folder_for_sockets
from leadline.engine.recorded_params import check_fields
from leadline.engine.study import Study
from leadline.engine.supervisor import BAD_INPUT, DONE, FAILED, Parent, resume_command, supervise
from leadline.engine.sweep_name import candidates, is_free
from leadline.engine.waiting import waiting
from leadline.errors import in_one_line
from leadline.ledger import mirrored
from leadline.ledger.events import Opened
from leadline.ledger.history import History
from leadline.ledger.lease import Held, Lease
from leadline.ledger.reader import READING_PATIENCE, LedgerError, Scan, scan
from leadline.ledger.settings import Settings
from leadline.standard_streams import open_closed, show
from leadline.storage import PATIENCE, Folder

__all__ = ["drive", "main"]


def main(study: Study, manual: str = "", arguments: Sequence[str] | None = None) -> None:
    """Runs a sweep script and exits the process.

    Args:
        study: what the script asks.
        manual: the script's docstring, which `--help` shows.
        arguments: the command line; None for the process's own.

    Raises:
        SystemExit: always, with 0 if the sweep is done, 1 if it failed, 2 for bad input and 130 if
            it was interrupted.
    """

    open_closed()
    try:
        environment.check()
    except ConfigError as error:
        sys.exit(_refused(error))
    anew = ""
    if environment.announce():
        anew = "ray: was imported before main() was called, which must be called by the script itself then"

    def driver(given: Sequence[str], parent: Parent) -> int:
        return drive(study, manual, given, parent)

    sys.exit(supervise(driver, sys.argv[1:] if arguments is None else arguments, anew))


def drive(study: Study, manual: str, arguments: Sequence[str], parent: Parent) -> int:
    """Runs a driver from its command line to its end and returns the exit code.

    Bad input ends it with one line, before anything is started or written.
    """
    try:
        request = options.parse(study, arguments, manual)
        address = find(request.address)
        if address.kind == "submit" and not request.dry_run:
            with waiting(f"the cluster at {address.text} to answer"):
                check_answers(address)
            from leadline.engine.ray.jobs import as_job

            return as_job(study, request, arguments, address)
        storage = Folder.at(request.storage)
        try:
            return _begin(study, storage, request, parent, address)
        except OSError as error:
            raise ConfigError(f"storage: cannot use {storage}: {error}") from None
    except ConfigError as error:
        return _refused(error)


def _refused(error: ConfigError) -> int:
    print(f"error: {in_one_line(error)}", file=sys.stderr)
    return BAD_INPUT


def _begin(study: Study, storage: Folder, request: options.Request, parent: Parent, address: Address) -> int:
    alone = address.kind == "alone"
    known = None
    history = None
    code: provenance.Code | None = None
    complete = False
    changed: list[str] = []
    if request.resume:
        name = request.resume
        patience = READING_PATIENCE
        if parent.replaces:
            # The driver before this one has written to the sweep, so a store that does not show it
            # now is waited for as long as when writing.
            patience = request.given.get("storage_patience", PATIENCE)
        with waiting(f"the ledger of {name} in {storage}"):
            recorded = _recorded(storage, name, patience)
        events = recorded.events
        opened = next((event for event in reversed(events) if isinstance(event, Opened)), None)
        if opened is None:
            raise ConfigError(f"resume: {name} was ended before it began; begin it anew under another name")
        if newer := recorded.newer_settings:
            raise ConfigError(
                f"resume: {name} was begun by a newer version, and this one does not know its {', '.join(newer)}"
            )
        asked = opened.settings
        if asked.study != study.name:
            raise ConfigError(f"resume: {name} belongs to the study {asked.study}, not to {study.name}")
        study = study.of(asked.family)
        code = provenance.code_of(study.space, asked)
        changed = changes(opened.manifest, code, storage / name)
        # Before the settings, which hold fields too, but cannot name a trial that has them.
        changed += check_fields(asked.model_family(), events, changed=code.changed("family", opened.manifest))
        settings = options.resumed_settings(asked, study, request, alone=alone)
        settings, words = mirror.placed(settings, storage, asked="mirror" in request.given)
        changed += words
        known = recorded, plan.replayed(settings, study.space, events)
        history = known[1].history
        _check_resumable(settings, history, name)
        if parent.replaces:
            parent.running(name, request.storage, request.given.get("time_limit"), address.named)
        ended = not request.dry_run and history.closed == "done"
        complete = ended and plan.complete(settings, study.space, events, manifest(code))
        last = recorded.segments[-1].span.last
        copied = not (complete and settings.mirror) or mirror.completed(settings.mirror, name, last)
        if complete and copied and not parent.replaces:
            more_trials = settings.trials + len(settings.strata)
            more = f"--trials {more_trials} or --{settings.unit} {settings.reduction * settings.budget}"
            show(f"{name} is finished: nothing that was asked for is left to do; {more} extends it")
            return DONE
    else:
        study = study.of(request.family)
        settings, _ = mirror.placed(options.settings(study, request, alone=alone), storage, asked=True)
        if request.name and not is_free(storage / request.name):
            raise _exists(storage, request.name)
    checkpoint = plan.check_fits(settings, study.space, storage, history, alone=alone)
    if request.dry_run:
        events = known[0].events if known else []
        opening = manifest(code) if code else {}
        with waiting("the data, and the first steps that are timed"):
            told = plan.describe(settings, study.space, events, address.text, opening=opening, changed=changed)
        show(told)
        return DONE
    # A sweep that has begun is not refused: its trials may have halved their micro-batches, and
    # what the machine has available is another matter each time.
    fresh = alone and history is None and not parent.replaces
    if fresh:
        with waiting("what a full step needs of memory, which is worked out"):
            said = plan.check_memory(settings, study.space, checkpoint)
        if said:
            show(f"memory: {said}")
    with waiting("the code to be read"):
        code = code or provenance.code_of(study.space, settings)
    temporary = parent.scratch
    if alone and not complete:
        temporary = folder_for_sockets(parent.scratch)
    if temporary != parent.scratch:
        parent.made(temporary)
    _check_writable(storage)
    if request.given.get("mirror"):
        begun = history.manifests[0]["time"] if history else None
        mirror.check(settings.mirror, request.resume or request.name, begun)
    with waiting("the lease: another driver may hold it"):
        name, lease = _take_lease(storage, request, study, settings.storage_patience, parent, address.named)
    try:
        driver = Driver(
            study.space,
            settings,
            storage / name,
            name,
            request.storage,
            lease,
            parent,
            address,
            temporary,
            code,
            changed,
            checkpoint,
            known,
        )
        return driver.conclude() if complete else driver.go()
    finally:
        with contextlib.suppress(OSError):  # a lease that cannot be released runs out by itself
            lease.release()


def _take_lease(
    storage: Folder, request: options.Request, study: Study, patience: float, parent: Parent, address: str = ""
) -> tuple[str, Lease]:
    """Takes the lease of the sweep to go on with, or of a new one, whose name it then has.

    Raises:
        ConfigError: if another driver runs the sweep that was asked for, or a new one exists.
    """
    given = request.resume or request.name
    for name in [given] if given else candidates(study.name):
        if not (given or is_free(storage / name)):
            continue
        try:
            lease = _take(storage / name, name, patience, parent, resume_command(request.storage, name, address))
        except Held as holder:
            if request.resume:
                raise ConfigError(f"resume: {name} is still run by {holder}; end that one first") from None
            if given:
                raise ConfigError(f"name: {name} is run by {holder}; choose another name") from None
            continue
        # Looked at under the lease: another driver may have taken, used and returned it meanwhile.
        if request.resume or is_free(storage / name):
            return name, lease
        lease.release()
        if given:
            raise _exists(storage, name)
    raise AssertionError("there is always another name")


def _take(folder: Folder, name: str, patience: float, parent: Parent, resume: str) -> Lease:
    """Takes a sweep's lease; whoever loses it ends this process.

    Raises:
        Held: if another driver has it.
    """

    def lost(reason: str) -> None:
        try:
            print(
                f"\n{name}: this driver may not write any more: {reason}; go on with: {resume}",
                file=sys.stderr,
                flush=True,
            )
        finally:
            parent.ended(FAILED)
            os._exit(FAILED)

    return Lease.take(folder / "lease", lost, patience=patience)


def _recorded(storage: Folder, name: str, patience: float) -> Scan:
    if of := mirrored.origin(storage / name, patience):
        raise ConfigError(
            f"resume: {storage / name} is a mirror of {of}; resume that, or, where it is lost for good, "
            f"remove {storage / name}/{mirrored.MARKER}, and this is the sweep"
        )
    try:
        found = scan(storage / name / "ledger", patience)
    except LedgerError as error:
        raise ConfigError(f"resume: {error}; `leadline doctor {storage / name}` says what can be done") from None
    if found.segments:
        return found
    if not (storage / name).exists():
        raise ConfigError(
            f"resume: no sweep {name} in {storage}; sweeps there: {', '.join(storage.folders()) or 'none'}"
        )
    same = f"by --name {name} or " if is_free(storage / name) else ""
    raise ConfigError(f"resume: {name} in {storage} holds no event yet; begin it anew {same}under another name")


def _check_resumable(settings: Settings, history: History, name: str) -> None:
    proposed = len(history.search_trials())
    if settings.trials < proposed:
        raise ConfigError(f"trials: {settings.trials} are fewer than the {proposed} that {name} has proposed already")


def _exists(storage: Folder, name: str) -> ConfigError:
    return ConfigError(f"name: {name} exists in {storage}; go on with it by --resume {name}, or choose another name")


def _check_writable(storage: Folder) -> None:
    try:
        name = f".writable-{os.getpid()}"
        storage.write(name, b"")
        storage.files.delete_file(f"{storage.path}/{name}")
    except OSError as error:
        raise ConfigError(f"storage: cannot write to {storage}: {error}") from None
