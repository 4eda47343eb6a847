"""Predictors that learn nothing, scored on the same windows as trials."""

from __future__ import annotations

from leadline.measure import Measure
from leadline.task import Split
from trainables.physics.data import Prepared
from trainables.physics.metrics import score

__all__ = ["baselines"]


def baselines(data: Prepared, split: Split) -> dict[str, dict[str, Measure]]:
    """Returns every metric of every predictor of `trivial.TRIVIAL` on a split.

    Names of those that know more of a world than a predictor may begin with `oracle`.
    """
    rows = data.rows(split)
    return {name: score(errors, rows) for name, errors in data.trivial[split].items()}
