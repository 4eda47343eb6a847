"""What may be said of a comparison, and in which words."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from leadline.ledger.verdicts import Comparison, Side, Verdict
from leadline.measure import Measure
from leadline.statistics import over_replicates, two_way

NOBODY = Side("a", "1"), Side("b", "2")


def compared(shift: float, noise: float = 0.01, mode: str = "min", **fields: Any) -> Comparison:
    """A difference of five replicates on 200 units."""
    table = shift + noise * np.random.default_rng(0).normal(size=(5, 200))
    given: dict[str, Any] = {"missing": "", "n": 200, "unit": "rows", **fields}
    return Comparison(*NOBODY, "error", mode, two_way(table), **given)


def test_a_verdict_is_the_word_that_is_shown() -> None:
    words = [
        "better",
        "worse",
        "no difference",
        "not told apart",
        "better by one metric and worse by another",
        "no claim",
        "agrees",
        "does not agree",
        "explained by a trivial predictor",
        "confounded",
        "not run",
    ]
    assert [f"{verdict}" for verdict in Verdict] == words
    assert json.loads(json.dumps(list(Verdict))) == words
    assert [Verdict.BETTER.phrase, Verdict.NOT_TOLD_APART.phrase] == ["better than", "not told apart from"]
    assert Verdict.MIXED.phrase == "better by one metric and worse by another than"


@pytest.mark.parametrize(
    ("shift", "noise", "fields", "verdict", "why"),
    [
        (-0.1, 0.01, {}, Verdict.BETTER, ""),
        (0.1, 0.01, {}, Verdict.WORSE, ""),
        (0.1, 0.01, {"mode": "max"}, Verdict.BETTER, ""),
        (-0.1, 0.01, {"margin": 0.5}, Verdict.BETTER, "by less than would matter: "),
        (-0.1, 0.01, {"missing": "only 3 of 5 replicates"}, Verdict.NO_CLAIM, ""),
        (-0.1, 0.01, {"differing": 5}, Verdict.NOT_TOLD_APART, "the arms differ on 5 of 200 rows, too few to tell"),
        (-0.1, 0.01, {"differing": 6}, Verdict.BETTER, ""),
        (0.0, 1.0, {}, Verdict.NOT_TOLD_APART, "a difference below "),
        (0.0, 1.0, {"margin": 1e-6}, Verdict.NOT_TOLD_APART, "a difference below "),
        (0.0, 1.0, {"margin": 9.0}, Verdict.NO_DIFFERENCE, "the 90 % interval lies within the margin of 9"),
        (0.0, 0.0, {"margin": 9.0}, Verdict.NOT_TOLD_APART, "equal on all 200 rows, which leaves room for up to 1.5 %"),
    ],
)
def test_each_verdict(shift: float, noise: float, fields: dict[str, Any], verdict: Verdict, why: str) -> None:
    found = compared(shift, noise, **fields)
    assert found.verdict is verdict
    assert found.why.startswith(why)
    assert bool(found.why) == bool(why)


@pytest.mark.parametrize(
    ("low", "high", "mode", "verdict"),
    [
        (1.0, 2.0, "min", Verdict.BETTER),
        (1.0, 2.0, "max", Verdict.WORSE),
        (4.0, 5.0, "min", Verdict.WORSE),
        (4.0, 5.0, "max", Verdict.BETTER),
        (2.0, 4.0, "min", Verdict.NOT_TOLD_APART),
        (1.0, 3.0, "min", Verdict.NOT_TOLD_APART),
        (-5.0, -4.0, "min", Verdict.BETTER),
        (math.nan, math.nan, "min", Verdict.NOT_TOLD_APART),
        (-math.inf, 2.0, "min", Verdict.NOT_TOLD_APART),
    ],
)
def test_without_values_per_unit_the_own_interval_decides(low: float, high: float, mode: str, verdict: Verdict) -> None:
    own = Side("trial 1", "1", None, (Measure((low + high) / 2, 9, low, high),))
    found = Comparison(own, Side("sum", "1", scores=(Measure.exact(3.0),)), "error", mode, None, "")
    assert found.verdict is verdict
    assert (found.difference, found.narrow, found.varies, found.equivalent) == (None, None, False, False)
    assert math.isnan(found.detectable)


def test_what_could_not_be_compared_claims_nothing() -> None:
    found = Comparison(*NOBODY, "error", "min", None, "nothing is there")
    assert (found.verdict, found.ahead, found.difference) == (Verdict.NO_CLAIM, "", None)
    assert math.isnan(found.a.measure.value)
    assert found.a.replicates == 0


def test_a_side_is_its_replicates_and_a_predictor_its_score() -> None:
    generator = np.random.default_rng(0)
    rows = [generator.normal(size=50) for _ in range(3)]
    scores = tuple(Measure(float(row.mean()), 50, -1.0, 1.0, tuple(row.tolist())) for row in rows)
    finalist, predictor = Side("trial 4", "1", 4, scores), Side("sum", "1", scores=scores[:1])
    assert (finalist.replicates, finalist.measure) == (3, over_replicates(scores))
    assert (predictor.replicates, predictor.measure) == (0, scores[0])


def test_the_interval_follows_the_confidence() -> None:
    plain, sure = compared(0.0, 1.0), compared(0.0, 1.0, confidence=0.99)
    assert plain.difference is not None
    assert sure.difference is not None
    assert sure.difference.low < plain.difference.low < plain.difference.high < sure.difference.high
    assert sure.detectable > plain.detectable
    assert sure.narrow == plain.narrow
