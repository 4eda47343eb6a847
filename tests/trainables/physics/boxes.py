"""A single episode, written by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainables.physics.record import Start
from trainables.physics.setting import Setting

BALL = (1.0, 0.75, 0.0, 0.0, 1.0, 0.1)
SMALL = {"train": 24, "scored": 12, "each": 3}


def one_episode(*balls: Sequence[float], time: float = 0.0) -> Start:
    """Makes the start of one episode from its balls: x, y, vx, vy, mass, radius."""
    rows = np.array(balls, dtype=float)[None]
    present = np.ones(rows.shape[:2], dtype=bool)
    return Start(rows[..., :2], rows[..., 2:4], rows[..., 4], rows[..., 5], present, np.array([time]))


def small(**changes: object) -> Setting:
    """Makes a setting of few episodes."""
    return Setting(**{**SMALL, **changes})  # type: ignore[arg-type]
