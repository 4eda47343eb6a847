"""Diagnosis of a sweep's files, and what can be done: `leadline doctor SWEEP [--json]`.

It reads everything and writes nothing, also while the sweep runs. Each check is a line: `ok`,
`warning` (nothing is lost, or it cannot be known), or `damaged`.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Literal

from leadline.analysis.sweep import Sweep, place
from leadline.analysis.upkeep import multipart
from leadline.analysis.upkeep.ledger_check import Chain, examine
from leadline.analysis.upkeep.sweep_files import Contents, contents, damage, may_run, size
from leadline.command_line import Command
from leadline.ledger import lease
from leadline.ledger.history import Trial
from leadline.ledger.layout import trial_folder
from leadline.ledger.mirrored import origin
from leadline.ledger.retention import needed
from leadline.plain import plural
from leadline.storage import Folder

__all__ = ["DAMAGED", "DOCTOR", "Check", "diagnose"]

DAMAGED = 1
"""The exit code where something is damaged."""
SHOWN = 20
"""The number of details that are printed for a check; `--json` has all."""
UNDER_WAY = datetime.timedelta(days=1)
"""The age below which an upload of a running sweep is not called forgotten."""
_COLLECT = "`leadline gc` removes them once the sweep has ended"


@dataclass(frozen=True)
class Check:
    """One check of a sweep's files.

    Attributes:
        name: what was checked.
        state: the result.
        found: what was found, in words.
        remedy: what can be done about it; empty where nothing need be done.
        details: what was found, one by one.
    """

    name: str
    state: Literal["ok", "warning", "damaged"]
    found: str
    remedy: str = ""
    details: list[str] = field(default_factory=list)


def diagnose(folder: Folder) -> list[Check]:
    """Checks storage, lease, ledger, trials, uploads and temporary files, in this order.

    On S3 it also checks multipart uploads, last. Where the storage cannot be read, that is the only
    check.

    Raises:
        ValueError: if there is no sweep; the message says what is there.
    """
    try:
        if not folder.exists("ledger") and not folder.exists("trials"):
            Sweep.open(folder)  # which says what is there
        held = contents(folder)
        chain = examine(folder / "ledger")
        return [_storage(folder, held), _lease(folder, chain), _ledger(chain), *_files(folder, held, chain)]
    except OSError as error:
        remedy = "check that it is there, and that this user may read it"
        return [Check("storage", "damaged", f"{folder} cannot be read: {error}", remedy)]


def _files(folder: Folder, held: Contents, chain: Chain) -> list[Check]:
    runs = may_run(folder, chain.history)
    found = [_trials(folder, held, chain, runs), _uploads(folder, held, chain, runs), _temporary(held, runs)]
    return [*found, _multipart(folder, runs)] if multipart.possible(folder) else found


def _storage(folder: Folder, held: Contents) -> Check:
    amount = sum(held.files.values())
    return Check(
        "storage",
        "ok",
        f"{folder} can be listed and read: {len(held.files):,} files, {size(amount)}; writing was not tried",
    )


def _lease(folder: Folder, chain: Chain) -> Check:
    place, closed = folder / "lease", chain.history.closed
    try:
        number, gone, who = lease.last(place), lease.gone(place), lease.holder(place)
    except (TypeError, ValueError) as error:
        return Check("lease", "warning", f"cannot be understood: {error}", f"look at the files of {place}")
    if not number:
        return Check("lease", "ok", f"none was taken{_mirrored(folder)}")
    if gone is False:
        return Check("lease", "ok", f"held by {who}, which runs")
    if place.exists(f"{number:08d}.end"):
        return Check("lease", "ok", f"nobody holds it; the last was {who}")
    if gone is None:
        found = f"held by {who}; whether it runs cannot be known from here"
        return Check(
            "lease",
            "warning",
            found,
            f"look there, or let `--resume` do so, which waits {lease.SECONDS:g} s for a sign of life",
        )
    left = "" if closed else ", and left the sweep unfinished"
    return Check(
        "lease",
        "warning",
        f"{who} has ended without giving it back{left}",
        "" if closed else "`--resume` takes over at once",
    )


def _mirrored(folder: Folder) -> str:
    """Returns what the folder is a mirror of, in words; empty where it is none."""
    of = origin(folder)
    return f": it is a mirror of {of}" if of else ""


def _ledger(chain: Chain) -> Check:
    segments, events = (
        plural(chain.segments, "intact segment", grouped=True),
        plural(chain.events, "event", grouped=True),
    )
    held = f"{segments} with {events}"
    aside = [f"{name}: set aside by an earlier driver" for name in chain.aside]
    aside += [f"{name}: is in a compacted segment too; the next driver removes it" for name in chain.covered]
    if chain.damage is None and not chain.segments:
        return Check(
            "ledger",
            "damaged",
            "there is no segment",
            "without it the sweep cannot go on; restore it from a copy",
            aside,
        )
    if chain.damage is None:
        ending = f"closed: {chain.history.closed}" if chain.history.closed else "not closed"
        return Check("ledger", "ok", f"{held}, each following the one before; {ending}", details=aside)
    found = f"{chain.damage.where} {chain.damage.what}; before it {held}"
    if chain.damage.tail:
        remedy = (
            "`--resume` sets this last segment aside; its group of events is lost, "
            "and trials go on from their checkpoints"
        )
        return Check("ledger", "damaged", found, remedy, aside)
    return Check("ledger", "damaged", found, "no driver mends this; restore the file from a copy", aside)


def _trials(folder: Folder, held: Contents, chain: Chain, runs: bool) -> Check:
    """Checks the last checkpoints of trials, which are read whole.

    Trials that ended must have the checkpoint of their last report; of those that go on, the newest
    must be intact.
    """
    ended = [
        trial for trial in chain.history.trials.values() if trial.status in ("finished", "stopped") and trial.reports
    ]
    kept = [trial for trial in ended if trial.reports[-1].checkpoint]
    problems = list(filter(None, (_problem(folder, held, trial) for trial in kept)))
    back = (
        []
        if runs
        else list(
            filter(None, (_step_back(folder, held, trial) for trial in chain.history.trials.values() if trial.open))
        )
    )
    unknown = sorted(held.checkpoints.keys() - chain.history.trials.keys())
    strange = [f"trial {number}: has checkpoints, and the ledger does not know it" for number in unknown]
    intact = (
        f"{len(kept) - len(problems)} of {len(kept)} that finished or were stopped "
        "have the checkpoint of their last report intact"
    )
    before = "" if chain.damage is None else ", by the ledger before its damage"
    if problems:
        remedy = "`leadline train --from SWEEP TRIAL` trains one again"
        return Check("trials", "damaged", intact + before, remedy, problems + strange)
    if back:
        return Check(
            "trials", "warning", intact + before, "`--resume` goes back one checkpoint in these", back + strange
        )
    if strange:
        lost = "the ledger has lost its end; `--resume` proposes these trials again"
        return Check("trials", "warning", intact + before, "" if chain.damage else lost, strange)
    return Check("trials", "ok", intact + before)


def _step_back(folder: Folder, held: Contents, trial: Trial) -> str:
    """Returns what is wrong with the newest checkpoint of a trial that goes on.

    It is empty where that is intact, or there is none.
    """
    names = [stored.name for stored in held.published(trial.number)]
    wrong = damage(folder, trial.number, names[0]) if names else ""
    return (
        f"trial {trial.number}: {wrong}; {f'{names[1]} is before it' if names[1:] else 'it begins anew'}"
        if wrong
        else ""
    )


def _problem(folder: Folder, held: Contents, trial: Trial) -> str:
    """Returns what is wrong with the checkpoint of a trial's last report, and which replaces it.

    It is empty where the checkpoint is intact.
    """
    wanted, number = str(trial.reports[-1].checkpoint), trial.number
    wrong = damage(folder, number, wanted)
    if wrong and not folder.exists(f"{trial_folder(number)}/{wanted}"):
        wrong = f"{wanted} is missing"
    if not wrong:
        return ""
    others = [stored.name for stored in held.published(number) if stored.name != wanted]
    instead = next((name for name in others if not damage(folder, number, name)), "")
    rest = f"{instead} is used instead" if instead else "no other is intact: its weights are lost"
    return f"trial {number}: {wrong}; {rest}"


def _uploads(folder: Folder, held: Contents, chain: Chain, runs: bool) -> Check:
    """Checks for checkpoints without a manifest.

    Where the sweep runs, those that its trials may be writing now do not count.
    """
    found = held.cut_off
    if runs:
        attempts = {
            trial.number: trial.attempts for trial in chain.history.trials.values() if trial.status == "running"
        }
        found = [stored for stored in found if attempts.get(stored.trial) != stored.attempt]
        # A trial may have published or removed one since it was listed, and have ended.
        found = [
            stored
            for stored in found
            if folder.exists(stored.path) and not folder.exists(f"{stored.path}/manifest.json")
        ]
    if not found:
        writing = f"; {len(held.cut_off)} may be under way" if held.cut_off else ""
        return Check("uploads", "ok", f"no checkpoint without a manifest{writing}")
    amount = sum(stored.size for stored in found)
    named = {(trial.number, name) for trial in chain.history.trials.values() for name in needed(chain.history, trial)}
    stays = dict.fromkeys(named, "; a last or best report names it, so that `gc` leaves it")
    details = [f"{stored.path}: {size(stored.size)}{stays.get((stored.trial, stored.name), '')}" for stored in found]
    return Check("uploads", "warning", f"{len(found)} cut off, without a manifest: {size(amount)}", _COLLECT, details)


def _temporary(held: Contents, runs: bool) -> Check:
    found = held.temporary
    if not found:
        return Check("temporary", "ok", "no temporary file")
    words = f"{plural(len(found), 'temporary file')}: {size(sum(found.values()))}"
    if runs:
        return Check("temporary", "ok", f"{words}; they may be in use")
    return Check("temporary", "warning", words, _COLLECT, [f"{path}: {size(amount)}" for path, amount in found.items()])


def _multipart(folder: Folder, runs: bool) -> Check:
    """Checks for uploads that S3 still waits for.

    Where the sweep runs, those begun within `UNDER_WAY` are taken to be its own.
    """
    try:
        found = multipart.unfinished(folder)
    except (ImportError, OSError) as error:
        return Check("multipart", "warning", f"not looked at: {error}")
    since = datetime.datetime.now(datetime.UTC) - UNDER_WAY
    old = [upload for upload in found if not runs or upload.begun < since]
    if not old:
        return Check(
            "multipart",
            "ok",
            f"no upload that was never completed{f'; {len(found)} may be under way' if found else ''}",
        )
    amount = size(sum(upload.size for upload in old))
    details = [f"{upload.path}: {size(upload.size)}, begun {upload.begun:%Y-%m-%d %H:%M} UTC" for upload in old]
    return Check("multipart", "warning", f"{len(old)} begun and never completed: {amount}", _COLLECT, details)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep")
    parser.add_argument("--json", action="store_true", help="all that was found as one JSON document")


def _doctor(given: argparse.Namespace) -> int:
    folder = place(given.sweep)
    checks = diagnose(folder)
    if given.json:
        print(
            json.dumps(
                {"sweep": folder.path.rsplit("/", 1)[-1], "checks": [asdict(check) for check in checks]}, indent=2
            )
        )
    else:
        print("\n".join(line for check in checks for line in _lines(check)))
    return DAMAGED if any(check.state == "damaged" for check in checks) else 0


def _lines(check: Check) -> Iterator[str]:
    yield f"{check.name:<9}  {check.state:<7}  {check.found}{f'; {check.remedy}' if check.remedy else ''}"
    indent: Callable[[str], str] = "           {}".format
    yield from map(indent, check.details[:SHOWN])
    if len(check.details) > SHOWN:
        yield indent(f"and {len(check.details) - SHOWN} more; --json names all")


DOCTOR = Command("what is wrong with a sweep's files, and what can be done", _arguments, _doctor)
