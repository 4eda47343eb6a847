"""Removal of what nobody needs in a sweep's folder: `leadline gc SWEEP [--dry-run]`.

It removes:

* checkpoints without a manifest, which were cut off while they were written;
* checkpoints of trials that have ended, except that of the last report, the best on validation,
  and the newest intact one before the last;
* temporary files;
* on S3, multipart uploads that were never completed, of whatever age: no driver runs, so that a
  process that still uploads has lost its sweep.

A checkpoint that a last report or a best value names is kept whatever its state, and where the last
is not intact, so are all of that trial's. The ledger, the lease, notes, reports and unknown files
are not touched.
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from pyarrow import fs

from leadline.analysis.sweep import Sweep, place
from leadline.analysis.upkeep import multipart
from leadline.analysis.upkeep.sweep_files import Contents, Stored, contents, damage, may_run, size
from leadline.command_line import Command
from leadline.config import ConfigError
from leadline.ledger import lease
from leadline.ledger.history import Trial
from leadline.ledger.retention import needed
from leadline.storage import Folder

__all__ = ["GC", "Removal", "plan", "remove"]


@dataclass(frozen=True)
class Removal:
    """What is removed together: a checkpoint's folder, one file, or an upload.

    Attributes:
        path: the checkpoint's folder, the file, or the target of the upload, below the sweep's
            folder.
        files: its files, below the sweep's folder, in the order in which they are removed.
        size: bytes.
        why: why it can be removed, in words.
        upload: S3's name of the upload to end; empty where files are removed.
    """

    path: str
    files: list[str]
    size: int
    why: str
    upload: str = ""


def plan(folder: Folder) -> list[Removal]:
    """Returns what can be removed, in order of paths.

    A trial whose last checkpoint is not intact is named in a warning.

    Raises:
        ConfigError: if a driver runs the sweep, or may.
        ValueError: if there is no sweep; the message says what is there.
        LedgerError: if the ledger is damaged before its last segment.
    """
    # The files are listed before the lease is looked at, so that nothing of a driver that starts
    # meanwhile is among them.
    held = contents(folder)
    uploads = _uploads(folder)
    sweep = Sweep.open(folder)
    if may_run(folder, sweep.history):
        raise ConfigError(f"sweep: {sweep.name} {_holder(folder)}; wait until it has ended, or resume it to its end")
    protected = {
        (trial.number, name) for trial in sweep.history.trials.values() for name in needed(sweep.history, trial)
    }
    found = list(_superseded(sweep, held))
    for stored in held.cut_off:
        if (stored.trial, stored.name) not in protected:
            found.append(_whole(stored, "cut off while it was written"))
    found += [Removal(path, [path], amount, "temporary") for path, amount in held.temporary.items()]
    found += [
        Removal(upload.path, [], upload.size, "an upload that was never completed", upload.id) for upload in uploads
    ]
    return sorted(found, key=lambda removal: removal.path)


def _uploads(folder: Folder) -> list[multipart.Upload]:
    try:
        return multipart.unfinished(folder) if multipart.possible(folder) else []
    except (ImportError, OSError) as error:
        warnings.warn(str(error), stacklevel=2)
        return []


def _holder(folder: Folder) -> str:
    if lease.gone(folder / "lease") is False:
        return f"is run by {lease.holder(folder / 'lease')}"
    who = lease.holder(folder / "lease")
    return f"is not closed, and may be run by {who or 'a driver'}, which cannot be seen from here"


def _superseded(sweep: Sweep, held: Contents) -> Iterator[Removal]:
    for number, trial in sweep.history.trials.items():
        if trial.open or not trial.reports or trial.reports[-1].checkpoint is None:
            continue
        for stored in _spare(sweep, trial, held.published(number)):
            yield _whole(stored, f"trial {number} has ended and does not need it")


def _spare(sweep: Sweep, trial: Trial, held: list[Stored]) -> list[Stored]:
    """Returns the checkpoints of an ended trial that nobody needs, newest first.

    Checkpoints are read only where there may be some to remove.
    """
    last = str(trial.reports[-1].checkpoint)
    kept = needed(sweep.history, trial)
    names = [stored.name for stored in held]
    older = names[names.index(last) + 1 :] if last in names else []
    if set(names) <= kept | set(older[:1]):
        return []
    wrong = damage(sweep.folder, trial.number, last)
    if wrong:
        warnings.warn(
            f"trial {trial.number}: all its checkpoints stay, as that of its last report is damaged: {wrong}",
            stacklevel=2,
        )
        return []
    kept |= set(itertools.islice((name for name in older if not damage(sweep.folder, trial.number, name)), 1))
    return [stored for stored in held if stored.name not in kept]


def _whole(stored: Stored, why: str) -> Removal:
    return Removal(stored.path, [f"{stored.path}/{name}" for name in stored.files], stored.size, why)


def remove(folder: Folder, removal: Removal) -> None:
    """Removes the files, and a checkpoint's folder once it is empty; or ends the upload.

    Files that are gone already are ignored.

    Raises:
        OSError: if the storage refuses.
    """
    if removal.upload:
        multipart.abort(folder, removal.path, removal.upload)
        return
    for name in removal.files:
        try:
            folder.files.delete_file(f"{folder.path}/{name}")
        except FileNotFoundError:
            continue
    above = folder / removal.files[0].rsplit("/", 1)[0]
    is_checkpoints = above.path.rsplit("/", 1)[-1].startswith("step-")
    if is_checkpoints and not folder.files.get_file_info(fs.FileSelector(above.path, allow_not_found=True)):
        above.delete()


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")


def _gc(given: argparse.Namespace) -> None:
    folder = place(given.sweep)
    found = plan(folder)
    verb = "would remove" if given.dry_run else "removed"
    for removal in found:
        if not given.dry_run:
            remove(folder, removal)
        print(f"{verb} {removal.path}, {size(removal.size)}: {removal.why}", flush=True)
    print(f"{verb} {size(sum(removal.size for removal in found))} in all" if found else "nothing to remove")


GC = Command("removes checkpoints that nobody needs, uploads that were cut off, temporary files", _arguments, _gc)
