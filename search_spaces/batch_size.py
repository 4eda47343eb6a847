"""How large a batch? The batch is dealt; the learning rate and what goes with it are searched in each."""

from __future__ import annotations

from typing import Any

from search_spaces.sigma_bands import optimisation

__all__ = ["recursive", "space"]


def space(trial: Any, scale: str) -> dict[str, Any]:
    """Fields of `CollatzConfig`, the rule by which the rate follows the batch among them; the same at every scale.

    Args:
        trial: an object with Optuna's `suggest_*` methods.
        scale: not used.
    """
    return {
        "lr": trial.suggest_float("lr", 1e-4, 1e-2, log=True),
        "lr_scaling": trial.suggest_categorical("lr_scaling", ["none", "sqrt", "linear"]),
        "margin": trial.suggest_float("margin", 0.003, 0.3, log=True),
    }


def recursive(trial: Any, scale: str) -> dict[str, Any]:
    """Fields of `RecursiveConfig`; arguments as in `search_spaces.sigma_bands.space`."""
    return optimisation(trial, scale)
