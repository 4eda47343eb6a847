"""Does noise on the latent start of a recursive network help?

The log behind this study starts each trajectory at z0 + eps, eps ~ N(0, sigma^2 I), with sigma from
a band, and compares runs whose intervals overlap. Here noise is an arm beside a control of the same
rollout without it, with as many tuning trials, the same boards and a budget counted in
boards x trajectories x segments, so that four trajectories are not given four times the compute.
The band is searched as its centre (`sigma_centre`, in log space) and its width (`sigma_width`, in
decades), and the log's own settings are tried first.

    python sweeps/sigma_bands.py                    TRM, noise and control under parallel_fixed,
                                                    under 10 minutes on 2 cores
    python sweeps/sigma_bands.py --family hrm       HRM
    python sweeps/sigma_bands.py "arm=no noise (act_mask),sigma band (act_mask)"
                                                    another rollout with its control
    python sweeps/sigma_bands.py "arm=no noise,sigma band"
                                                    the rollout is searched too
    python sweeps/sigma_bands.py sigma_min=3e-5     one end of the default band is fixed; the width
                                                    decides the other
    python sweeps/sigma_bands.py start=FOLDER       every trial begins with a checkpoint's weights,
                                                    as the log's runs did
    python sweeps/sigma_bands.py --scale full       published sizes on 9x9, all three rollouts:
                                                    needs GPUs

The report compares the confirmed best of noise and control on 2,000 test boards or more, over 5
fresh seeds: exact accuracy from the clean start, and `robust`, the mean success over starts that
are perturbed by sigmas from 1e-5 to 1e-1. A difference below 0.01 would not matter; "no difference"
is an answer, and where neither can be said the report says how small a difference could have been
seen.
"""

from __future__ import annotations

from leadline import main
from search_spaces.sigma_bands.recursive import TRM

STUDY = TRM

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
