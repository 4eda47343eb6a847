"""Checks the split a second time, from the seeds alone.

Orbits are walked anew with exact Python integers and sets; nothing that built the data is used, so
that a mistake there is found here.
"""

from __future__ import annotations

import numpy as np

from leadline.finding import Finding
from trainables.collatz.data import CHECKED, POOL_NODES, CollatzData
from trainables.collatz.features import window
from trainables.collatz.orbits import from_limbs
from trainables.collatz.split import CORE_BELOW, EXTRA, GROUPS, GUARDED, LOGGED, TEST, TRAIN

__all__ = ["audit"]

MIN_TEST_ORBITS = 100


def _step(n: int) -> tuple[int, int]:
    """Returns T(n) and k, the 2-adic valuation of 3n + 1, of one odd number."""
    m = 3 * n + 1
    k = (m & -m).bit_length() - 1
    return m >> k, k


def _orbit(seed: int) -> tuple[list[int], list[int]]:
    """Returns the numbers from the seed to 1, and the valuations of the steps between them."""
    numbers: list[int] = [seed]
    valuations: list[int] = []
    while numbers[-1] != 1:
        n, k = _step(numbers[-1])
        numbers.append(n)
        valuations.append(k)
    return numbers, valuations


def _prefixes(orbits: list[list[int]]) -> list[list[int]]:
    """Returns the private prefix of each orbit: its numbers before the first core number."""
    owner: dict[int, int] = {}
    shared: set[int] = set()
    for i, numbers in enumerate(orbits):
        for n in numbers:
            if owner.setdefault(n, i) != i:
                shared.add(n)
    found = []
    for numbers in orbits:
        end = next(i for i, n in enumerate(numbers) if n < CORE_BELOW or n in shared)
        found.append(numbers[:end])
    return found


def _ahead(n: int) -> tuple[list[int], list[int]]:
    """Returns the iterates of a training row in CHECKED, and its first eight valuations."""
    numbers, valuations = [n], []
    for _ in range(POOL_NODES - 1):
        n, k = _step(n)
        numbers.append(n)
        valuations.append(k)
    return [numbers[j] for j in CHECKED], valuations


def _curriculum(data: CollatzData, orbits: list[list[int]], guarded: set[int]) -> int:
    """Counts the curriculum rows of which an iterate is a guarded number."""
    owner = np.searchsorted(data.first, data.rows, side="right") - 1
    place = data.rows - data.first[owner]
    rows = zip(owner.tolist(), place.tolist(), strict=True)
    return sum(not guarded.isdisjoint(_ahead(orbits[o][i])[0]) for o, i in rows)


def _random(data: CollatzData, guarded: set[int], logged: set[int]) -> tuple[int, int, int]:
    """Counts three kinds of pool rows.

    Returns:
        The rows that touch a guarded number, those that touch a logged one, and those stored with
        the residue or the valuations of another number.
    """
    nodes = data.pool_first + POOL_NODES * np.arange(data.pool)
    stored = window(data.nodes, nodes, POOL_NODES - 1).tolist()
    residues = data.nodes.r81[nodes].tolist()
    hits = leaked = strange = 0
    for n, k, r in zip(from_limbs(data.pool_numbers), stored, residues, strict=True):
        numbers, valuations = _ahead(n)
        hits += not guarded.isdisjoint(numbers)
        leaked += not logged.isdisjoint(numbers)
        strange += valuations != k or n % 81 != r
    return hits, leaked, strange


