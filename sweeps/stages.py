"""Does a staged curriculum beat joint training?

The log behind this study trains in four stages (basic, physics constraints, domain randomisation,
extrapolation focus; for language: base rules, simple modifications, complex ones, combinations) and
calls the curriculum effective, without ever training on everything at once. Here the log's order is
an arm beside the control, all of it from the start for as many samples, and beside the first stage
alone for the whole budget. Each arm has as many tuning trials over the same space, and each winner
is trained again from 5 fresh seeds on the same test rows, so that differences are paired. No trial
is stopped before its last stage has begun.

    python sweeps/stages.py                     three arms of the physics family on this machine,
                                                under 10 minutes on 2 cores
    python sweeps/stages.py --family scan       the same of commands and their rules
    python sweeps/stages.py --dry-run           the plan, and what it would cost here
    python sweeps/stages.py "arm=staged,joint,reversed,without physics"
                                                other arms: each stage left out, or all reversed
    python sweeps/stages.py --scale full        every arm at the log's size: needs GPUs
    leadline compare results/NAME:staged results/NAME:joint

Arms stand in search_spaces/stages; docs/stages.md says how to add one.
Expect no gain from stages: none was seen in prototypes, and "not told apart" with the difference
that could have been seen is an answer (docs/results.md).
"""

from __future__ import annotations

from leadline import main
from search_spaces.stages import physics

STUDY = physics.STUDY

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
