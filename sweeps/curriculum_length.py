"""How slowly should hard orbits enter the training of a Lyapunov network, and does mining help? And noise that of a recursive one?

The log behind this study says that a faster ramp of its 49 hard seeds helped and that mining was hurting, from one run each. Here
both are arms beside two controls, the full set from the start and no hard seeds at all, each with as many tuning trials, confirmed
on the same test orbits from the same fresh seeds. Ramps are shares of a trial's own budget. Early rungs judge a slow ramp before all
its hard rows have arrived, so that the search within an arm favours fast ones; the arms themselves are compared at full budget.

    python sweeps/curriculum_length.py                       4 arms on this machine, under 5 minutes on 2 cores
    python sweeps/curriculum_length.py "arm=ramp,no hard seeds"
    python sweeps/curriculum_length.py --family trm          or hrm: a sigma that ramps up, all noise from the start, none
    python -m analysis compare "results/NAME:ramp" "results/NAME:all from the start"

Expect all arms to stay behind the zero-parameter sum, since these networks start at random, and mining to be ahead of a ramp alone
(docs/results.md).

Of the recursive families, each board has one trajectory in every arm, clean with a chance of 1/4 where there is noise: the log's one clean
of four, at the cost of one.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from leadline.engine import Scale, Study, main
from search_spaces.curriculum_length import recursive, space
from trainables.recursive.sizes import PUBLISHED, SMALL, TINY

ARMS = {
    "ramp": {"mine_every": 0.0},
    "ramp + mining": {"mine_every": 0.1},
    "all from the start": {"mine_every": 0.0, "ramp": 0.0, "start_seeds": 0},
    "no hard seeds": {"mine_every": 0.0, "ramp": 0.0, "start_seeds": 0, "hard_ratio": 0.0},
}
FIELDS = {"lookahead": 20, "common": 20}

NOISY = {"mode": "single_perturbed_ce", "p_clean": 0.25}
SIGMA_ARMS: dict[str, dict[str, Any]] = {
    "ramp": NOISY,
    "full noise from the start": {**NOISY, "ramp": 0.0},
    "no noise": {"mode": "none"},
}


def recursive_scales(family: str) -> dict[str, Scale]:
    """Those of a recursive family, over arms of noise."""
    tiny, small, large = (
        {"batch": 16, **fields, "rollout": "parallel_fixed"}
        for fields in (TINY, SMALL, {**PUBLISHED[family], "batch": 64})
    )
    return {
        "smoke": Scale(
            6,
            budget=16,
            grace=4,
            reduction=2,
            confirm=1,
            replicates=1,
            strata=tuple(SIGMA_ARMS),
            startup=2,
            fields=tiny,
        ),
        "laptop": Scale(
            24, budget=768, grace=192, reduction=4, confirm=1, replicates=5, strata=tuple(SIGMA_ARMS), fields=small
        ),
        "full": Scale(
            60, budget=50_000, grace=3125, reduction=4, confirm=1, replicates=5, strata=tuple(SIGMA_ARMS), fields=large
        ),
    }


TRM = Study(
    name="curriculum_length",
    question="How slowly should noise on the latent start enter?",
    family="trm",
    space=recursive,
    stratify="arm",
    arms=SIGMA_ARMS,
    comparable=True,
    scales=recursive_scales("trm"),
)

STUDY = Study(
    name="curriculum_length",
    question="How slowly should hard orbits enter, and does mining help?",
    family="collatz",
    space=space,
    stratify="arm",
    arms=ARMS,
    comparable=True,
    scales={
        "smoke": Scale(
            8, budget=90, grace=10, reduction=3, confirm=1, replicates=1, strata=tuple(ARMS), startup=2, fields=FIELDS
        ),
        "laptop": Scale(
            40, budget=3600, grace=400, reduction=3, confirm=1, replicates=5, strata=tuple(ARMS), fields=FIELDS
        ),
        "full": Scale(
            96,
            budget=100_000,
            grace=2500,
            reduction=3,
            confirm=1,
            replicates=5,
            strata=tuple(ARMS),
            fields={**FIELDS, "layers": (2048, 1024, 1024, 512, 512, 512, 256, 128, 64), "batch": 1024},
        ),
    },
    also=(TRM, dataclasses.replace(TRM, family="hrm", scales=recursive_scales("hrm"))),
)

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
