from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.engine.asha import Asha
from leadline.ledger.rungs import rungs


def test_rungs_are_exact_integers_where_logarithms_round_down() -> None:
    assert rungs(1, 10, 1000) == [1, 10, 100]
    assert rungs(1, 3, 243) == [1, 3, 9, 27, 81]
    assert rungs(1, 5, 125) == [1, 5, 25]
    assert rungs(100, 3, 100) == []


def test_a_worse_trial_is_stopped_with_its_rung_cutoff_and_rivals() -> None:
    asha = Asha(grace=1, reduction=2, budget=4)
    assert asha.report(0, 1, 0.2).action == "continue"
    decision = asha.report(1, 1, 0.4)
    assert decision.action == "stop"
    assert decision.reason == "rung 1: 0.4 is worse than the cut-off 0.3 of 2 trials"


def test_larger_is_better_where_the_mode_says_so() -> None:
    asha = Asha(grace=1, reduction=2, budget=4, mode="max")
    asha.report(0, 1, 0.2)
    assert asha.report(1, 1, 0.4).action == "continue"
    assert asha.report(2, 1, 0.1).action == "stop"


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_value_on_the_cut_off_goes_on_in_both_modes(mode: Literal["min", "max"]) -> None:
    """Ten values at reduction 3: the quantile falls on the fourth, in exact arithmetic."""
    sign = 1.0 if mode == "min" else -1.0
    asha = Asha(grace=1, reduction=3, budget=4, mode=mode)
    asha.table[1] = {trial: sign * (trial + 1) * 0.1 for trial in range(10) if trial != 3}
    assert asha.report(3, 1, sign * 0.4).action == "continue"


def test_a_rank_is_a_whole_number_where_floating_point_falls_short_of_it() -> None:
    """49 times the float 1/49 is less than 1: the second of 50 values would be cut off."""
    asha = Asha(grace=1, reduction=49, budget=4)
    asha.table[1] = {trial: float(trial) for trial in range(50) if trial != 1}
    assert asha.report(1, 1, 1.0).action == "continue"


def test_a_longer_budget_brings_rungs_and_keeps_those_that_are_there() -> None:
    asha = Asha(grace=1, reduction=3, budget=9)
    asha.report(0, 9, 0.5)
    assert list(asha.table) == [1, 3]
    asha.extend(30)
    assert asha.table == {1: {0: 0.5}, 3: {0: 0.5}, 9: {}, 27: {}}
    assert asha.report(0, 9, 0.5).reason == "rung 9: 0.5 is within the cut-off 0.5 of 1 trial"
    assert asha.report(0, 30, 0.5).action == "finish"


def test_nan_and_infinity_stop_at_once_and_enter_no_rung() -> None:
    asha = Asha(grace=1, reduction=2, budget=4)
    for trial, value in enumerate([math.nan, math.inf, -math.inf]):
        assert asha.report(trial, 1, value).action == "stop"
    assert asha.population() == {1: 0, 2: 0}


def test_a_trial_that_skips_rungs_is_judged_once_at_each() -> None:
    asha = Asha(grace=1, reduction=2, budget=8)
    asha.report(0, 5, 1.0)
    asha.report(0, 6, 9.0)
    assert asha.table == {1: {0: 1.0}, 2: {0: 1.0}, 4: {0: 1.0}}


def test_the_budget_ends_a_trial() -> None:
    assert Asha(grace=1, reduction=2, budget=4).report(0, 4, 1.0).action == "finish"


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30), st.floats(0, 1)), max_size=80),
    st.integers(2, 4),
    st.integers(0, 80),
)
def test_decisions_depend_on_the_order_of_reports_alone(
    reports: list[tuple[int, int, float]], reduction: int, cut: int
) -> None:
    """Replaying a prefix into a fresh object and going on decides as the object that saw everything."""
    whole = Asha(grace=1, reduction=reduction, budget=30)
    decisions = [whole.report(*report) for report in reports]
    resumed = Asha(grace=1, reduction=reduction, budget=30)
    for report in reports[:cut]:
        resumed.report(*report)
    assert [resumed.report(*report) for report in reports[cut:]] == decisions[cut:]
    assert resumed.table == whole.table


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50, unique=True), st.integers(2, 5))
def test_the_best_so_far_always_goes_on(values: list[float], reduction: int) -> None:
    asha = Asha(grace=1, reduction=reduction, budget=10)
    best = math.inf
    for trial, value in enumerate(values):
        if asha.report(trial, 1, value).action == "stop":
            assert value > best
        best = min(best, value)


