"""The files of a sweep's folder beside its ledger, and whether its driver may still write there.

`doctor` and `gc` use it. A caller lists first and asks the ledger and the lease afterwards: files
of a driver that starts later are then not in the list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from leadline.ledger import lease
from leadline.ledger.history import History
from leadline.ledger.layout import trial_folder
from leadline.ledger.reader import READING_PATIENCE
from leadline.plain import plural
from leadline.storage import TEMPORARY, Folder

__all__ = ["Contents", "Stored", "contents", "damage", "may_run", "size"]

# The manifest is first, because files are removed in this order: a removal that is cut off then
# leaves a folder that is no checkpoint, rather than a damaged checkpoint.
_FILES = ("manifest.json", "record.json", "state.pt")
_PLACE = re.compile(r"(trials/(?:\d{4}|[1-9]\d{4,})/attempt-\d+/step-\d+)/([^/]+)")


@dataclass(frozen=True)
class Stored:
    """A checkpoint's folder.

    Attributes:
        path: the folder's path below the sweep's folder.
        files: the checkpoint's own files, by name with sizes in bytes.
    """

    path: str
    files: dict[str, int]

    @property
    def trial(self) -> int:
        """The number of the trial that the checkpoint belongs to."""
        return int(self.path.split("/")[1])

    @property
    def name(self) -> str:
        """The checkpoint's name, as in reports and in `CheckpointStore`."""
        return self.path.split("/", 2)[2]

    @property
    def step(self) -> int:
        """The training step."""
        return int(self.path.rsplit("-", 1)[1])

    @property
    def attempt(self) -> int:
        """The number of the attempt that wrote it."""
        return int(self.name.split("/")[0].removeprefix("attempt-"))

    @property
    def published(self) -> bool:
        """Whether the checkpoint has a manifest, which is written last."""
        return _FILES[0] in self.files

    @property
    def size(self) -> int:
        """The size of all its files in bytes."""
        return sum(self.files.values())


@dataclass(frozen=True)
class Contents:
    """All files of a sweep.

    Attributes:
        files: sizes in bytes, by path below the sweep's folder.
        checkpoints: checkpoints by trial, newest first by step and attempt.
        temporary: temporary files, with sizes in bytes.
    """

    files: dict[str, int]
    checkpoints: dict[int, list[Stored]]
    temporary: dict[str, int]

    def published(self, trial: int) -> list[Stored]:
        """Returns a trial's checkpoints that have a manifest, newest first."""
        return [stored for stored in self.checkpoints.get(trial, []) if stored.published]

    @property
    def cut_off(self) -> list[Stored]:
        """Checkpoints without a manifest, in order of their paths."""
        found = [stored for held in self.checkpoints.values() for stored in held if not stored.published]
        return sorted(found, key=lambda stored: stored.path)


def contents(folder: Folder) -> Contents:
    """Lists a sweep's folder.

    Raises:
        OSError: if the storage refuses.
    """
    files = folder.sizes(recursive=True, hidden=True)
    places: dict[str, dict[str, int]] = {}
    for path in files:
        match = _PLACE.fullmatch(path)
        if match and match[2] in _FILES:
            places.setdefault(match[1], {})[match[2]] = files[path]
    checkpoints: dict[int, list[Stored]] = {}
    stored = [Stored(path, {name: held[name] for name in _FILES if name in held}) for path, held in places.items()]
    for found in sorted(stored, key=lambda found: (found.step, found.attempt), reverse=True):
        checkpoints.setdefault(found.trial, []).append(found)
    temporary = {path: files[path] for path in sorted(files) if TEMPORARY.fullmatch(path.rsplit("/", 1)[-1])}
    return Contents(files, checkpoints, temporary)


def may_run(folder: Folder, history: History) -> bool:
    """Returns whether a driver holds the sweep's lease, or may hold it.

    It may hold it where it cannot be seen from here and has not closed the ledger.
    """
    try:
        gone = lease.gone(folder / "lease")
    except (TypeError, ValueError):  # its files are damaged
        gone = None
    return not gone and (gone is False or not history.closed)


def damage(folder: Folder, trial: int, name: str) -> str:
    """Returns what is wrong with a trial's checkpoint; empty where it is intact.

    The checkpoint is read whole.
    """
    from leadline.checkpoint import CheckpointStore, DamagedCheckpoint

    try:
        CheckpointStore(folder / trial_folder(trial), patience=READING_PATIENCE).load(name)
    except DamagedCheckpoint as error:
        return str(error)
    return ""


def size(amount: int) -> str:
    """Returns a number of bytes in words."""
    return plural(amount, "byte", grouped=True)
