"""The faults of the logs on ARC, planted in real trials of the real families: each is named, and a healthy trial
is not.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from leadline.checkpoint import CheckpointStore
from leadline.family import Family
from leadline.finding import Finding
from leadline.heartbeat import Heartbeat, read
from leadline.measure import Report
from leadline.storage import Folder
from leadline.task import Batch
from leadline.training import loop as training
from leadline.training.loop import Loop
from tests.leadline.test_heartbeat import OFTEN, wait_for
from trainables.arc_hrm.baselines import ALL_PAD
from trainables.arc_hrm.family import ARC_HRM
from trainables.recursive.encoder_task import ETRMTask
from trainables.recursive.family import ETRM_FAMILY, HRM_FAMILY, TRM_FAMILY, ETRMFamily

RULES: dict[str, Any] = {
    "task": "rules",
    "size": 5,
    "train_rules": 4,
    "train_boards": 32,
    "validation_boards": 4,
    "test_boards": 4,
    "hidden": 16,
    "heads": 2,
    "batch": 8,
}
ETRM: dict[str, Any] = {
    **RULES,
    "demonstrations": 2,
    "round_to": 16,
    "context_tokens": 2,
    "encoder_layers": 1,
    "halt_max_steps": 4,
    "explore": 0,
    "steps": 8,
    "eval_every": 4,
}


def run(family: Family[Any], **fields: Any) -> list[Report]:
    config = family.config(fields)
    return list(Loop(family, config, family.build_data(config)).run())


def said(reports: list[Report], guard: str) -> list[Finding]:
    """Every finding, also one that the guard itself has failed."""
    return [found for report in reports for found in report.findings if found.guard == guard]


SESSION = ("task", "size", "pad", "label_smoothing", "schedule", "restart_period", "clip", "weight_decay")
"""The fields that are those of the log's session 5: ARC on its canvas of 30, PAD a class, warm restarts."""


@pytest.mark.parametrize("pad", ["class", "ignored"])
def test_a_constant_is_named_while_the_score_looks_high(pad: str) -> None:
    """Session 5, small and short: with PAD a class it is level with all PAD, as in the log, and without it is not."""
    session = ARC_HRM.presets["session5"](1.0)
    small = {"hidden": 16, "heads": 2, "h_layers": 1, "l_layers": 1, "max_cycles": 2, "batch": 2, "lr": 0.01}
    boards = {"train_boards": 64, "validation_boards": 8, "test_boards": 2, "steps": 8, "eval_every": 8}
    config = ARC_HRM.config({**{name: getattr(session, name) for name in SESSION}, **small, **boards, "pad": pad})
    data = ARC_HRM.build_data(config)
    (report,) = Loop(ARC_HRM, config, data).run()
    if pad == "ignored":
        assert not said([report], "near_constant")
        return
    (found,) = said([report], "near_constant")
    assert found.failed
    assert found.number < 0.1
    constant = ARC_HRM.baselines(config, data, "validation")[ALL_PAD]["cells"].value
    assert report.value("validation/cells") == pytest.approx(constant, abs=0.01)
    assert constant > 0.6


class OtherLabels(ETRMTask):
    """The log's fault: a slot that goes on with its board is scored with the labels of the batch."""

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        self._carry["labels"][batch["slot"]] = batch["labels"][:, None]
        return super().losses(model, batch, progress)


class OtherLabelsFamily(ETRMFamily):
    def _task(self, config: Any, data: Any, device: torch.device) -> ETRMTask:
        return OtherLabels(config, data, device)


def test_labels_of_another_board_are_named() -> None:
    """At once, by the gradient, on every board that was met twice: no score could tell so early."""
    (found,) = said(run(OtherLabelsFamily(), **ETRM), "contradiction")
    assert found.failed
    assert found.number > 0.9
    assert found.sentence.endswith("the loss has the labels of other boards.")


@pytest.mark.parametrize("encoding", ["reencode", "cached"])
def test_a_cache_starves_the_encoder_and_teaches_no_other_labels(encoding: str) -> None:
    reports = run(ETRM_FAMILY, **ETRM, encoding=encoding)
    assert [found.number for found in said(reports, "starved_encoder")] == ([0.25] if encoding == "cached" else [])
    assert not said(reports, "contradiction")


@pytest.mark.parametrize("family", [TRM_FAMILY, HRM_FAMILY])
def test_boards_that_halt_early_and_are_taken_up_again_are_no_contradiction(family: Family[Any]) -> None:
    """Also in micro-batches, with several trajectories, and with the plain cross entropy."""
    fields = {"round_to": 16, "train_boards": 8, "batch": 8, "halt_max_steps": 3, "loss": "softmax", "explore": 0.5}
    more = {"mode": "multi_perturbed_ce", "k": 2, "micro_batch": 4, "steps": 24, "eval_every": 24}
    assert not said(run(family, **{"size": 4, "hidden": 16, "heads": 2, **fields, **more}), "contradiction")


class Clock:
    """Seconds that pass only when a step is taken."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


SLOW_FROM, FAST, SLOW = 10, 4.0, 400.0  # the log: 3 to 4 s a step, and 422 s
"""The step from which on steps are slow, and the seconds that a step takes."""


class SlowFamily(ETRMFamily):
    """ETRM whose steps take a hundred times as long from some step on, while `meanwhile` happens."""

    def __init__(self, clock: Clock, meanwhile: Callable[[], None]) -> None:
        self.clock, self.meanwhile = clock, meanwhile

    def _task(self, config: Any, data: Any, device: torch.device) -> ETRMTask:
        task = super()._task(config, data, device)
        batch = task.batch

        def slow(step: int) -> Batch:
            if step >= SLOW_FROM:
                self.meanwhile()
            self.clock.now += SLOW if step >= SLOW_FROM else FAST
            return batch(step)

        task.batch = slow  # type: ignore[method-assign]
        return task


def test_a_hundred_times_slower_is_slow_and_not_stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log's runs of 422 s a step, which were taken for crashed."""
    clock, folder = Clock(), Folder.at(str(tmp_path))
    monkeypatch.setattr(training, "time", types.SimpleNamespace(perf_counter=clock.perf_counter))
    beats = set[tuple[str, int]]()

    def until_it_has_beaten() -> None:
        file = tmp_path / "attempt-01" / "heartbeat.json"
        before = len(beats)

        def look() -> bool:
            if file.exists() and (beat := read(folder, 1, patience=5)):
                beats.add((beat.state, file.stat().st_mtime_ns))
            return len(beats) >= before + 2

        wait_for(look)

    family = SlowFamily(clock, until_it_has_beaten)
    config = family.config({**ETRM, "steps": 12, "eval_every": 2})
    loop = Loop(family, config, family.build_data(config), store=CheckpointStore(folder, patience=5))
    with Heartbeat(folder, 1, "sweep/trials/0000/attempt-01", OFTEN) as beating:
        beating.watch(loop)
        reports = list(loop.run())
    (found,) = said(reports, "throughput")
    assert found.failed
    assert found.number == pytest.approx(FAST / SLOW, rel=0.05)
    assert found.sentence.endswith("slow, not stuck")
    assert [report.step for report in reports if said([report], "throughput")] == [12]
    assert "training" in {state for state, _ in beats}
    assert len(beats) >= 4
