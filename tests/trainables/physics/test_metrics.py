"""Skill, errors and the log's figure, and what predictors that learn nothing get."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from leadline.config import ConfigError
from tests.trainables.physics.conftest import SMALL
from trainables.physics.data import ORACLE, Prepared, errors
from trainables.physics.family import PHYSICS
from trainables.physics.metrics import METRICS, Errors, Rows, score
from trainables.physics.task import PhysicsTask
from trainables.physics.world import REGIMES, TRAINING

Prepare = Callable[..., Prepared]


def _rows(prepared: Prepare) -> tuple[Rows, Prepared]:
    data = prepared()
    return data.rows("validation"), data


def test_the_best_rival_has_no_skill_and_the_simulator_all(prepared: Prepare) -> None:
    rows, data = _rows(prepared)
    found = {name: score(own, rows) for name, own in data.trivial["validation"].items()}
    skills = [metric.name for metric in METRICS if "skill" in metric.name]
    assert len(skills) == 1 + 2 + 2 + len(REGIMES) - 1 + 4
    for skill in skills:
        best = max(measures[skill].value for name, measures in found.items() if not name.startswith(ORACLE))
        # A rival that is right to rounding has all the skill that is to be had.
        assert best == pytest.approx(0, abs=1e-12) or best > 0.99, skill
        assert found["oracle: simulator"][skill].value > 0.99, skill
    assert found["reflected"]["skill"].value == pytest.approx(0, abs=1e-6)  # or with gravity estimated
    assert found["oracle: simulator"]["nrmse"].value < 0.02
    assert found["oracle: simulator"]["energy"].value < 0.01


def test_the_logs_figure_says_next_to_nothing(prepared: Prepare) -> None:
    """The mean of the training rows has 95 % of it, the same as the log's headline and more."""
    rows, data = _rows(prepared)
    mean = score(data.trivial["validation"]["mean"], rows)
    assert mean["logged_extrapolation"].value > 0.8351
    assert mean["skill"].value < -0.5


def _windows(episodes: int, windows: int, seed: int) -> tuple[Errors, Rows]:
    generator = np.random.default_rng(seed)
    shape = (episodes * windows, 4)
    own, rival = generator.exponential(1.0, shape), generator.exponential(2.0, shape)
    zeros = np.zeros(shape, dtype=np.float32)
    episode = np.repeat(np.arange(episodes), windows)
    rows = Rows(
        episode,
        np.zeros_like(episode),
        zeros[:, 0],
        {"one": rival.astype(np.float32), "two": (rival + 1).astype(np.float32)},
    )
    return Errors(own.astype(np.float32), zeros, zeros), rows


def test_skill_is_the_ratio_of_means_and_its_interval_that_of_the_ratio() -> None:
    own, rows = _windows(200, 3, seed=1)
    rival = rows.rivals["one"]
    found = score(own, rows)["skill"]
    assert found.value == pytest.approx(1 - own.states.mean() / rival.mean(), rel=1e-6)
    assert found.n == len(found.units) == 200
    draws = np.random.default_rng(2).integers(0, 200, (4000, 200))
    means = [values.reshape(200, -1).mean(1)[draws].mean(1) for values in (own.states, rival)]
    low, high = np.quantile(1 - means[0] / means[1], [0.025, 0.975])
    assert found.high - found.low == pytest.approx(high - low, rel=0.1)


def _by_hand(states: list[list[float]], regime: list[int], distance: float, features: list[float]) -> dict[str, Any]:
    """Scores of three windows of two frames: two of episode 0, and one of episode 1."""
    own = np.array(states, dtype=np.float32)
    rows = Rows(np.array([0, 0, 1]), np.array(regime), np.full(3, distance, dtype=np.float32), {"one": own + 1})
    return score(Errors(own, own, np.repeat(np.array(features, dtype=np.float32)[:, None], 2, 1)), rows)


def test_nrmse_is_the_mean_over_episodes_of_roots() -> None:
    """Mean squared errors of 4 and 16 are roots of 2 and 4."""
    found = _by_hand([[0, 2], [6, 8], [16, 16]], [0, 0, 0], 0.0, [0, 0, 0])
    assert found["nrmse"].units == pytest.approx((2, 4))
    assert found["nrmse"].value == pytest.approx(3)
    assert found["early_nrmse"].value == pytest.approx((math.sqrt(3) + 4) / 2)
    assert found["late_nrmse"].value == pytest.approx((math.sqrt(5) + 4) / 2)


