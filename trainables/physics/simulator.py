"""A simulator of balls in a box, many episodes at once, with exact books of energy and momentum.

Between contacts a ball flies on a parabola, which velocity Verlet follows without error as gravity
is constant within a step; drag acts in two halves, before and after it (Strang's splitting). A
contact is traced back to the moment within the step at which it began. That has a closed form for a
parabola and a wall, and for two balls, whose relative motion is straight. The velocities change
there, and the rest of the step is flown with the new ones. So a contact costs the energy that
elasticity and friction take, and nothing else.

Balls do not spin. Friction is Coulomb's, between balls and walls alone: an impact changes the
tangential velocity by up to the coefficient times the change of the normal velocity. A ball that
would land again within the step starts the next one from the wall, so that balls come to rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from itertools import combinations

import numpy as np

from trainables.physics.record import I64, Books, Bool, Episodes, Start
from trainables.physics.world import F64, Worlds

__all__ = ["simulate"]

BLOCK = 1024  # episodes that are simulated together: their arrays stay in the processor's cache
TINY = 1e-300  # keeps a division of 0 by 0 finite, where its result is not used
SLACK = 1e-9  # relative rounding allowed when a contact is dated to the first moment of a step


@dataclass
class _Run:
    """The state of a block of episodes, laid out so that a ball's row is one piece of memory."""

    position: F64  # [2, B, E]
    velocity: F64
    mass: F64  # [B, E], 0 for absent balls
    radius: F64
    present: Bool
    mu: F64  # [B, E], Coulomb's coefficient of friction
    e: F64  # [B, E], the coefficient of restitution
    box: tuple[float, float]
    books: bool
    balls: bool
    acceleration: F64 = field(init=False)  # [B, E], upwards
    tally: dict[str, F64] = field(init=False)

    def __post_init__(self) -> None:
        self.clear()
        self.high = np.array(self.box)[:, None, None] - self.radius
        self.pairs = [
            (i, j, np.where(self.present[i] & self.present[j], self.radius[i] + self.radius[j], 0.0) ** 2)
            for i, j in combinations(range(len(self.mass)), 2)
        ]

    def clear(self) -> None:
        """Begins a frame's books."""
        episodes = self.mass.shape[1]
        one = ("work", "damping", "wall", "friction", "ball", "integrator", "walls", "meetings")
        two = ("gravity_impulse", "wall_impulse", "drag_impulse")
        self.tally = {name: np.zeros(episodes) for name in one} | {name: np.zeros((2, episodes)) for name in two}

    def kinetic(self) -> F64:
        """The kinetic energy: [E]."""
        return np.asarray(0.5 * np.einsum("be,abe,abe->e", self.mass, self.velocity, self.velocity))

    def momentum(self) -> F64:
        """The momentum: [2, E]."""
        return np.asarray(np.einsum("be,abe->ae", self.mass, self.velocity))

    def drag(self, kept: F64) -> None:
        """Drag over half a step, after which `kept` [E] of each velocity is left."""
        if self.books:
            self.tally["damping"] += self.kinetic() * (1 - kept**2)
            self.tally["drag_impulse"] -= self.momentum() * (1 - kept)
        self.velocity *= kept

    def step(self, gravity: F64 | None, kept: F64 | None, h: float) -> None:
        """Moves all balls on by h seconds under a gravity [E], or the one of the step before."""
        if kept is not None:
            self.drag(kept)
        if gravity is not None:
            self.acceleration = -gravity * self.present
        before = self.position[1].copy() if self.books else self.position[1]
        self.position += self.velocity * h
        self.position[1] += self.acceleration * (0.5 * h * h)
        self.velocity[1] += self.acceleration * h
        for pair in self.pairs if self.balls else ():
            self.meet(*pair, h)
        outside = (self.position < self.radius) | (self.position > self.high)
        for axis in (0, 1):
            ball = np.flatnonzero(outside[axis])
            if len(ball):
                self.bounce(axis, ball, h)
        if self.books:
            weight = self.mass * self.acceleration
            self.tally["work"] += (weight * (self.position[1] - before)).sum(0)
            self.tally["gravity_impulse"][1] += weight.sum(0) * h
        if kept is not None:
            self.drag(kept)

    def meet(self, i: int, j: int, reach: F64, h: float) -> None:
        """Lets balls i and j rebound where the square of their distance is below `reach` [E]."""
        x, y = self.position[:, i] - self.position[:, j]
        episode = np.flatnonzero(x * x + y * y < reach)
        if not len(episode):
            return
        reach, e = np.sqrt(reach.take(episode)), self.e[0].take(episode)
        first, second = self.mass[i].take(episode), self.mass[j].take(episode)
        apart = np.array([x.take(episode), y.take(episode)])
        closing = self.velocity[:, i].take(episode, 1) - self.velocity[:, j].take(episode, 1)
        along, speed = (apart * closing).sum(0), (closing * closing).sum(0)
        depth = reach**2 - (apart * apart).sum(0)
        # They touched when |apart - closing t| = reach: of its two solutions the positive one.
        root = along + np.sqrt(along**2 + speed * depth)
        began = root <= speed * h * (1 + SLACK)
        ago = np.where(began, root / np.maximum(speed, TINY), 0.0)
        touching = apart - closing * ago
        distance = np.sqrt((touching * touching).sum(0))
        touching[1] += distance == 0  # centres that coincide have no direction; any will do
        normal = touching / np.maximum(distance, TINY)
        inward = np.minimum(0.0, (closing * normal).sum(0))
        share = second / (first + second)
        change = -(1 + e) * inward * normal  # of the relative velocity
        # Balls that a third one pushed into each other part about their common centre of mass,
        # which leaves the potential energy as it was.
        shift = change * ago + np.where(began, 0.0, reach - distance) * normal
        self.velocity[:, i, episode] += share * change
        self.velocity[:, j, episode] -= (1 - share) * change
        self.position[:, i, episode] += share * shift
        self.position[:, j, episode] -= (1 - share) * shift
        self.tally["meetings"][episode] += inward < 0
        if self.books:
            self.tally["ball"][episode] += 0.5 * first * share * (1 - e**2) * inward**2

    def bounce(self, axis: int, ball: I64, h: float) -> None:
        """Lets balls rebound from the two walls across an axis, where they are beyond one.

        Args:
            axis: 0 for the walls at the sides, 1 for floor and ceiling.
            ball: places of the balls in an array [B, E] laid out flat.
            h: seconds of the step.
        """
        place = self.position[axis].take(ball)
        low, high = self.radius.take(ball), self.high[axis].take(ball)
        side = np.where(place < low, 1.0, -1.0)  # where the inside of the box is
        depth = np.maximum(low - place, place - high)
        normal = side * self.velocity[axis].take(ball)
        pull = side * self.acceleration.take(ball) if axis else np.zeros(len(ball))
        # The square of the speed at the wall's surface, if the ball came from there on a parabola.
        square = normal**2 + 2 * pull * depth
        speed = np.sqrt(np.maximum(square, 0.0))
        inward = np.flatnonzero((normal < 0) | (speed > normal))
        if len(inward) < len(ball):  # the others are on their way out
            ball = ball.take(inward)
            side, depth, normal, pull, square, speed = (
                one.take(inward) for one in (side, depth, normal, pull, square, speed)
            )
        ago = 2 * depth / np.maximum(speed - normal, TINY)
        began = (square >= -SLACK * normal**2) & (ago <= h * (1 + SLACK))
        e = self.e.take(ball)
        after = e * speed
        height = after * ago + 0.5 * pull * ago**2
        free = began & (height >= 0)
        # A ball that was beyond the wall before the step came from no flight. It is lifted out, but
        # not in an elastic world, whose energy this would change: there it turns round on the spot.
        stuck = ~began & (e >= 1) & (axis == 1)
        after = np.where(stuck, -normal, after + free * (pull * ago))
        rise = np.where(stuck, 0.0, depth + free * height)
        self.position[axis].reshape(-1)[ball] += side * rise
        self.velocity[axis].reshape(-1)[ball] = side * after
        self._add("walls", ball, np.ones(len(ball)))
        if self.books:
            mass = self.mass.take(ball)
            lift = np.where(began | stuck, 0.0, -pull * depth)
            taken = np.where(began, (1 - e**2) * speed**2, normal**2 - np.where(stuck, normal, e * speed) ** 2)
            self._add("wall", ball, 0.5 * mass * taken)
            self._add("integrator", ball, mass * lift)
            self._add("wall_impulse", ball, mass * side * (after - normal), axis)
        self._rub(1 - axis, ball, began * ago, after - normal)

    def _rub(self, axis: int, ball: I64, ago: F64, push: F64) -> None:
        """Lets a wall brake balls along an axis.

        Args:
            axis: the axis along the wall.
            ball: the balls that touched it, as for `bounce`.
            ago: seconds before the end of the step at which they did.
            push: how much the wall changed their velocity across it, in m/s.
        """
        slip = self.velocity[axis].take(ball)
        if axis:
            slip -= self.acceleration.take(ball) * ago
        brake = self.mu.take(ball) * push
        change = -np.clip(slip, -brake, brake)
        self.velocity[axis].reshape(-1)[ball] += change
        self.position[axis].reshape(-1)[ball] += change * ago
        if self.books:
            mass = self.mass.take(ball)
            self._add("friction", ball, 0.5 * mass * (slip**2 - (slip + change) ** 2))
            self._add("wall_impulse", ball, mass * change, axis)

    def _add(self, name: str, ball: I64, amount: F64, axis: int | None = None) -> None:
        """Adds an amount of each of some balls to the tally of its episode."""
        tally = self.tally[name] if axis is None else self.tally[name][axis]
        tally += np.bincount(ball % len(tally), weights=amount, minlength=len(tally))


