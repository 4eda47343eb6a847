"""How slowly should hard orbits, or noise, enter the training of a network, and does mining help?

The hard orbits are those of a Lyapunov network; the noise is that of a recursive one.

The log behind this study says that a faster ramp of its 49 hard seeds helped and that mining was
hurting, from one run each. Here both are arms beside two controls, the full set from the start and
no hard seeds at all. Each arm has as many tuning trials, and all are confirmed on the same test
orbits from the same fresh seeds. Ramps are shares of a trial's own budget. Early rungs judge a slow
ramp before all its hard rows have arrived, so that the search within an arm favours fast ones; the
arms themselves are compared at full budget.

    python sweeps/curriculum_length.py                  4 arms on this machine, under 5 minutes
                                                        on 2 cores
    python sweeps/curriculum_length.py "arm=ramp,no hard seeds"
    python sweeps/curriculum_length.py --family trm     or hrm: a sigma that ramps up, all noise
                                                        from the start, none
    python sweeps/curriculum_length.py --family scan
                                                or physics: changed rules, or randomised worlds,
                                                that enter slowly, fast, at once, or never
    python sweeps/curriculum_length.py --family etrm
                                                or arc_hrm: grids that grow up to the canvas,
                                                slowly, fast, or not (easy_first)
    leadline compare "results/NAME:ramp" "results/NAME:all from the start"

Expect all arms to stay behind the zero-parameter sum, since these networks start at random, and
mining to be ahead of a ramp alone (docs/results.md).

With a recursive family, each board has one trajectory in every arm, clean with a chance of 1/4
where there is noise: the log's one clean of four, at the cost of one.
"""

from __future__ import annotations

from leadline import Scale, Study, main
from search_spaces.curriculum_length.collatz import space

ARMS = {
    "ramp": {"mine_every": 0.0},
    "ramp + mining": {"mine_every": 0.1},
    "all from the start": {"mine_every": 0.0, "ramp": 0.0, "start_seeds": 0},
    "no hard seeds": {"mine_every": 0.0, "ramp": 0.0, "start_seeds": 0, "hard_ratio": 0.0},
}
FIELDS = {"lookahead": 20, "common": 20}

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
)

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
