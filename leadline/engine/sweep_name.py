"""The name of a new sweep, which no other sweep in the same place has."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

from leadline.storage import Folder

__all__ = ["candidates", "is_free"]


def candidates(study: str) -> Iterator[str]:
    """Names for a sweep of this study that begins now: with the second, then also with a count.

    Sweeps that begin in one second are given the same names. Whoever uses one must therefore first
    do what only one of them can do, and else take the next.
    """
    second = f"{study}-{time.strftime('%Y%m%d-%H%M%S')}"
    yield second
    for count in itertools.count(2):
        yield f"{second}-{count}"


def is_free(folder: Folder) -> bool:
    """Whether no sweep is in a folder.

    A sweep that was refused leaves a lease there, and one that was ended before its first event
    also its code.
    """
    return not folder.sizes() and not set(folder.folders()) - {"lease", "code"}
