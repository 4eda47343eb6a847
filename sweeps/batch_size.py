"""How large a batch should a Lyapunov network, or a recursive one, be trained with?

The effective batch is dealt to trials as a stratum and the budget is counted in samples, so that
every batch sees equally many rows; the learning rate and the rule by which it follows the batch
(none, square root, linear) are searched in each. The micro-batch, the rows of one forward and
backward pass, is measured at the start of a trial: the fastest on this machine that fits its
memory.

    python sweeps/batch_size.py                4 batches on this machine, under 5 minutes on 2 cores
    python sweeps/batch_size.py batch=64,1024  other batches; powers of two divide the budget
    python sweeps/batch_size.py --family trm   or hrm: boards of a step; samples are
                                               boards x trajectories x segments
    python sweeps/batch_size.py --family etrm  on grids, or arc_hrm, in micro-batches of 8
    python sweeps/batch_size.py --family scan  or physics, by way of the log's ladder
    leadline compare results/NAME:64 results/NAME:1024
                                               at equal samples, on the test orbits
    leadline compare results/NAME:64 results/NAME:1024 --at time
                                               at equal training time, on validation

Expect every batch to stay behind the zero-parameter sum, and their order to owe as much to the
learning rates that were found as to the batch (docs/results.md).
"""

from __future__ import annotations

from leadline import Scale, Study, main
from search_spaces.batch_size.collatz import space

FIELDS = {"lookahead": 20, "common": 20, "ramp": 0.1, "micro_batch": "auto"}


STUDY = Study(
    name="batch_size",
    question="How large a batch should a Lyapunov network be trained with?",
    family="collatz",
    space=space,
    stratify="batch",
    budget="samples",
    comparable=True,
    scales={
        "smoke": Scale(
            6,
            budget=2**14,
            grace=2**12,
            reduction=2,
            confirm=1,
            replicates=1,
            strata=(64, 1024),
            startup=2,
            fields=FIELDS,
        ),
        "laptop": Scale(
            40,
            budget=2**20,
            grace=2**16,
            reduction=4,
            confirm=1,
            replicates=5,
            strata=(64, 256, 1024, 4096),
            fields=FIELDS,
        ),
        "full": Scale(
            100,
            budget=2**26,
            grace=2**20,
            reduction=4,
            confirm=1,
            replicates=5,
            strata=(64, 256, 1024, 4096, 16384),
            fields={**FIELDS, "layers": (2048, 1024, 1024, 512, 512, 512, 256, 128, 64)},
        ),
    },
)

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
