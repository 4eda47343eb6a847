"""A study over the toy family, run by tests as a user runs a script."""

from __future__ import annotations

from typing import Any

from leadline import Scale, Study, main


def space(trial: Any, scale: str) -> dict[str, Any]:
    return {"lr": trial.suggest_float("lr", 1e-3, 0.3, log=True), "offset": trial.suggest_float("offset", 0.0, 1.0)}


STUDY = Study(
    name="toy",
    family="tests.leadline.toy:TOY",
    space=space,
    stratify="level",
    scales={
        "laptop": Scale(trials=8, budget=27, grace=3, reduction=3, confirm=1, replicates=2, strata=(1, 2), startup=2),
        "smoke": Scale(trials=2, budget=8, grace=4, reduction=2, confirm=0, replicates=1, strata=(1, 2), startup=1),
    },
)

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
