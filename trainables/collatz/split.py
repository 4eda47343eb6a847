"""The split by number: the groups of orbits, and the numbers that no training row may touch.

Hard orbits run into each other, so a test on whole orbits leaks: 271 of the log's 429 "held-out"
steps lie on the orbits that it trained on. Here the unit is the number itself.

* The core is every n < 2^16 and every number on two or more orbits, of whatever groups. Anyone may
  train on it.
* The private prefix of an orbit is what comes before its first core number. Validation and test are
  scored on private steps only: x_i private, compared with x_(i+1), which may be the first core
  number.
* A training row is refused when n, T(n), T^4(n) or T^8(n) is private to a validation, test or
  logged orbit. The log's own split lets training touch the logged orbits: that is `scored`, which
  protects validation and test alone.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from trainables.collatz.orbits import LIMBS, U64, from_limbs, natural_log, random_odd, steps_to_one, to_limbs, trace

__all__ = [
    "CORE_BELOW",
    "EXTRA",
    "GROUPS",
    "GUARDED",
    "HARD_SEEDS",
    "LOGGED",
    "LOGGED_SEEDS",
    "MIN_PRIVATE",
    "TEST",
    "TRAIN",
    "TRAIN_SEEDS",
]
__all__ += ["VALIDATION", "GuardName", "Membership", "Partition", "chains_of", "extra_hard_seeds", "fresh_hard_seeds"]
__all__ += ["partition", "private_lengths"]

GROUPS = ("train", "validation", "test", "logged", "extra")
TRAIN, VALIDATION, TEST, LOGGED, EXTRA = range(5)

GuardName = Literal["all", "scored"]
GUARDED: dict[GuardName, tuple[int, ...]] = {"all": (VALIDATION, TEST, LOGGED), "scored": (VALIDATION, TEST)}
"""The groups whose private numbers no training row may touch."""

# HARD_SEEDS of github gabrielberger1000/collatz_lyapunov 04c9667.
# The five in LOGGED_SEEDS were its test.
# fmt: off
HARD_SEEDS = (
    27, 31, 41, 47, 54, 55, 71, 73, 91, 97, 103, 111, 127, 155, 159, 171, 231, 237, 267, 303, 319, 351, 359, 391,
    447, 479, 607, 703, 871, 1161, 2223, 2463, 2919, 3711, 6171, 10971, 13255, 17647, 23529, 26623, 34239, 35655,
    52527, 77031, 106239, 142587, 156159, 216367, 230631, 410011, 511935, 626331, 837799, 1117065,
)
# fmt: on
LOGGED_SEEDS = (111, 27, 703, 26623, 626331)
TRAIN_SEEDS = tuple(n for n in HARD_SEEDS if n not in LOGGED_SEEDS)

CORE_BELOW = 2**16
MIN_PRIVATE = 24  # private steps that a fresh orbit needs in order to be kept
SIZES = {VALIDATION: 64, TEST: 128}  # orbits
FRESH_SEED = 20_251_208
FRESH_DRAWS = 8192
FRESH_BITS = (18, 60)
FRESH_DEVIATIONS = 2.0  # standard deviations above the expected length


@dataclass(frozen=True)
class Partition:
    """Orbits in the order train, validation, test, logged.

    Attributes:
        seeds: first numbers of the orbits, odd; the log's seed 54 stands as its odd part 27.
        group: index in GROUPS of each orbit.
        chains: the numbers of each orbit, from the seed to the first 1.
        private: length of each orbit's private prefix.
    """

    seeds: list[int]
    group: list[int]
    chains: list[list[int]]
    private: list[int]

    def guarded(self, guard: GuardName = "all") -> list[int]:
        """Returns every private number of the groups that `guard` names."""
        rows = zip(self.group, self.chains, self.private, strict=True)
        return [n for group, chain, length in rows if group in GUARDED[guard] for n in chain[:length]]


def fresh_hard_seeds(draw: int = 0) -> list[int]:
    """Returns odd numbers with unusually long orbits, found by a rule, in the order drawn.

    None of them is a hard seed or belongs to an earlier draw. There are 8,192 draws of a bit length
    b ~ U{18..60} and an odd number uniform in [2^(b-1), 2^b), from numpy's default generator seeded
    with 20251208, for a later draw with [20251208, 2, draw].

    A number is kept (3 to 4 % are) if its Syracuse length S is two standard deviations above what
    the random walk model gives for its size (Lagarias and Weiss 1992): steps of mean ln(3/4) and
    variance 2 ln(2)^2 reach 0 from ln n after ln n / ln(4/3) steps, with variance ln n * 2 ln(2)^2
    / ln(4/3)^3.
    """
    known, found = set(HARD_SEEDS), list[int]()
    for each in range(draw + 1):
        generator = np.random.default_rng([FRESH_SEED, 2, each] if each else FRESH_SEED)
        found = [n for n in dict.fromkeys(_unusual(generator)) if n not in known]
        known |= set(found)
    return found


def extra_hard_seeds(count: int, draw: int = 0) -> list[int]:
    """Returns the first `count` numbers found by the same rule with the seed [20251208, 1].

    None of them is a hard seed or one of `fresh_hard_seeds(draw)`.
    """
    generator = np.random.default_rng([FRESH_SEED, 1])
    found: dict[int, None] = {}
    known = {*HARD_SEEDS, *fresh_hard_seeds(draw)} if count else set[int]()
    while len(found) < count:
        found |= dict.fromkeys(n for n in _unusual(generator) if n not in known)
    return list(found)[:count]


def _unusual(generator: np.random.Generator) -> list[int]:
    """Draws FRESH_DRAWS odd numbers and returns those with unusually long orbits."""
    x = random_odd(generator, FRESH_DRAWS, FRESH_BITS[0] - 1, FRESH_BITS[1] - 1)
    ln = natural_log(x)
    pull = math.log(4 / 3)
    deviation = (steps_to_one(x) - ln / pull) / np.sqrt(ln * 2 * math.log(2) ** 2 / pull**3)
    return from_limbs(x[:, deviation >= FRESH_DEVIATIONS])


def chains_of(seeds: Sequence[int]) -> list[list[int]]:
    """Returns the numbers from each odd seed to the first 1."""
    if not seeds:
        return []
    x = to_limbs(seeds)
    steps = steps_to_one(x)
    numbers = trace(x, int(steps.max()), int(steps.max()) + 1).numbers
    return [from_limbs(numbers[: length + 1, :, i].T) for i, length in enumerate(steps)]


def private_lengths(chains: Sequence[Sequence[int]]) -> list[int]:
    """Returns the length of each orbit's prefix before its first core number."""
    visits = Counter(n for chain in chains for n in set(chain))
    return [next(i for i, n in enumerate(chain) if n < CORE_BELOW or visits[n] > 1) for chain in chains]


