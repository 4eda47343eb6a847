"""What breaks the 71 % that a constant scores?

The log behind this study trains a network of 6.95 million parameters on ARC in five sessions, none
of which leaves 71.36 % of right cells, and calls that the network's capacity. A constant that
answers PAD everywhere has 71.36 % on the same boards, and not one grid. Here the log's last
session stands beside the same session with cells of PAD left out of the loss, and beside that with
the task's demonstrations in the input, without which nobody can know the rule that is meant. All
arms have the same boards, as many tuning trials and as many boards to train on; each winner is
trained again from 5 fresh seeds. The report opens with what the constant scores.

    python sweeps/plateau.py                    three arms on small grids on this machine, under 10
                                                minutes on 2 cores
    python sweeps/plateau.py --dry-run          the plan, and what it would cost here
    python sweeps/plateau.py "arm=session 1,session 3,session 4,session 5,demonstrations"
                                                all sessions of the log; wider asks whether four
                                                times the parameters help
    python sweeps/plateau.py --scale full       ARC-AGI-1 at 30x30, the log's network, and one of 27
                                                million parameters: needs GPUs
    python sweeps/plateau.py --scale full data_set=arcagi1_to_2
                                                tested on ARC-AGI-2
    leadline compare "results/NAME:demonstrations" "results/NAME:session 5"

Arms stand in search_spaces/plateau; docs/arc.md says what they are. `exact`, whole grids, decides:
the constant has none. `cells` is the log's accuracy, which the constant has for nothing.
"""

from __future__ import annotations

from leadline import main
from search_spaces.plateau import arc_hrm

STUDY = arc_hrm.STUDY

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
