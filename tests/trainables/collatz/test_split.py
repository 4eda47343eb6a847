"""The split by node, its audit, and the formulas that trials are held against."""

import dataclasses
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.collatz.audit import audit
from trainables.collatz.baselines import baselines, potentials
from trainables.collatz.data import CHECKED, POOL_NODES, CollatzData, build
from trainables.collatz.features import drift, window
from trainables.collatz.metrics import margins, score
from trainables.collatz.orbits import from_limbs, to_limbs
from trainables.collatz.split import (
    CORE_BELOW,
    GROUPS,
    LOGGED,
    MIN_PRIVATE,
    TEST,
    TRAIN,
    VALIDATION,
    Membership,
    Partition,
    fresh_hard_seeds,
    partition,
    private_lengths,
)


@pytest.fixture(scope="module")
def parts() -> Partition:
    return partition()


@pytest.fixture(scope="module")
def data() -> CollatzData:
    return build(8192, 0)


def test_groups(parts: Partition) -> None:
    assert Counter(parts.group) == {TRAIN: 49, VALIDATION: 64, TEST: 128, LOGGED: 5}
    lengths = [length for group, length in zip(parts.group, parts.private, strict=True) if group in (VALIDATION, TEST)]
    assert min(lengths) >= MIN_PRIVATE
    assert parts.seeds == partition().seeds
    assert 0.02 < len(fresh_hard_seeds()) / 8192 < 0.05


@pytest.mark.parametrize("draw", [1, 2])
def test_another_draw_has_orbits_that_were_never_looked_at(parts: Partition, draw: int) -> None:
    again = partition(draw)
    assert Counter(again.group) == Counter(parts.group)
    kept = [
        {seed for seed, group in zip(one.seeds, one.group, strict=True) if group in (VALIDATION, TEST)}
        for one in (parts, again)
    ]
    assert kept[0].isdisjoint(kept[1])
    known = [
        {seed for seed, group in zip(one.seeds, one.group, strict=True) if group in (TRAIN, LOGGED)}
        for one in (parts, again)
    ]
    assert known[0] == known[1]
    assert again.seeds == partition(draw).seeds
    earlier = set[int]().union(*(partition(each).guarded("scored") for each in range(draw)))
    assert earlier.isdisjoint(again.guarded("scored"))
    made = build(1024, 0, extra=16, orbits=draw)
    found = {finding.guard: finding for finding in audit(made)}
    assert not any(finding.failed for finding in found.values())
    assert set(made.seeds[made.group == TEST].tolist()) <= kept[1]


def test_private_numbers_lie_on_one_orbit_and_outside_the_core(parts: Partition) -> None:
    visits = Counter(n for chain in parts.chains for n in set(chain))
    for chain, length in zip(parts.chains, parts.private, strict=True):
        assert all(visits[n] == 1 and n >= CORE_BELOW for n in chain[:length])
        assert chain[length] < CORE_BELOW or visits[chain[length]] > 1
        assert chain[-1] == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(2**15, 2**19).map(lambda n: 2 * n + 1), min_size=1, max_size=6, unique=True))
