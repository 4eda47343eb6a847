from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from leadline.errors import ConfigError
from tests.trainables.physics.boxes import small
from trainables.physics import presets
from trainables.physics.setting import Setting, log_setting
from trainables.physics.world import INSIDE, KINDS, PARAMETERS, REGIMES, TRAINING, Ranges, Worlds, regime


def test_the_regimes_are_those_of_the_log_and_three_more() -> None:
    names = [one.name for one in REGIMES]
    assert len(set(names)) == len(names) == 20
    assert [sum(one.kind == kind for one in REGIMES) for kind in KINDS] == [1, 8, 11]
    logged = "moon jupiter underwater ice_rink rubber_room space_station thick_atmosphere super_earth"
    assert set(logged.split()) < set(names)
    pixels = [regime(name).ranges.scaled(400).gravity for name in ("weak_gravity", "strong_gravity")]
    assert pixels == [(50.0, 200.0), (1500.0, 2000.0)]
    # The log's -2479 pixels/s^2, with 400 pixels to a metre.
    assert np.mean(regime("jupiter").ranges.gravity) == pytest.approx(2479 / 400)
    assert all(TRAINING.share_inside(one.ranges) == 0 for one in REGIMES if one.kind == "extrapolation")


def test_the_training_box_is_that_of_the_log() -> None:
    """Gravity is 300 to 1200 pixels/s^2, with 400 pixels to a metre; it does not vary."""
    assert dict(zip(PARAMETERS, TRAINING.bounds.tolist(), strict=True)) == {
        "gravity": [300 / 400, 1200 / 400],
        "friction": [0.1, 0.8],
        "damping": [0.85, 0.98],
        "elasticity": [0.2, 0.9],
        "amplitude": [0, 0],
        "frequency": [0, 0],
    }


def test_distance_is_counted_in_widths_of_the_range() -> None:
    inside = Worlds.of(3, gravity=1.0, friction=0.5, damping=0.9, elasticity=0.5)
    assert (TRAINING.distance(inside) == 0).all()
    moved = inside.changed(gravity=np.array([5.25, -3.75, 3.0]), friction=np.array([0.1, 1.15, 0.8]))
    np.testing.assert_allclose(TRAINING.distance(moved), [1.0, 2.0, 0.0])
    np.testing.assert_allclose(TRAINING.distance(inside.changed(amplitude=0.4, frequency=9.0)), 0.4)


def test_the_share_inside_is_that_of_worlds_drawn() -> None:
    other = Ranges(gravity=(2.0, 4.0), friction=(0.0, 0.2))
    assert TRAINING.share_inside(other) == pytest.approx(0.25)
    drawn = other.draw(4000, np.random.default_rng(0))
    assert (TRAINING.distance(drawn) == 0).mean() == pytest.approx(0.25, abs=0.03)
    assert TRAINING.share_inside(TRAINING) == 1
    assert TRAINING.share_inside(regime("no_gravity").ranges) == 0


@pytest.mark.parametrize("ranges", [TRAINING, regime("upwards").ranges])
def test_randomised_worlds_stay_within_the_widened_ranges_and_fill_them(ranges: Ranges) -> None:
    worlds = ranges.draw(4000, np.random.default_rng(0))
    moved = worlds.randomised(0.3, np.random.default_rng(1))
    wide = ranges.widened(0.3)
    assert (wide.distance(moved) == 0).all()
    factor = moved.column("gravity") / worlds.column("gravity")
    assert (factor.min(), factor.max()) == pytest.approx((0.7, 1.3), abs=0.01)
    assert moved.column("elasticity").max() == 1 == moved.column("damping").max()
    spread = moved.values[:, :4].max(0) - moved.values[:, :4].min(0)
    assert (spread > 0.9 * (wide.bounds[:4, 1] - wide.bounds[:4, 0])).all()


def test_gravity_and_drag_of_a_world() -> None:
    world = Worlds.of(gravity=2.0, damping=0.9, amplitude=0.5, frequency=0.25)
    assert world.gravity_at(1.0) == pytest.approx(3.0)
    assert math.exp(-world.drag[0]) == pytest.approx(0.9)
    with pytest.raises(TypeError, match="wind"):
        Worlds.of(wind=1.0)


def test_the_log_in_pixels_is_the_log_in_metres() -> None:
    logged = log_setting(train=5)
    assert logged.training.scaled(logged.unit).gravity == (300.0, 1200.0)
    assert (logged.box, logged.radii, logged.speed, logged.train) == ((800.0, 600.0), (10.0, 30.0), 200.0, 5)
    assert logged.box[0] / logged.unit == Setting().box[0]
    assert logged.speed / logged.unit == Setting().speed


@pytest.mark.parametrize("setting", [log_setting(), presets.logged().setting], ids=["setting", "preset"])
def test_the_log_s_episodes(setting: Setting) -> None:
    """Of 9,712 episodes 70 % are trained on and 10 % scored; of each, the first 20 frames are the one window."""
    assert (setting.dt, setting.frames, list(setting.starts)) == (1 / 60, 20, [0])
    assert (setting.seen, setting.horizon, setting.masses) == (10, 10, (0.5, 2.0))
    assert (setting.train, setting.scored) == (int(0.7 * 9712), int(0.1 * 9712)) == (6798, 971)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Ranges(gravity=(3.0, 1.0)), "gravity: the lowest value 3 is above the highest, 1"),
        (lambda: Ranges(damping=(0.5, 1.5)), "damping: 0.5 to 1.5 is outside 1e-06 to 1"),
        (lambda: Ranges(friction=(math.nan, 1.0)), "friction: the lowest value nan is above the highest, 1"),
        (lambda: small(balls=9), "balls: 9 of radius up to 0.2 do not fit into a box of 2 x 1.5"),
        (lambda: small(radii=(0.1, 0.8)), "balls: 3 of radius up to 0.8 do not fit into a box of 2 x 1.5"),
        (lambda: small(radii=(0.2, 0.1)), "radii: the lowest value 0.2 is above the highest, 0.1"),
        (lambda: small(masses=(0.0, 1.0)), "masses: must be above 0 (got 0)"),
        (lambda: small(fewest=4), "fewest: 4 is more than the most, balls=3"),
        (lambda: small(horizon=31), "horizon: 31 frames after 10 are longer than an episode, frames=40"),
        (lambda: small(common=31), "horizon: 10 frames after 31 are longer than an episode, frames=40"),
        (lambda: small(common=9), "common: must be 0 or at least seen, 10 (got 9)"),
        (lambda: small(horizon=0), "horizon: at least 1 is needed (got 0)"),
        (lambda: small(dt=0.0), "dt: must be above 0 (got 0)"),
        (lambda: small(regimes=("moon", "moon")), "regimes: one is named twice"),
        (lambda: small(regimes=("inside",)), "regimes: inside is always scored"),
        (lambda: small(regimes=("mars",)), "regimes: no 'mars'; known: inside, weak_gravity, "),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        wrong()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_interpolation_is_the_training_ranges() -> None:
    assert REGIMES[0] is INSIDE
    assert INSIDE.ranges == TRAINING
