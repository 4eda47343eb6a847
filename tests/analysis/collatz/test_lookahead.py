"""One configuration at several lookaheads."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.collatz.failures import steps_of, violations
from analysis.collatz.lookahead import Curve, curve, doubled, sentences
from analysis.collatz.subject import FIRST_SEED, network_potential, sum_potential
from leadline.config import ConfigError
from tests.analysis.collatz.subjects import config, data, trained
from trainables.collatz.family import COLLATZ
from trainables.collatz.split import LOGGED_SEEDS


@pytest.fixture(scope="module")
def found() -> Curve:
    lines: list[str] = []
    made = curve("probe", config(lookahead=10, layers=(4,)), data(), [200, 10], 20, 2, lines.append)
    assert lines[0] == "trains 4 networks of 20 steps: at lookahead 10, 200"
    assert [line.split(":")[0] for line in lines[1:]] == [
        f"lookahead {at}, replicate {r} of 2" for at in (10, 200) for r in (1, 2)
    ]
    return made


def test_doubled() -> None:
    assert doubled(10, 200) == [10, 20, 40, 80, 160, 200]
    assert doubled(100, 200) == [100, 200]
    assert doubled(25, 100) == [25, 50, 100]
    for first, last in ((100, 100), (100, 50), (100, 201)):
        with pytest.raises(ConfigError, match=r"^to: .*got"):
            doubled(first, last)


def test_replicates_are_trainings_by_the_ordinary_loop(found: Curve) -> None:
    assert found.seeds == [FIRST_SEED, FIRST_SEED + 1]
    assert [point.lookahead for point in found.points] == [10, 200]
    for point in found.points:
        tasks = [
            trained(config(lookahead=point.lookahead, layers=(4,), steps=20, eval_every=20, seed=seed)).task
            for seed in found.seeds
        ]
        scores = [task.evaluate("test") for task in tasks]
        assert point.hinge.value == pytest.approx(np.mean([score["hinge"].value for score in scores]), rel=1e-12)
        assert point.hinge.n == 128
        for seed in LOGGED_SEEDS:
            counts = [int(score[f"logged_{seed}"].value) for score in scores]
            assert point.logged[seed] == (min(counts), max(counts))


def test_the_sum_and_what_is_covered(found: Curve) -> None:
    steps = steps_of(data(), "test")
    for point in found.points:
        other = COLLATZ.baselines(config(lookahead=point.lookahead), data(), "test")["sum of ln T^k"]
        assert point.sum_hinge == other["hinge"]
        assert point.sum_violations == other["violations"]
        assert point.coverage == other["coverage"], "one definition: the metric's, a share of steps"
        assert point.coverage.value == pytest.approx((steps.remaining <= point.lookahead).mean())
        assert point.difference.value == pytest.approx(point.violations.value - point.sum_violations.value)
        assert point.beyond.n == point.sum_beyond.n == len(np.unique(steps.orbit[steps.remaining > 200]))
    short, long = found.points
    assert short.sum_logged[626331] > 0 == long.sum_logged[626331]
    assert long.logged_coverage == dict.fromkeys(LOGGED_SEEDS, 1.0)
    assert short.logged_coverage[27] == pytest.approx(10 / 41)


def test_the_common_subset_is_the_same_at_every_lookahead(found: Curve) -> None:
    """Violations on the steps that end within no lookahead, mean over the orbits that have such steps."""
    steps = steps_of(data(), "test")
    common = steps.remaining > 200

    def mean(violated: np.ndarray) -> float:
        return float(np.mean([violated[common & (steps.orbit == o)].mean() for o in np.unique(steps.orbit[common])]))

    for point in found.points:
        assert point.sum_beyond.value == pytest.approx(
            mean(violations(data(), "test", sum_potential(data(), point.lookahead)))
        )
        runs = []
        for seed in found.seeds:
            chosen = config(lookahead=point.lookahead, layers=(4,), steps=20, eval_every=20, seed=seed)
            potential = network_potential(chosen, data(), trained(chosen).task.model)
            runs.append(mean(violations(data(), "test", potential)))
        assert point.beyond.value == pytest.approx(np.mean(runs))


def test_sentences(found: Curve) -> None:
    said = sentences(found)
    assert said[0].startswith(
        "For this model class and budget (layers 4, 20 steps, 2 replicates): at lookahead 200, 626331 is not solved:"
    )
    assert "contains the answer on 100% of the steps of 626331" in said[1]
    assert "free of violations on 626331 at lookahead 200; on all five logged seeds at lookahead 200" in said[2]
    assert f"and on {found.points[-1].coverage.value:.0%} of the test split's" in said[1]
    assert said[3] == "Too little for a claim: 2 of 5 replicates."


@pytest.mark.parametrize(
    ("counts", "words"),
    [((0, 0), "solved in every replicate: 0 viol"), ((0, 3), "solved in some replicates: 0 to 3 v")],
)
def test_sentences_where_the_seed_is_solved(found: Curve, counts: tuple[int, int], words: str) -> None:
    last = dataclasses.replace(found.points[-1], logged={**found.points[-1].logged, 626331: counts})
    said = sentences(dataclasses.replace(found, points=[found.points[0], last], seeds=list(range(5))))
    assert f"626331 is {words}" in said[0]
    assert not any("claim" in sentence for sentence in said)


def test_a_lookahead_that_the_configuration_does_not_admit_trains_nothing() -> None:
    lines: list[str] = []
    with pytest.raises(ConfigError):
        curve("probe", config(), data(), [10, 201], 20, 1, lines.append)
    assert lines == []
