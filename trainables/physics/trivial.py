"""Predictors that learn nothing, and oracles: what a network's score is set beside.

Each takes the data and some of its windows and returns the predicted states [N, horizon, B, 4] of
the frames after those that are seen, float64, 0 for balls that are not there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainables.physics.episodes import PhysicsData, Windows
from trainables.physics.record import Start
from trainables.physics.setting import Setting
from trainables.physics.simulator import simulate
from trainables.physics.world import F64, Worlds

__all__ = ["TRIVIAL", "Trivial", "estimated_gravity", "flight"]

Predict = Callable[[PhysicsData, Windows], F64]
SERIES_BELOW = 1e-2  # of c t, where the drag's closed form loses digits and its series has enough


@dataclass(frozen=True)
class Trivial:
    """A predictor.

    Attributes:
        predict: takes the data and some of its windows; returns states [N, horizon, B, 4].
        sentence: what it does.
        oracle: whether it knows more of the world's rules than a trivial predictor may: how balls
            meet, and what walls take.
    """

    predict: Predict
    sentence: str
    oracle: bool = False


def flight(state: F64, gravity: F64, drag: F64, time: F64) -> F64:
    """Returns free flight under gravity g downwards and a drag dv/dt = -c v - g, in closed form.

    With E = (1 - exp(-c t)) / c and G = (t - E) / c it is

        v(t) = v0 exp(-c t) - g E        x(t) = x0 + v0 E - g G

    Args:
        state: [..., 4], x, y in m and vx, vy in m/s at time 0.
        gravity: g in m/s^2, and
        drag: c in 1/s, and
        time: t in s; all three broadcast against `state[..., 0]`.

    Both divide by c: where c t is small, series in c t are used.
    """
    gravity, drag, time = np.broadcast_arrays(gravity, drag, time)
    z = drag * time
    near = z < SERIES_BELOW
    safe = np.where(near, 1.0, drag)
    once = np.where(near, time * (1 - z / 2 * (1 - z / 3 * (1 - z / 4 * (1 - z / 5)))), -np.expm1(-z) / safe)
    series = time**2 / 2 * (1 - z / 3 * (1 - z / 4 * (1 - z / 5 * (1 - z / 6))))
    twice = np.where(near, series, (time - once) / safe)
    kept = np.exp(-z)
    x, y, vx, vy = np.moveaxis(state, -1, 0)
    return np.stack(
        [x + vx * once, y + vy * once - gravity * twice, vx * kept, vy * kept - gravity * once],
        axis=-1,
    )


def estimated_gravity(data: PhysicsData, windows: Windows) -> F64:
    """Estimates g in m/s^2 from the frames that are seen: [N].

    From frame to frame, flight under a known drag gives g from two velocities. The estimate is the
    median over the balls and frames that were free: nearer than their own way to no wall, neither
    before nor after, and with the horizontal velocity that drag alone would leave. Windows without
    any get the middle of the training range.
    """
    setting = data.setting
    seen = windows.states[:, : setting.seen].astype(np.float64)
    drag = _worlds(windows).drag[:, None, None]
    kept, dt = np.exp(-drag * setting.dt), setting.dt
    once = -flight(np.zeros((1, 1, 1, 4)), np.ones(1), drag, np.array(dt))[..., 3]  # E of `flight`
    before, after = seen[:, :-1], seen[:, 1:]
    found = (before[..., 3] * kept - after[..., 3]) / once
    radius = windows.radius[:, None].astype(np.float64)
    clear = windows.present[:, None] & (np.abs(after[..., 2] - before[..., 2] * kept) < 1e-4 * setting.speed)
    for axis, size in enumerate(setting.box):
        gap = np.minimum(seen[..., axis] - radius, size - radius - seen[..., axis])
        # A ball at rest has no way; it keeps a thousandth of the box away from the wall at least.
        way = np.abs(seen[..., 2 + axis]) * dt + 1e-3 * size
        clear &= (gap[:, :-1] > way[:, :-1]) & (gap[:, 1:] > way[:, 1:])
    found = np.where(clear, found, np.nan).reshape(len(windows), -1)
    middle = np.mean(setting.training.scaled(setting.unit).gravity)
    none = np.isnan(found).all(axis=1)
    found[none] = middle
    return np.asarray(np.nanmedian(found, axis=1))


def _mean(data: PhysicsData, windows: Windows) -> F64:
    train = data.train
    states = train.states[:, data.setting.seen :].astype(np.float64)
    there = np.broadcast_to(train.present[:, None], states.shape[:-1])
    mean = states[there].mean(axis=0)
    return _masked(np.broadcast_to(mean, (len(windows), data.setting.horizon, data.setting.balls, 4)), windows)


def _persistence(data: PhysicsData, windows: Windows) -> F64:
    return np.repeat(_last(data.setting, windows)[:, None], data.setting.horizon, axis=1)


def _linear(data: PhysicsData, windows: Windows) -> F64:
    nothing = np.zeros(1)
    return _masked(flight(_last(data.setting, windows)[:, None], nothing, nothing, _ahead(data.setting)), windows)


def _ballistic(data: PhysicsData, windows: Windows, gravity: F64) -> F64:
    drag = _worlds(windows).drag[:, None, None]
    last = _last(data.setting, windows)[:, None]
    return _masked(flight(last, gravity[:, None, None], drag, _ahead(data.setting)), windows)


def _last(setting: Setting, windows: Windows) -> F64:
    return windows.states[:, setting.seen - 1].astype(np.float64)


def _ahead(setting: Setting) -> F64:
    """Seconds from the last frame that is seen: [horizon, 1]."""
    return setting.dt * np.arange(1.0, setting.horizon + 1)[:, None]


def _worlds(windows: Windows) -> Worlds:
    return Worlds(windows.world.astype(np.float64))


def _masked(states: F64, windows: Windows) -> F64:
    return np.asarray(states * windows.present[:, None, :, None])


def _now(data: PhysicsData, windows: Windows) -> F64:
    """The time of the last frame that is seen, in s since the episode began: [N]."""
    return windows.time + (data.setting.seen - 1) * data.setting.dt


def _known(data: PhysicsData, windows: Windows) -> F64:
    """The world's own gravity, as it is when the last frame is seen: [N]."""
    return _worlds(windows).gravity_at(_now(data, windows))


