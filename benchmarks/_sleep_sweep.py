"""The sweep that `benchmarks.engine` times: an ordinary sweep script, but for its family.

    python -m benchmarks._sleep_sweep --storage FOLDER

Reports come after each step, so the first rung is at step 1. All trials tie there, and ties go on:
every trial runs its four steps. Nothing is confirmed.
"""

from __future__ import annotations

from typing import Any

from benchmarks.sleep_family import REPORTS
from leadline import Scale, Study, main

TRIALS = 16


def space(trial: Any, scale: str) -> dict[str, Any]:
    """Suggests one number, for the searcher to work on."""
    return {"x": trial.suggest_float("x", 0.0, 1.0)}


STUDY = Study(
    name="sleep",
    family="benchmarks.sleep_family:SLEEP",
    space=space,
    stratify=None,
    scales={
        "laptop": Scale(trials=TRIALS, budget=REPORTS, grace=1, reduction=4, confirm=0, replicates=1, strata=("all",))
    },
)

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
