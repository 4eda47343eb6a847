"""The log's run as a configuration, and its defects one by one in a run that is sound otherwise.

Source: `train_progressive_paperspace.py` of github fergusmeiklejohn/neural_networks_research
(f9d64ec).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from leadline.config import ConfigError
from trainables.physics.config import PhysicsConfig

__all__ = ["DEFECTS", "LOGGED_RESULTS", "LOGGED_STAGES", "PRESETS", "SOUND_STAGES", "defective", "logged"]

EPOCHS = 50  # of each of the log's four stages
EPISODES = 6798
BATCH = 32

LOGGED_STAGES = (
    "basic:1/4",
    "physics:1/4:energy=1:momentum=0.5:ramp=1:rate=0.5",
    "randomised:1/4:energy=1:momentum=0.5:randomise=1:rate=0.2",
    "extrapolation:1/4:energy=1:momentum=0.5:edge=1:rate=0.1",
)
"""The log's stages as it describes them. Their weight, 0.1 to 1 over stage 2, starts at 0 here.

The ramp is that of the rate too, which falls over stage 2; the log's falls where stage 2 begins.
"""

SOUND_STAGES = (
    "basic:1/4",
    "physics:1/4:energy=0.5:momentum=0.25:ramp=0.5:rate=0.5",
    "randomised:1/4:energy=0.5:momentum=0.25:randomise=0.5:rate=0.2",
    "extrapolation:1/4:energy=0.5:momentum=0.25:randomise=0.5:edge=0.5:rate=0.1",
)
"""The same stages with balanced terms, and shares that leave some of the rows before."""


def _checked(scale: float) -> float:
    if not 0 < scale <= 1:
        raise ConfigError(f"scale: must be above 0 and at most 1 (got {scale})")
    return scale


def logged(scale: float = 1.0) -> PhysicsConfig:
    """Returns the log's run, with its transformer and all of its defects.

    Args:
        scale: shrinks the run: `scale` times the steps and the episodes, the width times the square
            root of it, as a multiple of the 8 heads. All else stays.

    Raises:
        ConfigError: for a scale outside (0, 1].
    """
    _checked(scale)
    episodes = max(64, round(EPISODES * scale))
    steps = max(8, 4 * EPOCHS * round(EPISODES * scale) // BATCH)
    return PhysicsConfig(
        scene="log",
        episodes=episodes,
        scored=max(16, round(971 * scale)),
        each=max(4, round(100 * scale)),
        layout="logged",
        target="raw",
        world_given=False,
        width=8 * max(1, round(32 * math.sqrt(scale))),
        layers=6,
        heads=8,
        expansion=4,
        dropout=0.1,
        units="raw",
        batch=BATCH,
        symmetries=False,
        lr=1e-3,
        schedule="constant",
        warmup=0.0,
        clip=0.0,
        balance="none",
        slices="log",
        randomisation="unused",
        focus="unread",
        stages=LOGGED_STAGES,  # whose randomised worlds are never simulated, as nothing would read them
        steps=steps,
        eval_every=max(1, steps // 20),
    )


_IN_THE_LOGS_LAYOUT: Mapping[str, Any] = MappingProxyType({"layout": "logged", "target": "raw", "world_given": False})
DEFECTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "wrong-slices": {**_IN_THE_LOGS_LAYOUT, "slices": "log"},
        "unnormalised": {"balance": "none", "scene": "log"},
        "unused-randomisation": {"randomisation": "unused"},
        "unread-focus": {"focus": "unread"},
    }
)
"""The log's defects, each the fields that plant it in a run that is sound otherwise.

Terms without units swamp the data in the log's pixels; in metres they are of its size by chance.
"""


def defective(name: str, scale: float = 1.0) -> PhysicsConfig:
    """Returns a run of this family's small transformer through the log's stages, with one defect.

    Args:
        name: the defect, one of `DEFECTS`, or empty for none.
        scale: times 10,000 steps and 2,400 episodes.

    Raises:
        ConfigError: for a scale outside (0, 1].
    """
    _checked(scale)
    steps = max(8, round(10_000 * scale))
    return PhysicsConfig(
        stages=SOUND_STAGES,
        steps=steps,
        eval_every=max(1, steps // 20),
        episodes=max(64, round(2400 * scale)),
        randomised=max(64, round(2400 * scale)),
        scored=max(16, round(256 * scale)),
        each=max(4, round(32 * scale)),
        **(DEFECTS[name] if name else {}),
    )


PRESETS: Mapping[str, Callable[[float], PhysicsConfig]] = MappingProxyType(
    {
        "log": logged,
        "stages": functools.partial(defective, ""),
        **{name: functools.partial(defective, name) for name in DEFECTS},
    }
)


@dataclass(frozen=True)
class LoggedResults:
    """What the log gives for its physics run: its figure, max(0, 1 - MAE/10), as shares.

    Attributes:
        interpolation: inside the training ranges, at the end.
        stages: on extrapolation, after each of the four stages.
        baseline: what it calls the accuracy before, of which it gives no source.
        criterion: the accuracy at which it calls its hypothesis validated.
    """

    interpolation: float
    stages: tuple[float, float, float, float]
    baseline: float
    criterion: float

    @property
    def extrapolation(self) -> float:
        """The figure on extrapolation at the end of the last stage."""
        return self.stages[-1]


LOGGED_RESULTS = LoggedResults(0.8397, (0.9622, 0.8419, 0.8352, 0.8351), 0.0, 0.70)
"""From the log's sections "Key Results", "Stage Progression" and its criteria of success."""
