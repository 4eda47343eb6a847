"""A disk cache of arrays that can be computed again.

Each file is named by the hash of the question that it answers, and holds a digest by which damage
is noticed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["folder", "load", "store"]

Arrays = dict[str, npt.NDArray[Any]]
DIGEST = "digest"


def folder() -> Path:
    """Returns the cache's folder, $LEADLINE_CACHE or ~/.cache/leadline.

    Raises:
        RuntimeError: if there is no home folder.
    """
    named = os.environ.get("LEADLINE_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "leadline"


def _path(question: str) -> Path:
    return folder() / f"{hashlib.sha256(question.encode()).hexdigest()}.npz"


def _digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Returns the hash of the arrays' names, types, shapes and values."""
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def load(question: str) -> Arrays | None:
    """Returns the arrays stored for a question.

    None if nothing was stored or the digest does not match.
    """
    try:
        with np.load(_path(question), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        digest = str(arrays.pop(DIGEST))
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return None
    return arrays if digest == _digest(arrays) else None


def store(question: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Stores arrays, all or nothing, in place of what was there.

    It does nothing if the folder cannot be written to.
    """
    with contextlib.suppress(OSError, RuntimeError):
        path = _path(question)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix="unfinished-", suffix=".npz")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez_compressed(file, allow_pickle=False, **{**arrays, DIGEST: np.array(_digest(arrays))})
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
