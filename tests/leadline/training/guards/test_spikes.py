"""The guard of spikes in the training loss and the objective."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leadline.checkpoint import CheckpointStore
from leadline.finding import Finding
from leadline.storage import Folder
from leadline.training.guards.guard import Interval
from leadline.training.guards.spikes import Spikes
from leadline.training.loop import Loop
from tests.leadline.training.guards.mistakes import MISTAKES, findings, interval, told, watched


def _of(found: list[Finding], subject: str) -> list[Finding]:
    return [finding for finding in found if finding.subject == subject]


def test_mining_that_ruins_a_run_is_caught_in_loss_and_objective() -> None:
    found = told(watched(MISTAKES, Spikes(), fault="mining"))
    for subject in ("loss", "objective"):
        spikes = _of(found, subject)
        assert [finding.failed for finding in spikes] == [True, True], "when it begins, and at the end"
        assert spikes[1].number >= spikes[0].number > 3
        assert "and has not come back by step 600" in spikes[1].sentence
    assert " at step 35" in _of(found, "loss")[0].sentence or " at step 36" in _of(found, "loss")[0].sentence


def test_a_spike_that_comes_back_is_taken_back() -> None:
    found = told(watched(MISTAKES, Spikes(), fault="mining_undone", lr=0.1))
    assert [finding.failed for finding in _of(found, "loss")] == [True, False]
    assert "and is back at" in _of(found, "loss")[1].sentence
    assert [finding.failed for finding in _of(found, "objective")][-1:] == [False]


@pytest.mark.parametrize("fields", [{}, {"batch": 1}, {"cycles": 4}, {"eval_every": 7, "steps": 300}])
def test_healthy_runs_are_quiet(fields: Mapping[str, Any]) -> None:
    assert told(watched(MISTAKES, Spikes(), **fields)) == []


def _scores(*values: float, minimise: bool = True, width: float = 0.0) -> list[Interval]:
    return [interval(10 * i, value, minimise=minimise, low=value - width) for i, value in enumerate(values, 1)]


def test_the_logs_spike_of_violations() -> None:
    found = findings(Spikes(), _scores(40.2, 31.5, 27.0, 25.9, 71.3, 70.0))
    assert found[0].sentence == "the objective went from 27 to 71.3 at step 50, and has not come back by step 50"
    assert found[0].number == pytest.approx(71.3 / 27)


def test_the_logs_spike_of_the_loss() -> None:
    """Heavy-tailed minibatches, of mean 0.047 and then 0.64."""
    noise = np.random.default_rng(0).lognormal(-0.5, 1.0, (6, 200))
    levels = np.array([0.06, 0.05, 0.047, 0.047, 0.64, 0.64])
    given = [
        interval(200 * i, 0.1, steps=200, budget=5000, losses=losses)
        for i, losses in enumerate(noise * levels[:, None], 1)
    ]
    found = findings(Spikes(), given)
    assert [(finding.subject, finding.failed) for finding in found] == [("loss", True)]
    assert "at step 800" in found[0].sentence
    assert 8 < found[0].number < 30
    assert findings(Spikes(), given[:4]) == []


def test_an_objective_within_its_own_interval_is_no_spike() -> None:
    assert findings(Spikes(), _scores(0.5, 0.3, 0.2, 0.2, 0.4, width=0.25)) == []
    assert findings(Spikes(), _scores(0.5, 0.3, 0.2, 0.2, 0.4, width=0.1))


def test_a_maximised_objective_spikes_downwards() -> None:
    assert findings(Spikes(), _scores(0.5, 0.7, 0.8, 0.9, 0.95, minimise=False)) == []
    found = findings(Spikes(), _scores(0.5, 0.7, 0.8, 0.9, 0.3, minimise=False))
    assert found[0].number == pytest.approx(0.8 / 0.3)


def test_what_is_almost_nothing_may_double() -> None:
    tiny = [1.0, *np.tile([0.0, 0.0, 1e-6, 0.0, 3e-5], 10)]
    assert findings(Spikes(), [interval(10 * i, 0.1, losses=np.full(10, loss)) for i, loss in enumerate(tiny, 1)]) == []


def test_losses_that_are_no_numbers_are_passed_over() -> None:
    losses = [np.ones(10)] * 12 + [np.full(10, np.nan), np.full(10, np.inf)]
    assert (
        findings(Spikes(), [interval(10 * i, 0.1, losses=given, budget=500) for i, given in enumerate(losses, 1)]) == []
    )


@pytest.mark.parametrize("cut", [6, 8])
def test_a_resumed_trial_says_the_same(tmp_path: Path, cut: int) -> None:
    def loop(attempt: int, folder: str) -> Loop:
        return watched(MISTAKES, Spikes(), CheckpointStore(Folder.at(str(tmp_path / folder)), attempt), fault="mining")

    whole = told(loop(1, "whole"))
    told(loop(1, "cut"), reports=cut)
    assert told(loop(2, "cut")) == whole
