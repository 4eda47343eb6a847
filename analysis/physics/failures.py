"""Where predicted flights go wrong: by regime, frame ahead and contacts, and the worst windows.

Errors are squared, in standard deviations of training, and means over balls and x, y, vx, vy.
Beside each stands the trivial predictor that is best on the same windows and frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from leadline.analysis.sweep import TrialView
from leadline.measure import Measure
from leadline.statistics import mean_over_units
from trainables.physics.config import PhysicsConfig
from trainables.physics.data import Prepared, errors
from trainables.physics.episodes import F32
from trainables.physics.family import PHYSICS
from trainables.physics.metrics import RIGHT, Rows
from trainables.physics.record import Bool
from trainables.physics.world import REGIMES

__all__ = ["Bin", "Failures", "Window", "failures", "tally", "worst"]

CONTACTS = {"no contact": (False, False), "walls": (True, False), "balls": (False, True), "both": (True, True)}
WORST = 10


class Bin(NamedTuple):
    """The errors of some windows and frames, as means over episodes.

    `skill` is 1 - error / `rival_error`, of which it takes `RIGHT` at least, as metrics do.
    """

    by: str
    label: str
    episodes: int
    windows: int
    error: Measure
    rival: str
    rival_error: Measure
    skill: float


class Window(NamedTuple):
    """A window: where it comes from, its contacts ahead, its error and its regime's best rival's.

    `time` is the number of seconds from the episode's beginning to its first frame.
    """

    regime: str
    episode: int
    time: float
    walls: int
    balls: int
    error: float
    rival: str
    rival_error: float


@dataclass(frozen=True)
class Failures:
    """The bins of a network's errors on the test split, and its worst windows, worst first."""

    trial: str
    bins: list[Bin]
    worst: list[Window]


def _bin(by: str, label: str, own: F32, rows: Rows, chosen: Bool, frames: slice) -> Bin:
    episode = rows.episode[chosen]

    def mean(error: F32) -> Measure:
        found = error[chosen, frames].mean(1)
        return mean_over_units([float(found[episode == one].mean()) for one in np.unique(episode)], (0.0, np.inf))

    rivals = {name: mean(error) for name, error in rows.rivals.items()}
    name = min(rivals, key=lambda rival: rivals[rival].value)
    error, best = mean(own), rivals[name]
    skill = 1 - error.value / max(best.value, RIGHT)
    return Bin(by, label, error.n, int(chosen.sum()), error, name, best, float(skill))


def _dimensions(rows: Rows, met: Bool, horizon: int) -> Iterator[tuple[str, str, Bool, slice]]:
    """Yields each bin's dimension and label, windows and frames."""
    whole, inside = slice(None), rows.regime == 0
    for place, regime in enumerate(REGIMES):
        yield "regime", regime.name, rows.regime == place, whole
    for label, kind in CONTACTS.items():
        yield "contacts", label, inside & (met == np.array(kind)).all(1), whole
    for frame in range(horizon):
        yield "frame", f"frame {frame + 1}", inside, slice(frame, frame + 1)


def tally(own: F32, rows: Rows, met: Bool) -> list[Bin]:
    """Returns the bins that have windows; those of contacts and frames are inside the ranges.

    Args:
        own: squared errors of the network, [N, H].
        rows: what the windows are.
        met: bool [N, 2], whether walls and balls are met ahead.
    """
    return [
        _bin(by, label, own, rows, chosen, frames)
        for by, label, chosen, frames in _dimensions(rows, met, own.shape[1])
        if chosen.any()
    ]


def worst(own: F32, data: Prepared, bins: list[Bin], count: int = WORST) -> list[Window]:
    """Returns the windows of the test split with the largest errors, worst first."""
    windows, rows, seen = data.physics.test, data.rows("test"), data.physics.setting.seen
    rivals = {line.label: line.rival for line in bins if line.by == "regime"}
    each = own.mean(1)
    found = []
    for row in np.argsort(-each, kind="stable")[:count].tolist():
        regime = REGIMES[int(rows.regime[row])].name
        walls, balls = windows.contacts[row, seen:].sum(0).tolist()
        rival = rivals[regime]
        other = float(rows.rivals[rival][row].mean())
        place = (regime, int(rows.episode[row]), float(windows.time[row]))
        found.append(Window(*place, walls, balls, float(each[row]), rival, other))
    return found


def failures(view: TrialView, config: PhysicsConfig) -> Failures:
    """Returns where a trial, with the weights of its checkpoint, goes wrong.

    Raises:
        ValueError: if it has no intact checkpoint.
    """
    model = view.load()
    data = PHYSICS.build_data(config)
    task = PHYSICS.task(config, data, torch.device("cpu"))
    task.model.load_state_dict(model.state_dict())
    physics = data.physics
    own = errors(task.predicted("test"), physics.test, physics.setting, data.units).states
    bins = tally(own, data.rows("test"), physics.test.met(physics.setting.seen))
    return Failures(f"{view.sweep.name}, trial {view.number}", bins, worst(own, data, bins))
