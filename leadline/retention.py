"""Which checkpoints of a trial are kept: the latest two, the best on validation, each stage's last.

Of the latest there are two, so that a damaged one costs one interval and not the whole trial.

The loop goes by `kept` while a trial runs, and `leadline.ledger.retention` once it has ended. The
plan of a sweep needs to know how many they are at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from leadline.measure import Report, sign

__all__ = ["LATEST", "MOST_KEPT", "kept"]

LATEST = 2
"""How many of the latest checkpoints a trial keeps."""
MOST_KEPT = LATEST + 1
"""How many checkpoints a trial keeps at most, beside one for each stage: the latest, the best."""


def kept(reports: Sequence[Report], metric: str, mode: Literal["min", "max"], latest: int = LATEST) -> set[str]:
    """Names those of the last `latest` reports, of the best value and of the end of each stage.

    Args:
        reports: the reports of one trial, in order; one without a checkpoint, or whose value is not
            finite, counts for nothing.
        metric: the metric's name with its split, such as `validation/hinge`.
        mode: whether smaller or larger values are better; of equal ones the first is the best.
        latest: how many of the latest are kept.
    """
    scored = [(sign(mode) * report.metrics[metric].value, report) for report in reports if metric in report.metrics]
    finite = [pair for pair in scored if math.isfinite(pair[0])]
    best = [min(finite, key=lambda pair: pair[0])[1]] if finite else []
    ends = [report for report, after in pairwise(reports) if _stage(after) > _stage(report)]
    return {report.checkpoint for report in [*reports[-latest:], *best, *ends] if report.checkpoint}


def _stage(report: Report) -> float:
    """The stage of the curriculum in which a report was made; 0 without one."""
    return report.facts.get("stage", 0.0)
