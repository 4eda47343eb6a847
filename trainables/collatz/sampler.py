"""The rows of each step, hard ones and random ones.

Hard rows come from the orbits of active and mined seeds, random rows from the pool or are made
anew. Every draw depends on the configuration's seed, the step and the mined numbers alone, never on
the lookahead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leadline.curriculum import StageClock
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CHECKED, POOL_NODES, CollatzData, refused_rows
from trainables.collatz.features import I64, REACH, Nodes, table
from trainables.collatz.losses import active_seeds
from trainables.collatz.orbits import Trace, from_limbs, iterate, random_odd, to_limbs, trace
from trainables.collatz.split import Membership

__all__ = ["ITERATES", "Mined", "Part", "Sampler", "fresh_rows", "mined_orbits"]

ITERATES = 300
"""How many numbers of a mined number's orbit are sampled, its first number included (log)."""

ITSELF = 0.3
"""The share of a mined seed's rows that are the mined number itself (log)."""

BLOCK = 8192
"""How many fresh rows are made at a time, for several steps.

To trace a few numbers for a hundred steps costs as much as to trace thousands.
"""

FRESH, MINED, CANDIDATES = 1, 2, 3  # streams beside the one that draws a step's rows


def _generator(seed: int, count: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, count], spawn_key=(stream,)))


@dataclass(frozen=True)
class Part:
    """Rows of one node table.

    Attributes:
        nodes: the table.
        index: int64 [rows], the rows' nodes.
        hard: bool [rows], whether they come from hard orbits.
        number: returns the number of a node.
    """

    nodes: Nodes
    index: I64
    hard: npt.NDArray[np.bool_]
    number: Callable[[int], int]


@dataclass(frozen=True)
class Mined:
    """The orbits of mined numbers, up to ITERATES numbers of each.

    Attributes:
        numbers: the mined numbers.
        nodes: ITERATES + 8 nodes for each.
        rows: int64 [rows], nodes that may be trained on, number by number; each number itself comes
            first.
        first: int64 [mined], where a number's part of `rows` begins.
        count: int64 [mined], length of that part.
    """

    numbers: tuple[int, ...]
    nodes: Nodes
    rows: I64
    first: I64
    count: I64

    def number(self, node: int) -> int:
        """Returns the number of a node."""
        row, place = divmod(node, ITERATES + REACH)
        return iterate(self.numbers[row], place)


def mined_orbits(numbers: tuple[int, ...], guarded: Membership, lookahead: int) -> Mined:
    """Returns the orbits of allowed numbers down to 1, without the rows that the split refuses."""
    nodes = ITERATES + REACH
    run = trace(to_limbs(numbers), nodes - 1 + lookahead, nodes)
    found = table(run.k, run.numbers)
    member = np.stack([guarded(x) for x in run.numbers], axis=1)
    allowed = ~np.any([member[:, j : j + ITERATES] for j in CHECKED], axis=0)
    allowed &= found.ln.reshape(-1, nodes)[:, :ITERATES] > 0
    orbit, place = np.nonzero(allowed)
    count = allowed.sum(axis=1)
    return Mined(numbers, found, orbit * nodes + place, np.cumsum(count) - count, count)


def fresh_rows(generator: np.random.Generator, rows: int, lookahead: int, guarded: Membership) -> Trace:
    """Returns random rows of POOL_NODES nodes, without those that the split refuses.

    Refused rows are drawn again until none is left.
    """
    run = trace(random_odd(generator, rows), REACH + lookahead, POOL_NODES)
    while (refused := np.flatnonzero(refused_rows(run, guarded))).size:
        again = trace(random_odd(generator, refused.size), REACH + lookahead, POOL_NODES)
        run.k[refused], run.numbers[:, :, refused] = again.k, again.numbers
    return run


def _random_part(run: Trace, nodes: Nodes, rows: I64) -> Part:
    """Returns some rows of `run`, whose table is `nodes`."""

    def number(node: int) -> int:
        row = node // POOL_NODES
        return from_limbs(run.numbers[0][:, row : row + 1])[0]

    return Part(nodes, POOL_NODES * rows, np.zeros(len(rows), dtype=np.bool_), number)


