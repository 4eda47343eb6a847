"""Which checkpoints of a trial are kept: the latest two, and the best on validation.

Of the latest there are two, so that a damaged one costs one interval and not the whole trial.

The loop goes by `kept` while a trial runs, and `leadline.ledger.retention` once it has ended. The
plan of a sweep needs to know how many they are at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from leadline.measure import Report, sign

__all__ = ["LATEST", "MOST_KEPT", "kept"]

LATEST = 2
"""How many of the latest checkpoints a trial keeps."""
MOST_KEPT = LATEST + 1
"""How many checkpoints a trial keeps at most: the latest and the best."""


def kept(reports: Sequence[Report], metric: str, mode: Literal["min", "max"], latest: int = LATEST) -> set[str]:
    """Names the checkpoints of the last `latest` reports and that of the best value of a metric.

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
    return {report.checkpoint for report in [*reports[-latest:], *best] if report.checkpoint}
