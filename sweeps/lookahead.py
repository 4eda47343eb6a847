"""How far must a Lyapunov network look ahead?

The log behind this study reports that violations on held-out Collatz orbits fall from 64 to 14 as the network sees 10, 20, 100
steps ahead. But a network that sees as far as the orbit lasts has been given the answer, and a formula without a single
parameter does as well. So lookahead is dealt to trials as a stratum, never searched, and each stratum is compared with the
formulas on the same rows.

    python sweeps/lookahead.py                 4 strata on this machine, under 4 minutes on 2 cores
    python sweeps/lookahead.py --dry-run       the plan, and what it would cost here
    python sweeps/lookahead.py --scale full    the log's own network and budget: days on a CPU, hours on GPUs

Expect the hinge on validation to fall with lookahead, and the zero-parameter sum to be hard to beat at 100.
"""

from __future__ import annotations

from search_spaces.lookahead import space
from sweeps.engine import Scale, Study, main

STUDY = Study(
    name="lookahead",
    family="collatz",
    space=space,
    stratify="lookahead",
    scales={
        "smoke": Scale(trials=6, steps=90, grace=10, reduction=3, confirm=1, replicates=1, strata=(10, 100), startup=2),
        "laptop": Scale(trials=40, steps=3600, grace=400, reduction=3, confirm=1, replicates=3, strata=(10, 20, 50, 100)),
        "full": Scale(trials=96, steps=100_000, grace=2500, reduction=3, confirm=1, replicates=5, strata=(10, 20, 50, 100, 110, 200)),
    },
)

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
