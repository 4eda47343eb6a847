"""How many segments must a recursive network be given?

The limit is dealt; the optimizer's settings are searched, and of ETRM the cycles of a segment.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from leadline import Scale, Study
from search_spaces.recursive import EARLY_LOOK, optimisation, sizes

__all__ = ["ETRM", "HRM", "TRM"]


CYCLES = ("h_cycles", "l_cycles")


def with_cycles(trial: Any, scale: str) -> dict[str, Any]:
    """Suggests fields of `ETRMConfig`: few segments may be made up for by more cycles of each.

    Arguments are those of `search_spaces.sigma_bands.recursive.space`.
    """
    most = (3, 6) if scale == "full" else (2, 2)
    cycles = {name: trial.suggest_int(name, 1, high) for name, high in zip(CYCLES, most, strict=True)}
    return {**optimisation(trial, scale), **cycles}


def scales(family: str) -> dict[str, Scale]:
    """Returns the scales of a recursive family, over the most segments that a board is given."""
    limits = (1, 2, 4, 8)
    tiny, small, large = sizes(family)
    laptop = Scale(24, budget=768, grace=192, reduction=4, confirm=1, replicates=5, strata=limits, fields=small)
    if family == "etrm":
        large = {name: value for name, value in large.items() if name not in CYCLES}
        laptop = dataclasses.replace(laptop, **EARLY_LOOK, strata=limits[:3], fields={**small, "batch": 16})
    return {
        "smoke": Scale(
            4, budget=48, grace=12, reduction=2, confirm=1, replicates=1, strata=(1, 4), startup=2, fields=tiny
        ),
        "laptop": laptop,
        "full": Scale(
            60,
            budget=50_000,
            grace=3125,
            reduction=4,
            confirm=1,
            replicates=5,
            strata=(*limits, 16),
            fields=large,
        ),
    }


def study(family: str) -> Study:
    """Returns the study as a recursive family answers it."""
    return Study(
        name="lookahead",
        question="How many segments must a recursive network be given?",
        family=family,
        space=with_cycles if family == "etrm" else optimisation,
        stratify="halt_max_steps",
        comparable=True,
        scales=scales(family),
    )


TRM = study("trm")
HRM = study("hrm")
ETRM = study("etrm")
