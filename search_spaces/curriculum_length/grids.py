"""How slowly should large grids enter the training of a network on grids?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from leadline import Scale, Study
from search_spaces import grids
from search_spaces.arc_hrm import NARROW
from search_spaces.recursive import EARLY_LOOK, optimisation, sizes
from trainables.arc_hrm.presets import NETWORK

__all__ = ["ARC_HRM", "ARMS", "ETRM"]

ARMS: dict[str, dict[str, Any]] = {
    "slow ramp": {"easy_first": 1.0},
    "fast ramp": {"easy_first": 0.25},
    "all from the start": {"easy_first": 0.0},
}
"""The grids grow from 3 x 3 to the canvas over the whole budget, over a quarter of it, or not."""


def study(family: str, tiny: Mapping[str, Any], small: Mapping[str, Any], large: Mapping[str, Any]) -> Study:
    """Returns the study as a family of grids answers it, given the fields of each scale."""
    strata = tuple(ARMS)
    laptop = Scale(**EARLY_LOOK, confirm=1, replicates=5, strata=strata, fields={**small, "batch": 16})
    return Study(
        name="curriculum_length",
        question="How slowly should large grids enter?",
        family=family,
        space=optimisation,
        stratify="arm",
        arms=ARMS,
        comparable=True,
        scales={
            "smoke": dataclasses.replace(
                laptop, trials=3, budget=48, grace=12, replicates=1, startup=1, fields={**tiny, "batch": 8}
            ),
            "laptop": laptop,
            "full": dataclasses.replace(
                laptop, trials=60, budget=50_000, grace=3125, reduction=4, startup=5, fields={**large, "batch": 256}
            ),
        },
    )


ETRM = study("etrm", *sizes("etrm"))
_SHOWN: Mapping[str, Any] = {"demonstrations": 2, "demonstrations_in_input": True}
"""Without demonstrations arc_hrm cannot know which rule is meant."""
ARC_HRM = study(
    "arc_hrm",
    {**grids.TINY, **NARROW, **_SHOWN},
    {**grids.SMALL, **_SHOWN, "max_cycles": 2},
    {**grids.FULL, **NETWORK, **_SHOWN},
)
