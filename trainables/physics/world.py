"""Worlds: what rules a box of balls, the ranges that they are drawn from, and the named regimes.

Ranges and regimes are those of the log, whose source (github, fergusmeiklejohn's
neural_networks_research, improved_data_generator.py) gives them for a box of 800 x 600 pixels. With
400 pixels to a metre the box is 2.0 x 1.5 m. A named regime is not one world but all within 5 % of
it, so that no world of validation is also one of test.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from leadline.errors import ConfigError

__all__ = [
    "F64",
    "INSIDE",
    "KINDS",
    "PARAMETERS",
    "REGIMES",
    "TRAINING",
    "Kind",
    "Range",
    "Ranges",
    "Regime",
    "Worlds",
    "regime",
]

F64 = npt.NDArray[np.float64]
Range = tuple[float, float]
Kind = Literal["interpolation", "extrapolation", "novel"]
KINDS: tuple[Kind, ...] = ("interpolation", "extrapolation", "novel")

PARAMETERS = ("gravity", "friction", "damping", "elasticity", "amplitude", "frequency")
"""The columns of `Worlds.values`."""

LIMITS = ((-np.inf, np.inf), (0.0, np.inf), (1e-6, 1.0), (0.0, np.inf), (-np.inf, np.inf), (0.0, np.inf))
"""The values that each parameter can have at all."""

NEAR = 0.05
"""How far a world of a named regime may be from its name's values, as a share of each value."""


@dataclass(frozen=True)
class Worlds:
    """The parameters of some worlds.

    Attributes:
        values: float64 [worlds, 6], the columns being PARAMETERS: gravity in m/s^2, plus being
            downwards; Coulomb's coefficient of friction between balls and walls; damping, the share
            of its velocity that a ball keeps in a second, as the log has it; elasticity, the
            coefficient of restitution of all impacts; and amplitude A and frequency f in Hz of a
            gravity that varies, g(t) = g (1 + A sin 2 pi f t).
    """

    values: F64

    @staticmethod
    def of(count: int = 1, **values: float) -> Worlds:
        """Makes `count` equal worlds; what is not named is 0, and damping and elasticity are 1.

        Raises:
            TypeError: for a name that is not in PARAMETERS.
        """
        if strange := set(values) - set(PARAMETERS):
            raise TypeError(f"no parameters of a world: {', '.join(sorted(strange))}")
        every = {"damping": 1.0, "elasticity": 1.0, **values}
        return Worlds(np.tile([every.get(name, 0.0) for name in PARAMETERS], (count, 1)))

    @staticmethod
    def joined(parts: Iterable[Worlds]) -> Worlds:
        """Returns the worlds of all parts, one after the other."""
        return Worlds(np.concatenate([part.values for part in parts]))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Worlds:
        return Worlds(self.values[rows])

    def column(self, name: str) -> F64:
        """Returns one parameter: float64 [worlds]."""
        return self.values[:, PARAMETERS.index(name)]

    def changed(self, **columns: F64 | float) -> Worlds:
        """Returns these worlds with some parameters replaced by numbers or by arrays [worlds]."""
        values = self.values.copy()
        for name, column in columns.items():
            values[:, PARAMETERS.index(name)] = column
        return Worlds(values)

    @property
    def drag(self) -> F64:
        """The rate c in 1/s of a drag dv/dt = -c v, which keeps `damping` in a second: [worlds]."""
        return -np.log(self.column("damping"))

    def gravity_at(self, time: F64 | float) -> F64:
        """Returns g(t) in m/s^2: [worlds].

        Args:
            time: seconds, one number or [worlds].
        """
        swing = self.column("amplitude") * np.sin(2 * np.pi * self.column("frequency") * time)
        return self.column("gravity") * (1 + swing)

    def randomised(self, width: float, generator: np.random.Generator) -> Worlds:
        """Multiplies each parameter by a number from U(1 - width, 1 + width), within its limits.

        This is domain randomisation: the worlds that come back are the ones to simulate and to
        show to a network.
        """
        factor = generator.uniform(1 - width, 1 + width, self.values.shape)
        low, high = np.array(LIMITS).T
        # An elasticity above 1 would make energy, which no training world does.
        high[PARAMETERS.index("elasticity")] = 1.0
        return Worlds(np.clip(self.values * factor, low, high))


