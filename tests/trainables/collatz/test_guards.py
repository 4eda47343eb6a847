"""The guards on the real family: training that is healthy is told nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from leadline.training.guards.spikes import Spikes
from tests.leadline.training.guards.conftest import one_thread
from tests.leadline.training.guards.faulty import run
from tests.leadline.training.guards.mistakes import told, watched
from tests.leadline.training.guards.test_guard_runner import looking
from trainables.collatz.family import COLLATZ

__all__ = ["one_thread"]  # a fixture for all tests here

CURRICULUM = {"pool": 4096, "batch": 128, "lookahead": 20, "steps": 900, "eval_every": 150}


def test_collatz_is_healthy() -> None:
    trial = COLLATZ.config({"steps": 800, "eval_every": 200, "pool": 2**12})
    _, reports = run(COLLATZ, trial, *looking())
    assert [report.findings for report in reports] == [()] * 4


@pytest.mark.parametrize(
    "fields",
    [{}, {"ramp": 0.2, "lr": 1e-2}, {"skip": True, "anchor": 0, "lr": 1e-4, "lookahead": 100, "schedule": "constant"}],
)
def test_a_curriculum_that_lets_harder_rows_in_is_no_spike(fields: Mapping[str, Any]) -> None:
    assert told(watched(COLLATZ, Spikes(), **{**CURRICULUM, **fields})) == []
