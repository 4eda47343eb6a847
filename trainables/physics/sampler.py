"""The rows of a step: which windows, by the shares and kinds of its stage."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from leadline.config import ConfigError
from leadline.curriculum import Position, StageClock
from leadline.task import Batch
from trainables.physics.config import PhysicsConfig
from trainables.physics.data import Prepared, balls_of, gravity_of
from trainables.physics.episodes import F32, PhysicsData, Windows
from trainables.physics.record import I64, Bool
from trainables.physics.setting import Setting
from trainables.physics.trivial import TRIVIAL
from trainables.physics.world import F64

__all__ = ["Sampler", "arrays", "edge_distance", "flight_of"]

BALLS_AXIS = {"seen": 2, "future": 2, "flight": 2, "balls": 1}
"""The axis of the balls, of each of the `arrays` that has one; rows are axis 0."""

NEAR_EDGE = 0.25
"""The share of the training windows that `edge` draws from, those nearest to the edge."""

FLIGHTS = {
    ("ballistic", "given"): "ballistic",
    ("ballistic", "estimated"): "ballistic_estimated",
    ("reflected", "given"): "reflected",
    ("reflected", "estimated"): "reflected_estimated",
}
"""The trivial predictor that makes the flight, by `target` and `flight_gravity`."""


def flight_of(config: PhysicsConfig, physics: PhysicsData, windows: Windows) -> F32:
    """The flight that the network adds to: [N, H, B, 4]; zeros where the target is raw."""
    setting = physics.setting
    if config.target == "raw":
        return np.zeros((len(windows), setting.horizon, setting.balls, 4), dtype=np.float32)
    return TRIVIAL[FLIGHTS[config.target, config.flight_gravity]].predict(physics, windows).astype(np.float32)


def edge_distance(values: F64, bounds: F64) -> F64:
    """How far worlds are inside of the nearest edge of a box, in widths of it: [worlds].

    Args:
        values: parameters, [worlds, 6].
        bounds: lowest and highest of each parameter, [6, 2]; those without width have no edge.
    """
    low, high = bounds[bounds[:, 1] > bounds[:, 0]].T
    own = values[:, bounds[:, 1] > bounds[:, 0]]
    return np.asarray((np.minimum(own - low, high - own) / (high - low)).min(axis=1, initial=np.inf))


def mirrored(part: Mapping[str, F32], width: float) -> dict[str, F32]:
    """What `arrays` returns of the same windows in boxes that are mirrored from left to right.

    x becomes width - x, of the balls that are there; vx and the momentum along x change sign.
    """
    found = dict(part)
    there = part["balls"][:, None, :, 2]
    for name in ("seen", "future", "flight"):
        found[name] = part[name] * np.array([-1, 1, -1, 1], dtype=np.float32)
        found[name][..., 0] += np.float32(width) * there
    found["momentum"] = part["momentum"] * np.array([-1, 1], dtype=np.float32)
    return found


def arrays(config: PhysicsConfig, data: Prepared, windows: Windows) -> dict[str, F32]:
    """What a network and its losses read of windows, each with N rows.

    They are `seen` and `future`, states [N, S or H, B, 4]; `flight`; `balls`, mass, radius and
    presence; `world`, parameters; `gravity` at each frame ahead, [N, H]; and what the simulator's
    books say of the frames ahead: `energy` [N, H], what its losses have left of it, and `momentum`
    [N, H, 2], that of the last frame seen with the impulses since.
    """
    seen = config.seen
    last = (windows.states[:, seen - 1, :, 2:] * windows.mass[..., None]).sum(1)
    return {
        "seen": windows.states[:, :seen],
        "future": windows.states[:, seen:],
        "flight": flight_of(config, data.physics, windows),
        "balls": balls_of(windows),
        "world": windows.world,
        "gravity": gravity_of(windows, data.physics.setting),
        "energy": (windows.kinetic + windows.potential)[:, seen:],
        "momentum": last[:, None] + windows.impulse[:, seen:].cumsum(1),
    }


class Sampler:
    """Draws the windows of each step with replacement, a function of seed and step alone.

    Args:
        config: the configuration.
        data: the splits.
        clock: says which stage a step is in.
        device: where the batches live.

    Raises:
        ConfigError: beginning with `stages`, if there is no window of a kind that a stage asks for.
    """

    def __init__(self, config: PhysicsConfig, data: Prepared, clock: StageClock, device: torch.device) -> None:
        self.config, self.clock = config, clock
        pools = [data.physics.train] + ([data.randomised] if data.randomised else [])
        parts = [arrays(config, data, pool) for pool in pools]
        count = sum(map(len, pools))
        if config.symmetries:
            parts += [mirrored(part, data.physics.setting.box[0]) for part in parts]
        flat = [np.concatenate([a.reshape(len(a), -1) for a in part.values()], 1) for part in parts]
        # One table of all numbers, so that a step gathers once rather than for each array. Behind
        # the windows stand their mirror images.
        self.table = torch.tensor(np.concatenate(flat), dtype=torch.float32, device=device)
        self.count = count
        self.shapes = {name: array.shape[1:] for name, array in parts[0].items()}
        self.sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        self.orders, self.places = self._orders(data.physics.setting.balls)
        self.pools = self._pools(pools, data.physics.setting)
        self.indices: dict[tuple[str, tuple[str, ...]], I64] = {}
        stages = clock.curriculum.stages
        # While a stage ramps, rows still come from where those of the stage before it came from.
        for before, stage in zip((stages[0], *stages), stages, strict=False):
            words = stage.choices["contacts"]
            sources = (before, stage) if stage.ramp else (stage,)
            drawn = [name for name in ("randomise", "edge") if any(source.numbers[name] > 0 for source in sources)]
            for pool in ("plain", *drawn):
                if pool in self.pools and not len(self._index(pool, words)):
                    raise ConfigError(f"stages: {stage.name}: no {pool} window whose contacts are {'+'.join(words)}")

    def _pools(self, pools: Sequence[Windows], setting: Setting) -> dict[str, Bool]:
        """Which rows of the table belong to a pool or have a kind of contacts, by its name."""
        plain = len(pools[0])
        rows = np.arange(self.count)
        walls, balls = np.concatenate([pool.met(setting.seen) for pool in pools]).T
        inside = edge_distance(pools[0].world.astype(np.float64), setting.training.scaled(setting.unit).bounds)
        near = np.zeros(len(rows), dtype=np.bool_)
        near[:plain] = inside <= np.quantile(inside, NEAR_EDGE)
        found = {"plain": rows < plain, "edge": near, "all": rows >= 0}
        found |= {"flight": ~walls & ~balls, "walls": walls & ~balls, "balls": balls}
        return found | ({"randomise": rows >= plain} if len(pools) > 1 else {})

    def _index(self, pool: str, contacts: tuple[str, ...]) -> I64:
        """The rows of a pool with one of these kinds of contacts."""
        if (pool, contacts) not in self.indices:
            kinds = np.logical_or.reduce([self.pools[word] for word in contacts])
            self.indices[pool, contacts] = np.flatnonzero(self.pools[pool] & kinds)
        return self.indices[pool, contacts]

    def _chosen(self, at: Position, drawn: F64) -> I64:
        """The rows of the table that numbers in [0, 1), [batch], stand for at a place."""
        shares = {name: at.number(name) for name in ("randomise", "edge")}
        if self.config.focus == "unread":
            shares["edge"] = 0.0
        if self.config.randomisation == "unused":
            shares["randomise"] = 0.0
        counts = {pool: round(share * len(drawn)) for pool, share in shares.items()}
        counts["plain"] = max(0, len(drawn) - sum(counts.values()))
        parts, first = [], 0
        for pool, count in counts.items():
            if count:
                index = self._index(pool, at.choice("contacts"))
                parts.append(index[(drawn[first : first + count] * len(index)).astype(np.int64)])
            first += count
        return np.concatenate(parts)[: len(drawn)]

    def batch(self, step: int) -> Batch:
        """The batch of a step: what `arrays` returns, of the windows drawn."""
        at, generator = self.clock.at(step), np.random.default_rng([self.config.seed, step])
        chosen = self._chosen(at, generator.random(self.config.batch))
        found = self._turned(chosen, generator) if self.config.symmetries else self.rows(chosen)
        if self.config.randomisation == "unused":
            # The log's: gravity and friction are multiplied by random numbers, and the product goes
            # neither into the network nor into a loss.
            width = self.config.width_of_randomisation * (at.number("randomise") > 0)
            factors = generator.uniform(1 - width, 1 + width, (self.config.batch, 2))
            found["randomised"] = found["world"][:, :2] * torch.tensor(factors, device=self.table.device)
        return found

    def _orders(self, balls: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The columns of the table with the balls in each order, and where each order stands.

        Returns:
            int64 [B!, columns], and int64 [B^B], by the order read as a number of base B.
        """
        columns = np.arange(sum(self.sizes))
        ends = np.cumsum(self.sizes)
        orders = list(itertools.permutations(range(balls)))
        found = np.tile(columns, (len(orders), 1))
        for (name, shape), end, size in zip(self.shapes.items(), ends, self.sizes, strict=True):
            if axis := BALLS_AXIS.get(name):
                own = columns[end - size : end].reshape(shape)
                for row, order in zip(found, orders, strict=True):
                    row[end - size : end] = own.take(order, axis - 1).reshape(-1)
        places = np.zeros(balls**balls, dtype=np.int64)
        places[[int(sum(ball * balls**at for at, ball in enumerate(order))) for order in orders]] = range(len(orders))
        return torch.tensor(found, device=self.table.device), torch.tensor(places, device=self.table.device)

    def _turned(self, chosen: I64, generator: np.random.Generator) -> Batch:
        """Rows with their balls in a random order, and every other box mirrored from left to right.

        The simulator's laws are the same for both, so each window stands for 2 B! of them.
        """
        balls = self.shapes["balls"][0]
        order = generator.random((len(chosen), balls)).argsort(1)
        flip = generator.random(len(chosen)) < 0.5
        gathered = self._gathered(chosen + self.count * flip)
        number = torch.from_numpy(order @ balls ** np.arange(balls)).to(self.table.device)
        return self._named(gathered.gather(1, self.orders[self.places[number]]))

    def rows(self, chosen: I64) -> Batch:
        """Rows of the table, by the names of `arrays`."""
        return self._named(self._gathered(chosen))

    def _gathered(self, chosen: I64) -> torch.Tensor:
        return self.table.index_select(0, torch.from_numpy(chosen).to(self.table.device))

    def _named(self, gathered: torch.Tensor) -> Batch:
        ends = np.cumsum(self.sizes).tolist()
        spans = zip(self.shapes.items(), ends, self.sizes, strict=True)
        return {name: gathered[:, end - size : end].reshape(-1, *shape) for (name, shape), end, size in spans}
