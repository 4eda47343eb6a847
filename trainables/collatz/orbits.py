"""Exact Syracuse orbits of many numbers at once.

T(n) = (3n + 1) / 2^k for odd n, with k = v2(3n + 1) the 2-adic valuation; T(1) = 1 with k = 2 for
ever.

Numbers are columns of `uint64[limbs, rows]`, lowest limb first, 60 bits in each, so that 3n + 1
fits a limb together with its carry. Four limbs hold 240 bits; a number that would outgrow them
raises an error, it never wraps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "BITS",
    "LIMBS",
    "U8",
    "U64",
    "Excursion",
    "Trace",
    "excursions",
    "from_limbs",
    "iterate",
    "natural_log",
    "random_odd",
]
__all__ += ["residue81", "steps_to_one", "to_limbs", "trace"]

BITS = 60
LIMBS = 4

U64 = npt.NDArray[np.uint64]
U8 = npt.NDArray[np.uint8]

_MASK = np.uint64(2**BITS - 1)
_ONE = np.uint64(1)
_THREE = np.uint64(3)
_SHIFT = np.uint64(BITS)
_FULL = 2 ** (BITS - 2)  # a top limb from here on could carry out of its 60 bits
_CHUNK = 8192  # rows whose working arrays stay in the second-level cache


@dataclass(frozen=True)
class Trace:
    """The valuations and first numbers of some orbits.

    Attributes:
        k: uint8 [rows, steps], the valuations along each orbit.
        numbers: uint64 [nodes, limbs, rows], the first nodes of each orbit.
    """

    k: U8
    numbers: U64


@dataclass(frozen=True)
class Excursion:
    """Properties of orbits on their way to 1.

    Attributes:
        steps: int64 [rows], Syracuse steps.
        halvings: int64 [rows], the sum of the valuations.
        peak: uint64 [limbs, rows], the largest odd number, the first one included.
    """

    steps: npt.NDArray[np.int64]
    halvings: npt.NDArray[np.int64]
    peak: U64


def iterate(n: int, steps: int) -> int:
    """Returns T^steps(n) of one odd number, computed with Python integers."""
    for _ in range(steps):
        n = 3 * n + 1
        n //= n & -n
    return n


def to_limbs(numbers: Sequence[int]) -> U64:
    """Converts Python integers to limbs, uint64 [limbs, rows].

    Raises:
        ValueError: for a negative number.
        OverflowError: for a number of more than 240 bits.
    """
    if any(n < 0 for n in numbers):
        raise ValueError("numbers: must not be negative")
    if any(n >> (BITS * LIMBS) for n in numbers):
        raise OverflowError(f"numbers: more than {BITS * LIMBS} bits")
    rows = [[(n >> (BITS * i)) & (2**BITS - 1) for n in numbers] for i in range(LIMBS)]
    return np.array(rows, dtype=np.uint64)


def from_limbs(limbs: U64) -> list[int]:
    """The inverse of `to_limbs`."""
    total = limbs[0].tolist()
    for i in range(1, len(limbs)):
        if limbs[i].any():
            total = [n + (part << (BITS * i)) for n, part in zip(total, limbs[i].tolist(), strict=True)]
    return list(total)


def _drop_zero_limbs(y: U64, k: U8) -> None:
    """Shifts rows of `y` down, in place, until no lowest limb is zero.

    Each shift is by a whole limb and adds 60 to the row's `k`.
    """
    k[:] = 0
    while (rows := np.flatnonzero(y[0] == 0)).size:
        y[:-1, rows] = y[1:, rows]
        y[-1, rows] = 0
        k[rows] += BITS


def _valuation(y: U64) -> U8:
    """Counts the trailing zero bits of a limb; 63 for a limb that is zero."""
    return np.bitwise_count(y ^ (y - _ONE)) - np.uint8(1)


def _advance(x: U64) -> tuple[U64, U8]:
    """Makes one step of T without checks: no top limb may reach 2^58."""
    y = x * _THREE
    y[0] += _ONE
    for i in range(len(y) - 1):
        y[i + 1] += y[i] >> _SHIFT
        y[i] &= _MASK
    k = _valuation(y[0])
    skipped = None
    if k.max(initial=0) >= BITS:
        skipped = np.zeros_like(k)
        _drop_zero_limbs(y, skipped)
        k = _valuation(y[0])
    down = k.astype(np.uint64)
    up = _SHIFT - down
    for i in range(len(y) - 1):
        y[i] >>= down
        y[i] |= (y[i + 1] << up) & _MASK
    y[-1] >>= down
    return y, k if skipped is None else k + skipped


def _walk(x: U64, steps: int) -> Iterator[tuple[U64, U8]]:
    """Yields (T^i, k_i) for i = 1..steps, with no more limbs than the largest number needs."""
    used = LIMBS
    x = np.ascontiguousarray(x)
    for _ in range(steps):
        while used > 1 and not x[used - 1].any():
            used -= 1
        if x[used - 1].max(initial=0) >= _FULL:
            if used == LIMBS:
                raise OverflowError(f"orbit: a number outgrew {BITS * LIMBS - 2} bits")
            used += 1
        if len(x) < used:
            x = np.concatenate([x, np.zeros((used - len(x), x.shape[1]), dtype=np.uint64)])
        x, k = _advance(x[:used])
        yield x, k


def _require_odd(x: U64) -> None:
    if not (x[0] & _ONE).all():
        raise ValueError("numbers: the Syracuse map takes odd numbers")


def _chunks(x: U64) -> Iterator[npt.NDArray[np.int64]]:
    """Yields row numbers in chunks ordered by size.

    Short numbers are then not computed with as many limbs as long ones.
    """
    order = np.argsort(_as_float(x), kind="stable")
    for first in range(0, len(order), _CHUNK):
        yield order[first : first + _CHUNK]


def trace(x: U64, steps: int, nodes: int = 1) -> Trace:
    """Walks the orbits of odd numbers `x`, uint64 [limbs, rows].

    Args:
        x: the first numbers.
        steps: how many valuations of each orbit are kept.
        nodes: how many numbers n, T(n), .. of each orbit are kept.

    Raises:
        ValueError: for an even number.
        OverflowError: when an orbit outgrows 238 bits.
    """
    _require_odd(x)
    rows = x.shape[1]
    k = np.empty((rows, steps), dtype=np.uint8)
    numbers = np.zeros((nodes, LIMBS, rows), dtype=np.uint64)
    numbers[0, : len(x)] = x
    for chunk in _chunks(x):
        found = np.empty((steps, len(chunk)), dtype=np.uint8)
        for i, (following, valuation) in enumerate(_walk(x[:, chunk], steps)):
            found[i] = valuation
            if i + 1 < nodes:
                numbers[i + 1, : len(following), chunk] = following.T
        k[chunk] = found.T
    return Trace(k, numbers)


def steps_to_one(x: U64, limit: int = 100_000) -> npt.NDArray[np.int64]:
    """Counts the Syracuse steps from each odd number to 1, int64 [rows].

    Raises:
        ValueError: for an even number.
        OverflowError: when an orbit outgrows 238 bits, or is longer than `limit`.
    """
    _require_odd(x)
    counts = np.zeros(x.shape[1], dtype=np.int64)
    for chunk in _chunks(x):
        steps = (_as_float(x[:, chunk]) != 1).astype(np.int64)
        for following, _ in _walk(x[:, chunk], limit):
            going = (following[0] != 1) | following[1:].any(axis=0)
            if not going.any():
                break
            steps += going
        else:
            raise OverflowError(f"orbit: longer than {limit} steps")
        counts[chunk] = steps
    return counts


def excursions(x: U64, limit: int = 100_000) -> Excursion:
    """Returns steps, halvings and peak of each odd number's way to 1.

    Raises:
        ValueError: for an even number.
        OverflowError: when an orbit outgrows 238 bits, or is longer than `limit`.
    """
    _require_odd(x)
    steps, halvings = np.zeros((2, x.shape[1]), dtype=np.int64)
    peak = np.zeros((LIMBS, x.shape[1]), dtype=np.uint64)
    for chunk in _chunks(x):
        steps[chunk], halvings[chunk], peak[: len(x), chunk] = _excursion(x[:, chunk], limit)
    return Excursion(steps, halvings, peak)


def _excursion(x: U64, limit: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], U64]:
    peak = x.copy()
    going = _as_float(x) != 1
    steps, halvings = np.zeros((2, x.shape[1]), dtype=np.int64)
    for following, k in _walk(x, limit):
        if not going.any():
            return steps, halvings, peak
        steps += going
        halvings += k * going
        going &= (following[0] != 1) | following[1:].any(axis=0)
        higher = np.flatnonzero(_greater(following, peak))
        if higher.size:
            peak[:, higher] = 0
            peak[: len(following), higher] = following[:, higher]
    raise OverflowError(f"orbit: longer than {limit} steps")


def _greater(x: U64, y: U64) -> npt.NDArray[np.bool_]:
    """Tells where x > y, bool [rows]; y may have more limbs."""
    found = x[0] > y[0]
    for i in range(1, len(x)):
        found = (x[i] > y[i]) | ((x[i] == y[i]) & found)
    return np.asarray(found & ~y[len(x) :].any(axis=0))


def _as_float(x: U64) -> npt.NDArray[np.float64]:
    """Converts to float64 [rows], exact below 2^53.

    Larger numbers are correct to about two units in the last place.
    """
    total = x[0].astype(np.float64)
    for i in range(1, len(x)):
        total += x[i].astype(np.float64) * 2.0 ** (BITS * i)
    return np.asarray(total)


def natural_log(x: U64) -> npt.NDArray[np.float64]:
    """Returns ln n, float64 [rows], with a relative error of about 1e-15; -inf for 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(_as_float(x)))


def residue81(x: U64) -> U8:
    """Returns n mod 81, uint8 [rows]; the residues mod 3, 9 and 27 follow from it."""
    total = np.zeros(x.shape[1], dtype=np.uint64)
    for i in reversed(range(len(x))):
        total = (total * np.uint64(2**BITS % 81) + x[i] % np.uint64(81)) % np.uint64(81)
    return total.astype(np.uint8)


def random_odd(generator: np.random.Generator, rows: int, low: int = 2, high: int = 124) -> U64:
    """Draws odd numbers as the log's sampler does, uint64 [limbs, rows].

    k ~ U{low..high}, the number uniform in [2^k, 2^(k+1)), its lowest bit set.
    """
    size = generator.integers(low, high + 1, size=rows)
    x = generator.integers(0, 2**BITS, size=(LIMBS, rows), dtype=np.uint64)
    for i in range(LIMBS):
        kept = np.clip(size - BITS * i, 0, BITS).astype(np.uint64)
        x[i] &= (_ONE << kept) - _ONE
        top = size // BITS == i
        x[i, top] |= _ONE << (size[top] % BITS).astype(np.uint64)
    x[0] |= _ONE
    return x