@dataclass(frozen=True)
class Ranges:
    """The ranges (lowest, highest) that each parameter is drawn from, uniformly.

    Raises:
        ConfigError: naming the parameter, for a range the wrong way round or outside its limits.
    """

    gravity: Range = (0.75, 3.0)
    friction: Range = (0.1, 0.8)
    damping: Range = (0.85, 0.98)
    elasticity: Range = (0.2, 0.9)
    amplitude: Range = (0.0, 0.0)
    frequency: Range = (0.0, 0.0)

    def __post_init__(self) -> None:
        for name, (least, most) in zip(PARAMETERS, LIMITS, strict=True):
            low, high = getattr(self, name)
            if not low <= high:
                raise ConfigError(f"{name}: the lowest value {low:g} is above the highest, {high:g}")
            if not (least <= low and high <= most):
                raise ConfigError(f"{name}: {low:g} to {high:g} is outside {least:g} to {most:g}")

    @property
    def bounds(self) -> F64:
        """The ranges as an array [6, 2]."""
        return np.array([getattr(self, field.name) for field in fields(self)])

    def draw(self, count: int, generator: np.random.Generator) -> Worlds:
        """Draws worlds from the ranges."""
        low, high = self.bounds.T
        return Worlds(generator.uniform(low, high, (count, len(PARAMETERS))))

    def distance(self, worlds: Worlds) -> F64:
        """Returns how far outside the box of these ranges each world is: [worlds], 0 inside.

        It is the distance of the parameter that is farthest outside, in units of the width of its
        range; in units of 1 where the range has no width. Frequency does not count: amplitude says
        how much gravity varies.
        """
        low, high = self.bounds.T
        width = np.where(high > low, high - low, 1.0)
        outside = np.maximum(0.0, np.maximum(low - worlds.values, worlds.values - high)) / width
        return np.asarray(outside[:, : PARAMETERS.index("frequency")].max(axis=1))

    def share_inside(self, other: Ranges) -> float:
        """Returns the share of the other box that lies in this one, 0 to 1.

        It is the probability that a world drawn from the other is one that might be drawn here.
        """
        low, high = np.maximum(self.bounds[:, 0], other.bounds[:, 0]), np.minimum(self.bounds[:, 1], other.bounds[:, 1])
        width = other.bounds[:, 1] - other.bounds[:, 0]
        common = np.where(width > 0, np.maximum(0.0, high - low) / np.where(width > 0, width, 1.0), high >= low)
        return float(common[: PARAMETERS.index("frequency")].prod())

    def widened(self, width: float) -> Ranges:
        """Returns the ranges that `Worlds.randomised` can reach."""
        corners = np.stack([self.bounds * (1 - width), self.bounds * (1 + width)])
        low, high = np.array(LIMITS).T
        high[PARAMETERS.index("elasticity")] = 1.0
        edges = zip(np.clip(corners.min((0, 2)), low, high), np.clip(corners.max((0, 2)), low, high), strict=True)
        return Ranges(*((float(least), float(most)) for least, most in edges))

    def scaled(self, unit: float) -> Ranges:
        """Returns the ranges in another unit of length, of which a metre has `unit`."""
        return replace(self, gravity=(self.gravity[0] * unit, self.gravity[1] * unit))


TRAINING = Ranges()
"""The ranges that training worlds are drawn from."""


@dataclass(frozen=True)
class Regime:
    """A named kind of world that a split is scored on, and the ranges of its worlds."""

    name: str
    kind: Kind
    ranges: Ranges


def _outside(name: str, **ranges: Range) -> Regime:
    return Regime(name, "extrapolation", replace(TRAINING, **ranges))


def _named(name: str, **values: float) -> Regime:
    around = {key: (value * (1 - NEAR), value * (1 + NEAR)) for key, value in values.items()}
    for key in ("damping", "elasticity"):
        around[key] = (around[key][0], min(1.0, around[key][1]))
    return Regime(name, "novel", Ranges(**around))


INSIDE = Regime("inside", "interpolation", TRAINING)

REGIMES = (
    INSIDE,
    # The log's extrapolation: one parameter outside its range, the others inside. An elasticity
    # above 1, up to which the log goes, makes energy at each impact; here it ends at 1.
    _outside("weak_gravity", gravity=(0.125, 0.5)),
    _outside("strong_gravity", gravity=(3.75, 5.0)),
    _outside("slippery", friction=(0.0, 0.05)),
    _outside("sticky", friction=(0.9, 1.0)),
    _outside("dull", elasticity=(0.05, 0.15)),
    _outside("bouncy", elasticity=(0.95, 1.0)),
    _outside("thick_air", damping=(0.7, 0.82)),
    _outside("vacuum", damping=(0.99, 1.0)),
    # The log's eight novel regimes.
    _named("moon", gravity=0.405, friction=0.7, elasticity=0.8, damping=1.0),
    _named("jupiter", gravity=6.1975, friction=0.5, elasticity=0.6, damping=0.9),
    _named("underwater", gravity=1.5, friction=0.3, elasticity=0.4, damping=0.7),
    _named("ice_rink", gravity=2.4525, friction=0.02, elasticity=0.9, damping=0.98),
    _named("rubber_room", gravity=2.4525, friction=0.9, elasticity=0.99, damping=0.95),
    _named("space_station", gravity=0.05, friction=0.8, elasticity=0.7, damping=1.0),
    _named("thick_atmosphere", gravity=2.4525, friction=0.6, elasticity=0.8, damping=0.75),
    _named("super_earth", gravity=4.905, friction=0.4, elasticity=0.7, damping=0.92),
    # What the log does not have, and its authors' later "true" test, a gravity that varies.
    Regime("no_gravity", "novel", replace(TRAINING, gravity=(0.0, 0.0))),
    Regime("upwards", "novel", replace(TRAINING, gravity=(-3.0, -0.75))),
    Regime("time_varying", "novel", replace(TRAINING, amplitude=(0.3, 0.7), frequency=(0.5, 1.5))),
)
"""All regimes; the first is the training ranges themselves, the interpolation."""


def regime(name: str) -> Regime:
    """Returns the regime of a name.

    Raises:
        ConfigError: if there is none.
    """
    for one in REGIMES:
        if one.name == name:
            return one
    raise ConfigError(f"regimes: no {name!r}; known: {', '.join(one.name for one in REGIMES)}")
