"""The checkpoint store of one trial.

    <trial>/attempt-01/step-000000400/state.pt       tensors and plain values, loaded with `weights_only=True`
                                      record.json    configuration and the trial's report history
                                      manifest.json  sizes and sha256 of both, written last

A checkpoint exists once its manifest verifies. Attempts write below their own number, so one that comes back from the
dead harms nothing; a starting attempt takes the newest intact checkpoint of all attempts.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from trainables.storage import Folder

__all__ = ["Checkpoint", "CheckpointStore", "DamagedCheckpoint"]

MANIFEST = "manifest.json"
# What `torch.load` raises for bytes that are no checkpoint depends on the byte that it stumbles over.
_UNREADABLE = (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError)
_NAME = re.compile(rf"(attempt-(\d+)/step-(\d+))/{re.escape(MANIFEST)}")


def _fingerprint(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


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
    """Publishes and finds the checkpoints of one trial."""

    def __init__(self, folder: Folder, attempt: int = 1) -> None:
        self.folder = folder
        self.attempt = attempt

    def publish(self, step: int, state: Mapping[str, Any], record: Mapping[str, Any]) -> str:
        """Stores a checkpoint and returns its name once it has been read back.

        Raises:
            OSError: if the storage refuses.
            DamagedCheckpoint: if what was read back differs from what was written.
        """
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        contents = {"state.pt": buffer.getvalue(), "record.json": json.dumps(record).encode()}
        name = f"attempt-{self.attempt:02d}/step-{step:09d}"
        place = self.folder / name
        for file, content in contents.items():
            place.write(file, content)
        manifest = {file: _fingerprint(content) for file, content in contents.items()}
        place.write(MANIFEST, json.dumps({"step": step, "files": manifest}).encode())
        self._verified(name)
        return name

    def names(self) -> list[str]:
        """All checkpoints that have a manifest, newest first: by step, then by attempt."""
        found = filter(None, map(_NAME.fullmatch, self.folder.sizes(recursive=True)))
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
            if name.startswith(f"attempt-{self.attempt:02d}/") and name not in kept:
                (self.folder / name).delete()

    def _verified(self, name: str) -> dict[str, bytes]:
        place = self.folder / name
        try:
            manifest = dict(json.loads(place.read(MANIFEST))["files"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedCheckpoint(f"{place}/{MANIFEST}: {error}") from None
        contents: dict[str, bytes] = {}
        for file in ("state.pt", "record.json"):
            try:
                content = place.read(file)
            except OSError as error:
                raise DamagedCheckpoint(f"{place}/{file}: {error}") from None
            if manifest.get(file) != _fingerprint(content):
                raise DamagedCheckpoint(f"{place}/{file}: {len(content)} bytes that are not those of its manifest")
            contents[file] = content
        return contents