def audit(data: CollatzData) -> list[Finding]:
    """Returns the findings on every row that can be sampled; a failed one refuses the data."""
    walked = [_orbit(seed) for seed in data.seeds.tolist()]
    orbits = [numbers for numbers, _ in walked]
    group = data.group.tolist()
    kept = [numbers for g, numbers in zip(group, orbits, strict=True) if g != EXTRA]
    prefixes = _prefixes(kept) + [[] for _ in orbits[len(kept) :]]
    private = [
        {n for g, prefix in zip(group, prefixes, strict=True) if g == own for n in prefix} for own in range(len(GROUPS))
    ]
    guarded = set[int]().union(*(private[own] for own in GUARDED[data.guard]))
    steps = data.nodes.offset[data.first]
    strange = sum(
        data.nodes.k[at : at + len(k)].tolist() != k for at, (_, k) in zip(steps.tolist(), walked, strict=True)
    )
    moved = sum(len(prefix) != length for prefix, length in zip(prefixes, data.private.tolist(), strict=True))
    hits, logged, odd = _random(data, guarded, private[LOGGED])
    return [
        _overlap("curriculum", _curriculum(data, orbits, guarded), len(data.rows), data.guard),
        _overlap("random", hits, data.pool, data.guard),
        *([] if data.guard == "all" else [_logged_rows(logged, data)]),
        *_disjoint(group, prefixes, moved),
        Finding(
            "table",
            strange + odd > 0,
            strange + odd,
            f"{strange} orbits and {odd} random rows have the stored features of another number.",
        ),
        *_counts(data, orbits, prefixes),
    ]


def _overlap(rows: str, hits: int, total: int, guard: str) -> Finding:
    whose = "validation, test or the logged seeds" if guard == "all" else "validation or test"
    return Finding(
        f"overlap_{rows}",
        hits > 0,
        hits,
        f"{hits} of {total} {rows} rows have n, T(n), T^4(n) or T^8(n) private to {whose}.",
    )


def _logged_rows(hits: int, data: CollatzData) -> Finding:
    rows = f"{hits} of {data.pool} random rows ({hits / data.pool:.2%})"
    return Finding(
        "logged_rows",
        False,
        hits,
        f"{rows} have n, T(n), T^4(n) or T^8(n) private to the logged seeds, which guard=scored allows.",
    )


def _disjoint(group: list[int], prefixes: list[list[int]], moved: int) -> list[Finding]:
    owned = [
        {n for g, prefix in zip(group, prefixes, strict=True) if g == own for n in prefix} for own in range(len(GROUPS))
    ]
    twice = sum(map(len, owned)) - len(set[int]().union(*owned))
    orbits = sum(g == TEST and len(prefix) > 0 for g, prefix in zip(group, prefixes, strict=True))
    return [
        Finding("split_disjoint", twice > 0, twice, f"{twice} private numbers belong to two groups."),
        Finding(
            "private_steps", moved > 0, moved, f"{moved} orbits are scored on other steps than their private ones."
        ),
        Finding(
            "test_orbits",
            orbits < MIN_TEST_ORBITS,
            orbits,
            f"{orbits} test orbits have private steps; at least {MIN_TEST_ORBITS} are needed.",
        ),
    ]


def _counts(data: CollatzData, orbits: list[list[int]], prefixes: list[list[int]]) -> list[Finding]:
    train = {n for g, numbers in zip(data.group.tolist(), orbits, strict=True) if g == TRAIN for n in numbers}
    logged = [i for i, g in enumerate(data.group.tolist()) if g == LOGGED]
    steps = [n for i in logged for n in orbits[i][:-1]]
    private = sum(len(prefixes[i]) for i in logged)
    share = data.excluded_pool / data.drawn
    return [
        Finding(
            "excluded_curriculum",
            False,
            data.excluded_curriculum,
            f"{data.excluded_curriculum} nodes of train and extra orbits were kept out of training.",
        ),
        Finding(
            "excluded_random",
            False,
            share,
            f"{data.excluded_pool} of {data.drawn} random draws ({share:.2%}) were kept out of training.",
        ),
        _leak(len(steps), private, sum(n in train for n in steps), guarded=LOGGED in GUARDED[data.guard]),
    ]


def _leak(steps: int, private: int, on_train: int, *, guarded: bool) -> Finding:
    open_steps = steps - private if guarded else steps
    where = f"{on_train} lie on train orbits, {private} are private{'' if guarded else ' but not guarded'}"
    sentence = f"{open_steps} of the logged seeds' {steps} steps may be trained on: {where}."
    return Finding("logged_leak", False, open_steps, sentence)
