"""The log's mistakes, planted by its presets: each is named by a guard, or refused by the audit."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from leadline.config import to_dict
from leadline.finding import Finding
from leadline.measure import Measure
from leadline.task import Task
from leadline.training.loop import Loop
from tests.leadline.training.guards.mistakes import findings, interval
from trainables.scan.config import ScanConfig
from trainables.scan.family import SCAN
from trainables.scan.guards import BANDS, BeyondReach, ForgottenSteps
from trainables.scan.presets import logged

SMALL = {
    "model": "attention", "width": 8, "batch": 8, "eval_commands": 4, "eval_rules": 2, "steps": 480, "eval_every": 30,
}  # fmt: skip


def _config(preset: str, **fields: Any) -> ScanConfig:
    return SCAN.config({**to_dict(logged(preset, 0.01)), **SMALL, **fields})


def _found(config: ScanConfig, guard: str) -> list[Finding]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        reports = list(Loop(SCAN, config, SCAN.build_data(config)).run())
    finally:
        torch.set_num_threads(threads)
    return [finding for report in reports for finding in report.findings if finding.guard == guard and finding.failed]


@pytest.mark.parametrize(
    ("preset", "idle"),
    [("meant", []), ("identical", ["stage 2", "stage 3"]), ("capped", ["stage 2", "stage 3"])],
)
def test_stages_on_equal_rows_are_no_stages(preset: str, idle: list[str]) -> None:
    """The log never reads a stage's kinds of rules, and its cap of 1,100 rows makes each share the same 2.8 %."""
    assert sorted(finding.subject for finding in _found(_config(preset), "no_op_stage")) == idle


def test_a_session_that_is_cleared_in_the_loop_is_named() -> None:
    """Every 100 steps, as in the log: a report says how many steps the optimizer has forgotten."""
    fields = {"steps": 120, "eval_every": 60, "stages": "joint:1"}
    (said,) = _found(_config("clear_session", **fields), "forgotten_steps")
    assert said.number == 100
    assert said.sentence.startswith("The optimizer has forgotten 100 of 120 steps: its state was thrown away")
    assert _found(_config("meant", **fields), "forgotten_steps") == []


def test_what_is_cleared_is_the_model() -> None:
    config = _config("clear_session", stages="joint:1", clear_every=3)
    loop = Loop(SCAN, config, SCAN.build_data(config))
    fresh = {name: tensor.clone() for name, tensor in loop.task.model.state_dict().items()}
    list(loop.run(stop=2))
    trained = {name: tensor.clone() for name, tensor in loop.task.model.state_dict().items()}
    list(loop.run(stop=3))
    cleared = loop.task.model.state_dict()
    assert not loop.task.optimizers[0].state
    for name in fresh:
        assert not torch.equal(cleared[name], fresh[name]), "the next start is another one"
        assert (trained[name] - fresh[name]).abs().max() < (cleared[name] - trained[name]).abs().max()


class Scores(nn.Module):
    """A task of which the guard asks the score alone."""

    def __init__(self, value: float, low: float) -> None:
        super().__init__()
        self.model = nn.Linear(1, 1)
        self.measure = Measure(value, 500, low, value)

    def exact(self, split: str, commands: int) -> Measure:
        assert (split, commands) == ("test", 500)
        return self.measure


@pytest.mark.parametrize(("value", "low", "failed"), [(0.3, 0.2, True), (0.3, 0.04, False), (0.01, 0.0, False)])
def test_scores_out_of_a_plain_network_s_reach_are_named(value: float, low: float, failed: bool) -> None:
    """At the end of the budget, by the lower end of the interval."""
    guard = BeyondReach("addprim_jump")
    guard.started(cast(Task, Scores(value, low)))
    (said,) = findings(guard, [interval(50, 1.0), interval(100, 1.0)])
    assert (said.failed, said.number) == (failed, value)
    assert f"{value:.3f} on 500 test commands of addprim_jump; plain networks stay below 0.05" in said.sentence


@pytest.mark.parametrize(
    ("split", "low", "failed"),
    [("addprim_jump", 0.051, True), ("addprim_jump", 0.049, False), ("length", 0.41, True), ("length", 0.39, False)],
)
def test_the_band_of_each_split(split: str, low: float, failed: bool) -> None:
    assert BANDS == {"addprim_jump": 0.05, "length": 0.4}
    guard = BeyondReach(split)
    guard.started(cast(Task, Scores(low, low)))
    assert [said.failed for said in findings(guard, [interval(100, 1.0)])] == [failed]


def test_a_test_that_is_trained_on_is_out_of_reach() -> None:
    """The split addprim_jump with its test among the training commands, which no audit was asked about."""
    fields = {"split": "addprim_jump", "stages": "joint:1", "width": 32, "batch": 64, "lr": 0.01}
    config = _config("meant", **fields, steps=320, eval_every=320, schedule="cosine", clip_by="norm")
    clean = SCAN.build_data(config)
    leaky = dataclasses.replace(clean, parts=clean.parts._replace(train=np.concatenate([clean.train, clean.test])))
    (report,) = Loop(SCAN, config, leaky).run()
    (said,) = [finding for finding in report.findings if finding.guard == "beyond_reach"]
    assert said.failed, said.sentence


@pytest.mark.parametrize(
    ("fields", "watched"),
    [
        ({"split": "length"}, True),
        ({"split": "addprim_jump"}, True),
        ({"split": "simple"}, False),
        ({"split": "length", "stages": "joint:1:modified=0.5:rules=simple"}, False),
    ],
)
def test_plain_networks_alone_are_watched(fields: dict[str, Any], watched: bool) -> None:
    guards = [type(guard) for guard in SCAN.guards(SCAN.config(fields))]
    assert guards == [ForgottenSteps, *([BeyondReach] if watched else [])]
    assert set(BANDS) <= {"addprim_jump", "length"}
