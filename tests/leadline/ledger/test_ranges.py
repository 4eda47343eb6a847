"""Ranges in words, and the values that lie at their edge."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from leadline.ledger.history import Trial
from leadline.ledger.ranges import LEGEND, Range, by_stratum, in_words, legend, words

LR = FloatDistribution(1e-4, 1e-2, log=True)


@pytest.mark.parametrize(
    ("distribution", "words"),
    [
        (LR, "[0.0001, 0.01] log"),
        (FloatDistribution(0.0, 1.0, step=0.25), "[0, 1] in steps of 0.25"),
        (IntDistribution(1, 4), "[1, 4]"),
        (CategoricalDistribution(["mean", "attention"]), "{mean, attention}"),
    ],
)
def test_words(distribution: BaseDistribution, words: str) -> None:
    assert in_words([Range.of(distribution_to_json(distribution))]) == [words]


def test_bounds_have_three_digits_and_more_where_two_would_read_alike() -> None:
    wide, other = Range(low=0.000123456, high=0.0123456, log=True), Range(low=0.000123123, high=0.0123456, log=True)
    assert in_words([wide]) == ["[0.000123, 0.0123] log"]
    assert in_words([wide, other]) == ["[0.0001235, 0.01235] log", "[0.0001231, 0.01235] log"]
    assert in_words([wide], 0.01234) == ["[0.0001235, 0.01235] log"]
    assert in_words([Range(low=0.50001, high=0.50002)]) == ["[0.50001, 0.50002]"]
    assert in_words([Range(low=1000000, high=1000001, step=1)]) == ["[1000000, 1000001]"]
    assert in_words([wide, wide]) == 2 * ["[0.000123, 0.0123] log"]
    assert by_stratum({"a": {"lr": wide}, "b": {"lr": other, "margin": wide}}) == {
        "a": {"lr": "[0.0001235, 0.01235] log"},
        "b": {"lr": "[0.0001231, 0.01235] log", "margin": "[0.000123, 0.0123] log"},
    }


def test_the_mark_is_explained_where_it_stands_and_no_other_star_is() -> None:
    assert legend(["lr=0.00132 margin=0.00335*"]) == [LEGEND]
    assert legend(["best: trial 3; searched: depth=8*; marks: none"]) == [LEGEND]
    assert legend(["trivial | lambda* | -", "pool=a*b", "pattern=*.txt", "lr=1e-05 steps=3 * 4"]) == []


@pytest.mark.parametrize(
    ("distribution", "value", "edge"),
    [
        (LR, 1.3e-4, "lower"),
        (LR, 1e-3, None),
        (LR, 8e-3, "upper"),
        (LR, 0, "lower"),
        (FloatDistribution(0.0, 1.0), 0.05, "lower"),
        (FloatDistribution(0.0, 1.0), 0.2, None),
        (FloatDistribution(0.0, 1.0, step=0.25), 1.0, "upper"),
        (FloatDistribution(0.0, 1.0, step=0.25), 0.25, None),
        (IntDistribution(1, 3), 3, "upper"),
        (IntDistribution(1, 3), 2, None),
        (IntDistribution(1, 2), 2, None),
        (IntDistribution(4, 4), 4, None),
        (CategoricalDistribution([64, 32, 128]), 32, "lower"),
        (CategoricalDistribution([64, 32, 128]), 64, None),
        (CategoricalDistribution([64, 128]), 64, None),
        (CategoricalDistribution(["a", "b", "c"]), "a", None),
    ],
)
def test_edges(distribution: BaseDistribution, value: Any, edge: str | None) -> None:
    assert Range.of(distribution_to_json(distribution)).edge(value) == edge


def test_words_of_a_trial_mark_what_is_at_an_edge() -> None:
    params = {"lr": 0.00013249, "rows": 512, "layers": [128, 64], "skip": True, "pool": "mean"}
    drawn = {"lr": LR, "rows": IntDistribution(256, 512, step=64), "pool": CategoricalDistribution(["mean", "max"])}
    distributions = {name: distribution_to_json(one) for name, one in drawn.items()}
    trial = Trial(3, "10", "search", None, params, dict(params), distributions=distributions)
    assert words(trial) == "lr=0.000132* rows=512* layers=128,64 skip=True pool=mean"
    assert words(Trial(4, "10", "replicate", 3, {}, dict(params))) == ""
