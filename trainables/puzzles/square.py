"""The symmetries of a square, and boards moved and renamed by any symmetry."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainables.puzzles.puzzle import I64, Token

__all__ = ["moved", "square_images"]


def square_images(size: int) -> I64:
    """Returns which cell each cell of the 8 images of a square shows: int64 [8, cells]."""
    square = np.arange(size * size).reshape(size, size)
    turned = [np.rot90(side, turns) for side in (square, square.T) for turns in range(4)]
    return np.stack([image.reshape(-1) for image in turned])


def moved(boards: npt.NDArray[Token], cells: I64, tokens: I64) -> npt.NDArray[Token]:
    """Returns boards, [boards, cells], with their cells moved and their tokens renamed.

    Each board has its own row of `cells` and of `tokens`.

    Args:
        boards: the boards.
        cells: which cell each cell of the image shows, int64 [boards, cells].
        tokens: the image's token for each token, int64 [boards, tokens].
    """
    shown = np.take_along_axis(boards, cells, 1).astype(np.int64)
    return np.take_along_axis(tokens, shown, 1).astype(boards.dtype)
