"""How large a batch? The batch is dealt.

The learning rate and what goes with it are searched in each.
"""

from __future__ import annotations

from typing import Any

__all__ = ["space"]


def space(trial: Any, scale: str) -> dict[str, Any]:
    """Suggests fields of `CollatzConfig`, among them the rule by which the rate follows the batch.

    The space is the same at every scale.

    Args:
        trial: an object with Optuna's `suggest_*` methods.
        scale: not used.
    """
    return {
        "lr": trial.suggest_float("lr", 1e-4, 1e-2, log=True),
        "lr_scaling": trial.suggest_categorical("lr_scaling", ["none", "sqrt", "linear"]),
        "margin": trial.suggest_float("margin", 0.003, 0.3, log=True),
    }
