"""The log's evaluation set: 50,000 odd numbers, each with a weight.

It equals the log's file eval/collatz_eval_50k.csv. The rule that makes it (github
gabrielberger1000/collatz_lyapunov 04c9667): Python's `random` with seed 42; a bit length k ~
U{2..128}; a number uniform in [2^(k-1), 2^k), plus 1 if it is even; a number that is known already
is drawn again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.collatz.features import MAX_LOOKAHEAD, Nodes, table
from trainables.collatz.orbits import U64, excursions, from_limbs, to_limbs, trace

__all__ = ["MD5", "EvaluationSet", "csv", "evaluation_set"]

ROWS, SEED, BITS = 50_000, 42, 128
MD5 = "fa1df3eaab6b73523788c1289ff78bb6"
"""The MD5 sum of the log's file, which `csv` reproduces byte for byte."""


@dataclass(frozen=True)
class EvaluationSet:
    """The evaluation numbers n in the order drawn, and what is known of each.

    Attributes:
        nodes: two for each row, n and T(n).
        numbers: uint64 [limbs, rows], n.
        following: uint64 [limbs, rows], T(n).
        sigma: int64 [rows], steps of the ordinary Collatz map to 1, 3n + 1 and n/2 counted alike.
        peak: uint64 [limbs, rows], the largest odd number of the orbit; the largest number of all
            is three times that, plus one.
        weight: float32 [rows], 1 + log10 of the largest number of the orbit over n, to 4 decimals.
    """

    nodes: Nodes
    numbers: U64
    following: U64
    sigma: npt.NDArray[np.int64]
    peak: U64
    weight: npt.NDArray[np.float32]

    @property
    def growth(self) -> npt.NDArray[np.bool_]:
        """Tells where T(n) > n, bool [rows]."""
        return self.nodes.growth(2 * np.arange(len(self.sigma)))


def numbers(rows: int = ROWS, seed: int = SEED, bits: int = BITS) -> list[int]:
    """Returns the evaluation numbers in the order drawn."""
    generator = random.Random(seed)
    found: dict[int, None] = {}
    while len(found) < rows:
        k = generator.randint(2, bits)
        n = generator.randint(2 ** (k - 1), 2**k - 1)
        found.setdefault(n + 1 - n % 2)
    return list(found)


def evaluation_set(rows: int = ROWS) -> EvaluationSet:
    """Returns the first `rows` numbers of the set with their orbits' properties.

    all of them take about a second.
    """
    drawn = numbers(rows)
    x = to_limbs(drawn)
    way = excursions(x)
    run = trace(x, MAX_LOOKAHEAD + 1, 2)
    ratios = [max(1, (3 * peak + 1) / n) for n, peak in zip(drawn, from_limbs(way.peak), strict=True)]
    weight = [round(math.log10(ratio) + 1, 4) for ratio in ratios]
    return EvaluationSet(
        nodes=table(run.k, run.numbers),
        numbers=x,
        following=run.numbers[1],
        sigma=way.steps + way.halvings,
        peak=way.peak,
        weight=np.array(weight, dtype=np.float32),
    )


def _lines(found: EvaluationSet) -> Iterator[str]:
    yield "n,t1,is_growth,sigma_n,max_n,w_expansion"
    columns = (found.numbers, found.following, found.peak)
    n, following, peak = (from_limbs(column) for column in columns)
    rest = (found.growth.tolist(), found.sigma.tolist(), found.weight.tolist())
    for i, (growth, sigma, weight) in enumerate(zip(*rest, strict=True)):
        yield f"{n[i]},{following[i]},{int(growth)},{sigma},{3 * peak[i] + 1},{weight:.4f}"


def csv(found: EvaluationSet) -> bytes:
    """Returns the set in the form of the log's file: a header, and lines that end in CRLF."""
    return "".join(f"{line}\r\n" for line in _lines(found)).encode("ascii")
