"""Does a curriculum of data, physics terms and randomised worlds beat all of them at once?"""

from __future__ import annotations

from typing import Any

from leadline import Contrast, Scale, Study
from search_spaces.physics import SMALL, TINY, space
from search_spaces.stages.equal import stages

__all__ = ["ARMS", "STUDY", "space"]

BASIC = "basic:{}"
PHYSICS = "physics:{}:energy=0.1:momentum=0.1:ramp=0.5"
RANDOMISED = "randomised:{}:energy=0.1:momentum=0.1:randomise=0.5"
EXTRAPOLATION = "extrapolation:{}:energy=0.1:momentum=0.1:randomise=0.25:edge=0.5"
ORDER = (BASIC, PHYSICS, RANDOMISED, EXTRAPOLATION)
"""The log's stages, with what two of them were meant to do."""
JOINT = "joint:1:energy=0.1:momentum=0.1:randomise=0.1875:edge=0.125"
"""Everything from the start; the shares of rows are the means of the stages' shares."""


ARMS: dict[str, dict[str, Any]] = {
    "staged": stages(*ORDER),
    "joint": {"stages": (JOINT,)},
    "stage 1 alone": stages(BASIC),
    "without physics": stages(BASIC, RANDOMISED, EXTRAPOLATION),
    "without randomised": stages(BASIC, PHYSICS, EXTRAPOLATION),
    "without extrapolation": stages(BASIC, PHYSICS, RANDOMISED),
    "reversed": stages(*reversed(ORDER)),
    "world withheld": {"stages": (JOINT,), "world_given": False, "flight_gravity": "estimated"},
}
DEFAULT = ("staged", "joint", "stage 1 alone")
WITHOUT = dict.fromkeys(
    ("collatz", "hrm", "trm", "etrm", "arc_hrm"), "curriculum_length asks how slowly its hard rows or its noise enter"
)
MARGINS = {"skill": 0.02, "extrapolation_skill": 0.02}


STUDY = Study(
    name="stages",
    question="Does a curriculum of data, physics terms and randomised worlds beat all of them at once?",
    family="physics",
    space=space,
    stratify="arm",
    arms=ARMS,
    comparable=True,
    without=WITHOUT,
    scales={
        "smoke": Scale(
            3,
            budget=80,
            grace=20,
            reduction=2,
            confirm=1,
            replicates=1,
            strata=DEFAULT,
            startup=1,
            fields={**TINY, "batch": 16, "randomised": 48},
        ),
        "laptop": Scale(
            15,
            budget=1000,
            grace=125,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=DEFAULT,
            fields={**SMALL, "randomised": 1200},
        ),
        "full": Scale(
            96,
            budget=40_000,
            grace=2500,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=tuple(ARMS),
            fields={"width": 256, "layers": 6, "heads": 8, "expansion": 4, "randomised": 2400},
        ),
    },
    contrasts=(
        Contrast("staged", "joint", MARGINS),
        Contrast("joint", "stage 1 alone", MARGINS),
        Contrast("world withheld", "joint", MARGINS),
    ),
)
