"""Does a curriculum of rules, one kind after the other, beat training on all of them at once?"""

from __future__ import annotations

from typing import Any

from leadline import Contrast, Scale, Study
from search_spaces.scan import SMALL, TINY, space
from search_spaces.stages.equal import stages

__all__ = ["ARMS", "STUDY", "space"]

BASE = "base:{}"
SIMPLE = "simple:{}:modified=0.3:rules=simple"
COMPLEX = "complex:{}:modified=0.5:rules=simple+complex"
NOVEL = "novel:{}:modified=0.7:rules=simple+complex+novel"
ORDER = (BASE, SIMPLE, COMPLEX, NOVEL)
"""The log's stages: its kinds of rules and its shares of rows under one."""
JOINT = "joint:1:modified=0.375:rules=simple+complex+novel"
"""All rules from the start; 0.375 is the mean of the stages' shares."""


ARMS: dict[str, dict[str, Any]] = {
    "staged": stages(*ORDER),
    "joint": {"stages": (JOINT,)},
    "stage 1 alone": stages(BASE),
    "without simple": stages(BASE, COMPLEX, NOVEL),
    "without complex": stages(BASE, SIMPLE, NOVEL),
    "without novel": stages(BASE, SIMPLE, COMPLEX),
    "reversed": stages(*reversed(ORDER)),
}
DEFAULT = ("staged", "joint", "stage 1 alone")
MARGINS = {"held_out": 0.02, "held_out_rules": 0.02, "exact": 0.01}
"""Of commands under pairs of rules that were never trained together, of such pairs, and of commands
under the base rule."""


STUDY = Study(
    name="stages",
    question="Does a curriculum of rules, one kind after the other, beat training on all of them at once?",
    family="scan",
    space=space,
    stratify="arm",
    arms=ARMS,
    comparable=True,
    metric="held_out",
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
            fields={**TINY, "batch": 16},
        ),
        "laptop": Scale(
            15,
            budget=1120,
            grace=140,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=DEFAULT,
            fields=SMALL,
        ),
        "full": Scale(
            84,
            budget=24_000,
            grace=1500,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=tuple(ARMS),
            fields={"batch": 128, "width": 128},
        ),
    },
    contrasts=(Contrast("staged", "joint", MARGINS), Contrast("joint", "stage 1 alone", MARGINS)),
)
