from __future__ import annotations

import json
import math
import sys
from typing import Any, Literal

import numpy as np
import pytest
from optuna.trial import TrialState

from leadline.config import ConfigError
from leadline.engine.observations import Outcome
from leadline.engine.search import Pinned, Search, seed_of


def space(trial: Any, scale: str) -> dict[str, Any]:
    fields = {"x": trial.suggest_float("x", 0.0, 1.0), "kind": trial.suggest_categorical("kind", ["a", "b"])}
    if fields["kind"] == "b":
        fields["depth"] = trial.suggest_int("depth", 1, 5)
    return fields


def _search(sampler: Literal["tpe", "random"] = "tpe", pinned: dict[str, Any] | None = None, seed: int = 1) -> Search:
    return Search(space, "laptop", sampler=sampler, seed=seed, startup=3, pinned=pinned or {})


def _tell(search: Search, number: int, outcome: Outcome, curve: list[tuple[int, float]]) -> None:
    for step, value in curve:
        search.observations.reported(number, step, value)
    search.observations.ended(number, outcome)


def _play(search: Search, numbers: range) -> list[dict[str, Any]]:
    found = []
    for number in numbers:
        params, _ = search.ask(number)
        _tell(search, number, "finished", [(1, params["x"])])
        found.append(params)
    return found


def test_a_proposal_depends_on_seed_number_and_history_alone() -> None:
    assert _play(_search(), range(12)) == _play(_search(), range(12))
    assert _play(_search(), range(3)) != _play(_search(seed=2), range(3))


def test_replaying_recorded_parameters_leaves_the_study_as_it_was() -> None:
    live = _search()
    recorded = _play(live, range(8))
    replayed = _search()
    for number, params in enumerate(recorded):
        assert replayed.replay(number, params).items() >= params.items()
        _tell(replayed, number, "finished", [(1, params["x"])])
    assert [trial.params for trial in replayed.told()] == [trial.params for trial in live.told()]
    assert replayed.ask(8)[0] == live.ask(8)[0]


def test_a_trial_that_goes_on_is_open_again_and_nothing_else_has_changed() -> None:
    search, other = _search(), _search()
    recorded = _play(search, range(8))
    search.observations.reopened({2, 5})
    for number, params in enumerate(recorded):
        other.replay(number, params)
        if number not in (2, 5):
            _tell(other, number, "finished", [(1, params["x"])])
    assert [(t.state, t.params, t.values) for t in search.told()] == [
        (t.state, t.params, t.values) for t in other.told()
    ]
    assert search.ask(8) == other.ask(8)
    _tell(search, 2, "stopped", [(1, 0.5), (3, 0.6)])
    assert search.told()[2].state == TrialState.PRUNED


def test_what_was_drawn_and_not_used_is_forgotten() -> None:
    """TPE lets others read all that it drew for a running trial, its unused branch included; a
    ledger knows nothing of that.
    """
    live = _search()
    _play(live, range(4))
    params, _ = live.ask(4, {"kind": "a"})
    replayed = _search()
    for trial in live.told()[:4]:
        replayed.replay(trial.user_attrs["trial"], trial.params)
        _tell(replayed, trial.user_attrs["trial"], "finished", [(1, trial.params["x"])])
    replayed.replay(4, params)
    assert [live.ask(number)[0] for number in (5, 6)] == [replayed.ask(number)[0] for number in (5, 6)]


def test_tpe_leaves_its_start_up_and_beats_random() -> None:
    """The same seeds: only the sampler differs once three trials are told."""
    tpe = [params["x"] for params in _play(_search("tpe"), range(40))]
    random = [params["x"] for params in _play(_search("random"), range(40))]
    assert sum(tpe[20:]) < 0.5 * sum(random[20:])


@pytest.mark.parametrize(
    ("outcome", "curve", "state", "values"),
    [
        ("finished", [(1, 0.5), (2, 0.4)], TrialState.COMPLETE, {1: 0.5, 2: 0.4}),
        ("stopped", [(1, 0.5), (2, 0.4)], TrialState.PRUNED, {2: 0.4}),
        ("stopped", [(1, 0.5), (2, math.nan)], TrialState.PRUNED, {}),
        ("finished", [(1, math.inf)], TrialState.PRUNED, {}),
        ("stopped", [], TrialState.PRUNED, {}),
        ("failed", [(1, 0.5)], TrialState.FAIL, {}),
    ],
)
def test_outcomes_are_told_as_what_they_are(
    outcome: Literal["finished", "stopped", "failed"],
    curve: list[tuple[int, float]],
    state: TrialState,
    values: dict[int, float],
) -> None:
    search = _search()
    search.ask(0)
    _tell(search, 0, outcome, curve)
    trial = search.told()[0]
    assert (trial.state, trial.intermediate_values) == (state, values)
    assert trial.user_attrs["trial"] == 0


