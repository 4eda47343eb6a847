"""Does noise on the latent start help? Band, share of clean trajectories, place, mode and rollout, as far as the arm leaves them open."""

from __future__ import annotations

from typing import Any

__all__ = ["band", "optimisation", "space"]

CENTRES = (1e-5, 1e-1)
"""Standard deviations between which a band's centre is searched: the rungs of the ladder that robustness is measured on."""
WIDTHS = (0.5, 3.0)
"""Decades from sigma_min to sigma_max (log: 2)."""


def space(trial: Any, scale: str) -> dict[str, Any]:
    """Fields of `RecursiveConfig`. `k` is asked for under multi_perturbed_ce alone, and without noise nothing of it is.

    Args:
        trial: an object with Optuna's `suggest_*` methods, and `fixed`, the fields that the user or the arm fixes.
        scale: "full" searches learning rates for the published widths, the others for one that trains in seconds.
    """
    found = {**optimisation(trial, scale), "batch": trial.suggest_categorical("batch", [4, 8, 16, 32, 64])}
    found["rollout"] = trial.suggest_categorical("rollout", ["parallel_fixed", "serial_act", "act_mask"])
    found["mode"] = trial.suggest_categorical("mode", ["single_perturbed_ce", "multi_perturbed_ce"])
    if found["mode"] == "none":
        return found
    if found["mode"] == "multi_perturbed_ce":
        found["k"] = trial.suggest_categorical("k", [2, 4])
    return {
        **found,
        **band(trial),
        "ramp": trial.suggest_float("ramp", 0.0, 0.5),
        "p_clean": trial.suggest_float("p_clean", 0.0, 0.5),
        "location": trial.suggest_categorical("location", ["both", "z_H", "z_L"]),
    }


def optimisation(trial: Any, scale: str) -> dict[str, Any]:
    """What every study of the recursive families searches; arguments as in `space`."""
    low, high = (1e-5, 1e-3) if scale == "full" else (3e-4, 1e-2)
    return {
        "lr": trial.suggest_float("lr", low, high, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 0.01, 1.0, log=True),
    }


def band(trial: Any) -> dict[str, Any]:
    """`sigma_min` and `sigma_max` from `sigma_centre`, in log space, and `sigma_width`, in decades: the one is below the other always.

    Where one end is fixed, the width decides the other. Noise of a fixed size has a centre alone, and a grid has no band.
    """
    fixed, noise = trial.fixed, trial.fixed.get("noise", "loguniform")
    low, high = fixed.get("sigma_min"), fixed.get("sigma_max")
    if noise == "grid" or (high is not None and (noise == "fixed" or low is not None)):
        return {}
    if noise == "fixed":
        return {"sigma_max": trial.suggest_float("sigma_centre", *CENTRES, log=True)}
    ratio = 10 ** trial.suggest_float("sigma_width", *WIDTHS)
    if low is not None:
        return {"sigma_max": low * ratio}
    if high is not None:
        return {"sigma_min": high / ratio}
    centre = trial.suggest_float("sigma_centre", *CENTRES, log=True)
    return {"sigma_min": centre / ratio**0.5, "sigma_max": centre * ratio**0.5}
