"""The sizes that studies of the families of grids share: boards of `task=rules`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["FULL", "SMALL", "TINY"]

SMALL: Mapping[str, Any] = {
    "task": "rules",
    "size": 5,
    "train_rules": 4,
    "train_boards": 4000,
    "validation_boards": 60,
    "test_boards": 240,
}
"""The boards of a small trial: few rules, so that something is learnt in half a minute."""

TINY: Mapping[str, Any] = {**SMALL, "train_boards": 200, "validation_boards": 24, "test_boards": 100}
"""The boards of a trial that only shows that all parts work."""

FULL: Mapping[str, Any] = {
    **SMALL,
    "size": 10,
    "train_rules": 30,
    "train_boards": 24_000,
    "validation_boards": 1024,
    "test_boards": 2048,
}
"""The boards of a trial of a network of published size."""
