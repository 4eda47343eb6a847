"""What breaks the 71 % that a constant scores?

The arms are the log's sessions, and what they have in common, taken away one after the other: PAD
that counts as an answer, and an input that does not say which rule is meant.
"""

from __future__ import annotations

from typing import Any

from leadline import Contrast, Scale, Study
from trainables.arc_hrm.presets import BOARDS, NETWORK

__all__ = ["ARMS", "STUDY", "space"]

SESSION5: dict[str, Any] = {"pad": "class", "label_smoothing": 0.1, "schedule": "restarts", "warmup": 0.0}
PAD_IGNORED: dict[str, Any] = {**SESSION5, "pad": "ignored"}
CONSTANT_RATE: dict[str, Any] = {"pad": "class", "warmup": 0.0}
"""The loss and the rate of the log's other sessions."""

ARMS: dict[str, dict[str, Any]] = {
    "session 5": SESSION5,
    "pad ignored": PAD_IGNORED,
    "demonstrations": {**PAD_IGNORED, "demonstrations_in_input": True},
    "session 1": {**CONSTANT_RATE, "batch": 24, "micro_batch": 0},
    "session 3": CONSTANT_RATE,
    "session 4": {**CONSTANT_RATE, "micro_batch": 8},
    "demonstrations and pad": {**SESSION5, "demonstrations_in_input": True},
    "wider": {**SESSION5, "hidden": 96},
    "27m": {**SESSION5, "hidden": 560, "heads": 10},
}
"""The arms by name.

`session 3` is the training of sessions 2 and 3. Where an arm does not say otherwise, a step is 2
times 20 boards. All arms have the same boards, with demonstrations beside them, which only those
arms look at that are named after them. `wider` has 4 times the parameters of the laptop's network,
and is narrower than the log's, of whose parameters `27m` has 4 times as many.
"""
DEFAULT = ("session 5", "pad ignored", "demonstrations")
MARGINS = {"exact": 0.05}
"""The largest difference that does not matter, of whole grids right."""

_STEP: dict[str, Any] = {"batch": 40, "micro_batch": 20}
"""The log's step in sessions 2, 3 and 5."""
_SMALL: dict[str, Any] = {
    **_STEP,
    "task": "rules",
    "size": 8,
    "grid_size": 4,
    "task_ids": tuple(f"{kind} {colour}" for kind in ("background", "border") for colour in (1, 2, 3, 4)),
    "train_boards": 4000,
    "demonstrations": 2,
    "hidden": 48,
    "heads": 4,
    "max_cycles": 2,
    "restart_period": 45,
}
"""Eight rules on grids of up to 4x4, on a canvas of which PAD fills as much as in the log.

They fill the background, or draw a border, in one of four colours. The input tells neither kind nor
colour: who always answers by one of the rules has about an eighth right. Networks that are shown
which learn them in minutes.
"""


def space(trial: Any, scale: str) -> dict[str, Any]:
    """Suggests fields of `ArcHRMConfig`.

    Args:
        trial: an object with Optuna's `suggest_*` methods.
        scale: "full" searches around the log's learning rate.
    """
    low, high = (1e-4, 1e-3) if scale == "full" else (1e-3, 6e-3)
    return {
        "lr": trial.suggest_float("lr", low, high, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-3, 1e-1, log=True),
    }


STUDY = Study(
    name="plateau",
    question="What breaks the 71 % that a constant scores?",
    family="arc_hrm",
    space=space,
    stratify="arm",
    arms=ARMS,
    budget="samples",
    comparable=True,
    scales={
        "smoke": Scale(
            3,
            budget=240,
            grace=120,
            reduction=2,
            confirm=1,
            replicates=1,
            strata=DEFAULT,
            startup=1,
            fields={
                **_SMALL,
                "train_boards": 200,
                "validation_boards": 24,
                "test_boards": 100,
                "hidden": 16,
                "restart_period": 3,
            },
        ),
        "laptop": Scale(
            15,
            budget=3600,
            grace=1800,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=DEFAULT,
            startup=2,
            scheduler="none",  # the one rung orders the finished trials with a tau of 0.29
            fields={**_SMALL, "validation_boards": 120, "test_boards": 240},
        ),
        "full": Scale(
            24,
            budget=720_000,
            grace=90_000,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=("session 5", "pad ignored", "demonstrations", "27m"),
            fields={**NETWORK, **BOARDS, **_STEP, "demonstrations": 3, "restart_period": 2000},
        ),
    },
    contrasts=(
        Contrast("pad ignored", "session 5", MARGINS),
        Contrast("demonstrations", "pad ignored", MARGINS),
        Contrast("demonstrations", "session 5", MARGINS),
    ),
)
