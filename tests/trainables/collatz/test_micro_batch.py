"""Micro-batches: the same training in parts, and a measurement that leaves no trace."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from leadline.checkpoint import CheckpointStore
from leadline.config import ConfigError
from leadline.storage import Folder
from leadline.testing import digest, training_state
from leadline.training.loop import Loop
from leadline.training.micro_batch import candidates, fastest
from leadline.training.step import rows_of
from tests.conftest import Clock
from trainables.collatz.data import CollatzData
from trainables.collatz.family import COLLATZ


@pytest.fixture(scope="module")
def data() -> CollatzData:
    return COLLATZ.build_data(config())


def config(**fields: Any) -> Any:
    return COLLATZ.config(
        {"steps": 12, "eval_every": 6, "layers": "16", "batch": 128, "ramp": 0, "pool": 512, **fields}
    )


def test_halves_of_at_least_32_rows() -> None:
    assert candidates(256) == [256, 128, 64, 32]
    assert candidates(96) == [96, 48]
    assert candidates(33) == [33]
    assert candidates(16, 16) == [16, 8, 4, 2], "of rows that are 16 samples each"


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
    monkeypatch.setattr("leadline.training.loop.fastest", lambda loop: clock.passes(1000, 32))
    reports = list(Loop(COLLATZ, config(micro_batch="auto"), data).run())
    assert [report.overhead for report in reports] == [1000, 1000]
    assert [report.seconds for report in reports] == [0, 0]


def test_a_resumed_trial_keeps_its_choice(data: CollatzData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one would add gradients up in another order."""

    def final(folder: str, choices: list[int]) -> str:
        monkeypatch.setattr("leadline.training.loop.fastest", lambda loop: choices.pop(0))
        store = CheckpointStore(Folder.at(str(tmp_path / folder)), 1)
        next(Loop(COLLATZ, config(micro_batch="auto"), data, store=store).run())
        resumed = CheckpointStore(Folder.at(str(tmp_path / folder)), 2)
        assert {
            report.facts["micro_batch"]
            for report in Loop(COLLATZ, config(micro_batch="auto"), data, store=resumed).run()
        } == {32}
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


@pytest.mark.parametrize("later", [32, "1/4"])
def test_a_trial_goes_on_with_the_micro_batch_that_it_is_given(
    data: CollatzData, tmp_path: Path, later: int | str
) -> None:
    """As after a failure for want of memory: not with that of its checkpoint, on the same rows, and to the same end.

    Gradients are then added up in another order, which rounds otherwise: by 6e-8 of their size in
    float32. Six steps of Adam at
    1e-3 made differences of 4e-9 of it; 1e-6, a thousandth of one step, is more than rounding and
    less than any other batch makes.
    """
    whole = Loop(COLLATZ, config(), data)
    expected = list(whole.run())
    folder = Folder.at(str(tmp_path))
    next(Loop(COLLATZ, config(), data, store=CheckpointStore(folder, 1)).run())
    resumed = Loop(COLLATZ, config(micro_batch=later), data, store=CheckpointStore(folder, 2))
    reports = list(resumed.run())
    assert [report.facts["micro_batch"] for report in reports] == [0, 32]
    assert [report.samples for report in reports] == [report.samples for report in expected]
    assert reports[-1].metrics["validation/hinge"].value == pytest.approx(
        expected[-1].metrics["validation/hinge"].value, abs=1e-5
    )
    for mine, theirs in zip(resumed.task.model.parameters(), whole.task.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)


def test_a_share_of_the_batch_has_a_row_at_least() -> None:
    assert [rows_of(128, "1/4"), rows_of(5, "1/2"), rows_of(4, "1/8")] == [32, 2, 1]
    for share in ("1/0", "2/4", "1/", "half"):
        with pytest.raises(ConfigError, match=r"^micro_batch: "):
            config(micro_batch=share)


class Limited:
    """A task's losses, where more than so many rows ask for more memory than there is."""

    def __init__(self, loop: Loop, rows: int, ask: Callable[[], object]) -> None:
        self.losses, self.rows, self.ask = loop.task.losses, rows, ask

    def __call__(self, model: Any, batch: Any, progress: float) -> Any:
        if len(next(iter(batch.values()))) > self.rows:
            self.ask()
        return self.losses(model, batch, progress)


@pytest.mark.parametrize("ask", [lambda: torch.empty(10**15), lambda: np.empty(10**15)])
def test_a_micro_batch_that_does_not_fit_is_passed_over(
    data: CollatzData, monkeypatch: pytest.MonkeyPatch, ask: Callable[[], object]
) -> None:
    loop = Loop(COLLATZ, config(), data)
    monkeypatch.setattr(loop.task, "losses", Limited(loop, 32, ask))
    assert fastest(loop) == 32
    monkeypatch.setattr(loop.task, "losses", Limited(loop, 1, ask))
    with pytest.raises(torch.OutOfMemoryError, match="not even the smallest"):
        fastest(loop)


def test_an_error_of_another_kind_is_not_passed_over(data: CollatzData, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(COLLATZ, config(), data)
    monkeypatch.setattr(loop.task, "losses", Limited(loop, 32, lambda: torch.ones(2) @ torch.ones(3)))
    with pytest.raises(RuntimeError, match="size"):
        fastest(loop)
