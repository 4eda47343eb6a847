"""How large a batch should an HRM-style network be trained with?

Micro-batches are equally large in all strata, as rows of one stop together.
"""

from __future__ import annotations

from leadline import Scale, Study
from search_spaces.arc_hrm import LARGE, SMALL, TINY
from search_spaces.recursive import optimisation

__all__ = ["STUDY"]

BATCHES = (8, 32, 128)


STUDY = Study(
    name="batch_size",
    question="How large a batch should an HRM-style network be trained with?",
    family="arc_hrm",
    space=optimisation,
    stratify="batch",
    budget="samples",
    comparable=True,
    scales={
        "smoke": Scale(
            4,
            budget=2**9,
            grace=2**7,
            reduction=2,
            confirm=1,
            replicates=1,
            strata=(8, 32),
            startup=2,
            fields={**TINY, "micro_batch": 8},
        ),
        "laptop": Scale(
            12,
            budget=2**13,
            grace=2**11,
            reduction=4,
            confirm=1,
            replicates=5,
            strata=BATCHES,
            startup=2,
            fields={**SMALL, "micro_batch": 8, "max_cycles": 2},
        ),
        "full": Scale(
            60,
            budget=2**22,
            grace=2**18,
            reduction=4,
            confirm=1,
            replicates=5,
            strata=(*BATCHES, 512),
            fields={**LARGE, "micro_batch": 8},
        ),
    },
)
