"""What trials share: splits, the randomised pool, units, and the errors of trivial predictors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from leadline.task import Split
from trainables.physics import losses
from trainables.physics.config import PhysicsConfig
from trainables.physics.episodes import F32, PhysicsData, Windows, build, train_pool
from trainables.physics.features import features, states_of
from trainables.physics.metrics import Errors, Rows
from trainables.physics.setting import Setting
from trainables.physics.trivial import TRIVIAL
from trainables.physics.world import F64, PARAMETERS

__all__ = ["Prepared", "Units", "balls_of", "errors", "gravity_of", "prepare"]

ORACLE = "oracle: "
"""What the names of those predictors begin with that know more of a world than a network may."""


@dataclass(frozen=True)
class Units:
    """Standard deviations over the frames ahead of the training windows.

    Attributes:
        state: float64 [4], of x, y in m and vx, vy in m/s.
        energy: in J.
        momentum: float64 [2], in kg m/s.
    """

    state: F64
    energy: float
    momentum: F64


@dataclass(frozen=True)
class Prepared:
    """All that trials of one setting read.

    Attributes:
        physics: the splits.
        randomised: training windows of randomised worlds, where a stage draws from them.
        units: standard deviations of the training windows.
        trivial: errors of each trivial predictor, by its name, for each split that is scored.
    """

    physics: PhysicsData
    randomised: Windows | None
    units: Units
    trivial: Mapping[str, Mapping[str, Errors]]

    def rows(self, split: Split) -> Rows:
        """What the windows of a split are, with the errors of predictors that are no oracles."""
        windows = self.physics.scored(split)
        rivals = {name: found.states for name, found in self.trivial[split].items() if not name.startswith(ORACLE)}
        return Rows(windows.episode, windows.regime, windows.distance, rivals)


def balls_of(windows: Windows) -> F32:
    """Mass, radius and presence of the balls: float32 [N, B, 3]."""
    return np.stack([windows.mass, windows.radius, windows.present.astype(np.float32)], -1)


def gravity_of(windows: Windows, setting: Setting) -> F32:
    """Gravity in m/s^2 at each frame ahead: float32 [N, H]."""
    frames = np.arange(setting.seen, setting.window)
    world = {name: windows.world[:, place, None] for place, name in enumerate(PARAMETERS)}
    time = windows.time[:, None] + frames * setting.dt
    swing = world["amplitude"] * np.sin(2 * np.pi * world["frequency"] * time)
    return np.asarray(world["gravity"] * (1 + swing), dtype=np.float32)


def errors(found: Tensor, windows: Windows, setting: Setting, units: Units) -> Errors:
    """Returns the errors of predicted states float32 [N, H, B, 4], or of the log's features."""
    true = torch.tensor(windows.states[:, setting.seen :])
    balls, world = torch.tensor(balls_of(windows)), torch.tensor(windows.world)
    mass, present = balls[..., 0], balls[..., 2]
    states = states_of(found)
    scaled = ((states - true) / torch.tensor(units.state, dtype=torch.float32)).square().mean(-1)
    energy = losses.energy(states, mass, torch.tensor(gravity_of(windows, setting)))
    own = torch.tensor((windows.kinetic + windows.potential)[:, setting.seen :])
    told, expected = (
        part if part.ndim == 3 else features(part, balls, world, setting.dt, setting.seen) for part in (found, true)
    )
    return Errors(
        states=((scaled * present[:, None]).sum(-1) / present.sum(-1)[:, None]).numpy(),
        energy=((energy - own).abs() / units.energy).numpy(),
        features=(told - expected).abs().mean(-1).numpy(),
    )


def _units(windows: Windows, seen: int) -> Units:
    states = windows.states[:, seen:].astype(np.float64)
    there = np.broadcast_to(windows.present[:, None], states.shape[:3])
    energy = (windows.kinetic + windows.potential)[:, seen:].astype(np.float64)
    momentum = (states[..., 2:] * windows.mass[:, None, :, None]).sum(2)
    return Units(states[there].std(0), float(energy.std()), momentum.reshape(-1, 2).std(0))


def prepare(config: PhysicsConfig) -> Prepared:
    """Simulates all episodes, and scores the trivial predictors on those that are scored."""
    setting = config.setting
    physics = build(setting)
    units = _units(physics.train, setting.seen)
    trivial = {}
    for split in ("validation", "test"):
        windows = physics.scored(split)
        trivial[split] = {
            ORACLE * one.oracle + name: errors(
                torch.tensor(one.predict(physics, windows)).float(), windows, setting, units
            )
            for name, one in TRIVIAL.items()
        }
    randomised = train_pool(setting, config.width_of_randomisation, config.randomised) if config.randomised else None
    return Prepared(physics, randomised, units, trivial)