def test_a_diverging_region_is_avoided() -> None:
    search = _search()
    for number in range(30):
        params, _ = search.ask(number)
        bad = params["x"] > 0.5
        _tell(search, number, "stopped" if bad else "finished", [(1, math.nan if bad else 1.0)])
    later = [search.ask(number)[0]["x"] for number in range(30, 50)]
    assert sum(x > 0.5 for x in later) < 7


def test_a_pinned_field_is_not_searched() -> None:
    params, fields = _search(pinned={"kind": "a"}).ask(0)
    assert set(params) == {"x"}
    assert fields["kind"] == "a"


@pytest.mark.parametrize(
    ("given", "name"), [({"x": 7.0}, "x"), ({"kind": "z"}, "kind"), ({"x": 0.5, "kind": "b", "depth": 9}, "depth")]
)
def test_an_enqueued_value_outside_the_space_is_refused_by_name(given: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name}: "):
        _search().ask(0, given)


def test_choices_that_the_ledger_cannot_keep_are_refused() -> None:
    search = Search(
        lambda trial, scale: {"layers": trial.suggest_categorical("layers", [(64, 64), (128,)])},
        "laptop", sampler="tpe", seed=1, startup=3, pinned={},
    )  # fmt: skip
    with pytest.raises(ConfigError, match="Choices for a categorical"):
        search.ask(0)


def test_pinned_passes_everything_else_on() -> None:
    class Asked:
        number = 3

        def suggest_float(self, name: str, low: float, high: float) -> float:
            return low

    pinned = Pinned(Asked(), {"a": 9.0})
    assert (pinned.number, pinned.suggest_float("a", 0, 1), pinned.suggest_float("b", 0, 1)) == (3, 9.0, 0)


def test_seeds_are_stable_across_versions() -> None:
    assert seed_of(0, 1) == 2918264622725855778
    assert 0 <= seed_of(1, 2, 3) < 2**63


def test_a_given_field_that_the_space_derives_is_refused() -> None:
    def derived(trial: Any, scale: str) -> dict[str, Any]:
        width = trial.suggest_int("width", 4, 8)
        return {"layers": [width, width]}

    search = Search(derived, "laptop", sampler="random", seed=1, startup=1, pinned={})
    with pytest.raises(ConfigError, match=r"^layers: is set by the search space, whose parameters are width$"):
        search.ask(0, {"layers": [9, 9]})


def _searching(space: Any) -> Search:
    return Search(space, "laptop", sampler="tpe", seed=1, startup=3, pinned={})


def test_numpys_numbers_are_choices_bounds_and_fields_like_any_other() -> None:
    def numpys(trial: Any, scale: str) -> dict[str, Any]:
        width = trial.suggest_categorical("width", list(2 ** np.arange(4)))
        depth = trial.suggest_int("depth", np.int64(1), np.int64(3))
        return {"width": np.int64(width), "layers": (np.int64(width),) * depth, "lr": np.float32(0.5)}

    search = _searching(numpys)
    params, fields = search.ask(0)
    assert [type(value) for value in (*params.values(), *fields.values())] == [int, int, int, list, float]
    assert json.loads(json.dumps(fields)) == fields
    assert '"choices": [1, 2, 4, 8]' in search.observations.distributions(0)["width"]
    assert _searching(numpys).replay(0, params) == fields


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (None, "space: returned None; it must return a dict of fields: is its `return` missing?"),
        ([1], "space: returned a list; it must return a dict of fields"),
        ({"hidden": {1}}, "space: hidden: a set cannot be recorded; give a number, text, a list or a mapping"),
        ({"lr": math.nan}, "space: lr: nan cannot be recorded; give a finite number"),
        ({3: 1}, "space: the key 3 is an int; keys must be text"),
    ],
)
def test_what_a_space_may_not_return_is_named(fields: Any, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        _searching(lambda trial, scale: fields).ask(0)
    assert str(refused.value) == words


@pytest.mark.parametrize(
    ("raises", "words"),
    [
        (lambda: math.log(-1), "space: raised ValueError: "),
        (lambda: 1 / 0, "space: raised ZeroDivisionError: division by zero (test_search.py, line "),
        (lambda: sys.exit("no"), "space: raised sys.exit was called: no (test_search.py, line "),
    ],
)
def test_a_fault_of_the_space_is_one_line_and_its_proposal_is_kept(raises: Any, words: str) -> None:
    def failing(trial: Any, scale: str) -> dict[str, Any]:
        lr = trial.suggest_float("lr", 0, 1)
        raises()
        return {"lr": lr}

    search = _searching(failing)
    with pytest.raises(ConfigError) as refused:
        search.ask(0)
    assert str(refused.value).startswith(words)
    params = search.observations.params(0)
    assert params.keys() == {"lr"}
    _tell(search, 0, "stopped", [])
    for space in (failing, lambda trial, scale: {"x": trial.suggest_float("x", 0, 1)}):  # as it is, and mended
        replayed = _searching(space)
        assert replayed.replay(0, params, feasible=False) in ({}, {"lr": params["lr"]})
    with pytest.raises(ConfigError):
        _searching(failing).replay(0, params)
