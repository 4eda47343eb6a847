"""Does noise on the latent start of a recursive network help?

The log behind this study starts each trajectory at z0 + eps, eps ~ N(0, sigma^2 I), with sigma from a band, and compares runs whose
intervals overlap. Here noise is an arm beside a control of the same rollout without it, with as many tuning trials, the same boards and a
budget counted in boards x trajectories x segments, so that four trajectories are not given four times the compute. The band is searched as
its centre (`sigma_centre`, in log space) and its width (`sigma_width`, in decades), and the log's own settings are tried first.

    python sweeps/sigma_bands.py                             TRM, noise and control under parallel_fixed, under 10 minutes on 2 cores
    python sweeps/sigma_bands.py --family hrm                HRM
    python sweeps/sigma_bands.py "arm=no noise (act_mask),sigma band (act_mask)"       another rollout with its control
    python sweeps/sigma_bands.py "arm=no noise,sigma band"   the rollout is searched too
    python sweeps/sigma_bands.py sigma_min=3e-5              one end of the default band is fixed; the width decides the other
    python sweeps/sigma_bands.py start=FOLDER                every trial begins with a checkpoint's weights, as the log's runs did
    python sweeps/sigma_bands.py --scale full                published sizes on 9x9, all three rollouts: needs GPUs

The report compares the confirmed best of noise and control on 2,000 test boards or more, over 5 fresh seeds: exact accuracy from the clean
start, and `robust`, the mean success over starts that are perturbed by sigmas from 1e-5 to 1e-1. A difference below 0.01 would not matter;
"no difference" is an answer, and where neither can be said the report says how small a difference could have been seen.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from leadline.engine import Contrast, Scale, Study, main
from search_spaces.sigma_bands import space
from trainables.recursive.sizes import PUBLISHED, SMALL, TINY

ROLLOUTS = ("parallel_fixed", "serial_act", "act_mask")
MARGINS = {"exact": 0.01, "robust": 0.01}
COMMON: dict[str, Any] = {"lr": 2e-3, "weight_decay": 0.1, "batch": 16, "rollout": "parallel_fixed"}
LOG: dict[str, Any] = {
    **COMMON,
    "mode": "multi_perturbed_ce",
    "k": 4,
    "location": "both",
    "sigma_centre": 3e-4,
    "sigma_width": 2.0,
    "ramp": 0.1,
    "p_clean": 0.0,
}
"""The log's noise. With four trajectories of each board it gets a quarter of the control's batch: a step is then as large."""


def pair(rollout: str) -> tuple[str, str]:
    """The names of the noisy arm and of its control; the empty rollout is searched."""
    place = f" ({rollout})" if rollout else ""
    return f"sigma band{place}", f"no noise{place}"


PAIRS = {rollout: pair(rollout) for rollout in ("", *ROLLOUTS)}
ARMS: dict[str, dict[str, Any]] = {}
for _rollout, (_noisy, _control) in PAIRS.items():
    _fixed = {"rollout": _rollout} if _rollout else {}
    ARMS |= {_control: {"mode": "none", **_fixed}, _noisy: dict(_fixed)}
NOISY = [noisy for noisy, _ in PAIRS.values()]
MATCHED = tuple(name for rollout in ROLLOUTS for name in reversed(PAIRS[rollout]))


BOARDS = {**SMALL, "test_boards": 2048}


PUBLISHED_RATE = {"lr": 1e-4, "weight_decay": 1.0, "batch": 64}


def first(**other: Any) -> dict[str, tuple[dict[str, Any]]]:
    """What each arm tries first: the log's settings, or the same without noise."""
    return {
        name: ({**LOG, **other, "batch": other.get("batch", 16) // 4} if name in NOISY else {**COMMON, **other},)
        for name in ARMS
    }


def scales(family: str) -> dict[str, Scale]:
    """Sizes in boards x trajectories x segments; a family's published size is that of full."""
    arms, large = MATCHED[:2], PUBLISHED[family]
    return {
        "smoke": Scale(
            4,
            budget=2**13,
            grace=2**11,
            reduction=2,
            confirm=1,
            replicates=1,
            strata=arms,
            startup=2,
            fields=TINY,
            enqueue=first(),
        ),
        "laptop": Scale(
            16,
            budget=2**15,
            grace=2**14,
            reduction=2,
            confirm=1,
            replicates=5,
            strata=arms,
            fields=BOARDS,
            enqueue=first(),
        ),
        "full": Scale(
            96,
            budget=2**24,
            grace=2**20,
            reduction=4,
            confirm=1,
            replicates=5,
            strata=MATCHED,
            fields=large,
            enqueue=first(**PUBLISHED_RATE),
        ),
    }


TRM = Study(
    name="sigma_bands",
    question="Does noise on the latent start of a recursive network help?",
    family="trm",
    space=space,
    stratify="arm",
    arms=ARMS,
    budget="samples",
    comparable=True,
    scales=scales("trm"),
    contrasts=tuple(Contrast(noisy, control, MARGINS) for noisy, control in PAIRS.values()),
    least_units=2000,
    without={"collatz": "its network has no latent state that could be perturbed"},
)
STUDY = dataclasses.replace(TRM, also=(dataclasses.replace(TRM, family="hrm", scales=scales("hrm")),))

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
