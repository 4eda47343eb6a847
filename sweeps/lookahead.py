"""How far must a Lyapunov network look ahead, and how many segments does a recursive one need?

The log behind this study reports that violations on held-out Collatz orbits fall from 64 to 14 as
the network sees 10, 20, 100 steps ahead. But a network that sees as far as the orbit lasts has been
given the answer, and a formula without a single parameter does as well. So lookahead is dealt to
trials as a stratum, never searched, all else is paired across strata, and each is compared with the
formulas on the same rows. The network starts at the formula (`skip`), so that it has to earn what
it adds.

    python sweeps/lookahead.py                 4 strata on this machine, under 5 minutes on 2 cores
    python sweeps/lookahead.py --dry-run       the plan, and what it would cost here
    python sweeps/lookahead.py --scale full    a network of the log's size: days on a CPU,
                                               hours on GPUs
    python sweeps/lookahead.py --family trm    or hrm: boards solved in at most 1, 2, 4 or 8
                                               segments (halt_max_steps)
    python sweeps/lookahead.py --family physics
                                               frames of moving balls that are seen: 2, 5, 10, 20
    python sweeps/lookahead.py --family etrm   grids answered in at most 1, 2 or 4 segments, whose
                                               cycles are searched
    python sweeps/lookahead.py --family arc_hrm
                                               sudokus answered in at most 1, 2 or 4 cycles

Expect the hinge to fall with lookahead for networks and formula alike, a gain over the formula of
up to a tenth below 20, a trade of hinge against violations at 50, and no gain that can be seen from
100 on (docs/results.md).

With a recursive family, the halting limit is the stratum: streaming spends one segment a step
whatever the limit, so that all strata are trained equally long; what they may spend on a board
differs.
"""

from __future__ import annotations

from leadline import Scale, Study, main
from search_spaces.lookahead.collatz import space

FIELDS = {"skip": True, "anchor": 0.0, "weights": "even", "ramp": 0.0, "extra_orbits": 512, "batch": 256}


STUDY = Study(
    name="lookahead",
    question="How far must a Lyapunov network look ahead?",
    family="collatz",
    space=space,
    stratify="lookahead",
    without={"scan": "its networks read the whole command, so that there is nothing to look ahead to"},
    shared=lambda strata: {"common": max(strata)},
    scales={
        "smoke": Scale(
            6, budget=90, grace=10, reduction=3, confirm=1, replicates=1, strata=(10, 100), startup=2, fields=FIELDS
        ),
        "laptop": Scale(
            40, budget=3600, grace=400, reduction=3, confirm=1, replicates=5, strata=(10, 20, 50, 100), fields=FIELDS
        ),
        "full": Scale(
            96,
            budget=100_000,
            grace=2500,
            reduction=3,
            confirm=1,
            replicates=5,
            strata=(10, 20, 50, 100, 110, 200),
            fields={**FIELDS, "batch": 1024},
        ),
    },
)

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
