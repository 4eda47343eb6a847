"""Does noise on the latent start help?

Searched are the band, the share of clean trajectories, place, mode and rollout, as far as the arm
leaves them open.
"""

from __future__ import annotations

from typing import Any

from leadline import Contrast, Scale, Study
from search_spaces.recursive import PUBLISHED, SMALL, TINY, band, optimisation

__all__ = ["HRM", "TRM", "space"]

ROLLOUTS = ("parallel_fixed", "serial_act", "act_mask")
MARGINS = {"exact": 0.01, "robust": 0.01}
COMMON: dict[str, Any] = {"lr": 2e-3, "weight_decay": 0.1, "batch": 16, "rollout": "parallel_fixed"}
LOG: dict[str, Any] = {
    **COMMON,
    "mode": "multi_perturbed_ce",
    "k": 4,
    "location": "both",
    "sigma_centre": 3e-4,
    "sigma_width": 2.0,
    "ramp": 0.1,
    "p_clean": 0.0,
}
"""The fields of the log's noise.

With four trajectories of each board it gets a quarter of the control's batch: a step is then as
large.
"""


def pair(rollout: str) -> tuple[str, str]:
    """Returns the names of the noisy arm and of its control; the empty rollout is searched."""
    place = f" ({rollout})" if rollout else ""
    return f"sigma band{place}", f"no noise{place}"


PAIRS = {rollout: pair(rollout) for rollout in ("", *ROLLOUTS)}
ARMS: dict[str, dict[str, Any]] = {}
for _rollout, (_noisy, _control) in PAIRS.items():
    _fixed = {"rollout": _rollout} if _rollout else {}
    ARMS |= {_control: {"mode": "none", **_fixed}, _noisy: dict(_fixed)}
NOISY = [noisy for noisy, _ in PAIRS.values()]
MATCHED = tuple(name for rollout in ROLLOUTS for name in reversed(PAIRS[rollout]))


BOARDS = {**SMALL, "test_boards": 2048}


PUBLISHED_RATE = {"lr": 1e-4, "weight_decay": 1.0, "batch": 64}


def first(**other: Any) -> dict[str, tuple[dict[str, Any]]]:
    """Returns what each arm tries first: the log's settings, or the same without noise."""
    return {
        name: ({**LOG, **other, "batch": other.get("batch", 16) // 4} if name in NOISY else {**COMMON, **other},)
        for name in ARMS
    }


def scales(family: str) -> dict[str, Scale]:
    """Returns the scales; budgets are in boards x trajectories x segments.

    The scale "full" has the family's published size.
    """
    arms, large = MATCHED[:2], PUBLISHED[family]
    return {
        "smoke": Scale(
            4,
            budget=2**13,
            grace=2**11,
            reduction=2,
            confirm=1,
            replicates=1,
            strata=arms,
            startup=2,
            fields=TINY,
            enqueue=first(),
        ),
        "laptop": Scale(
            16,
            budget=2**15,
            grace=2**14,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=arms,
            fields=BOARDS,
            enqueue=first(),
        ),
        "full": Scale(
            96,
            budget=2**24,
            grace=2**20,
            reduction=4,
            confirm=1,
            replicates=5,
            strata=MATCHED,
            fields=large,
            enqueue=first(**PUBLISHED_RATE),
        ),
    }


def space(trial: Any, scale: str) -> dict[str, Any]:
    """Suggests fields of `RecursiveConfig`.

    `k` is suggested under multi_perturbed_ce alone, and nothing of the noise is without noise.

    Args:
        trial: an object with Optuna's `suggest_*` methods, and `fixed`, the fields that the user or
            the arm fixes.
        scale: "full" searches learning rates for the published widths, the others for one that
            trains in seconds.
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


def study(family: str) -> Study:
    """Returns the study as a recursive family answers it."""
    return Study(
        name="sigma_bands",
        question="Does noise on the latent start of a recursive network help?",
        family=family,
        space=space,
        stratify="arm",
        arms=ARMS,
        budget="samples",
        comparable=True,
        scales=scales(family),
        contrasts=tuple(Contrast(noisy, control, MARGINS) for noisy, control in PAIRS.values()),
        least_units=2000,
        without={
            **dict.fromkeys(("collatz", "physics", "scan"), "its network has no latent state that could be perturbed"),
            "arc_hrm": "its states begin as the embedded board",
            "etrm": "its states begin as those of trm, which takes task=rules too",
        },
    )


TRM = study("trm")
HRM = study("hrm")
