"""The audit that every family owes its data: which rows are both trained on and scored."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np
import numpy.typing as npt

from leadline.finding import Finding

__all__ = ["overlap"]

Keys = Iterable[Hashable] | npt.NDArray[np.generic]
"""What makes rows the same: a hashable value for each row, or an array whose rows are the keys."""


def overlap(train: Keys, scored: Keys, what: str) -> Finding:
    """Counts scored rows that have the audit key of a training row; failed where any does.

    Args:
        train: audit keys of all rows that may be trained on: hashable values, or an array [rows] or
            [rows, columns], whose rows are then the keys. Arrays are compared by value: an integer
            3 equals a float 3.0, a NaN equals none.
        scored: audit keys of the scored rows; repeated rows count each time.
        what: names the scored rows in the sentence, such as "test commands"; the finding is
            `overlap_test_commands`.

    The count is exact. Rows that are equal in meaning but not in form, such as a board and its
    mirror image, need the same key.

    Raises:
        TypeError: if a key is not hashable.
        ValueError: if there are no scored rows, or no training rows: an audit of nothing would
            pass.
    """
    known = set(_keys(train))
    keys = _keys(scored)
    for side, found in (("train", len(known)), ("scored", len(keys))):
        if not found:
            raise ValueError(f"{side}: no rows, so the overlap of {what} cannot be judged")
    hits = sum(key in known for key in keys)
    sentence = (
        f"{hits} of {len(keys)} {what} ({hits / len(keys):.1%}) are among the {len(known)} distinct training keys"
    )
    return Finding(f"overlap_{'_'.join(what.split())}", hits > 0, hits, sentence)


def _keys(keys: Keys) -> list[Hashable]:
    """The keys as a list of hashable values, one for each row."""
    if not isinstance(keys, np.ndarray):
        return list(keys)
    if keys.ndim == 1:
        return list(keys.tolist())
    return [tuple(row) for row in keys.reshape(len(keys), -1).tolist()]