class Sampler:
    """Draws the rows of steps and the candidates of minings.

    `mined` is replaced as a whole after each mining.
    """

    def __init__(self, config: CollatzConfig, data: CollatzData, clock: StageClock | None = None) -> None:
        self.config = config
        self.data = data
        self.clock = clock
        self.mined = mined_orbits((), data.guarded, config.lookahead)
        orbit = int(np.flatnonzero(data.seeds == 27)[0])
        self._idle = data.first[orbit] + np.arange(data.steps[orbit] if config.idle == "27" else 0)
        self._usable = np.flatnonzero(data.row_count)
        self._block: tuple[int, Trace, Nodes] | None = None

    def active(self, step: int) -> int:
        """Returns how many hard seeds are active at a step."""
        c = self.config
        if self.clock is not None:
            return int(self.data.curriculum * self.clock.at(step).number("hard"))
        return active_seeds(step / c.steps, c.ramp, c.start_seeds, self.data.curriculum)

    def parts(self, step: int, active: int) -> list[Part]:
        """Returns the rows of a step with so many active seeds."""
        c = self.config
        generator = np.random.default_rng([c.seed, step])
        # Mined rows have a stream of their own, so that other draws stay as without a mining.
        extra = _generator(c.seed, step, MINED) if self.mined.numbers else generator
        stored, mined = self._hard(generator, extra, round(c.batch * c.hard_ratio), active)
        return self._joined(stored, mined, generator, c.batch, lambda rows: self._of_block(step, rows))

    def candidates(self, step: int, active: int) -> list[Part]:
        """Returns the rows that a mining after `step` steps looks at.

        Half of them are hard if a seed is active.
        """
        c = self.config
        generator = _generator(c.seed, step, CANDIDATES)
        stored, mined = self._hard(generator, generator, c.mine_candidates // 2, active)
        return self._joined(stored, mined, generator, c.mine_candidates, lambda rows: self._of_new(generator, rows))

    def _hard(
        self, generator: np.random.Generator, extra: np.random.Generator, rows: int, active: int
    ) -> tuple[I64, I64]:
        """Returns the nodes of hard rows in the data's table and in the mined one.

        A row is uniform over the active and mined seeds, as far as `mine_share` lets it, then
        uniform over that seed's rows. Without an active seed, the rows that are not mined are
        `idle` ones, or there are none. `extra` draws the rows that exist only after a mining.
        """
        data, mined = self.data, self.mined
        usable = self._usable[(self._usable < active) | (self._usable >= data.curriculum)]
        mined_rows = self._mined_rows(extra, rows, len(usable))
        left = rows - len(mined_rows)
        if not len(usable):
            chosen = self._idle[generator.integers(0, len(self._idle), size=left)] if len(self._idle) else self._idle
            return chosen, mined.rows[mined_rows]
        seeds = usable[generator.integers(0, len(usable), size=left)]
        place = (generator.random(left) * data.row_count[seeds]).astype(np.int64)
        return data.rows[data.row_first[seeds] + place], mined.rows[mined_rows]

    def _mined_rows(self, generator: np.random.Generator, rows: int, active: int) -> I64:
        """Returns the places in `mined.rows` of those of `rows` hard rows that mined seeds give."""
        seeds = len(self.mined.numbers)
        if not seeds:
            return np.zeros(0, dtype=np.int64)
        share = min(self.config.mine_share, seeds / (active + seeds))
        count = int((generator.random(rows) < share).sum())
        orbit = generator.integers(0, seeds, size=count)
        place = (generator.random(count) * self.mined.count[orbit]).astype(np.int64)
        place[generator.random(count) < ITSELF] = 0
        return np.asarray(self.mined.first[orbit] + place)

    def _joined(
        self, stored: I64, mined: I64, generator: np.random.Generator, rows: int, fresh: Callable[[int], Part]
    ) -> list[Part]:
        """Returns the hard rows, filled up to `rows` with random ones."""
        data = self.data
        left = rows - len(stored) - len(mined)
        drawn = 0 if self.config.fresh else left
        index = np.concatenate([stored, data.pool_first + POOL_NODES * generator.integers(0, data.pool, size=drawn)])
        parts = [
            Part(data.nodes, index, np.arange(len(index)) < len(stored), data.number),
            Part(self.mined.nodes, mined, np.ones(len(mined), dtype=np.bool_), self.mined.number),
        ]
        if left > drawn:
            parts.append(fresh(left))
        return [part for part in parts if len(part.index)]

    def _of_block(self, step: int, rows: int) -> Part:
        """Returns the first `rows` of a step's fresh rows, the same however many are asked for."""
        c = self.config
        steps = max(1, BLOCK // c.batch)
        block, place = divmod(step, steps)
        if self._block is None or self._block[0] != block:
            run = fresh_rows(_generator(c.seed, block, FRESH), steps * c.batch, c.lookahead, self.data.guarded)
            self._block = block, run, table(run.k, run.numbers)
        _, run, nodes = self._block
        return _random_part(run, nodes, place * c.batch + np.arange(rows))

    def _of_new(self, generator: np.random.Generator, rows: int) -> Part:
        """Returns random rows made for this call alone."""
        run = fresh_rows(generator, rows, self.config.lookahead, self.data.guarded)
        return _random_part(run, table(run.k, run.numbers), np.arange(rows))