def test_private_prefixes_of_any_orbits_are_disjoint(seeds: list[int]) -> None:
    chains = []
    for n in seeds:
        chain = [n]
        while chain[-1] != 1:
            m = 3 * chain[-1] + 1
            chain.append(m // (m & -m))
        chains.append(chain)
    owned = [n for chain, length in zip(chains, private_lengths(chains), strict=True) for n in chain[:length]]
    assert len(owned) == len(set(owned))


def test_membership() -> None:
    numbers = [3, 2**60 + 1, 2**130 + 7]
    member = Membership(numbers)
    assert member(to_limbs([3, 5, 2**60 + 1, 2**60 + 3, 2**130 + 7, 7])).tolist() == [
        True,
        False,
        True,
        False,
        True,
        False,
    ]
    assert not Membership([])(to_limbs([3])).any()


def test_data_is_deterministic_and_pickles(data: CollatzData) -> None:
    again = pickle.loads(pickle.dumps(build(8192, 0)))  # noqa: S301
    for field in dataclasses.fields(CollatzData):
        if field.name not in ("nodes", "guarded"):
            np.testing.assert_array_equal(getattr(again, field.name), getattr(data, field.name))
    for field in dataclasses.fields(data.nodes):
        np.testing.assert_array_equal(getattr(again.nodes, field.name), getattr(data.nodes, field.name))
    assert again.guarded(to_limbs(partition().guarded())).all()
    other = build(8192, 1)
    assert (other.pool_numbers != data.pool_numbers).any()
    assert (other.seeds == data.seeds).all()


def test_random_rows_avoid_private_numbers(data: CollatzData, parts: Partition) -> None:
    guarded = set(parts.guarded())
    full = build(131_072, 0)
    assert full.excluded_pool > 0
    assert full.drawn == full.pool + full.excluded_pool
    for n in from_limbs(data.pool_numbers)[:2000]:
        row = [n]
        for _ in range(8):
            m = 3 * row[-1] + 1
            row.append(m // (m & -m))
        assert guarded.isdisjoint(row[j] for j in CHECKED)


def test_the_stored_nodes_are_the_numbers(data: CollatzData, parts: Partition) -> None:
    for o in (0, 3, 60, 200, 245):
        chain = np.array(parts.chains[o], dtype=float)
        nodes = data.first[o] + np.arange(len(chain))
        np.testing.assert_allclose(data.nodes.ln[nodes], np.log(chain), rtol=1e-14)
        assert data.nodes.r81[nodes].tolist() == [n % 81 for n in parts.chains[o]]
        assert data.nodes.growth(nodes[:-1]).tolist() == [
            b > a for a, b in zip(parts.chains[o], parts.chains[o][1:], strict=False)
        ]
        assert (window(data.nodes, nodes[-1:], 200) == 2).all()
        assert data.steps[o] == len(chain) - 1


def test_audit_passes_and_counts_the_logs_leak(data: CollatzData) -> None:
    found = {finding.guard: finding for finding in audit(data)}
    assert not any(finding.failed for finding in found.values())
    assert "271 lie on train orbits" in found["logged_leak"].sentence
    assert found["logged_leak"].number + data.private[data.group == LOGGED].sum() == 429
    assert all(finding.sentence.count("\n") == 0 and finding.sentence.endswith(".") for finding in found.values())


@pytest.mark.parametrize("group", [VALIDATION, TEST, LOGGED])
def test_a_planted_curriculum_row_fails_the_audit(data: CollatzData, group: int) -> None:
    orbit = int(np.flatnonzero((data.group == group) & (data.private > 0))[0])
    rows = np.append(data.rows, data.first[orbit] + data.private[orbit] - 1)
    found = {finding.guard: finding for finding in audit(dataclasses.replace(data, rows=rows))}
    assert found["overlap_curriculum"].failed
    assert found["overlap_curriculum"].number == 1


@pytest.mark.parametrize("ahead", CHECKED)
def test_a_planted_random_row_fails_the_audit(data: CollatzData, parts: Partition, ahead: int) -> None:
    """A number whose T^ahead is private: the odd number 3 n' + 1 = 2^k m is solved backwards."""
    target = parts.chains[parts.group.index(VALIDATION)][5]
    n = target
    for _ in range(ahead):
        n = next(((n << k) - 1) // 3 for k in range(1, 9) if ((n << k) - 1) % 3 == 0 and (((n << k) - 1) // 3) % 3)
    numbers = data.pool_numbers.copy()
    numbers[:, 17] = to_limbs([n])[:3, 0]
    found = {finding.guard: finding for finding in audit(dataclasses.replace(data, pool_numbers=numbers))}
    assert found["overlap_random"].failed
    assert found["overlap_random"].number == 1
    assert found["table"].failed  # the number was planted, its stored features were not


def test_other_faults_fail_the_audit(data: CollatzData) -> None:
    private = data.private.copy()
    private[60] += 1
    assert {f.guard for f in audit(dataclasses.replace(data, private=private)) if f.failed} == {"private_steps"}
    group = np.where(data.group == TEST, VALIDATION, data.group)
    assert {f.guard for f in audit(dataclasses.replace(data, group=group)) if f.failed} == {"test_orbits"}
    k = data.nodes.k.copy()
    k[data.nodes.offset[data.pool_first + POOL_NODES * 9] + 2] += 1
    strange = dataclasses.replace(data, nodes=dataclasses.replace(data.nodes, k=k))
    assert {f.guard for f in audit(strange) if f.failed} == {"table"}


LOG_COUNTS = [
    ("ln n", 10, 255, None),
    ("ln n + 0.35 drift", 10, 251, None),
    ("ln n + 0.5 drift", 10, 204, None),
    ("ln n + 0.5 drift", 20, 172, None),
    ("ln n + 0.5 drift", 100, 47, [0, 0, 0, 5, 42]),
    ("sum of ln T^k", 10, 176, None),
    ("sum of ln T^k", 20, 117, None),
    ("sum of ln T^k", 100, 6, [0, 0, 0, 0, 6]),
    ("sum of ln T^k", 110, 0, None),
    ("oracle: steps to 1", 10, 0, None),
    ("constant", 10, 429, None),
]


@pytest.mark.parametrize(("name", "lookahead", "count", "each"), LOG_COUNTS)
def test_formulas_on_the_logged_steps(
    data: CollatzData, name: str, lookahead: int, count: int, each: list[int] | None
) -> None:
    found = [int((m <= 0).sum()) for m in margins(data.scored("logged"), potentials(data, lookahead)[name])]
    assert sum(found) == count
    assert each is None or found == each


def test_baselines_cover_every_metric_and_know_their_extremes(data: CollatzData) -> None:
    for split in GROUPS[:3]:
        found = baselines(data, 20, split)  # type: ignore[arg-type]
        assert len({tuple(scores) for scores in found.values()}) == 1
        assert found["oracle: steps to 1"]["hinge"].value == found["oracle: steps to 1"]["violation_count"].value == 0
        assert found["constant"]["hinge"].value == pytest.approx(1.05)
        assert found["constant"]["violations"].value == 1
    assert found["ln n"]["violations"].n == 128


def test_the_sum_of_logarithms_is_the_sum(data: CollatzData) -> None:
    node = data.first[70:71] + 3
    expected = data.nodes.ln[node[0] : node[0] + 21].sum()
    assert float(potentials(data, 20)["sum of ln T^k"](node)[0]) == pytest.approx(expected, rel=1e-12)
    assert float(drift(data.nodes, node, 20)[0]) == pytest.approx(
        (data.nodes.ln[node[0] + 20] - data.nodes.ln[node[0]]) / np.log(2), abs=1e-4
    )


def test_scores_do_not_depend_on_the_scale_of_v(data: CollatzData) -> None:
    log = potentials(data, 10)["ln n"]
    plain, scaled = score(data, "validation", log, 10), score(data, "validation", lambda i: 1e-3 * log(i), 10)
    for name in ("hinge", "violations", "margin_p5"):
        assert scaled[name].value == pytest.approx(plain[name].value)
        assert plain[name].low <= plain[name].value <= plain[name].high
    assert plain["violations"].n == 64


def test_a_v_that_is_not_a_number_violates_everywhere(data: CollatzData) -> None:
    found = score(data, "validation", lambda i: np.full(len(i), np.nan), 10)
    assert np.isnan(found["hinge"].value)
    assert found["violations"].value == 1


def test_unknown_split(data: CollatzData) -> None:
    with pytest.raises(ValueError, match="split"):
        data.scored("other")
