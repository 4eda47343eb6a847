"""Sizes of the recursive families that several studies share: fields of `RecursiveConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PUBLISHED", "SMALL", "TINY"]

SMALL: Mapping[str, Any] = {
    "size": 4,
    "train_boards": 2000,
    "validation_boards": 512,
    "test_boards": 512,
}
"""Nine tenths of the boards are solved after 32,768 samples under parallel_fixed, 20 s on one core."""

TINY: Mapping[str, Any] = {**SMALL, "train_boards": 500, "validation_boards": 64, "test_boards": 128}
"""To see that all parts work: scored in a second, and too few boards for any claim."""

_SUDOKU = {
    "size": 9,
    "positions": "rope",
    "hidden": 512,
    "heads": 8,
    "halt_max_steps": 16,
    "train_boards": 1000,
    "validation_boards": 1024,
    "test_boards": 4096,
}

PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "hrm": {**_SUDOKU, "h_layers": 4, "l_layers": 4, "h_cycles": 2, "l_cycles": 2, "puzzle_emb": 512},
    "trm": {**_SUDOKU, "l_layers": 2, "h_cycles": 3, "l_cycles": 6, "puzzle_emb": 512, "puzzle_tokens": 16},
}
"""By family: those of the publications on 9x9 Sudoku, with attention (Wang et al. 2025; Jolicoeur-Martineau 2025)."""
