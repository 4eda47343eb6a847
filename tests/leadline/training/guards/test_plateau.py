"""The plateau's guard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leadline.checkpoint import CheckpointStore
from leadline.storage import Folder
from leadline.training.guards.plateau import Plateau
from leadline.training.loop import Loop
from tests.leadline.training.guards.mistakes import MISTAKES, findings, interval, told, watched

SLOW: dict[str, Any] = {"lr": 0.003}
"""Improves to the end."""


def test_a_run_that_stops_learning_is_caught() -> None:
    found = told(watched(MISTAKES, Plateau(), fault="stuck", **SLOW))
    assert [finding.failed for finding in found] == [True, True], "when it is reached, and at the end"
    assert found[0].number == pytest.approx(0.4167, abs=1e-3)
    assert found[1].number == pytest.approx(0.6667, abs=1e-3)
    assert "since step 200 of 600" in found[0].sentence


def test_a_run_that_improves_is_quiet() -> None:
    assert told(watched(MISTAKES, Plateau(), **SLOW)) == []


@pytest.mark.parametrize(("minimise", "best"), [(True, 0.0), (False, 1.0)])
def test_the_best_possible_value_is_no_plateau(minimise: bool, best: float) -> None:
    values = [0.5, *[best] * 9]
    assert findings(Plateau(), [interval(10 * i, value, minimise=minimise) for i, value in enumerate(values, 1)]) == []


def test_a_plateau_that_is_left_is_taken_back() -> None:
    values = [0.9, 0.5, 0.5, 0.6, 0.5, 0.501, 0.4, 0.3, 0.2, 0.1]
    found = findings(Plateau(), [interval(10 * i, value) for i, value in enumerate(values, 1)])
    assert [finding.failed for finding in found] == [True, False]
    assert found[1].sentence == "the objective improves again: 0.4 at step 70"


def test_direction_counts() -> None:
    rising = [interval(10 * i, 0.1 * i - 0.05) for i in range(1, 11)]
    assert findings(Plateau(), rising)[0].number == pytest.approx(0.4)
    assert findings(Plateau(), [interval(10 * i, 0.1 * i - 0.05, minimise=False) for i in range(1, 11)]) == []


def test_small_gains_add_up() -> None:
    values = [1.0, *(0.5 * 0.997**i for i in range(9))]
    assert findings(Plateau(), [interval(10 * i, value) for i, value in enumerate(values, 1)]) == []


def test_a_score_that_is_no_number_is_passed_over() -> None:
    assert findings(Plateau(), [interval(10 * i, float("nan")) for i in range(1, 11)]) == []


def test_a_resumed_trial_says_the_same(tmp_path: Path) -> None:
    def loop(attempt: int, folder: str) -> Loop:
        store = CheckpointStore(Folder.at(str(tmp_path / folder)), attempt)
        return watched(MISTAKES, Plateau(), store, fault="stuck", **SLOW)

    whole = told(loop(1, "whole"))
    told(loop(1, "cut"), reports=6)
    assert told(loop(2, "cut")) == whole
