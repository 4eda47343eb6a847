"""What a searcher is told of trials that have not finished, and of those of other strata."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from leadline.engine import observations as observing
from leadline.engine.observations import Observations, Outcome
from leadline.engine.search import Search

RANGE = {"x": FloatDistribution(0.0, 100.0)}


def _add(known: Observations, number: int, stratum: str, curve: list[float], outcome: Outcome | None) -> None:
    """Adds a trial that reports after 1, 2, 3 ... steps."""
    known.proposed(number, stratum, {"x": float(number)}, RANGE)
    for step, value in enumerate(curve, 1):
        known.reported(number, step, value)
    if outcome:
        known.ended(number, outcome)


def _ranks(told: list[FrozenTrial]) -> dict[int, float | None]:
    return {one.user_attrs["trial"]: one.value for one in told}


def _finished(known: Observations, ends: list[float], stratum: str = "a") -> None:
    """Adds finished trials whose last value is twice their first."""
    for number, end in enumerate(ends):
        _add(known, number, stratum, [end / 2, end], "finished")


def test_a_stopped_trial_ranks_where_a_line_through_the_finished_ones_expects_it() -> None:
    known = Observations("min")
    _finished(known, [2.0, 4.0, 6.0, 8.0])
    _add(known, 4, "a", [2.4], "stopped")  # expected to end at 4.8, between the second and the third
    assert _ranks(known.ranked("a")) == {0: 0.0, 1: 0.2, 4: 0.4, 2: 0.6, 3: 0.8}
    _add(known, 5, "a", [0.5], None)  # runs, and is expected to end at 1
    assert min(_ranks(known.ranked("a")), key=lambda number: _ranks(known.ranked("a"))[number] or 0.0) == 5


def test_one_value_that_is_off_by_decades_does_not_turn_the_line() -> None:
    known = Observations("min")
    _finished(known, [2.0, 4.0, 6.0, 8.0])
    _add(known, 4, "a", [3.0, 1e6], "finished")
    _add(known, 5, "a", [2.4], "stopped")
    ranks = _ranks(known.ranked("a"))
    assert sorted(ranks, key=lambda number: ranks[number] or 0.0) == [0, 1, 5, 2, 3, 4]


def test_before_there_is_a_line_who_came_farther_ranks_higher() -> None:
    known = Observations("max")
    _add(known, 0, "a", [5.0, 6.0], "stopped")
    _add(known, 1, "a", [9.0], "stopped")
    _add(known, 2, "a", [8.0], "stopped")
    _add(known, 3, "a", [1.0, 1.0, 1.0], "finished")
    _add(known, 4, "a", [9.0], None)
    assert _ranks(known.ranked("a")) == {3: 0.0, 0: 0.25, 1: 0.5, 2: 0.75, 4: None}
    assert [one.state for one in known.ranked("a")][4] == TrialState.RUNNING


def test_who_diverged_or_cannot_be_trained_is_last_and_who_never_ran_is_not_told() -> None:
    known = Observations("min")
    _add(known, 0, "a", [1.0, float("nan")], "stopped")
    _add(known, 1, "a", [0.5], "infeasible")
    _add(known, 2, "a", [3.0, 4.0], "finished")
    _add(known, 3, "a", [], "failed")
    assert _ranks(known.ranked("a")) == {0: 1.0, 1: 1.0, 2: 0.0}


def test_strata_learn_from_each_other_by_rank_where_they_search_the_same() -> None:
    known = Observations("min")
    _finished(known, [2.0, 4.0])
    _add(known, 2, "b", [1e5, 2e5], "finished")
    _add(known, 3, "b", [1e6, 2e6], "finished")
    known.proposed(4, "c", {"y": 1.0}, {"y": RANGE["x"]})
    assert _ranks(known.ranked("a")) == _ranks(known.ranked("b")) == {0: 0.0, 1: 0.5, 2: 0.0, 3: 0.5}
    assert _ranks(known.ranked("c")) == {4: None}, "another parameter"


def test_the_best_and_the_newest_are_told_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "MOST_TOLD", 6)
    known = Observations("min")
    _finished(known, [float(10 - number) for number in range(10)] + [100.0, 101.0])
    assert list(_ranks(known.ranked("a"))) == [6, 7, 8, 9, 10, 11]
    _add(known, 12, "a", [60.0, 120.0], "finished")
    assert list(_ranks(known.ranked("a"))) == [7, 8, 9, 10, 11, 12]


def test_tpe_learns_from_another_stratum() -> None:
    def space(trial: Any, scale: str) -> dict[str, Any]:
        return {"x": trial.suggest_float("x", 0.0, 1.0)}

    def proposed(ranked: bool) -> list[float]:
        known = Observations("min")
        a, b = (
            Search(
                space, "", sampler="tpe", seed=1, startup=5, pinned={}, observations=known, stratum=name, ranked=ranked
            )
            for name in "ab"
        )
        for number in range(30):
            params, _ = a.ask(number)
            known.reported(number, 1, 1000 * params["x"])
            known.ended(number, "finished")
        return [b.ask(number)[0]["x"] for number in range(30, 60)]

    assert sum(proposed(True)) < 0.5 * sum(proposed(False))
