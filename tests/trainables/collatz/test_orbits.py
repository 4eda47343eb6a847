"""The vectorised Syracuse map against Python integers."""

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.collatz.orbits import (
    BITS,
    LIMBS,
    excursions,
    from_limbs,
    iterate,
    natural_log,
    random_odd,
    residue81,
    steps_to_one,
    to_limbs,
    trace,
)


def step(n: int) -> tuple[int, int]:
    m = 3 * n + 1
    k = (m & -m).bit_length() - 1
    return m >> k, k


ODD = st.integers(0, 2**124 - 1).map(lambda n: 2 * n + 1)
# (2^(2j) - 1)/3 maps to 1 in one step with k = 2j; prefixing bits keeps a long run of zeros in 3n + 1.
ZEROS = st.integers(1, 62).map(lambda j: (4**j - 1) // 3)
NEAR_ZEROS = st.tuples(st.integers(1, 40), st.integers(0, 2**40)).map(
    lambda p: (4 ** p[0] - 1) // 3 + (p[1] << (2 * p[0])) | 1
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(ODD, ZEROS, NEAR_ZEROS), min_size=1, max_size=8))
def test_two_hundred_steps_equal_python_integers(numbers: list[int]) -> None:
    run = trace(to_limbs(numbers), 200, 201)
    for j in range(201):
        assert from_limbs(run.numbers[j]) == numbers
        if j < 200:
            pairs = [step(n) for n in numbers]
            assert run.k[:, j].tolist() == [k for _, k in pairs]
            numbers = [n for n, _ in pairs]


@given(st.one_of(ODD, ZEROS))
def test_single_step(n: int) -> None:
    run = trace(to_limbs([n]), 1, 2)
    assert (from_limbs(run.numbers[1])[0], int(run.k[0, 0])) == step(n)


@pytest.mark.parametrize("zeros", [58, 60, 62, 118, 120, 122, 124])
def test_runs_of_zeros_past_a_limb(zeros: int) -> None:
    n = (2**zeros - 1) // 3
    assert trace(to_limbs([n, n]), 1).k.tolist() == [[zeros], [zeros]]
    long = next(m for m in range(2**zeros - 1, 2 ** (zeros + 8), 2**zeros) if m % 3 == 0 and (m // 3) % 2) // 3
    assert trace(to_limbs([long]), 1).k[0, 0] == step(long)[1] >= zeros


def test_one_stays_with_k_two() -> None:
    run = trace(to_limbs([1, 5]), 50, 51)
    assert (run.k[0] == 2).all()
    assert run.k[1].tolist() == [4] + [2] * 49
    assert from_limbs(run.numbers[50]) == [1, 1]


def test_results_do_not_depend_on_the_company_of_other_rows() -> None:
    x = random_odd(np.random.default_rng(1), 20_000)
    run = trace(x, 40, 3)
    alone = trace(x[:, 12_345:12_346], 40, 3)
    assert (run.k[12_345] == alone.k[0]).all()
    assert (run.numbers[:, :, 12_345] == alone.numbers[:, :, 0]).all()


@pytest.mark.parametrize("bits", [239, 240])
def test_overflow_raises(bits: int) -> None:
    with pytest.raises(OverflowError):
        trace(to_limbs([3, 2**bits - 1]), 1)
    with pytest.raises(OverflowError):
        trace(to_limbs([2 ** (bits - 20) - 1]), 200)  # 2^b - 1 grows for b - 1 steps


def test_largest_allowed_step_is_exact() -> None:
    n = 2**238 - 1
    assert from_limbs(trace(to_limbs([n]), 1, 2).numbers[1]) == [step(n)[0]]


def test_bad_numbers() -> None:
    with pytest.raises(OverflowError):
        to_limbs([2 ** (BITS * LIMBS)])
    with pytest.raises(ValueError, match="numbers"):
        to_limbs([-1])
    with pytest.raises(ValueError, match="odd"):
        trace(to_limbs([4]), 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 2**239), min_size=1, max_size=20))
def test_logarithm_and_residues(numbers: list[int]) -> None:
    getcontext().prec = 60
    x = to_limbs(numbers)
    for n, found, r in zip(numbers, natural_log(x), residue81(x).tolist(), strict=True):
        exact = Decimal(n).ln()
        assert abs(Decimal(float(found)) - exact) <= Decimal("1e-15") * max(exact, Decimal(1) / 10)
        assert [r % m for m in (3, 9, 27, 81)] == [n % m for m in (3, 9, 27, 81)]


def test_random_rows_are_odd_and_cover_every_size() -> None:
    numbers = from_limbs(random_odd(np.random.default_rng(0), 30_000))
    sizes = np.bincount([n.bit_length() - 1 for n in numbers], minlength=126)
    assert all(n % 2 for n in numbers)
    assert sizes[:2].sum() == sizes[125] == 0
    assert (abs(sizes[2:125] - 30_000 / 123) < 6 * math.sqrt(30_000 / 123)).all()
    place = [(n - 2**90) / 2**90 for n in numbers if n.bit_length() == 91]
    assert abs(np.mean(place) - 0.5) < 0.1


def test_steps_to_one() -> None:
    assert steps_to_one(to_limbs([111, 27, 703, 26623, 626331, 1, 5])).tolist() == [24, 41, 62, 113, 189, 0, 1]
    with pytest.raises(OverflowError):
        steps_to_one(to_limbs([27]), limit=40)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(ODD, ZEROS), min_size=1, max_size=6))
def test_excursions_equal_python_integers(numbers: list[int]) -> None:
    found = excursions(to_limbs(numbers))
    peaks = from_limbs(found.peak)
    for i, n in enumerate(numbers):
        steps, halvings, peak = 0, 0, n
        while n != 1:
            n, k = step(n)
            steps, halvings, peak = steps + 1, halvings + k, max(peak, n)
        assert (int(found.steps[i]), int(found.halvings[i]), peaks[i]) == (steps, halvings, peak)
        assert iterate(numbers[i], steps) == 1


def test_an_excursion_that_is_too_long_raises() -> None:
    with pytest.raises(OverflowError, match="longer than 40"):
        excursions(to_limbs([27]), limit=40)
    with pytest.raises(ValueError, match="odd"):
        excursions(to_limbs([4]))