def simulate(
    worlds: Worlds,
    start: Start,
    frames: int,
    dt: float,
    substeps: int = 2,
    *,
    box: tuple[float, float] = (2.0, 1.5),
    books: bool = True,
    ball_contacts: bool = True,
) -> Episodes:
    """Simulates episodes.

    Args:
        worlds: E worlds.
        start: their balls.
        frames: frames F of an episode, the start being the first.
        dt: seconds from frame to frame.
        substeps: steps that a frame is made of; `benchmarks/physics.py` says what they are worth.
        box: width and height in m.
        books: whether energy and momentum are accounted for.
        ball_contacts: whether balls meet; without, they fly through each other.
    """
    parts = [
        _block(worlds[rows], start[rows], frames, dt, substeps, box, books, ball_contacts)
        for rows in (slice(first, first + BLOCK) for first in range(0, len(worlds), BLOCK))
    ]
    joined = {
        one.name: np.concatenate([getattr(part, one.name) for part in parts])
        for one in fields(Episodes)
        if one.name != "books"
    }
    kept = [part.books for part in parts if part.books is not None]
    every = {one.name: np.concatenate([getattr(part, one.name) for part in kept]) for one in fields(Books) if kept}
    return Episodes(**joined, books=Books(**every) if kept else None)


def _block(
    worlds: Worlds,
    start: Start,
    frames: int,
    dt: float,
    substeps: int,
    box: tuple[float, float],
    books: bool,
    ball_contacts: bool,
) -> Episodes:
    """Simulates one block of episodes."""
    # Balls that are not there stand still in the middle of the box, where nothing reaches them.
    there = start.present[..., None]
    run = _Run(
        position=np.where(there, start.position, np.array(box) / 2).transpose(2, 1, 0).copy(),
        velocity=np.where(there, start.velocity, 0.0).transpose(2, 1, 0).copy(),
        mass=np.where(start.present, start.mass, 0.0).T.copy(),
        radius=np.where(start.present, start.radius, 0.0).T.copy(),
        present=start.present.T.copy(),
        mu=np.tile(worlds.column("friction"), (start.mass.shape[1], 1)),
        e=np.tile(worlds.column("elasticity"), (start.mass.shape[1], 1)),
        box=box,
        books=books,
        balls=ball_contacts,
    )
    h = dt / substeps
    damped = bool((worlds.column("damping") < 1).any())
    kept = worlds.column("damping") ** (h / 2) if damped else None
    varying = bool(worlds.column("amplitude").any())
    shape = (frames, *run.position.shape)
    position, velocity = np.empty(shape), np.empty(shape)
    tallies: list[dict[str, F64]] = []
    for frame in range(frames):
        run.clear()
        for step in range(substeps) if frame else ():
            middle = start.time + (frame - 1) * dt + (step + 0.5) * h
            run.step(worlds.gravity_at(middle) if varying or frame + step == 1 else None, kept, h)
        position[frame], velocity[frame] = run.position, run.velocity
        if books:
            run.tally["kinetic"] = run.kinetic()
            gravity = worlds.gravity_at(start.time + frame * dt)
            run.tally["potential"] = gravity * (run.mass * run.position[1]).sum(0)
        tallies.append(run.tally)
    return Episodes(
        position=np.ascontiguousarray(position.transpose(3, 0, 2, 1)) * there[:, None],
        velocity=np.ascontiguousarray(velocity.transpose(3, 0, 2, 1)),
        mass=run.mass.T.copy(),
        radius=run.radius.T.copy(),
        present=start.present,
        contacts=np.stack([_over_frames(tallies, name) for name in ("walls", "meetings")], axis=-1).astype(np.int64),
        books=Books(**{one.name: _over_frames(tallies, one.name) for one in fields(Books)}) if books else None,
    )


def _over_frames(tallies: list[dict[str, F64]], name: str) -> F64:
    """Returns one tally of all frames: [E, F], or [E, F, 2] for an impulse."""
    return np.ascontiguousarray(np.moveaxis(np.stack([tally[name].T for tally in tallies]), 0, 1))
