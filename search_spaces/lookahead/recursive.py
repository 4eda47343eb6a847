"""How many segments must a recursive network be given?

The limit is dealt; the optimizer's settings are searched.
"""

from __future__ import annotations

from typing import Any

from leadline import Scale, Study
from search_spaces.recursive import PUBLISHED, SMALL, TINY, optimisation

__all__ = ["HRM", "TRM", "space"]


def space(trial: Any, scale: str) -> dict[str, Any]:
    """Suggests fields of `RecursiveConfig`.

    Arguments are those of `search_spaces.sigma_bands.recursive.space`.
    """
    return optimisation(trial, scale)


def scales(family: str) -> dict[str, Scale]:
    """Returns the scales of a recursive family, over the most segments that a board is given."""
    limits = (1, 2, 4, 8)
    return {
        "smoke": Scale(
            4, budget=48, grace=12, reduction=2, confirm=1, replicates=1, strata=(1, 4), startup=2, fields=TINY
        ),
        "laptop": Scale(24, budget=768, grace=192, reduction=4, confirm=1, replicates=5, strata=limits, fields=SMALL),
        "full": Scale(
            60,
            budget=50_000,
            grace=3125,
            reduction=4,
            confirm=1,
            replicates=5,
            strata=(*limits, 16),
            fields=PUBLISHED[family],
        ),
    }


def study(family: str) -> Study:
    """Returns the study as a recursive family answers it."""
    return Study(
        name="lookahead",
        question="How many segments must a recursive network be given?",
        family=family,
        space=space,
        stratify="halt_max_steps",
        comparable=True,
        scales=scales(family),
    )


TRM = study("trm")
HRM = study("hrm")
