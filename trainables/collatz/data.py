"""The arrays that a trial samples from and is scored on.

They depend on few settings and never on the lookahead, so that many trials share them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leadline.task import Split
from trainables.collatz.evalset import EvaluationSet, evaluation_set
from trainables.collatz.features import I64, MAX_LOOKAHEAD, REACH, Nodes, nodes_of, table
from trainables.collatz.orbits import U64, Trace, from_limbs, iterate, random_odd, to_limbs, trace
from trainables.collatz.split import EXTRA, GROUPS, TRAIN, GuardName, Membership, chains_of, extra_hard_seeds, partition

__all__ = ["CHECKED", "POOL_NODES", "CollatzData", "Rows", "build", "refused_rows"]

CHECKED = (0, 1, 4, 8)
"""The iterates T^j(n) of a training row that may not be private to another group: those that the
log's losses look at.
"""

POOL_NODES = REACH + 1
POOL_STEPS = REACH + MAX_LOOKAHEAD
NUMBER_LIMBS = 3  # limbs stored of a random row's number, which has at most 125 bits


@dataclass(frozen=True)
class Rows:
    """Consecutive nodes of some orbits: orbit o is scored on `count[o]` steps from node `first[o]`.

    All arrays but `seeds` are int64 [orbits].

    Attributes:
        seeds: uint64 [orbits], first numbers.
        first: node of the first scored step.
        count: number of scored steps.
        steps: Syracuse steps from the seed to 1.
        private: length of the private prefix.
    """

    seeds: U64
    first: I64
    count: I64
    steps: I64
    private: I64

    def take(self, index: I64) -> Rows:
        """The orbits at `index`, int64 [rows]."""
        return Rows(*(getattr(self, field.name)[index] for field in dataclasses.fields(self)))


@dataclass(frozen=True)
class CollatzData:
    """The node table, the orbits of the five groups and the random pool.

    Attributes:
        nodes: orbit nodes first, then POOL_NODES nodes for each row of the pool.
        seeds: uint64 [orbits], first numbers.
        group: int64 [orbits], index in GROUPS.
        first: int64 [orbits], node of the seed.
        steps: int64 [orbits], Syracuse steps to 1.
        private: int64 [orbits], length of the private prefix.
        rows: int64 [curriculum rows], nodes that may be trained on, seed by seed.
        row_first: int64 [train and extra seeds], where a seed's part of `rows` begins.
        row_count: int64 [train and extra seeds], its length.
        pool_first: node of the pool's first row.
        pool_numbers: uint64 [3, pool], the random numbers themselves, for the audit.
        excluded_curriculum: nodes of train and extra orbits that were refused.
        excluded_pool: random draws that were refused.
        drawn: random draws made to fill the pool.
        guard: whose private numbers are kept out of training.
        guarded: those numbers, for rows that are made later.
        population: the log's evaluation numbers, where they were asked for.
    """

    nodes: Nodes
    seeds: U64
    group: I64
    first: I64
    steps: I64
    private: I64
    rows: I64
    row_first: I64
    row_count: I64
    pool_first: int
    pool_numbers: U64
    excluded_curriculum: int
    excluded_pool: int
    drawn: int
    guard: GuardName
    guarded: Membership
    population: EvaluationSet | None = None

    @property
    def pool(self) -> int:
        """The number of random rows."""
        return int(self.pool_numbers.shape[1])

    @property
    def curriculum(self) -> int:
        """The number of train seeds, which a curriculum lets in one by one.

        The extra seeds are always active.
        """
        return int((self.group == TRAIN).sum())

    def scored(self, split: Split | str) -> Rows:
        """Returns the steps that a split is scored on.

        Validation and test are scored on their private steps; train and the five logged orbits on
        every step down to 1.

        Raises:
            ValueError: for a split that does not exist.
        """
        if split not in GROUPS:
            raise ValueError(f"split: no {split!r}; known: {', '.join(GROUPS)}")
        member = self.group == GROUPS.index(split)
        count = self.private if split in ("validation", "test") else self.steps
        return Rows(self.seeds[member], self.first[member], count[member], self.steps[member], self.private[member])

    def number(self, node: int) -> int:
        """Returns the number of a node of an orbit, or of the first node of a pool row."""
        if node >= self.pool_first:
            row = (node - self.pool_first) // POOL_NODES
            return from_limbs(self.pool_numbers[:, row : row + 1])[0]
        orbit = int(np.searchsorted(self.first, node, side="right")) - 1
        return iterate(int(self.seeds[orbit]), node - int(self.first[orbit]))


def _orbit_tables(chains: list[list[int]]) -> tuple[list[Nodes], U64]:
    """Returns a table for each orbit and the numbers of all nodes, uint64 [limbs, nodes].

    Each table reaches 8 nodes past the orbit's 1.
    """
    longest = max(map(len, chains))
    run = trace(to_limbs([chain[0] for chain in chains]), longest - 1 + REACH + MAX_LOOKAHEAD, longest + REACH)
    tables, numbers = [], []
    for i, chain in enumerate(chains):
        own = run.numbers[: len(chain) + REACH, :, i : i + 1]
        tables.append(table(run.k[i : i + 1, : len(chain) - 1 + REACH + MAX_LOOKAHEAD], own))
        numbers.append(own[:, :, 0].T)
    return tables, np.concatenate(numbers, axis=1)


def refused_rows(run: Trace, guarded: Membership) -> npt.NDArray[np.bool_]:
    """Tells which rows have a guarded number among the iterates in CHECKED: bool [rows]."""
    return np.asarray(np.any([guarded(run.numbers[j]) for j in CHECKED], axis=0))


def _pool(rows: int, seed: int, guarded: Membership) -> tuple[Trace, int, int]:
    """Draws until `rows` random numbers are allowed.

    Returns:
        The allowed draws, how many were refused before the last of them, and the number of draws.
    """
    # Some draws are refused, so a sixteenth more than needed are made, and 64 beyond that.
    x = random_odd(np.random.default_rng([seed, 0]), rows + rows // 16 + 64)
    run = trace(x, POOL_STEPS, POOL_NODES)
    refused = refused_rows(run, guarded)
    kept = np.flatnonzero(~refused)[:rows]
    if len(kept) < rows:
        raise RuntimeError(f"pool: only {len(kept)} of {rows} random rows were allowed")
    drawn = int(kept[-1]) + 1
    return Trace(run.k[kept], run.numbers[:, :, kept]), int(refused[:drawn].sum()), drawn


def build(
    pool: int, data_seed: int, guard: GuardName = "all", population: bool = False, extra: int = 0, orbits: int = 0
) -> CollatzData:
    """Builds all groups and the random pool.

    It takes about a second at the default size, one more for the population, and half a second for
    512 extra orbits.

    Args:
        pool: number of random rows.
        data_seed: seed of the pool.
        guard: whose private numbers are kept out of training.
        population: whether the log's evaluation numbers are made too.
        extra: further orbits for training.
        orbits: which draw of validation and test orbits is used.
    """
    parts = partition(orbits)
    guarded = Membership(parts.guarded(guard))
    chains = parts.chains + chains_of(extra_hard_seeds(extra, orbits))
    tables, numbers = _orbit_tables(chains)
    steps = np.array([len(chain) - 1 for chain in chains])
    group = np.array(parts.group + [EXTRA] * extra)
    first = np.concatenate([[0], np.cumsum(steps + 1 + REACH)[:-1]])
    member = guarded(numbers)
    train = [np.arange(first[o], first[o] + steps[o]) for own in (TRAIN, EXTRA) for o in np.flatnonzero(group == own)]
    allowed = [nodes[~np.any([member[nodes + j] for j in CHECKED], axis=0)] for nodes in train]
    count = np.array([len(nodes) for nodes in allowed])
    run, refused, drawn = _pool(pool, data_seed, guarded)
    return CollatzData(
        nodes=nodes_of([*tables, table(run.k, run.numbers)]),
        seeds=np.array([chain[0] for chain in chains], dtype=np.uint64),
        group=group,
        first=first,
        steps=steps,
        private=np.array(parts.private + [0] * extra),
        rows=np.concatenate(allowed),
        row_first=np.cumsum(count) - count,
        row_count=count,
        pool_first=numbers.shape[1],
        pool_numbers=np.ascontiguousarray(run.numbers[0, :NUMBER_LIMBS]),
        excluded_curriculum=sum(map(len, train)) - int(count.sum()),
        excluded_pool=refused,
        drawn=drawn,
        guard=guard,
        guarded=guarded,
        population=evaluation_set() if population else None,
    )
