"""What the data is made of: the box, its balls, the frames and the number of episodes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from leadline.errors import ConfigError
from trainables.physics.world import INSIDE, REGIMES, TRAINING, Range, Ranges, regime

__all__ = ["Setting", "log_setting"]


@dataclass(frozen=True)
class Setting:
    """Everything that the data depends on.

    By default the log's pixels are 2.5 mm, with two changes, without which hardly a ball meets
    another or a wall within the frames that are predicted: radii are 0.05 to 0.2 m instead of
    0.025 to 0.075, and frames are 0.04 s apart instead of 1/60.

    Attributes:
        box: width and height in m.
        fewest: least number of balls of an episode.
        balls: greatest number, B; the arrays have room for so many.
        radii: range of the radii in m, uniform.
        masses: range of the masses in kg, uniform.
        speed: the two components of a velocity begin between -speed and speed, in m/s.
        dt: seconds from frame to frame.
        substeps: steps of the simulator in a frame.
        frames: frames of an episode.
        seen: frames of a window that are given.
        horizon: frames of a window that are to be predicted.
        common: the first frame of an episode that is predicted; 0 stands for `seen`. Settings that
            differ in `seen` predict the same frames where this is the same.
        stride: frames between the beginnings of an episode's windows.
        unit: units of length in a metre; 1, or 400 for lengths in the log's pixels.
        training: ranges of the training worlds, in m.
        train: training episodes.
        scored: episodes of the interpolation, for validation and for test.
        each: episodes of each other regime, for validation and for test.
        regimes: names of the other regimes.
        seed: seed of all episodes.

    Raises:
        ConfigError: naming the attribute that cannot be.
    """

    box: tuple[float, float] = (2.0, 1.5)
    fewest: int = 3
    balls: int = 3
    radii: Range = (0.05, 0.2)
    masses: Range = (0.5, 2.0)
    speed: float = 0.5
    dt: float = 0.04
    substeps: int = 2
    frames: int = 40
    seen: int = 10
    horizon: int = 10
    common: int = 0
    stride: int = 5
    unit: float = 1.0
    training: Ranges = TRAINING
    train: int = 2400
    scored: int = 256
    each: int = 48
    regimes: tuple[str, ...] = tuple(one.name for one in REGIMES if one is not INSIDE)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("fewest", "substeps", "seen", "horizon", "stride", "train", "scored", "each"):
            _refuse(getattr(self, name) < 1, f"{name}: at least 1 is needed (got {getattr(self, name)})")
        for name in ("speed", "dt", "unit"):
            _refuse(not getattr(self, name) > 0, f"{name}: must be above 0 (got {getattr(self, name):g})")
        for name in ("radii", "masses"):
            low, high = getattr(self, name)
            _refuse(not low <= high, f"{name}: the lowest value {low:g} is above the highest, {high:g}")
            _refuse(not low > 0, f"{name}: must be above 0 (got {low:g})")
        _refuse(self.fewest > self.balls, f"fewest: {self.fewest} is more than the most, balls={self.balls}")
        _refuse(0 < self.common < self.seen, f"common: must be 0 or at least seen, {self.seen} (got {self.common})")
        _refuse(
            self.horizon > self.frames - self.ahead,
            f"horizon: {self.horizon} frames after {self.ahead} are longer than an episode, frames={self.frames}",
        )
        _refuse(len(set(self.regimes)) < len(self.regimes), "regimes: one is named twice")
        _refuse(INSIDE.name in self.regimes, f"regimes: {INSIDE.name} is always scored")
        for one in self.regimes:
            regime(one)
        self._check_room()

    def _check_room(self) -> None:
        """Refuses balls for which there might be no place in the box."""
        width, height = self.box
        radius = self.radii[1]
        room = max(0.0, width - 2 * radius) * max(0.0, height - 2 * radius)
        # The centre of the last ball keeps two radii from all others. A tenth of the room at least
        # must be left, so that drawing places at random soon finds one.
        taken = (self.balls - 1) * math.pi * (2 * radius) ** 2
        _refuse(
            taken > 0.9 * room or not room,
            f"balls: {self.balls} of radius up to {radius:g} do not fit into a box of {width:g} x {height:g}",
        )

    @property
    def window(self) -> int:
        """The number of frames of a window, T."""
        return self.seen + self.horizon

    @property
    def ahead(self) -> int:
        """The first frame of an episode that is predicted."""
        return self.common or self.seen

    @property
    def starts(self) -> range:
        """The first frames of an episode's windows."""
        return range(self.ahead - self.seen, self.frames - self.window + 1, self.stride)


def _refuse(wrong: bool, message: str) -> None:
    if wrong:
        raise ConfigError(message)


def log_setting(**changes: int) -> Setting:
    """Returns the setting of the log's code, in pixels: 800 x 600, 60 frames a second.

    As its networks did, it predicts frames 10 to 19 of each episode and has episodes of 3 balls
    alone. Of the 300 frames of an episode it simulates those 20. The log's 9,712 episodes are
    divided as its configuration says: 70 % for training, 10 % for validation.

    Args:
        changes: whole-numbered fields to set otherwise, such as `train`.
    """
    logged = Setting(
        box=(800.0, 600.0), radii=(10.0, 30.0), speed=200.0, dt=1 / 60, frames=20, unit=400.0, train=6798, scored=971
    )
    return replace(logged, **changes)  # type: ignore[arg-type]
