"""Predictors without a trained parameter, scored on the same rows as trials, and the oracles."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from leadline.measure import Measure
from leadline.task import Split
from trainables.scan import trivial
from trainables.scan.config import ScanConfig
from trainables.scan.data import ScanData
from trainables.scan.metrics import score
from trainables.scan.rows import I64, scored

__all__ = ["baselines"]

Predictor = Callable[[ScanData, I64, I64], npt.NDArray[np.int8]]

PREDICTORS: Mapping[str, Predictor] = {
    "most frequent answer": trivial.most_frequent,
    "nearest training command": trivial.nearest,
    # It knows the grammar, so that on commands under no rule it is the oracle.
    "oracle: the base rule": trivial.unmodified,
    "oracle: interpreter": trivial.interpreted,
}
"""The predictors by name."""


def baselines(config: ScanConfig, data: ScanData, split: Split) -> dict[str, dict[str, Measure]]:
    """Returns every metric of every predictor on a split.

    The base rule's answer is right wherever there is no rule, and wrong under each: rules are
    scored where they change it.
    """
    rows = scored(config, data, split)
    return {
        name: score(
            rows,
            {metric: predict(data, part.names, part.places).astype(np.int64) for metric, part in rows.items()},
        )
        for name, predict in PREDICTORS.items()
    }