@pytest.mark.parametrize("mode", ["min", "max"])
@given(values=st.lists(st.floats(-1, 1), min_size=1, max_size=50), reduction=st.integers(2, 5), asked=st.integers(1, 7))
def test_the_cut_off_is_the_quantile_of_all_that_have_arrived(
    mode: Literal["min", "max"], values: list[float], reduction: int, asked: int
) -> None:
    """However many have come since it was last asked for."""
    asha = Asha(grace=1, reduction=reduction, budget=10, mode=mode)
    for trial, value in enumerate(values):
        asha.table[1][trial] = value
        if trial % asked == 0:
            share = 1 / reduction if mode == "min" else 1 - 1 / reduction
            assert asha.cutoff(1) == pytest.approx(np.quantile(values[: trial + 1], share), abs=1e-12)


def test_a_trial_is_not_stopped_before_its_last_stage_has_begun() -> None:
    asha = Asha(grace=1, reduction=2, budget=8)
    asha.report(0, 8, 0.1)
    for rung in (1, 2, 4):  # after step 4 of 8, no step of a last stage that has half of the budget is done
        decision = asha.report(1, rung, 0.9, judged_from=0.5)
        assert decision.action == "continue"
        assert decision.reason == f"rung {rung}: 0.9 is not judged, as the last stage has not begun"
    assert asha.report(1, 5, 0.7, judged_from=0.5).reason == "", (
        "it is not told of a rung twice, nor judged there later"
    )
    assert asha.report(1, 8, 0.9, judged_from=0.5).action == "finish"
    assert asha.judged(1) == {}
    assert asha.early == {1: {1: 0.9}, 2: {1: 0.9}, 4: {1: 0.9}}
    assert asha.population() == {1: 2, 2: 2, 4: 2}
    assert asha.report(2, 4, 0.9, judged_from=0.25).action == "stop", "its last stage began at step 2"
    assert list(asha.judged(2)) == [4]


def test_a_trial_in_its_last_stage_is_not_compared_with_those_in_an_earlier_one() -> None:
    asha = Asha(grace=1, reduction=2, budget=8)
    for trial in range(5):
        asha.report(trial, 1, 0.1, judged_from=0.5)
    assert asha.report(5, 1, 0.9).reason == "rung 1: 0.9 is within the cut-off 0.9 of 1 trial"


def test_a_value_that_is_not_finite_stops_in_any_stage() -> None:
    assert (
        Asha(grace=1, reduction=2, budget=8).report(0, 1, math.nan, judged_from=0.5, spared=lambda rung: "so").action
        == "stop"
    )


def test_a_spared_trial_goes_on_and_says_why() -> None:
    asha = Asha(grace=1, reduction=2, budget=8)
    asha.report(0, 1, 0.2)
    decision = asha.report(1, 2, 0.4, spared=lambda rung: "nobody is stopped")
    assert decision.action == "continue"
    assert decision.reason == "rung 2: 0.4 is within the cut-off 0.4 of 1 trial"
    assert asha.report(2, 1, 0.5, spared=lambda rung: "nobody is stopped").reason == (
        "rung 1: 0.5 is worse than the cut-off 0.4 of 3 trials; not stopped, as nobody is stopped"
    )
    assert asha.table == {1: {0: 0.2, 1: 0.4, 2: 0.5}, 2: {1: 0.4}, 4: {}}
