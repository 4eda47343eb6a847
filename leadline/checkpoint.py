"""The checkpoints of one trial, in a store that may fail at any time.

    <trial>/attempt-01/step-000000400/
        state.pt         tensors and plain values, loaded with `weights_only=True`
        record.json      configuration, the trial's report history, and units of the last report
        manifest.json    sizes and sha256 of both, written last

A checkpoint exists once its manifest verifies. Attempts write below their own number, so one that
comes back from the dead harms nothing; a starting attempt takes the newest intact checkpoint of all
attempts.

A store that refuses or does not answer is waited for (`leadline.storage.patiently`). It is never
taken for damage.
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

from leadline.errors import ConfigError
from leadline.markup import harmless, table, with_interval
from leadline.measure import Report
from leadline.plain import culprit, type_of
from leadline.storage import PATIENCE, Folder, patiently

__all__ = ["Checkpoint", "CheckpointStore", "DamagedCheckpoint", "attempt_folder", "checkpoint_name", "checkpoints_at"]

MANIFEST = "manifest.json"
"""The file that makes a checkpoint one: it is written last, and a folder without it is ignored."""
SHOWN = 8
"""The most metrics that a checkpoint shows of itself in a notebook."""
# What `torch.load` raises for damaged bytes depends on the byte that it stumbles over.
_UNREADABLE = (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError)
# What a read raises for a file that is not there, or is none. Any other OSError says nothing about
# the file, only about the storage.
_MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_Found = TypeVar("_Found")
_NAME = re.compile(rf"(attempt-(\d+)/step-(\d+))/{re.escape(MANIFEST)}")


def attempt_folder(attempt: int) -> str:
    """The folder of an attempt below the trial's: its checkpoints and its log."""
    return f"attempt-{attempt:02d}"


def checkpoint_name(attempt: int, step: int) -> str:
    """The folder of an attempt's checkpoint after `step` optimizer steps, below the trial's."""
    return f"{attempt_folder(attempt)}/step-{step:09d}"


def checkpoints_at(place: Folder, patience: float = PATIENCE) -> tuple[CheckpointStore, list[str]]:
    """Returns the store of a trial, and the names of its checkpoints at a place.

    They are one where the place is a checkpoint's own folder; all of them, newest first, where it
    is a trial's; none where it is neither.

    Raises:
        StorageError: if the storage has refused or not answered for `patience` seconds.
    """
    if patiently(lambda: place.exists(MANIFEST), place, seconds=patience):
        return CheckpointStore(place.above.above, patience=patience), [f"{place.above.name}/{place.name}"]
    store = CheckpointStore(place, patience=patience)
    return store, store.names()


def _fingerprint(content: bytes) -> dict[str, Any]:
    """Size and sha256 of a file's content, as the manifest holds them."""
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _size(fingerprint: Any) -> int:
    """The size in bytes by a manifest that may be damaged; 0 where it says nothing sensible."""
    size = fingerprint.get("size") if isinstance(fingerprint, dict) else 0
    return size if isinstance(size, int) and 0 <= size < 2**40 else 0


def _bytes_of(state: Any) -> bytes:
    """A state as a checkpoint's file holds it."""
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _state_of(content: bytes) -> Any:
    """The state that a checkpoint's file holds."""
    import torch

    return torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")


def _refusal(value: Any) -> Exception | None:
    """Why a part of a state cannot be written and read back; None if it can."""
    try:
        _state_of(_bytes_of(value))
    except Exception as error:
        return error
    return None


def _types(value: Any) -> Iterator[type]:
    """The types of a state's values, containers and keys among them."""
    yield type(value)
    if isinstance(value, Mapping):
        yield from map(type, value)
        value = value.values()
    elif not isinstance(value, list | tuple | set | frozenset):
        return
    for part in value:
        yield from _types(part)


class DamagedCheckpoint(ValueError):
    """A checkpoint that is not what its manifest says; the message names the file."""


@dataclass(frozen=True)
class Checkpoint:
    """An intact checkpoint.

    Attributes:
        name: its folder, relative to the trial's.
        step: optimizer steps done.
        state: the training state: tensors and plain values.
        record: the trial's family, configuration and report history, as plain values.
    """

    name: str
    step: int
    state: dict[str, Any]
    record: dict[str, Any]

    def __repr__(self) -> str:
        return f"<Checkpoint {self.name}: {self.record.get('family', 'of no family')}>"

    @harmless
    def _repr_html_(self) -> str:
        rows: list[tuple[str, str]] = [("family", str(self.record.get("family", "not recorded")))]
        if history := self.record.get("history"):
            metrics = [*Report.from_dict(history[-1]).metrics.items()]
            rows += [(name, with_interval(measure)) for name, measure in metrics[:SHOWN]]
            rows += [("further metrics", str(len(metrics) - SHOWN))] if metrics[SHOWN:] else []
        weights = sum(tensor.numel() for tensor in self.state.get("model", {}).values())
        rows.append(("numbers in the model", f"{weights:,}"))
        return table(f"Checkpoint {self.name}", rows)