def _simulated(data: PhysicsData, windows: Windows, worlds: Worlds, *, balls: bool = True, substeps: int = 0) -> F64:
    setting = data.setting
    last = _last(setting, windows)
    start = Start(
        position=last[..., :2],
        velocity=last[..., 2:],
        mass=windows.mass.astype(np.float64),
        radius=windows.radius.astype(np.float64),
        present=windows.present,
        time=_now(data, windows),
    )
    made = simulate(
        worlds,
        start,
        setting.horizon + 1,
        setting.dt,
        substeps or setting.substeps,
        box=setting.box,
        books=False,
        ball_contacts=balls,
    )
    return np.concatenate([made.position[:, 1:], made.velocity[:, 1:]], axis=-1)


def _reflected(data: PhysicsData, windows: Windows, gravity: F64) -> F64:
    """Flight that rebounds from the walls, without friction and through the other balls."""
    constant = _worlds(windows).changed(gravity=gravity, amplitude=0.0, friction=0.0)
    return _simulated(data, windows, constant, balls=False)


def _estimated(windows: Windows, gravity: F64) -> Worlds:
    return _worlds(windows).changed(gravity=gravity, amplitude=0.0)


def _mean_world(data: PhysicsData, windows: Windows) -> Worlds:
    """The middle of the training ranges, for each window."""
    middle = data.setting.training.scaled(data.setting.unit).bounds.mean(axis=1)
    return Worlds(np.tile(middle, (len(windows), 1)))


TRIVIAL: dict[str, Trivial] = {
    "mean": Trivial(_mean, "the mean over all frames ahead of the training windows"),
    "persistence": Trivial(_persistence, "the last frame that is seen"),
    "linear": Trivial(_linear, "the last velocity, kept"),
    "ballistic": Trivial(
        lambda data, windows: _ballistic(data, windows, _known(data, windows)),
        "free flight under the world's gravity and drag",
    ),
    "ballistic_estimated": Trivial(
        lambda data, windows: _ballistic(data, windows, estimated_gravity(data, windows)),
        "free flight under the gravity that the frames show",
    ),
    "reflected": Trivial(
        lambda data, windows: _reflected(data, windows, _known(data, windows)),
        "free flight that rebounds from the walls with the world's elasticity",
    ),
    "reflected_estimated": Trivial(
        lambda data, windows: _reflected(data, windows, estimated_gravity(data, windows)),
        "the same under the gravity that the frames show",
    ),
    "no_ball_contacts": Trivial(
        lambda data, windows: _simulated(data, windows, _worlds(windows), balls=False),
        "the simulator, whose balls fly through each other",
        oracle=True,
    ),
    "mean_world": Trivial(
        lambda data, windows: _simulated(data, windows, _mean_world(data, windows)),
        "the simulator with the middle of the training ranges for every world",
        oracle=True,
    ),
    "simulator_estimated": Trivial(
        lambda data, windows: _simulated(data, windows, _estimated(windows, estimated_gravity(data, windows))),
        "the simulator with the gravity that the frames show",
        oracle=True,
    ),
    "simulator_coarse": Trivial(
        lambda data, windows: _simulated(data, windows, _worlds(windows), substeps=1),
        "the simulator with one step in a frame",
        oracle=True,
    ),
    "simulator": Trivial(
        lambda data, windows: _simulated(data, windows, _worlds(windows)),
        "the simulator that made the data",
        oracle=True,
    ),
}
"""All of them by name."""
