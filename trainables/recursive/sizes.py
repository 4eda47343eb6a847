"""Sizes of the recursive families that several studies share: fields of `RecursiveConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainables.recursive.presets import HRM_FIELDS, TRM_FIELDS

__all__ = ["PUBLISHED", "SMALL", "TINY"]

SMALL: Mapping[str, Any] = {
    "size": 4,
    "ema": 0.9,
    "train_boards": 2000,
    "validation_boards": 512,
    "test_boards": 512,
}
"""Nine tenths of the boards are solved after 32,768 samples under parallel_fixed, 20 s on one core. The average is short, as large batches
have few steps."""

TINY: Mapping[str, Any] = {**SMALL, "train_boards": 500, "validation_boards": 64, "test_boards": 128}
"""To see that all parts work: scored in a second, and too few boards for any claim."""

SEARCHED = ("batch", "lr", "weight_decay")

PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    family: {**{name: value for name, value in fields.items() if name not in SEARCHED}, "micro_batch": "auto"}
    for family, fields in (("hrm", HRM_FIELDS), ("trm", TRM_FIELDS))
}
"""By family: the published settings on 9x9 Sudoku, with attention (Wang et al. and Jolicoeur-Martineau 2025), but for what is searched.
Micro-batches are as large as fits."""
