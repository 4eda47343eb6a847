"""How slowly should hard orbits enter?

An arm of the study fixes some of these fields; they are then not searched in it.
"""

from __future__ import annotations

from typing import Any

from trainables.collatz.split import TRAIN_SEEDS

__all__ = ["space"]


def space(trial: Any, scale: str) -> dict[str, Any]:
    """Suggests fields of `CollatzConfig`; the space is the same at every scale.

    Args:
        trial: an object with Optuna's `suggest_*` methods.
        scale: not used.
    """
    return {
        "ramp": trial.suggest_float("ramp", 0.05, 1.0),
        "start_seeds": trial.suggest_int("start_seeds", 0, len(TRAIN_SEEDS) - 1, step=8),
        "hard_ratio": trial.suggest_float("hard_ratio", 0.1, 0.9),
        "lr": trial.suggest_float("lr", 3e-4, 1e-2, log=True),
    }
