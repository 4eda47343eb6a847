"""How slowly should noise on the latent start of a recursive network enter?"""

from __future__ import annotations

from typing import Any

from leadline import Scale, Study
from search_spaces.recursive import PUBLISHED, SMALL, TINY, band, optimisation

__all__ = ["HRM", "TRM", "space"]

NOISY = {"mode": "single_perturbed_ce", "p_clean": 0.25}
SIGMA_ARMS: dict[str, dict[str, Any]] = {
    "ramp": NOISY,
    "full noise from the start": {**NOISY, "ramp": 0.0},
    "no noise": {"mode": "none"},
}


def space(trial: Any, scale: str) -> dict[str, Any]:
    """Suggests fields of `RecursiveConfig`: with noise, also its band and ramp.

    Arguments are those of `search_spaces.sigma_bands.recursive.space`.
    """
    found = optimisation(trial, scale)
    if trial.fixed.get("mode") == "none":
        return found
    return {**found, **band(trial), "ramp": trial.suggest_float("ramp", 0.05, 1.0)}


def scales(family: str) -> dict[str, Scale]:
    """Returns the scales of a recursive family, over arms of noise."""
    tiny, small, large = (
        {"batch": 16, **fields, "rollout": "parallel_fixed"}
        for fields in (TINY, SMALL, {**PUBLISHED[family], "batch": 64})
    )
    return {
        "smoke": Scale(
            6,
            budget=16,
            grace=4,
            reduction=2,
            confirm=1,
            replicates=1,
            strata=tuple(SIGMA_ARMS),
            startup=2,
            fields=tiny,
        ),
        "laptop": Scale(
            24, budget=768, grace=192, reduction=4, confirm=1, replicates=5, strata=tuple(SIGMA_ARMS), fields=small
        ),
        "full": Scale(
            60, budget=50_000, grace=3125, reduction=4, confirm=1, replicates=5, strata=tuple(SIGMA_ARMS), fields=large
        ),
    }


def study(family: str) -> Study:
    """Returns the study as a recursive family answers it."""
    return Study(
        name="curriculum_length",
        question="How slowly should noise on the latent start enter?",
        family=family,
        space=space,
        stratify="arm",
        arms=SIGMA_ARMS,
        comparable=True,
        scales=scales(family),
    )


TRM = study("trm")
HRM = study("hrm")
