"""What the studies of the SCAN family have in common."""

from __future__ import annotations

from typing import Any

__all__ = ["SMALL", "TINY", "space"]

SMALL: dict[str, Any] = {"width": 48}
"""A network that trains in half a minute on a core."""
TINY: dict[str, Any] = {"width": 16, "eval_commands": 50, "eval_rules": 30}
"""Sizes for a run that shows only that all parts work."""


def space(trial: Any, scale: str) -> dict[str, Any]:
    """Suggests the optimizer's fields of `ScanConfig`, in each study and at every scale.

    Args:
        trial: an object with Optuna's `suggest_*` methods.
        scale: not used.
    """
    return {
        "lr": trial.suggest_float("lr", 1e-3, 1e-2, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.3),
    }
