"""Stages in the loop: reports and checkpoints at their ends, rules, resumes, and the guards."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from leadline.checkpoint import CheckpointStore
from leadline.config import configuration, knob, make
from leadline.curriculum import Curriculum, StageClock, Stages, Vocabulary
from leadline.measure import Report
from leadline.storage import Folder
from leadline.task import Batch, Task
from leadline.training.guards.no_op import NoOpStage, NoOpTerm
from leadline.training.loop import Loop
from tests.leadline.training.guards.faulty import Faulty, FaultyConfig, FaultyTask, fired, run

VOCABULARY = Vocabulary(numbers={"size": (0.0, 10.0), "shift": (0.0, 1.0), "unread": (0.0, 1.0)}, metrics=("error",))


@configuration
class StagedConfig(FaultyConfig):
    curriculum: Stages = knob(("joint:1",), "the stages")


class StagedTask(FaultyTask):
    """Stages shift the targets, or weigh a second loss term, or set what nothing reads."""

    def __init__(self, config: StagedConfig, data: Any, device: torch.device) -> None:
        super().__init__(config, data, device)
        self.clock = clock = StageClock(Curriculum.of(config.curriculum, VOCABULARY), config.steps)
        rate = torch.optim.lr_scheduler.LambdaLR(self.optimizers[0], lambda step: clock.at(step).rate)
        self.schedulers = [rate]

    stage = Task.stage
    staged_batch = Task.staged_batch

    def batch(self, step: int) -> Batch:
        assert self.clock is not None
        rows = FaultyTask.staged_batch(self, step, 0)
        return {**rows, "y": rows["y"] + self.clock.at(step).number("shift")}

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        assert self.clock is not None
        terms = super().losses(model, batch, progress)
        return {**terms, "size": terms["size"] * self.clock.during(progress).number("size")}


class Staged(Faulty):
    Config = StagedConfig

    def curriculum(self, config: FaultyConfig) -> Curriculum:
        assert isinstance(config, StagedConfig)
        return Curriculum.of(config.curriculum, VOCABULARY)

    def task(self, config: FaultyConfig, data: Any, device: torch.device) -> FaultyTask:
        assert isinstance(config, StagedConfig)
        return StagedTask(config, data, device)


STAGED = Staged()


def staged(curriculum: str, **values: Any) -> StagedConfig:
    return make(StagedConfig, {"steps": 200, "eval_every": 40, "curriculum": curriculum, **values})


def trained(config: StagedConfig, store: CheckpointStore | None = None, stop: int | None = None) -> list[Report]:
    return list(Loop(STAGED, config, STAGED.build_data(config), store=store).run(stop))


def stages(reports: list[Report]) -> list[tuple[int, int]]:
    return [(report.step, int(report.facts["stage"])) for report in reports]


def test_there_is_a_report_at_the_end_of_each_stage_and_the_rate_is_the_stage_s() -> None:
    reports = trained(staged("a:1/4,b:1/4:shift=1:rate=0.5,c:1/2:size=1:rate=0.1"))
    assert stages(reports) == [(40, 0), (50, 0), (80, 1), (100, 1), (120, 2), (160, 2), (200, 2)]
    assert [report.facts["learning_rate"] for report in reports] == pytest.approx(
        [0.02, 0.01, 0.01, 0.002, 0.002, 0.002, 0.002]
    )
    assert [report.facts["loss/size"] > 0 for report in reports] == [False] * 4 + [True] * 3


def test_checkpoints_at_the_ends_of_stages_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(Folder.at(str(tmp_path)), attempt=0)
    reports = trained(staged("a:1/4,b:1/4:shift=1,c:1/2:size=1"), store)
    ends = {report.checkpoint for report in reports if report.step in (50, 100, 200)}
    assert ends <= set(store.names())
    assert len(store.names()) < len(reports), "or all are kept"


def test_a_rule_ends_a_stage_and_the_next_begins_there() -> None:
    reports = trained(staged("a:1/2:until=error<=1e9,b:1/4:size=1:until=error<=0,c:1/4:shift=1"))
    assert stages(reports) == [(40, 0), (80, 1), (90, 1), (120, 2), (160, 2), (200, 2)]


def test_a_trial_that_was_killed_goes_on_in_its_stage(tmp_path: Path) -> None:
    config = staged("a:1/2:until=error<=1e9,b:1/4:size=1,c:1/4:shift=1:rate=0.5:ramp=0.5")
    whole = trained(config)
    for attempt, stop in enumerate((80, 120, None)):
        parts = trained(config, CheckpointStore(Folder.at(str(tmp_path)), attempt=attempt), stop)
    assert stages(parts) == stages(whole)
    assert [report.value("validation/error") for report in parts] == [
        report.value("validation/error") for report in whole
    ]
    assert [report.facts["loss"] for report in parts] == [report.facts["loss"] for report in whole]


def test_a_longer_budget_stretches_the_stages(tmp_path: Path) -> None:
    trained(staged("a:1/2,b:1/2:size=1"), CheckpointStore(Folder.at(str(tmp_path)), attempt=0))
    longer = trained(staged("a:1/2,b:1/2:size=1", steps=600), CheckpointStore(Folder.at(str(tmp_path)), attempt=1))
    assert (300, 0) in stages(longer)
    assert longer[-1].facts["stage"] == 1


def test_a_stage_that_changes_nothing_is_named_and_others_are_not() -> None:
    config = staged(
        "a:1/4,shifted:1/4:shift=1,weighed:1/4:shift=1:size=5:ramp=0.5,idle:1/4:shift=1:size=5:unread=1", steps=800
    )
    _, reports = run(STAGED, config, NoOpStage())
    found = [finding.sentence for finding in fired(reports)]
    assert found == [
        "Stage 3 (idle) sets unread, which nothing that trains has read.",
        "Stage 3 (idle) changed neither rows nor gradient against the stage before it on 8 steps looked at.",
    ]


def test_a_stage_that_was_looked_at_too_rarely_is_not_called_checked() -> None:
    _, reports = run(STAGED, staged("a:1/2,b:1/2", eval_every=100), NoOpStage())
    (told,) = [finding for report in reports for finding in report.findings]
    assert not told.failed
    assert told.number == 4
    assert "Of stage 1 (b) no difference was seen on 4 looks, too few to judge it: 8 are needed" in told.sentence


def test_what_is_only_told_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def facts(task: Task, step: int) -> dict[str, float]:
        assert task.clock is not None
        return {"unread": task.clock.at(step - 1).number("unread")}

    monkeypatch.setattr(type(STAGED.task(staged("a:1"), None, torch.device("cpu"))), "facts", facts)
    _, reports = run(STAGED, staged("a:1:unread=1"), NoOpStage())
    assert reports[-1].facts["unread"] == 1
    assert [finding.subject for finding in fired(reports)] == ["stage 0: unread"]


def test_a_term_of_the_last_stage_is_not_named_before_it() -> None:
    config = staged("a:3/4,b:1/4:size=1", eval_every=20)
    _, reports = run(STAGED, config, NoOpTerm())
    assert not list(fired(reports))
    _, reports = run(STAGED, staged("a:3/4,b:1/4:shift=1", eval_every=20), NoOpTerm())
    assert {finding.subject for finding in fired(reports)} == {"size"}
