"""How large a batch should a recursive network be trained with?"""

from __future__ import annotations

import dataclasses

from leadline import Scale, Study
from search_spaces.recursive import EARLY_LOOK, optimisation, sizes

__all__ = ["ETRM", "HRM", "TRM"]


def scales(family: str) -> dict[str, Scale]:
    """Returns the scales of a recursive family."""
    tiny, small, large = ({**fields, "micro_batch": "auto"} for fields in sizes(family))
    laptop = Scale(
        24,
        budget=3 * 2**14,
        grace=3 * 2**12,
        reduction=4,
        confirm=1,
        replicates=5,
        strata=(8, 32, 128),
        fields=small,
    )
    if family == "etrm":
        laptop = dataclasses.replace(laptop, **{**EARLY_LOOK, "budget": 2**12, "grace": 2**11}, strata=(4, 16, 64))
    return {
        "smoke": Scale(
            4, budget=2**11, grace=2**9, reduction=2, confirm=1, replicates=1, strata=(16, 64), startup=2, fields=tiny
        ),
        "laptop": laptop,
        "full": Scale(
            64,
            budget=2**24,
            grace=2**20,
            reduction=4,
            confirm=1,
            replicates=5,
            strata=(64, 128, 256, 512),
            fields=large,
        ),
    }


def study(family: str) -> Study:
    """Returns the study as a recursive family answers it."""
    return Study(
        name="batch_size",
        question="How large a batch should a recursive network be trained with?",
        family=family,
        space=optimisation,
        stratify="batch",
        budget="samples",
        comparable=True,
        scales=scales(family),
    )


TRM = study("trm")
HRM = study("hrm")
ETRM = study("etrm")
