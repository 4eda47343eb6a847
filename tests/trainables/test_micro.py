"""Micro-batches: the same training in parts, and a measurement that leaves no trace."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Clock
from trainables.checkpoint import CheckpointStore
from trainables.collatz.data import CollatzData
from trainables.collatz.family import COLLATZ
from trainables.config import make
from trainables.loop import Loop
from trainables.micro import candidates, fastest
from trainables.storage import Folder
from trainables.testing import digest, training_state


@pytest.fixture(scope="module")
def data() -> CollatzData:
    return COLLATZ.build_data(config())


def config(**fields: Any) -> Any:
    return make(COLLATZ.Config, {"steps": 12, "eval_every": 6, "layers": "16", "batch": 128, "ramp": 0, "pool": 512, **fields}, "collatz")


def test_halves_of_at_least_32_rows() -> None:
    assert candidates(256) == [256, 128, 64, 32]
    assert candidates(96) == [96, 48]
    assert candidates(33) == [33]


@pytest.mark.parametrize("rows", [32, 48, 128, 500])
def test_parts_train_what_the_whole_does(data: CollatzData, rows: int) -> None:
    """Up to rounding, also where the last part is smaller."""
    whole, parts = (Loop(COLLATZ, config(micro_batch=size), data) for size in (0, rows))
    for one, other in zip(whole.run(), parts.run(), strict=True):
        assert other.samples == one.samples
        assert other.facts["loss"] == pytest.approx(one.facts["loss"], rel=1e-5)
        assert other.metrics["validation/hinge"].value == pytest.approx(one.metrics["validation/hinge"].value, abs=1e-5)
    for mine, theirs in zip(parts.task.model.parameters(), whole.task.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)


def test_the_measurement_leaves_no_trace(data: CollatzData) -> None:
    loop = Loop(COLLATZ, config(), data)
    next(loop.run())
    before = copy.deepcopy({name: part for name, part in loop.state().items() if name != "guards"})
    assert fastest(loop) in candidates(128)
    loop.micro_batch = before["counts"]["micro_batch"]
    assert digest({name: part for name, part in loop.state().items() if name != "guards"}) == digest(before)


def test_auto_is_measured_once_and_reported(data: CollatzData) -> None:
    loop = Loop(COLLATZ, config(micro_batch="auto"), data)
    said: list[str] = []
    loop.log = said.append
    sizes = {report.facts["micro_batch"] for report in loop.run()}
    assert len(sizes) == 1
    assert sizes < {32.0, 64.0, 128.0}
    assert sum("the fastest here" in line for line in said) == 1


def test_the_choice_is_overhead(data: CollatzData, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    monkeypatch.setattr("trainables.loop.fastest", lambda loop: clock.passes(1000, 32))
    reports = list(Loop(COLLATZ, config(micro_batch="auto"), data).run())
    assert [report.overhead for report in reports] == [1000, 1000]
    assert [report.seconds for report in reports] == [0, 0]


def test_a_resumed_trial_keeps_its_choice(data: CollatzData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one would add gradients up in another order."""

    def final(folder: str, choices: list[int]) -> str:
        monkeypatch.setattr("trainables.loop.fastest", lambda loop: choices.pop(0))
        store = CheckpointStore(Folder.at(str(tmp_path / folder)), 1)
        next(Loop(COLLATZ, config(micro_batch="auto"), data, store=store).run())
        resumed = CheckpointStore(Folder.at(str(tmp_path / folder)), 2)
        assert {report.facts["micro_batch"] for report in Loop(COLLATZ, config(micro_batch="auto"), data, store=resumed).run()} == {32}
        newest = resumed.newest()
        assert newest is not None
        return digest(training_state(newest))

    whole = CheckpointStore(Folder.at(str(tmp_path / "whole")))
    list(Loop(COLLATZ, config(micro_batch=32), data, store=whole).run())
    newest = whole.newest()
    assert newest is not None
    assert final("cut", [32, 128]) == digest(training_state(newest))


def test_a_run_can_be_stopped_early_on_its_own_schedule(data: CollatzData) -> None:
    whole, early = (Loop(COLLATZ, config(), data) for _ in range(2))
    reports = list(whole.run())
    assert [report.step for report in early.run(8)] == [6, 8]
    assert early.history[0].metrics == reports[0].metrics
    assert [report.step for report in early.run(100)] == [6, 8, 12]
    assert early.history[-1].metrics == reports[-1].metrics
