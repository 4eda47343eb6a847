"""How many frames must a network see?

The frames that are given are dealt; the optimizer's settings are searched. All strata predict the
same frames (`common`), so that they can be compared: by nrmse, since the predictor that skill is
over may depend on what was seen.
"""

from __future__ import annotations

from leadline import Contrast, Scale, Study
from search_spaces.physics import SMALL, TINY, space

__all__ = ["STUDY", "space"]


STUDY = Study(
    name="lookahead",
    question="How many frames must a network see to predict the next ten?",
    family="physics",
    space=space,
    stratify="seen",
    shared=lambda strata: {"common": max(strata)},
    comparable=True,
    scales={
        "smoke": Scale(
            4,
            budget=40,
            grace=10,
            reduction=2,
            confirm=1,
            replicates=1,
            strata=(2, 10),
            startup=2,
            fields={**TINY, "batch": 16},
        ),
        "laptop": Scale(
            16, budget=800, grace=100, reduction=2, confirm=1, replicates=5, strata=(2, 5, 10, 20), fields=SMALL
        ),
        "full": Scale(
            48, budget=40_000, grace=2500, reduction=2, confirm=1, replicates=5, strata=(2, 5, 10, 20), fields=SMALL
        ),
    },
    contrasts=tuple(Contrast("2", more, {"nrmse": 0.005}) for more in ("5", "10", "20")),
)