class CheckpointStore:
    """Publishes and finds the checkpoints of one trial.

    Each method raises StorageError where the storage has refused or not answered for `patience`
    seconds.

    Args:
        folder: the trial's folder.
        attempt: the number of the attempt, below which this process writes.
        patience: seconds for which the storage is waited for; what a slow one needs for a
            checkpoint's bytes comes on top.
        alive: called about once a second while it waits.
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
        self._alive = alive
        self._say = say
        self._readable: frozenset[type] = frozenset()
        """The types of the values in states that were read back before they were written."""

    def telling(self, alive: Callable[[], None], say: Callable[[str], None]) -> CheckpointStore:
        """Returns the same store with other functions to call while it waits."""
        other = copy.copy(self)
        other._alive = alive
        other._say = say
        return other

    def publish(self, step: int, state: Mapping[str, Any], record: Mapping[str, Any]) -> str:
        """Stores a checkpoint and returns its name, once it has been read back and compared.

        Args:
            step: optimizer steps done.
            state: the training state: tensors and plain values.
            record: plain JSON values beside it.

        Raises:
            ConfigError: naming the key, if `load` could not read the state back: it is tried before
                anything is written, at first and wherever the state holds a value of a new type.
            StorageError: if that has not come about in time; the checkpoint may then be there in
                part, without a manifest.
            OSError: if it never can, such as where a folder has the name of a file.
        """
        contents = {"state.pt": self._saved(dict(state)), "record.json": json.dumps(record, allow_nan=False).encode()}
        manifest = {"step": step, "files": {file: _fingerprint(content) for file, content in contents.items()}}
        # Files are written in the order of this mapping. The manifest is the last, so that a
        # checkpoint which was cut off in the middle has none and counts as absent.
        contents[MANIFEST] = json.dumps(manifest).encode()
        name = checkpoint_name(self.attempt, step)
        # Written and read back: a slow store needs the time twice.
        self._patiently(lambda: self._write(name, contents), name, 2 * sum(map(len, contents.values())))
        return name

    def names(self) -> list[str]:
        """Names of all checkpoints that have a manifest, newest first: by step, then by attempt."""
        files = self._patiently(lambda: self.folder.sizes(recursive=True))
        found = filter(None, map(_NAME.fullmatch, files))
        return [match[1] for match in sorted(found, key=lambda match: (int(match[3]), int(match[2])), reverse=True)]

    def load(self, name: str) -> Checkpoint:
        """Reads and verifies the checkpoint of that name.

        Raises:
            DamagedCheckpoint: naming the file, if it is missing or not what the manifest says.
        """
        contents = self._verified(name)
        try:
            state = _state_of(contents["state.pt"])
        except _UNREADABLE as error:
            raise DamagedCheckpoint(f"{self.folder / name}/state.pt: {error or type(error).__name__}") from None
        return Checkpoint(name, int(name.rsplit("-", 1)[1]), state, json.loads(contents["record.json"]))

    def copy(self, name: str, other: CheckpointStore) -> None:
        """Copies the checkpoint of that name, verified, and publishes it in another store.

        Raises:
            DamagedCheckpoint: naming the file, if it is missing or not what the manifest says.
            StorageError: where one of the two stores has refused or not answered for its patience.
        """
        contents = self._verified(name)
        other._patiently(lambda: other._write(name, contents), name, 2 * sum(map(len, contents.values())))

    def intact(self, names: Iterable[str] | None = None) -> Iterator[Checkpoint]:
        """Yields the intact checkpoints among `names`, by default of all, newest first.

        A damaged one is named in a warning and skipped.
        """
        for name in self.names() if names is None else names:
            try:
                yield self.load(name)
            except DamagedCheckpoint as error:
                warnings.warn(f"damaged checkpoint, going back one: {error}", stacklevel=2)

    def newest(self) -> Checkpoint | None:
        """The newest intact checkpoint of all attempts; None where there is none."""
        return next(self.intact(), None)

    def retain(self, keep: Iterable[str]) -> None:
        """Removes the checkpoints of this attempt that are not named.

        Those of other attempts are not for this process to remove.
        """
        kept = set(keep)
        for name in self.names():
            if name.startswith(f"{attempt_folder(self.attempt)}/") and name not in kept:
                self._patiently((self.folder / name).delete, name)

    def _saved(self, state: dict[str, Any]) -> bytes:
        """The bytes of a state, which a reader can load."""
        types = frozenset(_types(state))
        try:
            content = _bytes_of(state)
            if not types <= self._readable:
                _state_of(content)
        except Exception as error:
            found = culprit(state, _refusal, "state_dict")
            if found is None:  # such as where memory does not suffice for the second copy
                raise
            raise ConfigError(
                f"{found[0]}: {type_of(found[1])} cannot be read back; give numbers, text, lists, mappings and tensors"
            ) from error
        self._readable |= types
        return content

    def _patiently(self, action: Callable[[], _Found], name: str = "", size: int = 0) -> _Found:
        """Does something with the trial's folder, or with `name` below it, moving `size` bytes."""
        what = self.folder / name if name else self.folder
        return patiently(action, what, seconds=self.patience, size=size, alive=self._alive, say=self._say)

    def _write(self, name: str, contents: Mapping[str, bytes]) -> None:
        """Writes a checkpoint's files in their order, and reads them back.

        A file that is missing right after it was written was lost by the storage. That is an
        OSError, so that it is tried again, rather than a missing checkpoint.
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
        """Contents of the files of a checkpoint, each of which is what the manifest says.

        The manifest is the last, as they are written.
        """
        place = self.folder / name
        try:
            content = self._patiently(lambda: place.read(MANIFEST), f"{name}/{MANIFEST}")
            manifest = dict(json.loads(content)["files"])
        except (*_MISSING, ValueError, KeyError, TypeError) as error:
            raise DamagedCheckpoint(f"{place}/{MANIFEST}: {error}") from None
        contents = {file: self._content(name, file, manifest.get(file)) for file in ("state.pt", "record.json")}
        return {**contents, MANIFEST: content}

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
