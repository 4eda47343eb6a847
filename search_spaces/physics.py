"""What the studies of the physics family have in common."""

from __future__ import annotations

from typing import Any

__all__ = ["SMALL", "TINY", "space"]

SMALL: dict[str, Any] = {"width": 48, "layers": 2, "heads": 4}
"""A network that trains in half a minute on a core."""
TINY: dict[str, Any] = {
    "width": 16,
    "layers": 1,
    "heads": 2,
    "episodes": 48,
    "scored": 16,
    "each": 4,
}
"""Sizes for a run that shows only that all parts work."""


def space(trial: Any, scale: str) -> dict[str, Any]:
    """Suggests the optimizer's fields of `PhysicsConfig`, in each study and at every scale.

    Args:
        trial: an object with Optuna's `suggest_*` methods.
        scale: not used.
    """
    return {
        "lr": trial.suggest_float("lr", 5e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
    }
