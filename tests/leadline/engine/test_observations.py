"""What a searcher is told of trials that have not finished."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from leadline.engine import observations as observing
from leadline.engine.observations import Observations, Outcome

RANGE = {"x": FloatDistribution(0.0, 100.0)}


def _add(known: Observations, number: int, curve: list[float], outcome: Outcome | None) -> None:
    """Adds a trial that reports after 1, 2, 3 ... steps."""
    known.proposed(number, {"x": float(number)}, RANGE)
    for step, value in enumerate(curve, 1):
        known.reported(number, step, value)
    if outcome:
        known.ended(number, outcome)


def _ranks(told: list[FrozenTrial]) -> dict[int, float | None]:
    return {one.user_attrs["trial"]: one.value for one in told}


def _finished(known: Observations, ends: list[float]) -> None:
    """Adds finished trials whose last value is twice their first."""
    for number, end in enumerate(ends):
        _add(known, number, [end / 2, end], "finished")


def test_a_stopped_trial_ranks_where_a_line_through_the_finished_ones_expects_it() -> None:
    known = Observations("min")
    _finished(known, [2.0, 4.0, 6.0, 8.0])
    _add(known, 4, [2.4], "stopped")  # expected to end at 4.8, between the second and the third
    assert _ranks(known.ranked()) == {0: 0.0, 1: 0.2, 4: 0.4, 2: 0.6, 3: 0.8}
    _add(known, 5, [0.5], None)  # runs, and is expected to end at 1
    assert min(_ranks(known.ranked()), key=lambda number: _ranks(known.ranked())[number] or 0.0) == 5


def test_one_value_that_is_off_by_decades_does_not_turn_the_line() -> None:
    known = Observations("min")
    _finished(known, [2.0, 4.0, 6.0, 8.0])
    _add(known, 4, [3.0, 1e6], "finished")
    _add(known, 5, [2.4], "stopped")
    ranks = _ranks(known.ranked())
    assert sorted(ranks, key=lambda number: ranks[number] or 0.0) == [0, 1, 5, 2, 3, 4]


def test_before_there_is_a_line_who_came_farther_ranks_higher() -> None:
    known = Observations("max")
    _add(known, 0, [5.0, 6.0], "stopped")
    _add(known, 1, [9.0], "stopped")
    _add(known, 2, [8.0], "stopped")
    _add(known, 3, [1.0, 1.0, 1.0], "finished")
    _add(known, 4, [9.0], None)
    assert _ranks(known.ranked()) == {3: 0.0, 0: 0.25, 1: 0.5, 2: 0.75, 4: None}
    assert [one.state for one in known.ranked()][4] == TrialState.RUNNING


def test_who_diverged_or_cannot_be_trained_is_last_and_who_never_ran_is_not_told() -> None:
    known = Observations("min")
    _add(known, 0, [1.0, float("nan")], "stopped")
    _add(known, 1, [0.5], "infeasible")
    _add(known, 2, [3.0, 4.0], "finished")
    _add(known, 3, [], "failed")
    assert _ranks(known.ranked()) == {0: 1.0, 1: 1.0, 2: 0.0}


def test_the_best_and_the_newest_are_told_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "MOST_TOLD", 6)
    known = Observations("min")
    _finished(known, [float(10 - number) for number in range(10)] + [100.0, 101.0])
    assert list(_ranks(known.ranked())) == [6, 7, 8, 9, 10, 11]
    _add(known, 12, [60.0, 120.0], "finished")
    assert list(_ranks(known.ranked())) == [7, 8, 9, 10, 11, 12]


def test_of_very_many_trials_the_newest_and_the_best_stay_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "MOST_TOLD", 8)
    monkeypatch.setattr(observing, "MOST_RANKED", 20)
    generator = np.random.default_rng(0)
    known, all_known = Observations("min"), dict[int, float]()
    for number in range(100):
        value = 2.0 if number == 3 else float(generator.random())
        _add(known, number, [value, value], None if number == 3 else "finished")
        all_known[number] = value
        assert len(known._ranking) <= 20
        told = _ranks(known.ranked())
        best = sorted(all_known, key=all_known.__getitem__)[:4]
        assert {number, *best} <= set(told), "the newest and the best of all are told"
    assert 3 in known._ranking, "one that runs is not left out"
    known.reopened([1])
    assert list(known._ranking) == sorted(known._ranking)
    assert 1 in known._ranking
    assert known.params(0) == {"x": 0.0}, "what was left out is known all the same"


def test_trials_that_failed_take_no_room_among_those_that_are_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "MOST_RANKED", 20)
    known = Observations("min")
    _finished(known, [float(number) for number in range(16)])
    for number in range(16, 60):
        _add(known, number, [], "failed")
    assert sorted(_ranks(known.ranked())) == list(range(16))
