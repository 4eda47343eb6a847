"""Predictors of coloured grids without a trained parameter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainables.grids.grid import FIRST, VOCABULARY

__all__ = ["majority_colour"]


def majority_colour(tokens: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Fills each grid with its most frequent colour, the lowest of those; its shape stays.

    Args:
        tokens: encoded grids, uint8 [grids, cells].

    Returns:
        uint8 like `tokens`.
    """
    counts = np.stack([(tokens == token).sum(1) for token in range(FIRST, VOCABULARY)])
    colour = (counts.argmax(0) + FIRST).astype(np.uint8)
    return np.where(tokens >= FIRST, colour[:, None], tokens)
