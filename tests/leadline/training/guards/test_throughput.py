"""The throughput's guard, on intervals made by hand: no test may depend on a clock."""

from __future__ import annotations

import pytest

from leadline.training.guards.guard import Interval
from leadline.training.guards.throughput import Throughput
from tests.leadline.training.guards.mistakes import findings, interval


def _speeds(*speeds: float, steps: int = 100) -> list[Interval]:
    """Intervals of 100 steps at these steps per second."""
    return [interval(steps * i, 1.0, steps=steps, seconds=steps / speed) for i, speed in enumerate(speeds, 1)]


def test_slow_is_said_once_and_taken_back() -> None:
    found = findings(Throughput(), _speeds(20, 40, 41, 39, 12, 11, 38, 40))
    assert [finding.failed for finding in found] == [True, False]
    assert found[0].sentence == "12 steps/s at step 500 against 39.5 before: slow, not stuck"
    assert found[0].number == pytest.approx(12 / 39.5)
    assert "recovered" in found[1].sentence


@pytest.mark.parametrize("speeds", [(40, 20, 45, 15, 40, 16), (1, 40, 40, 40), (40, 41, 2), (40,)])
def test_noise_and_warm_up_are_no_fault(speeds: tuple[float, ...]) -> None:
    assert findings(Throughput(), _speeds(*speeds)) == []


def test_less_than_a_second_lost_says_nothing() -> None:
    assert findings(Throughput(), _speeds(4000, 4000, 4000, 400)) == []
    assert findings(Throughput(), _speeds(4000, 4000, 4000, 40))[0].failed


def test_a_long_slow_time_does_not_become_the_measure() -> None:
    found = findings(Throughput(), _speeds(*[40] * 4, *[5] * 100, 40))
    assert [finding.failed for finding in found] == [True, False]
    assert found[1].number == pytest.approx(1.0)


def test_a_resumed_trial_warms_up_and_then_says_the_same() -> None:
    speeds, warming = _speeds(40, 40, 40, 9, 9, 40), _speeds(1)
    whole = findings(Throughput(), speeds)
    assert len(whole) == 2
    for cut in range(len(speeds) + 1):
        first, second = Throughput(), Throughput()
        before = findings(first, speeds[:cut])
        second.load_state_dict(first.state_dict())
        assert before + findings(second, [*warming, *speeds[cut:]]) == whole