@pytest.mark.parametrize(
    ("distance", "bin_"),
    [(0.1, "0"), (0.15, "0"), (0.3, "0.15"), (0.4, "0.15"), (0.5, "0.4"), (1.0, "0.4"), (9.0, "1")],
)
def test_a_window_counts_in_the_bin_of_its_distance_alone(distance: float, bin_: str) -> None:
    found = _by_hand([[1, 1]] * 3, [1, 1, 1], distance, [0, 0, 0])
    counted = {name: found[f"skill_beyond_{name}"].n for name in ("0", "0.15", "0.4", "1")}
    assert counted == {name: 2 * (name == bin_) for name in counted}


def test_the_log_s_figure_by_hand() -> None:
    """Errors of 2 and 25 are figures of 0.8 and 0, not -1.5; outside, one of 4 is 0.6."""
    found = _by_hand([[1, 1]] * 3, [0, 0, 0], 0.0, [1, 3, 25])
    assert found["logged_inside"].units == pytest.approx((0.8, 0.0))
    assert found["logged_inside"].value == pytest.approx(0.4)
    assert found["logged_extrapolation"].n == 0
    outside = _by_hand([[1, 1]] * 3, [1, 1, 1], 0.5, [4, 4, 4])
    assert outside["logged_extrapolation"].value == pytest.approx(0.6)
    assert outside["logged_inside"].n == 0


def test_a_rival_that_is_right_leaves_skills_finite() -> None:
    """Where nothing is met in the frames ahead, flight is right to rounding, and no skill is to be had."""
    own, rows = _windows(50, 1, seed=4)
    right = Rows(rows.episode, rows.regime, rows.distance, {"flight": rows.rivals["one"] * np.float32(1e-14)})
    zeros = Errors(own.states * np.float32(1e-14), own.energy, own.features)
    assert score(own, right)["skill"].value == pytest.approx(1 - own.states.mean() * 1e6)
    assert score(zeros, right)["skill"].value == pytest.approx(1)


def test_windows_of_an_episode_are_one_unit() -> None:
    own, rows = _windows(50, 1, seed=3)
    again = np.repeat(np.arange(50), 4)
    copies = Rows(again, again * 0, rows.distance[again], {name: rival[again] for name, rival in rows.rivals.items()})
    before = score(own, rows)["nrmse"]
    after = score(Errors(own.states[again], own.energy[again], own.features[again]), copies)["nrmse"]
    assert (after.value, after.low, after.high, after.n) == pytest.approx(
        (before.value, before.low, before.high, before.n)
    )


def test_a_prediction_that_is_no_number_scores_none(prepared: Prepare) -> None:
    rows, data = _rows(prepared)
    setting, windows = data.physics.setting, data.physics.validation
    states = torch.tensor(windows.states[:, setting.seen :])
    states[0] = torch.nan
    found = score(errors(states, windows, setting, data.units), rows)
    assert np.isnan([found[name].value for name in ("skill", "nrmse", "energy", "logged_inside")]).all()


def test_errors_of_the_logs_features_and_of_states_agree(prepared: Prepare) -> None:
    """True states as features have no error; a ball that is a metre off has it in 1 of 25 features, and in PE."""
    data = prepared()
    setting, windows = data.physics.setting, data.physics.validation
    states = torch.tensor(windows.states[:, setting.seen :])
    assert errors(states, windows, setting, data.units).features.max() == 0
    states[:, :, 0, 0] += 1.0
    found = errors(states, windows, setting, data.units)
    assert found.features == pytest.approx(1 / 25)
    assert found.states == pytest.approx(1 / 12 / data.units.state[0] ** 2, rel=1e-4)
    assert found.energy.max() < 1e-4


