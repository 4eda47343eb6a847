"""How slowly should randomised worlds and the edge of the training box enter?"""

from __future__ import annotations

from typing import Any

from leadline import Scale, Study
from search_spaces.physics import SMALL, TINY, space

__all__ = ["ARMS", "STUDY", "space"]

WIDE = "randomise=0.4:edge=0.2"
ARMS: dict[str, dict[str, Any]] = {
    "slow ramp": {"stages": (f"wide:1:{WIDE}:ramp=1",)},
    "fast ramp": {"stages": (f"wide:1:{WIDE}:ramp=0.25",)},
    "all from the start": {"stages": (f"wide:1:{WIDE}",)},
    "training worlds alone": {"stages": ("basic:1",)},
}
"""Shares of rows that grow from nothing over the whole budget, over a quarter of it, or at once."""


STUDY = Study(
    name="curriculum_length",
    question="How slowly should randomised worlds and the edge of the training box enter?",
    family="physics",
    space=space,
    stratify="arm",
    arms=ARMS,
    comparable=True,
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
            fields={**TINY, "batch": 16, "randomised": 48},
        ),
        "laptop": Scale(
            16,
            budget=800,
            grace=100,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=tuple(ARMS),
            fields={**SMALL, "randomised": 1200},
        ),
        "full": Scale(
            64,
            budget=40_000,
            grace=2500,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=tuple(ARMS),
            fields={**SMALL, "randomised": 1200},
        ),
    },
)
