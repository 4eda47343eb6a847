"""The family keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from leadline.testing import FamilyContract
from trainables.arc_hrm.family import ARC_HRM

TINY = {
    "train_boards": 48,
    "validation_boards": 24,
    "test_boards": 16,
    "hidden": 16,
    "heads": 2,
    "max_cycles": 3,
    "batch": 8,
    "steps": 14,
    "eval_every": 4,
}
"""14 is no multiple of 4: the last report comes early."""
BAD: tuple[Mapping[str, Any], ...] = (
    {"heads": 3},
    {"batch": 49},
    {"size": 5},
    {"label_smoothing": 1.0},
    {"label_smoothing": -0.1},
    {"halt_threshold": 0.0},
    {"max_cycles": 0},
    {"l_layers": 0},
    {"dropout": 1.0},
    {"pad": "weighted"},
    {"schedule": "cosine"},
    {"restart_period": 0},
    {"widht": 3},
)


class TestArcHRM(FamilyContract):
    """Micro-batches with dropout, a smoothed loss and warm restarts."""

    family = ARC_HRM
    small: ClassVar[Mapping[str, Any]] = {
        **TINY,
        "micro_batch": 4,
        "dropout": 0.1,
        "label_smoothing": 0.1,
        "schedule": "restarts",
        "restart_period": 5,
        "pad": "class",
    }
    bad = BAD
    bad_inputs = (27, "", "123", ["1..1", "....", "....", "...."])
    learns = (
        {
            "train_boards": 1000,
            "validation_boards": 128,
            "hidden": 32,
            "max_cycles": 2,
            "batch": 32,
            "micro_batch": 0,
            "dropout": 0.0,
            "label_smoothing": 0.0,
            "schedule": "constant",
            "lr": 3e-3,
            "steps": 80,
            "eval_every": 80,
        },
        "cells",
        "copy the clues",
    )
    others: ClassVar[Mapping[str, Any]] = {"clues": [8]}
    kills = 1
