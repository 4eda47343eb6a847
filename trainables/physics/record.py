"""What a simulation begins with and what it leaves: balls, frames and books."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from trainables.physics.world import F64

__all__ = ["I64", "Books", "Bool", "Episodes", "Start"]

Bool = npt.NDArray[np.bool_]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Start:
    """The balls of each episode at its first frame. E episodes of up to B balls.

    Attributes:
        position: [E, B, 2] in m; x to the right, y upwards, from the lower left corner of the box.
        velocity: [E, B, 2] in m/s.
        mass: [E, B] in kg.
        radius: [E, B] in m.
        present: bool [E, B], which balls there are.
        time: [E] in s, which a gravity that varies goes by.
    """

    position: F64
    velocity: F64
    mass: F64
    radius: F64
    present: Bool
    time: F64

    def __getitem__(self, rows: slice | I64 | Bool) -> Start:
        return Start(*(getattr(self, one.name)[rows] for one in fields(self)))

    @staticmethod
    def joined(parts: list[Start]) -> Start:
        """Returns the episodes of all parts, one after the other."""
        return Start(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Start)))


@dataclass(frozen=True)
class Books:
    """Energy in J and momentum in kg m/s of all balls of an episode, frame by frame.

    `kinetic` and `potential` [E, F] are those at a frame. All others are of the time since the
    frame before, and 0 at the first: [E, F], the impulses [E, F, 2]. They balance to rounding:

        kinetic[f] - kinetic[f - 1] = work - damping - wall - friction - ball + integrator
        momentum[f] - momentum[f - 1] = gravity_impulse + wall_impulse + drag_impulse

    Where gravity is constant, the work is the decrease of the potential energy m g y.

    Attributes:
        kinetic: sum of m v^2 / 2.
        potential: sum of m g(t) y.
        work: work of gravity.
        damping: what drag took.
        wall: what impacts on walls took, apart from friction.
        friction: what friction on walls took.
        ball: what impacts of balls on each other took.
        integrator: what balls were given that had been pushed into a wall, and were lifted out.
        gravity_impulse: impulse of gravity.
        wall_impulse: impulse of the walls, with friction.
        drag_impulse: impulse of drag.
    """

    kinetic: F64
    potential: F64
    work: F64
    damping: F64
    wall: F64
    friction: F64
    ball: F64
    integrator: F64
    gravity_impulse: F64
    wall_impulse: F64
    drag_impulse: F64

    @property
    def energy(self) -> F64:
        """Kinetic and potential energy: [E, F]."""
        return self.kinetic + self.potential

    @property
    def lost(self) -> F64:
        """What drag, friction and impacts took since the frame before: [E, F]."""
        return self.damping + self.wall + self.friction + self.ball

    @property
    def impulse(self) -> F64:
        """The impulse of everything outside the balls: [E, F, 2]."""
        return self.gravity_impulse + self.wall_impulse + self.drag_impulse


@dataclass(frozen=True)
class Episodes:
    """What was simulated. E episodes of F frames, the first of which is the start.

    Attributes:
        position: [E, F, B, 2] in m; 0 for balls that are not there, as is the velocity.
        velocity: [E, F, B, 2] in m/s.
        mass: [E, B] in kg, 0 for balls that are not there.
        radius: [E, B] in m, likewise.
        present: bool [E, B].
        contacts: int64 [E, F, 2], contacts with walls and of balls with each other since the frame
            before; one that lasts counts once a step.
        books: energy and momentum, where they were asked for.
    """

    position: F64
    velocity: F64
    mass: F64
    radius: F64
    present: Bool
    contacts: I64
    books: Books | None = None
