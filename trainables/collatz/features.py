"""The node table and the network's inputs.

A node is a number on a stored orbit. All valuations lie in one flat array, in which a node is an
offset and its iterate T^j is that offset plus j: the window of T(n) is the window of n moved by
one, so no orbit is ever computed twice.

Columns of mode `full` (github gabrielberger1000/collatz_lyapunov 04c9667): log10(n)/40, (n%3)/2,
(n%9)/8, (n%27)/26, (n%81)/80, drift/10, then min(k_i, 10)/10 for i = 1..L. `k_only` keeps the last
L; `_shifted` has (min(k_i, 10) - 2)/10. The drift is L log2(3) minus the sum of the unclipped k_i:
the log2 of T^L(n)/n, apart from the "+1" terms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from trainables.collatz.orbits import U8, U64, natural_log, residue81, to_limbs, trace

__all__ = [
    "BASE",
    "MAX_LOOKAHEAD",
    "REACH",
    "Mode",
    "Nodes",
    "drift",
    "features",
    "nodes_of",
    "of_numbers",
    "pair",
    "table",
    "width",
    "window",
]

MAX_LOOKAHEAD = 200
REACH = 8  # the furthest iterate that a loss of the log compares with: T^8
BASE = 6  # columns before the valuations, in the modes that have them
LOG2_3 = math.log2(3)
CLIP = 10  # larger valuations look the same to the network

Mode = Literal["full", "k_only", "k_shifted", "k_only_shifted"]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_RESIDUES = np.array([[(r % m) / (m - 1) for m in (3, 9, 27, 81)] for r in range(81)], dtype=np.float32)


@dataclass(frozen=True)
class Nodes:
    """A table of nodes: node i has its valuations at `k[offset[i]:]`.

    T(node i) is node i + 1, as far as the orbit has stored nodes.

    Attributes:
        k: uint8 [flat], unclipped valuations, continued past 1 by k = 2.
        offset: int64 [nodes], place in `k`; at least MAX_LOOKAHEAD valuations follow it.
        ln: float64 [nodes], natural logarithm.
        r81: uint8 [nodes], residue mod 81.
    """

    k: U8
    offset: I64
    ln: F64
    r81: U8

    def growth(self, index: I64) -> npt.NDArray[np.bool_]:
        """Tells whether T(n) > n, bool [rows]: for odd n > 1 exactly when k = 1, never for 1."""
        return np.asarray(self.k[self.offset[index]] == 1)


def table(k: U8, numbers: U64) -> Nodes:
    """Makes the table of orbits of equal length, in the orbits' order.

    Args:
        k: uint8 [orbits, nodes - 1 + MAX_LOOKAHEAD or more].
        numbers: uint64 [nodes, limbs, orbits].
    """
    nodes, limbs, orbits = numbers.shape
    flat = numbers.transpose(1, 2, 0).reshape(limbs, orbits * nodes)
    offset = (np.arange(orbits)[:, None] * k.shape[1] + np.arange(nodes)).ravel()
    return Nodes(k.ravel(), offset, natural_log(flat), residue81(flat))


def nodes_of(parts: list[Nodes]) -> Nodes:
    """Joins several tables into one, in their order; one spare window of k = 2 ends it."""
    starts = np.cumsum([0] + [part.k.size for part in parts])
    spare = np.full(MAX_LOOKAHEAD + REACH, 2, dtype=np.uint8)
    return Nodes(
        np.concatenate([part.k for part in parts] + [spare]),
        np.concatenate([part.offset + start for part, start in zip(parts, starts, strict=False)]),
        np.concatenate([part.ln for part in parts]),
        np.concatenate([part.r81 for part in parts]),
    )


def width(mode: Mode, lookahead: int) -> int:
    """Returns the number of input columns."""
    return lookahead + (0 if mode.startswith("k_only") else BASE)


def window(nodes: Nodes, index: I64, length: int) -> U8:
    """Returns the next `length` unclipped valuations of each node, uint8 [rows, length]."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(nodes.k, length)[nodes.offset[index]])


def drift(nodes: Nodes, index: I64, lookahead: int) -> F64:
    """Returns each node's drift, L log2(3) minus its next L valuations: float64 [rows], in bits."""
    return _drift(window(nodes, index, lookahead))


def _drift(k: U8) -> F64:
    # A product with ones sums small integers exactly in float32, faster than a reduction.
    total = k.astype(np.float32) @ np.ones(k.shape[1], dtype=np.float32)
    return np.asarray(k.shape[1] * LOG2_3 - total.astype(np.float64))


def _fill(out: F32, nodes: Nodes, index: I64, k: U8, bits: F64, mode: Mode) -> None:
    first = 0 if mode.startswith("k_only") else BASE
    if first:
        out[:, 0] = nodes.ln[index] / (40 * math.log(10))
        out[:, 1:5] = _RESIDUES[nodes.r81[index]]
        out[:, 5] = bits / 10
    columns = out[:, first:]
    columns[:] = np.minimum(k, CLIP)
    if mode.endswith("shifted"):
        columns -= 2
    columns /= 10


def features(nodes: Nodes, index: I64, lookahead: int, mode: Mode = "full") -> F32:
    """Returns the network's inputs at the nodes `index`, float32 [rows, width].

    Raises:
        ValueError: for a lookahead outside 1..200 or an unknown mode.
    """
    _check(lookahead, mode)
    k = window(nodes, index, lookahead)
    out = np.empty((len(index), width(mode, lookahead)), dtype=np.float32)
    _fill(out, nodes, index, k, _drift(k), mode)
    return out


def of_numbers(numbers: Sequence[int], lookahead: int, mode: Mode = "full") -> F32:
    """Returns the network's inputs for odd numbers of at least 1, float32 [numbers, width].

    For an even number n, pass its odd part n // (n & -n): the halvings before it are no step of T.

    Raises:
        ValueError: for a number that is even or below 1, a lookahead outside 1..200 or an unknown
            mode.
    """
    for n in numbers:
        if n < 1 or n % 2 == 0:
            raise ValueError(f"numbers: must be odd and at least 1 (got {n})")
    run = trace(to_limbs(list(numbers)), REACH + MAX_LOOKAHEAD, REACH + 1)
    return features(table(run.k, run.numbers), np.arange(len(numbers)) * (REACH + 1), lookahead, mode)


def pair(nodes: Nodes, index: I64, lookahead: int, mode: Mode = "full") -> tuple[F32, F32, F64]:
    """Returns the inputs of n and of T(n), and the drift of n.

    They are float32 [rows, width] twice and float64 [rows]. All three come from one gather of the
    valuations.

    Raises:
        ValueError: for a lookahead outside 1..200 or an unknown mode.
    """
    _check(lookahead, mode)
    k = window(nodes, index, lookahead + 1)
    now, following = np.empty((2, len(index), width(mode, lookahead)), dtype=np.float32)
    bits = _drift(k[:, :-1])
    _fill(now, nodes, index, k[:, :-1], bits, mode)
    _fill(following, nodes, index + 1, k[:, 1:], bits + k[:, 0] - k[:, -1], mode)
    return now, following, bits


def _check(lookahead: int, mode: str) -> None:
    if not 1 <= lookahead <= MAX_LOOKAHEAD:
        raise ValueError(f"lookahead: must be in 1..{MAX_LOOKAHEAD} (got {lookahead})")
    if mode not in get_args(Mode):
        raise ValueError(f"features: unknown mode {mode!r}; known: {', '.join(get_args(Mode))}")
