"""Scores of Collatz: what is computed fast is what its definition says."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.collatz.metrics import _percentile, _resampled


@pytest.mark.parametrize("q", [0.0, 0.05, 0.5, 0.77, 1.0])
@pytest.mark.parametrize("longest", [1, 3, 150])
def test_a_quantile_of_drawn_orbits_is_that_of_their_steps(q: float, longest: int) -> None:
    """Also where values are equal, and where an orbit is the only one."""
    random = np.random.default_rng([longest, int(100 * q)])
    for orbits in (1, 2, 9, 40):
        found = [random.normal(size=random.integers(1, longest + 1)).round(orbits % 3) for _ in range(orbits)]
        draws = random.integers(0, orbits, size=(20, orbits))
        expected = [np.quantile(np.concatenate([found[orbit] for orbit in draw]), q) for draw in draws]
        assert np.array_equal(_resampled(found, draws, q), expected)


def test_the_interval_of_a_percentile_holds_it_and_narrows_with_more_orbits() -> None:
    random = np.random.default_rng(0)
    few, many = (_percentile([random.normal(size=20) for _ in range(orbits)]) for orbits in (16, 1024))
    for found in (few, many):
        assert found.low < found.value < found.high
    assert many.high - many.low < (few.high - few.low) / 4
    assert many.value == pytest.approx(-1.645, abs=0.05), "of a standard normal"
