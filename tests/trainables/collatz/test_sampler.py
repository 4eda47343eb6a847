"""Which rows are drawn: fresh ones, idle ones, mined ones, and none that the split refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from leadline.config import make
from trainables.collatz.audit import audit
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CHECKED, CollatzData, build
from trainables.collatz.family import COLLATZ
from trainables.collatz.features import of_numbers
from trainables.collatz.orbits import from_limbs, iterate, random_odd, to_limbs
from trainables.collatz.sampler import ITERATES, Part, Sampler, fresh_rows, mined_orbits
from trainables.collatz.split import LOGGED, TRAIN_SEEDS, VALIDATION, Membership, Partition, partition
from trainables.collatz.task import CollatzTask


@pytest.fixture(scope="module")
def parts() -> Partition:
    return partition()


@pytest.fixture(scope="module")
def data() -> CollatzData:
    return build(2048, 0)


@pytest.fixture(scope="module")
def logged() -> CollatzData:
    return build(2048, 0, "scored")


def sampler(data: CollatzData, **fields: Any) -> Sampler:
    return Sampler(make(CollatzConfig, {"lookahead": 20, "batch": 64, **fields}), data)


def task(data: CollatzData, **fields: Any) -> CollatzTask:
    return COLLATZ.task(
        make(CollatzConfig, {"lookahead": 20, "batch": 64, "layers": "8", **fields}), data, torch.device("cpu")
    )


def numbers(drawn: list[Part]) -> list[int]:
    return [part.number(node) for part in drawn for node in part.index.tolist()]


def test_fresh_rows_are_new_at_each_step_and_repeatable_in_any_order(data: CollatzData) -> None:
    first, second = sampler(data, fresh=True, steps=1000), sampler(data, fresh=True, steps=1000)
    steps = (0, 1, 127, 128, 129, 999)
    found = {step: numbers(first.parts(step, 0)) for step in steps}
    assert {step: numbers(second.parts(step, 0)) for step in reversed(steps)} == found
    long = [n for rows in found.values() for n in rows if n > 2**40]
    assert len(set(long)) == len(long) > 200
    assert set(found[1]) != set(numbers(sampler(data, fresh=True, steps=1000, seed=1).parts(1, 0)))
    wide = sampler(data, fresh=True, steps=1000, lookahead=100)
    assert numbers(wide.parts(999, 0)) == found[999]


def test_another_stage_keeps_the_random_rows(data: CollatzData) -> None:
    drawn = sampler(data, fresh=True)
    alone, many = numbers(drawn.parts(5, 0)), numbers(drawn.parts(5, 49))
    assert many[16:] == alone[:48]


@pytest.mark.parametrize("fields", [{}, {"fresh": True}, {"fresh": True, "t4": True, "t8": True, "target": "split"}])
def test_a_batch_has_the_features_of_its_numbers(data: CollatzData, fields: dict[str, Any]) -> None:
    trial = task(data, start_seeds=20, **fields)
    trial.sampler.mined = mined_orbits((27, 2**70 + 1), data.guarded, 20)
    batch, found = trial.batch(7), numbers(trial.sampler.parts(7, trial.sampler.active(7)))
    ahead = {"now": 0, "next": 1, **({"t4": 4, "t8": 8} if "t4" in fields else {})}
    assert ("t4" in batch) == ("t4" in fields)
    for name, j in ahead.items():
        np.testing.assert_array_equal(batch[name], of_numbers([iterate(n, j) for n in found], 20))
    assert int(batch["hard"].sum()) == 16
    assert set(batch) - set(ahead) == {"weight", "hard", *(("ln", "drift") if "t4" in fields else ("target",))}
    growth = np.array([iterate(n, 1) > n for n in found])
    np.testing.assert_array_equal(
        batch["weight"], np.where(batch["hard"], np.where(growth, 20, 2), np.where(growth, 10, 1))
    )


def backwards(target: int, steps: int) -> int:
    """An odd number n > 1 with T^steps(n) = target."""
    for _ in range(steps):
        found = (((target << k) - 1) // 3 for k in range(1, 9) if (target << k) % 3 == 1)
        target = next(n for n in found if n % 3)
    return target


@pytest.mark.parametrize("ahead", CHECKED)
def test_fresh_rows_that_touch_a_guarded_number_are_drawn_again(ahead: int) -> None:
    """The third and fourth draws are made to be guarded, T^ahead of them; what replaces one is guarded too."""
    x = random_odd(np.random.default_rng(3), 8)
    later = np.random.default_rng(3)
    random_odd(later, 8)
    second = random_odd(later, 2)
    refused = [*from_limbs(x)[2:4], from_limbs(second)[1]]
    guarded = Membership([iterate(n, ahead) for n in refused])
    found = from_limbs(fresh_rows(np.random.default_rng(3), 8, 20, guarded).numbers[0])
    assert found[:2] + found[4:] == from_limbs(x)[:2] + from_limbs(x)[4:]
    assert found[2] == from_limbs(second)[0]
    assert found[3] not in refused
    assert not any(guarded(to_limbs([iterate(n, ahead)]))[0] for n in found)


def test_no_fresh_row_of_many_touches_a_private_number(data: CollatzData, parts: Partition) -> None:
    guarded = set(parts.guarded())
    drawn = sampler(data, fresh=True, batch=8192, hard_ratio=0)
    found = numbers([drawn.parts(step, 0)[0] for step in range(2)])
    assert len(found) == 16384
    assert not any(iterate(n, j) in guarded for n in found for j in CHECKED)
    assert any(n in guarded for n in from_limbs(random_odd(np.random.default_rng(0), 100_000))), (
        "so that it is no accident"
    )


def test_mined_orbits_are_whole_and_without_refused_rows(data: CollatzData, parts: Partition) -> None:
    private = parts.chains[parts.group.index(VALIDATION)][6]
    mined = mined_orbits((27, backwards(private, 3), 2**120 + 1), data.guarded, 20)
    guarded = set(parts.guarded())
    for i, seed in enumerate(mined.numbers):
        rows = mined.rows[mined.first[i] : mined.first[i] + mined.count[i]]
        walked = [iterate(seed, j) for j in range(ITERATES)]
        allowed = [n for n in walked if n > 1 and not any(iterate(n, j) in guarded for j in CHECKED)]
        assert [mined.number(node) for node in rows.tolist()] == allowed
    assert mined.count[0] == 41
    assert mined.count[2] > 200
    assert 0 < mined.count[1] < sum(1 for j in range(ITERATES) if iterate(mined.numbers[1], j) > 1)


def test_mined_seeds_count_like_active_ones_up_to_their_share(data: CollatzData) -> None:
    seeds = tuple(2**80 + 2 * i + 1 for i in range(49))
    for share, expected in ((1.0, 0.5), (0.1, 0.1), (0.0, 0.0)):
        drawn = sampler(data, batch=4096, hard_ratio=1, mine_share=share)
        drawn.mined = mined_orbits(seeds, data.guarded, 20)
        stored, *mined = drawn.parts(0, 49)
        count = sum(len(part.index) for part in mined)
        assert count == pytest.approx(4096 * expected, abs=5 * 32)
        assert len(stored.index) + count == 4096
        if share == 1:
            found = numbers(mined)
            assert sum(n in seeds for n in found) == pytest.approx(0.3 * count, abs=100), (
                "itself, beside the rest of its orbit"
            )
            assert len({n for n in found if n in seeds}) == 49
    alone = sampler(data, batch=64, hard_ratio=0.5)
    alone.mined = mined_orbits(seeds, data.guarded, 20)
    assert [(part.nodes is data.nodes, int(part.hard.sum())) for part in alone.parts(0, 0)] == [(True, 0), (False, 32)]


def test_idle_rows_are_random_or_those_of_27(data: CollatzData, logged: CollatzData) -> None:
    assert not any(part.hard.any() for part in sampler(data).parts(0, 0))
    drawn = sampler(logged, idle="27", guard="scored", batch=512)
    (part,) = drawn.parts(0, 0)
    hard = [part.number(node) for node in part.index[part.hard].tolist()]
    assert len(hard) == 128
    assert set(hard) <= {iterate(27, j) for j in range(41)}
    assert len(set(hard)) > 30
    (part,) = drawn.parts(0, 5)
    orbits = {iterate(n // (n & -n), j) for n in TRAIN_SEEDS[:5] for j in range(120)}
    assert {part.number(node) for node in part.index[part.hard].tolist()} <= orbits


def test_the_stage_is_the_number_of_active_seeds(data: CollatzData) -> None:
    trial = task(data, steps=100, ramp=0.5)
    assert [trial.stage(step) for step in (0, 25, 50, 99)] == [0, 24, 49, 49]
    for stage in (0, 7, 49):
        assert int(trial.staged_batch(50, stage)["hard"].sum()) == (16 if stage else 0)
    whole = trial.batch(50)
    assert all(torch.equal(whole[name], rows) for name, rows in trial.staged_batch(50, 49).items())


def test_the_scored_guard_lets_the_logged_numbers_in(data: CollatzData, logged: CollatzData, parts: Partition) -> None:
    own = [
        n
        for group, chain, length in zip(parts.group, parts.chains, parts.private, strict=True)
        for n in chain[:length]
        if group == LOGGED
    ]
    assert data.guarded(to_limbs(own)).all()
    assert not logged.guarded(to_limbs(own)).any()
    assert set(parts.guarded()) - set(parts.guarded("scored")) == set(own)
    key = {COLLATZ.data_key(make(CollatzConfig, fields)) for fields in ({}, {"guard": "scored"}, {"population": True})}
    assert len(key) == 3


def planted(data: CollatzData, number: int) -> CollatzData:
    """The data with a pool row that is another number."""
    changed = data.pool_numbers.copy()
    changed[:, 5] = to_limbs([number])[:3, 0]
    return dataclasses.replace(data, pool_numbers=changed)


def test_the_audit_of_the_scored_guard(data: CollatzData, logged: CollatzData, parts: Partition) -> None:
    quiet = {finding.guard: finding for finding in audit(logged)}
    assert not any(finding.failed for finding in quiet.values())
    assert "logged_leak" in quiet
    assert quiet["logged_leak"].number == 429
    assert "logged_rows" not in {finding.guard for finding in audit(data)}
    number = parts.chains[-1][3]
    assert parts.group[-1] == LOGGED
    told = {finding.guard: finding for finding in audit(planted(logged, number))}
    assert told["logged_rows"].number == quiet["logged_rows"].number + 1
    assert not told["logged_rows"].failed
    assert not told["overlap_random"].failed
    assert {finding.guard: finding for finding in audit(planted(data, number))}["overlap_random"].failed
    scored = parts.chains[parts.group.index(VALIDATION)][3]
    assert {finding.guard: finding for finding in audit(planted(logged, scored))}["overlap_random"].failed


def test_numbers_of_nodes(data: CollatzData, parts: Partition) -> None:
    assert [data.number(int(data.first[o]) + 3) for o in (0, 60, 245)] == [parts.chains[o][3] for o in (0, 60, 245)]
    assert data.number(data.pool_first + 9 * 17) == from_limbs(data.pool_numbers)[17]
