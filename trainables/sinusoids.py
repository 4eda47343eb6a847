"""The fixed codes of positions that several families add to their tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["sinusoids"]


def sinusoids(positions: int, width: int) -> Tensor:
    """Returns the fixed codes of positions of Vaswani et al. 2017, float32 [positions, width].

    Sines and cosines of one wavelength stand side by side.
    """
    wavelengths = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angles = torch.arange(positions)[:, None] * wavelengths
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :width]
