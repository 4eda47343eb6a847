"""The frames that follow those that a person gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from leadline.config import ConfigError
from trainables.physics.config import PhysicsConfig
from trainables.physics.data import balls_of
from trainables.physics.episodes import F32, PhysicsData, Windows
from trainables.physics.features import states_of
from trainables.physics.sampler import flight_of
from trainables.physics.world import F64, PARAMETERS, Worlds

__all__ = ["Ball", "PredictedFrames", "example", "predicted"]

KEYS = ("frames", "masses", "radii", "world")


class Ball(NamedTuple):
    """The state of a ball: position in m, velocity in m/s."""

    x: float
    y: float
    vx: float
    vy: float


@dataclass(frozen=True)
class PredictedFrames:
    """What a network expects to come.

    Attributes:
        time: seconds from the last frame seen to each frame.
        frames: the balls, [horizon][balls].
    """

    time: tuple[float, ...]
    frames: tuple[tuple[Ball, ...], ...]


def _numbers(given: Any, place: str, shape: tuple[int, ...]) -> F64:
    """Reads finite numbers of a shape, in which -1 stands for 1 up to the configuration's balls."""
    try:
        found = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"inputs: {place}: expected numbers (got {given!r:.60})") from None
    if found.shape != shape:
        raise ConfigError(f"inputs: {place}: expected numbers [{']['.join(map(str, shape))}] (got {list(found.shape)})")
    if not np.isfinite(found).all():
        raise ConfigError(f"inputs: {place}: not all numbers are finite")
    return found


def _world(given: Any) -> F64:
    if not isinstance(given, Mapping):
        raise ConfigError(f"inputs: world: expected parameters by name, such as gravity (got {given!r:.60})")
    for name in given:
        if name not in PARAMETERS:
            raise ConfigError(f"inputs: world: no parameter {name!r:.60}; known: {', '.join(PARAMETERS)}")
    values = {name: float(_numbers(value, f"world: {name}", ())) for name, value in given.items()}
    return Worlds.of(1, **values).values


def read(inputs: Any, config: PhysicsConfig) -> Windows:
    """Reads what `PhysicsFamily.predict` takes: a window whose frames ahead are empty.

    Raises:
        ConfigError: beginning with `inputs`.
    """
    if not isinstance(inputs, Mapping) or set(inputs) != set(KEYS):
        raise ConfigError(f"inputs: expected a mapping with {', '.join(KEYS)} (got {inputs!r:.60})")
    masses = np.atleast_1d(np.asarray(inputs["masses"]))
    count = len(masses) if masses.ndim == 1 else 0
    if not config.fewest <= count <= config.balls:
        raise ConfigError(f"inputs: masses: expected one for each of {config.fewest} to {config.balls} balls")
    mass, radius = (_numbers(inputs[name], name, (count,)) for name in ("masses", "radii"))
    for name, values in (("masses", mass), ("radii", radius)):
        if not (values > 0).all():
            raise ConfigError(f"inputs: {name}: must be above 0 (got {values.min():g})")
    states = np.zeros((1, config.seen + config.horizon, config.balls, 4), dtype=np.float32)
    states[0, : config.seen, :count] = _numbers(inputs["frames"], "frames", (config.seen, count, 4))
    return _window(states, mass, radius, _world(inputs["world"]))


def _window(states: F32, mass: F64, radius: F64, world: F64) -> Windows:
    _, frames, balls, _ = states.shape
    none = np.zeros((1, frames), dtype=np.float32)

    def padded(values: F64) -> F32:
        return np.pad(values, (0, balls - len(values)))[None].astype(np.float32)

    return Windows(
        states=states,
        mass=padded(mass),
        radius=padded(radius),
        present=np.arange(balls)[None] < len(mass),
        world=world.astype(np.float32),
        distance=np.zeros(1, dtype=np.float32),
        episode=np.zeros(1, dtype=np.int64),
        regime=np.zeros(1, dtype=np.int64),
        time=np.zeros(1),
        contacts=np.zeros((1, frames, 2), dtype=np.int64),
        kinetic=none,
        potential=none,
        work=none,
        lost=none,
        impulse=np.zeros((1, frames, 2), dtype=np.float32),
        worlds=world,
        starts=states[:, 0].astype(np.float64),
    )


def predicted(model: nn.Module, inputs: Any, config: PhysicsConfig) -> PredictedFrames:
    """Returns the answer of a network to the frames that a person gives."""
    windows = read(inputs, config)
    setting = config.setting
    flight = flight_of(config, PhysicsData(setting, (), windows, windows, windows), windows)
    device = next(model.parameters()).device
    given = (windows.states[:, : config.seen], flight, balls_of(windows), windows.world)
    with torch.no_grad():
        states = states_of(model(*(torch.tensor(part, device=device) for part in given)))
    found = states[0][:, torch.tensor(windows.present[0])].double().tolist()
    time = tuple(setting.dt * frame for frame in range(1, config.horizon + 1))
    return PredictedFrames(time, tuple(tuple(Ball(*ball) for ball in frame) for frame in found))


def example(config: PhysicsConfig) -> dict[str, Any]:
    """Returns balls side by side, thrown upwards under a gravity in the middle of training's."""
    setting = config.setting
    width, height = setting.box
    gravity = setting.unit * sum(config.gravity) / 2
    times = setting.dt * np.arange(config.seen)
    # As fast as to be back where it began at the end of the window, if there were no drag.
    speed = gravity * setting.dt * (config.seen + config.horizon) / 2
    frames = [
        [
            [
                width * (ball + 1) / (config.balls + 1),
                height / 4 + speed * t - gravity * t * t / 2,
                0.0,
                speed - gravity * t,
            ]
            for ball in range(config.balls)
        ]
        for t in times.tolist()
    ]
    return {
        "frames": frames,
        "masses": [1.0] * config.balls,
        "radii": [setting.radii[0]] * config.balls,
        "world": {"gravity": gravity, "friction": 0.5, "damping": 0.95, "elasticity": 0.6},
    }
