from __future__ import annotations

import numpy as np
import pytest

from tests.trainables.physics.boxes import one_episode, small
from trainables.physics.episodes import PhysicsData, Windows, build, cut
from trainables.physics.simulator import simulate
from trainables.physics.trivial import TRIVIAL, estimated_gravity
from trainables.physics.world import F64, Worlds


@pytest.fixture(scope="module")
def data() -> PhysicsData:
    return build(small(train=200, scored=120, each=40, regimes=("strong_gravity", "upwards", "time_varying")))


def predicted(name: str, data: PhysicsData, windows: Windows) -> F64:
    found = TRIVIAL[name].predict(data, windows)
    assert found.shape == (len(windows), data.setting.horizon, data.setting.balls, 4)
    return found


def errors(data: PhysicsData, regime: str) -> dict[str, float]:
    """The mean square error of each, in units of the variance of the training windows."""
    windows = data.test[data.test.regime == data.regimes.index(regime)]
    variance = data.train.states.reshape(-1, 4).var(axis=0)
    truth = windows.states[:, data.setting.seen :]
    return {name: float(((predicted(name, data, windows) - truth) ** 2 / variance).mean()) for name in TRIVIAL}


def windows_of(world: Worlds, *balls: tuple[float, ...], data: PhysicsData, time: float = 0.0) -> Windows:
    """The windows of one episode of as many balls as the data has, the others being absent."""
    start = one_episode(*balls, *[(1.0, 0.75, 0.0, 0.0, 1.0, 0.1)] * (data.setting.balls - len(balls)), time=time)
    start.present[:, len(balls) :] = False
    made = simulate(world, start, data.setting.frames, data.setting.dt, data.setting.substeps)
    return cut(made, world, data.setting)


def test_their_order(data: PhysicsData) -> None:
    found = errors(data, "inside")
    assert found["simulator"] < 1e-6
    assert found["simulator"] < found["simulator_coarse"] < found["mean_world"] < found["no_ball_contacts"]
    assert found["no_ball_contacts"] < found["reflected"] < found["persistence"] < found["mean"]
    assert 2 * found["reflected"] < min(found["linear"], found["ballistic"], found["persistence"], found["mean"])
    assert found["ballistic_estimated"] == pytest.approx(found["ballistic"], rel=0.05)
    assert found["reflected_estimated"] == pytest.approx(found["reflected"], rel=0.05)
    assert [name for name, one in TRIVIAL.items() if one.oracle] == [
        "no_ball_contacts",
        "mean_world",
        "simulator_estimated",
        "simulator_coarse",
        "simulator",
    ]


def test_free_flight_is_worse_than_a_constant_where_gravity_is_strong(data: PhysicsData) -> None:
    found = errors(data, "strong_gravity")
    assert found["reflected"] < found["mean"] < found["ballistic"]


def test_gravity_is_read_off_the_frames(data: PhysicsData) -> None:
    windows = data.test[np.isin(data.test.regime, [0, 1, 2])]
    found, true = estimated_gravity(data, windows), windows.world[:, 0]
    assert np.median(np.abs(found / true - 1)) < 1e-4
    assert (np.abs(found / true - 1) < 1e-2).mean() > 0.95
    varying = errors(data, "time_varying")
    assert varying["simulator"] < 1e-6 < 0.01 < varying["simulator_estimated"] < varying["reflected"]


def test_gravity_of_windows_without_free_flight_is_the_middle_of_the_range(data: PhysicsData) -> None:
    still = windows_of(Worlds.of(gravity=2.5, elasticity=0.0), (1.0, 0.1, 0.0, 0.0, 1.0, 0.1), data=data)
    np.testing.assert_allclose(estimated_gravity(data, still), np.mean(data.setting.training.gravity))


@pytest.mark.parametrize("e", [0.6, 1.0])
def test_reflected_flight_is_exact_for_one_ball_without_friction(data: PhysicsData, e: float) -> None:
    world = Worlds.of(gravity=2.5, elasticity=e, damping=0.9)
    windows = windows_of(world, (0.3, 0.4, -1.2, 0.7, 1.0, 0.1), data=data)
    assert windows.met(data.setting.seen)[:, 0].any()
    truth = windows.states[:, data.setting.seen :]
    # From frames rounded to float32.
    np.testing.assert_allclose(predicted("reflected", data, windows), truth, atol=2e-5)
    assert np.abs(predicted("ballistic", data, windows) - truth).max() > 0.5


def test_flight_without_walls_is_exact_until_the_first_one(data: PhysicsData) -> None:
    world = Worlds.of(gravity=1.0, damping=0.9)
    windows = windows_of(world, (1.0, 0.75, 0.3, 1.0, 1.0, 0.1), data=data)[:1]
    assert not windows.contacts.any()
    truth = windows.states[:, data.setting.seen :]
    for name in ("ballistic", "ballistic_estimated", "reflected", "simulator"):
        np.testing.assert_allclose(predicted(name, data, windows), truth, atol=2e-4)
    assert np.abs(predicted("linear", data, windows) - truth).max() > 0.1


def test_all_are_zero_for_balls_that_are_not_there(data: PhysicsData) -> None:
    windows = windows_of(Worlds.of(gravity=2.5), (0.3, 0.4, -1.2, 0.7, 1.0, 0.1), data=data)
    for name in TRIVIAL:
        found = predicted(name, data, windows)
        assert (found[:, :, 1:] == 0).all()
        assert np.isfinite(found).all()
