"""The file that makes a folder the mirror of a sweep, in which no driver runs it.

`leadline.engine.mirror` writes it. Whoever removes it makes the mirror a sweep of its own.
"""

from __future__ import annotations

import json
from typing import Any

from leadline.ledger.reader import READING_PATIENCE
from leadline.storage import Folder, patiently

__all__ = ["MARKER", "marker", "origin"]

MARKER = "mirror.json"


def marker(folder: Folder, patience: float = READING_PATIENCE) -> dict[str, Any] | None:
    """Returns what a mirror's file says: `of`, `begun`, `complete`.

    It is None where there is none, and empty where it cannot be understood.

    Raises:
        StorageError: if the storage has not answered after so many seconds.
    """
    try:
        found = json.loads(patiently(lambda: folder.read(MARKER), folder, seconds=patience))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def origin(folder: Folder, patience: float = READING_PATIENCE) -> str:
    """Returns what a folder is a mirror of; empty where it is none.

    Raises:
        StorageError: if the storage has not answered after so many seconds.
    """
    found = marker(folder, patience)
    return "" if found is None else str(found.get("of") or "a sweep that it does not name any more")
