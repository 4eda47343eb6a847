"""The checkpoint store of one trial.

    <trial>/attempt-01/step-000000400/state.pt       tensors and plain values, loaded with `weights_only=True`
                                      record.json    configuration and the trial's report history
                                      manifest.json  sizes and sha256 of both, written last

A checkpoint exists once its manifest verifies. Attempts write below their own number, so one that comes back from the
dead harms nothing; a starting attempt takes the newest intact checkpoint of all attempts.

A store that refuses or does not answer is waited for (`leadline.storage.patiently`). It is never taken for damage.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import pickle
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from leadline.storage import PATIENCE, Folder, patiently

__all__ = ["Checkpoint", "CheckpointStore", "DamagedCheckpoint", "attempt_folder", "checkpoint_name"]

MANIFEST = "manifest.json"
# What `torch.load` raises for bytes that are no checkpoint depends on the byte that it stumbles over.
_UNREADABLE = (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError)
# What a read raises for a file that is not there, or is none; any other OSError says nothing about the file.
_MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_Found = TypeVar("_Found")
_NAME = re.compile(rf"(attempt-(\d+)/step-(\d+))/{re.escape(MANIFEST)}")


def attempt_folder(attempt: int) -> str:
    """The folder of an attempt's checkpoints and log, below its trial's, as in `attempt-01`."""
    return f"attempt-{attempt:02d}"


def checkpoint_name(attempt: int, step: int) -> str:
    """The folder of a checkpoint, below its trial's, as in `attempt-01/step-000000400`."""
    return f"{attempt_folder(attempt)}/step-{step:09d}"


def _fingerprint(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _size(fingerprint: Any) -> int:
    """Bytes by a manifest that may be damaged."""
    size = fingerprint.get("size") if isinstance(fingerprint, dict) else 0
    return size if isinstance(size, int) and 0 <= size < 2**40 else 0


class DamagedCheckpoint(ValueError):
    """A checkpoint that is not what its manifest says; the message names the file."""


@dataclass(frozen=True)
class Checkpoint:
    """An intact checkpoint: `name` relative to the trial's folder, the training state and the record beside it."""

    name: str
    step: int
    state: dict[str, Any]
    record: dict[str, Any]


class CheckpointStore:
    """Publishes and finds the checkpoints of one trial.

    Each method raises StorageError where the storage has refused or not answered for `patience` seconds.

    Args:
        folder: the trial's.
        attempt: the number below which this process writes.
        patience: seconds for which the storage is waited for; what a slow one needs for a checkpoint's bytes comes on top.
        alive: called about each second meanwhile.
        say: told, in a line, when the waiting begins and when it was not in vain.
    """

    def __init__(
        self,
        folder: Folder,
        attempt: int = 1,
        *,
        patience: float = PATIENCE,
        alive: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.folder = folder
        self.attempt = attempt
        self.patience = patience
        self._alive, self._say = alive, say

    def telling(self, alive: Callable[[], None], say: Callable[[str], None]) -> CheckpointStore:
        """The same store, telling others when it waits."""
        other = copy.copy(self)
        other._alive, other._say = alive, say
        return other

    def publish(self, step: int, state: Mapping[str, Any], record: Mapping[str, Any]) -> str:
        """Stores a checkpoint and returns its name once it has been read back and is what was written.

        Raises:
            StorageError: if that has not come about in time; the checkpoint may then be there in part, without a manifest.
            OSError: if it never can, as a folder has the name of a file.
        """
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        contents = {"state.pt": buffer.getvalue(), "record.json": json.dumps(record).encode()}
        manifest = {"step": step, "files": {file: _fingerprint(content) for file, content in contents.items()}}
        contents[MANIFEST] = json.dumps(manifest).encode()
        name = checkpoint_name(self.attempt, step)
        # Written and read back: a slow store needs the time twice.
        self._patiently(lambda: self._write(name, contents), name, 2 * sum(map(len, contents.values())))
        return name

    def names(self) -> list[str]:
        """All checkpoints that have a manifest, newest first: by step, then by attempt."""
        files = self._patiently(lambda: self.folder.sizes(recursive=True))
        found = filter(None, map(_NAME.fullmatch, files))
        return [match[1] for match in sorted(found, key=lambda match: (int(match[3]), int(match[2])), reverse=True)]

    def load(self, name: str) -> Checkpoint:
        """The checkpoint of that name.

        Raises:
            DamagedCheckpoint: naming the file, if it is missing or not what the manifest says.
        """
        contents = self._verified(name)
        try:
            state = torch.load(io.BytesIO(contents["state.pt"]), weights_only=True, map_location="cpu")
        except _UNREADABLE as error:
            raise DamagedCheckpoint(f"{self.folder / name}/state.pt: {error or type(error).__name__}") from None
        return Checkpoint(name, int(name.rsplit("-", 1)[1]), state, json.loads(contents["record.json"]))

    def intact(self, names: Iterable[str] | None = None) -> Iterator[Checkpoint]:
        """Intact checkpoints among `names` (default: all), newest first; a damaged one is named in a warning and skipped."""
        for name in self.names() if names is None else names:
            try:
                yield self.load(name)
            except DamagedCheckpoint as error:
                warnings.warn(f"damaged checkpoint, going back one: {error}", stacklevel=2)

    def newest(self) -> Checkpoint | None:
        """The newest intact checkpoint of all attempts."""
        return next(self.intact(), None)

    def retain(self, keep: Iterable[str]) -> None:
        """Removes this attempt's checkpoints other than those named."""
        kept = set(keep)
        for name in self.names():
            if name.startswith(f"{attempt_folder(self.attempt)}/") and name not in kept:
                self._patiently((self.folder / name).delete, name)

    def _patiently(self, action: Callable[[], _Found], name: str = "", size: int = 0) -> _Found:
        what = self.folder / name if name else self.folder
        return patiently(action, what, seconds=self.patience, size=size, alive=self._alive, say=self._say)

    def _write(self, name: str, contents: Mapping[str, bytes]) -> None:
        """Writes a checkpoint's files in their order, and reads them back.

        What a checkpoint lacks right after it was written, the storage has lost: an OSError.
        """
        place = self.folder / name
        try:
            for file, content in contents.items():
                place.write(file, content)
            for file, content in contents.items():
                if place.read(file) != content:
                    raise OSError(f"{place}/{file}: it is not what was written")
        except FileNotFoundError as error:
            raise OSError(f"lost by the storage: {error}") from error

    def _verified(self, name: str) -> dict[str, bytes]:
        place = self.folder / name
        try:
            content = self._patiently(lambda: place.read(MANIFEST), f"{name}/{MANIFEST}")
            manifest = dict(json.loads(content)["files"])
        except (*_MISSING, ValueError, KeyError, TypeError) as error:
            raise DamagedCheckpoint(f"{place}/{MANIFEST}: {error}") from None
        return {file: self._content(name, file, manifest.get(file)) for file in ("state.pt", "record.json")}

    def _content(self, name: str, file: str, fingerprint: Any) -> bytes:
        """The content of a checkpoint's file that has this fingerprint."""
        place = self.folder / name
        try:
            content = self._patiently(lambda: place.read(file), f"{name}/{file}", _size(fingerprint))
        except _MISSING as error:
            raise DamagedCheckpoint(f"{place}/{file}: {error}") from None
        if fingerprint != _fingerprint(content):
            raise DamagedCheckpoint(f"{place}/{file}: {len(content)} bytes that are not those of its manifest")
        return content