def test_a_ball_that_is_a_metre_too_high_has_m_g_of_energy_too_much(prepared: Prepare) -> None:
    """Where gravity does not vary; upwards, it is too little, and the error as large."""
    data = prepared()
    setting, windows = data.physics.setting, data.physics.validation
    states = torch.tensor(windows.states[:, setting.seen :])
    states[:, :, 0, 1] += 1.0
    steady = windows.world[:, 4] == 0
    expected = windows.mass[steady, 0] * np.abs(windows.world[steady, 0]) / data.units.energy
    found = errors(states, windows, setting, data.units).energy[steady]
    np.testing.assert_allclose(found, np.repeat(expected[:, None], 10, 1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("field", ["episodes", "dt", "balls", "gravity", "data_seed", "each"])
def test_the_data_key_knows_what_the_data_reads(field: str) -> None:
    other = {"episodes": 9, "dt": 0.05, "balls": 4, "gravity": "3,11", "data_seed": 1, "each": 3}
    plain, changed = PHYSICS.config({}), PHYSICS.config({field: other[field]})
    assert PHYSICS.data_key(plain) != PHYSICS.data_key(changed)
    assert PHYSICS.data_key(plain) == PHYSICS.data_key(PHYSICS.config({"width": 32, "target": "raw", "seed": 5}))


def test_randomised_worlds_are_data_of_their_own() -> None:
    """By a field, so that arms that draw more of them, or none, share them."""
    stages = "plain:1/2,randomised:1/2:randomise=0.5"
    plain, randomised, staged = (
        PHYSICS.data_key(PHYSICS.config(fields))
        for fields in ({}, {"randomised": 9}, {"randomised": 9, "stages": stages})
    )
    assert plain != randomised == staged
    assert PHYSICS.data_key(PHYSICS.config({"stages": stages, "randomisation": "unused"})) == plain
    with pytest.raises(ConfigError, match="randomised: must be above 0, as the stage randomised draws rows"):
        PHYSICS.config({"stages": stages})


def test_training_ranges_that_reach_into_extrapolation_are_refused() -> None:
    assert PHYSICS.config({}).training == TRAINING
    wide = PHYSICS.config({**SMALL, "gravity": "0.75,12"})
    failed = [finding.subject for finding in PHYSICS.audit(wide, PHYSICS.build_data(wide)) if finding.failed]
    assert failed == ["strong_gravity"]


def test_a_part_holds_the_episodes_that_its_metric_is_of(make_task: Callable[..., PhysicsTask]) -> None:
    """All of them have the metric's whole value; of fewer, each counts."""
    task = make_task()
    rows, whole = task.data.rows("validation"), task.evaluate("validation")
    regimes = {metric.name: task.strata(metric.name) for metric in METRICS}
    kept = {name: found for name, found in regimes.items() if found is not None}
    assert set(kept["skill"]) == set(kept["late_nrmse"]) == {0}
    for place, regime in enumerate(REGIMES[1:], 1):
        assert set(kept[f"skill_{regime.name}"]) == {place}
    for name, found in regimes.items():
        assert (found is None) == (whole[name].n == 0), name
        if found is not None:
            assert task.evaluate_part(name, np.arange(len(found)))[name] == whole[name], name
            assert task.evaluate_part(name, np.array([0, len(found) - 1]))[name].n == min(2, len(found)), name
    by_kind = [kept[name] for name in ("skill", "extrapolation_energy", "novel_nrmse")]
    assert sum(map(len, by_kind)) == len(np.unique(rows.episode))


def test_a_metric_of_no_episodes_has_no_part(make_task: Callable[..., PhysicsTask]) -> None:
    task = make_task()
    windows = task.data.physics.validation
    inside = dataclasses.replace(task.data.physics, validation=windows[np.flatnonzero(windows.regime == 0)])
    task.data = dataclasses.replace(task.data, physics=inside, trivial={"validation": {}})
    assert task.strata("novel_skill") is None
    assert task.strata("nrmse") is not None


def test_those_who_see_different_frames_are_scored_on_the_same_but_their_skills_are_over_another_rival(
    prepared: Callable[..., Prepared],
) -> None:
    """So that the strata of a study of `seen` pair by nrmse, and not by skill."""
    found = {seen: prepared(seen=seen, common=20) for seen in (2, 5, 20)}
    windows = {seen: one.physics.test for seen, one in found.items()}
    lines = {seen: PHYSICS.baselines(PHYSICS.config({}), one, "test")["mean"] for seen, one in found.items()}
    for seen in (5, 20):
        np.testing.assert_array_equal(windows[seen].episode, windows[2].episode)
        np.testing.assert_array_equal(windows[seen].worlds, windows[2].worlds)
        np.testing.assert_array_equal(windows[seen].states[:, seen:], windows[2].states[:, 2:])
        assert lines[seen]["nrmse"] == lines[2]["nrmse"]
        assert lines[seen]["skill"].units != lines[2]["skill"].units
