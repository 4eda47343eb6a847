"""How slowly should changed rules enter?"""

from __future__ import annotations

from typing import Any

from leadline import Scale, Study
from search_spaces.scan import SMALL, TINY, space

__all__ = ["ARMS", "STUDY", "space"]

RULES = "modified=0.6:rules=simple+complex+novel"
ARMS: dict[str, dict[str, Any]] = {
    "slow ramp": {"stages": (f"rules:1:{RULES}:ramp=1",)},
    "fast ramp": {"stages": (f"rules:1:{RULES}:ramp=0.25",)},
    "all from the start": {"stages": (f"rules:1:{RULES}",)},
    "base rules alone": {"stages": ("base:1",)},
}
"""The share of rows under a rule grows over the whole budget, over a quarter of it, or not."""


STUDY = Study(
    name="curriculum_length",
    question="How slowly should changed rules enter?",
    family="scan",
    space=space,
    stratify="arm",
    arms=ARMS,
    comparable=True,
    metric="held_out",
    scales={
        "smoke": Scale(
            4,
            budget=40,
            grace=10,
            reduction=2,
            confirm=1,
            replicates=1,
            strata=tuple(ARMS),
            startup=1,
            fields={**TINY, "batch": 16},
        ),
        "laptop": Scale(
            16,
            budget=1200,
            grace=150,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=tuple(ARMS),
            fields=SMALL,
        ),
        "full": Scale(
            64,
            budget=40_000,
            grace=2500,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=tuple(ARMS),
            fields={**SMALL, "batch": 128},
        ),
    },
)