def partition(draw: int = 0) -> Partition:
    """Returns the orbits of train, validation, test and logged.

    Train and logged are the same for every draw. Fresh orbits are kept if they have at least 24
    private steps beside all 54 hard orbits and all other fresh ones; the first 64 are validation,
    the next 128 test. Private prefixes are then computed beside the kept orbits alone. A later draw
    keeps no orbit that meets a number on which an earlier draw was scored.
    """
    hard = [n // (n & -n) for n in (*TRAIN_SEEDS, *LOGGED_SEEDS)]
    looked_at: set[int] = set()
    for each in range(draw):
        looked_at |= set(_partition(hard, each, looked_at).guarded("scored"))
    return _partition(hard, draw, looked_at)


def _partition(hard: list[int], draw: int, looked_at: set[int]) -> Partition:
    chains = chains_of(hard + fresh_hard_seeds(draw))
    lengths = private_lengths(chains)
    fresh = (i for i in range(len(hard), len(chains)) if lengths[i] >= MIN_PRIVATE and looked_at.isdisjoint(chains[i]))
    kept = list(itertools.islice(fresh, sum(SIZES.values())))
    order = [*range(len(TRAIN_SEEDS)), *kept, *range(len(TRAIN_SEEDS), len(hard))]
    test = max(0, len(kept) - SIZES[VALIDATION])
    group = (
        [TRAIN] * len(TRAIN_SEEDS) + [VALIDATION] * (len(kept) - test) + [TEST] * test + [LOGGED] * len(LOGGED_SEEDS)
    )
    chosen = [chains[i] for i in order]
    return Partition([chain[0] for chain in chosen], group, chosen, private_lengths(chosen))


class Membership:
    """Tells whether numbers belong to a fixed set, by a 64-bit key of their limbs.

    It never misses a member, and rarely takes another number for one.
    """

    _FACTORS = np.array([1, 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)

    def __init__(self, numbers: Sequence[int]) -> None:
        self._keys = np.unique(self._key(to_limbs(numbers)))

    def _key(self, x: U64) -> U64:
        return np.asarray((x * self._FACTORS[: len(x), None]).sum(axis=0, dtype=np.uint64))

    def __call__(self, x: U64) -> npt.NDArray[np.bool_]:
        """Returns bool [rows] for numbers uint64 [limbs, rows]."""
        if not self._keys.size:
            return np.zeros(x.shape[1], dtype=np.bool_)
        keys = self._key(x[:LIMBS])
        place = np.minimum(np.searchsorted(self._keys, keys), self._keys.size - 1)
        return np.asarray(self._keys[place] == keys)
