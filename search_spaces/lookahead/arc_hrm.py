"""How many cycles must an HRM-style network be given?

The most cycles are dealt; the optimizer's settings are searched. The boards are sudokus, as those
of HRM and TRM in this study.
"""

from __future__ import annotations

from leadline import Scale, Study
from search_spaces.arc_hrm import LARGE, SMALL, TINY
from search_spaces.recursive import optimisation

__all__ = ["STUDY"]

CYCLES = (1, 2, 4, 8)


STUDY = Study(
    name="lookahead",
    question="How many cycles must an HRM-style network be given?",
    family="arc_hrm",
    space=optimisation,
    stratify="max_cycles",
    comparable=True,
    scales={
        "smoke": Scale(
            4, budget=48, grace=12, reduction=2, confirm=1, replicates=1, strata=(1, 4), startup=2, fields=TINY
        ),
        "laptop": Scale(
            12,
            budget=384,
            grace=96,
            reduction=4,
            confirm=1,
            replicates=5,
            strata=CYCLES[:3],
            startup=2,
            fields={**SMALL, "batch": 32},
        ),
        "full": Scale(
            60, budget=50_000, grace=3125, reduction=4, confirm=1, replicates=5, strata=(*CYCLES, 16), fields=LARGE
        ),
    },
)
