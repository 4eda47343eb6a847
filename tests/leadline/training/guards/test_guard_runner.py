"""What calls the guards: which steps are looked at, that nothing changes by it, what survives, and
what a guard that fails costs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from leadline.checkpoint import CheckpointStore
from leadline.family import Family
from leadline.finding import Finding
from leadline.storage import Folder
from leadline.task import Batch, Task
from leadline.training.guards.gradients import GradientCoverage
from leadline.training.guards.guard import APART, LOOKS, Guard, Interval, News, looks_at
from leadline.training.guards.no_op import NoOpStage, NoOpTerm
from leadline.training.guards.perturbation import EffectivePerturbation
from leadline.training.guards.sensitivity import InputSensitivity
from leadline.training.guards.standard import every_guard
from leadline.training.loop import Loop
from tests.leadline.toy import TOY
from tests.leadline.training.guards.faulty import FAULTY, config, fired, run
from tests.plugin.line.family import LINE


def looking() -> list[Guard]:
    """Those that look into steps."""
    return [InputSensitivity(), GradientCoverage(), NoOpTerm(), NoOpStage(), EffectivePerturbation()]


def weights(loop: Loop) -> dict[str, Tensor]:
    return loop.task.model.state_dict()


@pytest.mark.parametrize("every", [1, 10, 16, 50, 400, 5000])
@pytest.mark.parametrize("looks", [2, 4, LOOKS])
def test_an_interval_has_about_as_many_looks_as_it_should(every: int, looks: int) -> None:
    for first in range(2 * every + 2, 6 * every, every):
        found = sum(looks_at(step, every, looks) for step in range(first, first + every))
        assert abs(found - min(looks, max(1, every // APART))) <= 2


@pytest.mark.parametrize("every", [16, 50, 100, 400])
@pytest.mark.parametrize("period", [2, 4, 5, 8, 16])
def test_no_place_in_a_period_has_most_of_the_looks(every: int, period: int) -> None:
    """A part that is trained on one step of 16 is then never taken for one that always is."""
    for first in range(2, 4000, 64):
        places = Counter(step % period for step in range(first, first + max(256, 2 * every)) if looks_at(step, every))
        assert len(places) >= min(period, 6)
        assert max(places.values()) <= max(0.25, 1.8 / period) * places.total()


def test_fewer_looks_are_among_more_and_no_period_hides() -> None:
    steps = [step for step in range(16_000) if looks_at(step, 400)]
    assert {step for step in range(16_000) if looks_at(step, 400, 4)} < set(steps)
    for period in (2, 3, 5, 7, 8, 10, 16):
        assert {step % period for step in steps} == set(range(period))


@pytest.mark.parametrize(
    "fields", [{}, {"fault": "unread_stage"}, {"micro_batch": 4}, {"fault": "constant"}, {"labels": True}]
)
def test_training_is_the_same_with_and_without_guards(fields: dict[str, object]) -> None:
    """To the last bit: with dropout, batch norm, noise from torch's generator, and a carry."""
    trial = config(dropout=0.3, stages=4, **fields)
    watched, reports = run(FAULTY, trial, *every_guard())
    alone, others = run(FAULTY, trial)
    assert watched.task.calls > alone.task.calls, "or the guards did nothing"  # type: ignore[attr-defined]
    for name, tensor in weights(watched).items():
        assert torch.equal(tensor, weights(alone)[name]), name
    assert [report.metrics for report in reports] == [report.metrics for report in others]
    assert [report.facts["carry"] for report in reports] == [report.facts["carry"] for report in others]
    assert torch.equal(watched.state()["generators"]["cpu"], alone.state()["generators"]["cpu"])


@pytest.mark.parametrize("fault", ["none", "cached", "dead_term", "unread_stage", "bf16", "constant"])
def test_guards_go_on_after_a_resume_where_they_were(fault: str, tmp_path: Path) -> None:
    trial = config(fault=fault, stages=3, eval_every=40)
    whole, reports = run(FAULTY, trial, *looking())
    store = CheckpointStore(Folder.at(str(tmp_path)))
    first, _ = run(FAULTY, trial, *looking(), store=store)
    store.retain([name for name in store.names() if name.endswith("360")])
    second, resumed = run(FAULTY, trial, *looking(), store=CheckpointStore(Folder.at(str(tmp_path)), 2))
    assert [report.findings for report in resumed] == [report.findings for report in reports]
    assert second.watch.state_dict() == first.watch.state_dict() == whole.watch.state_dict()


@pytest.mark.parametrize("name", ["line", "toy"])
def test_toy_families_are_healthy(name: str) -> None:
    families: dict[str, Family[Any]] = {"line": LINE, "toy": TOY}
    family = families[name]
    _, reports = run(family, family.config({"steps": 200, "eval_every": 50}), *looking())
    assert [report.findings for report in reports] == [()] * 4


class Failing(Guard):
    """Raises where it is told to, after it has drawn from the generator."""

    name = "failing"

    def __init__(self, where: str, calls: int) -> None:
        self.where, self.calls = where, calls

    def _called(self, where: str) -> None:
        torch.rand(1)
        if where == self.where:
            self.calls -= 1
            if self.calls < 0:
                raise RuntimeError(f"lost in {where}\nand more")

    def started(self, task: Task) -> None:
        self._called("started")

    def before_forward(self, step: int) -> None:
        self._called("before_forward")

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        self._called("before_backward")

    def before_update(self, step: int) -> None:
        self._called("before_update")

    def after_update(self, step: int) -> None:
        self._called("after_update")

    def report(self, interval: Interval) -> Iterable[Finding]:
        self._called("report")
        return ()

    def state_dict(self) -> dict[str, Any]:
        self._called("state_dict")
        return {"calls": self.calls}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._called("load_state_dict")


@pytest.mark.parametrize(
    "where", ["started", "before_forward", "before_backward", "before_update", "after_update", "report"]
)
def test_a_guard_that_raises_is_left_out_and_training_goes_on(where: str) -> None:
    loop, reports = run(
        FAULTY, config(fault="cached"), Failing(where, 0 if where == "started" else 1), GradientCoverage()
    )
    alone, _ = run(FAULTY, config(fault="cached"))
    found = [(report.step, finding) for report in reports for finding in report.findings if finding.guard == "failing"]
    assert len(found) == 1
    step, finding = found[0]
    assert step == (200 if where == "report" else 100)
    assert not finding.failed
    assert math.isnan(finding.number)
    assert finding.sentence == f"This guard failed and no longer watches: RuntimeError: lost in {where}"
    assert [guard.name for guard in loop.watch.guards] == ["gradient_coverage"]
    assert list(fired(reports)), "the others go on"
    for name, tensor in weights(loop).items():
        assert torch.equal(tensor, weights(alone)[name]), name


@pytest.mark.parametrize("where", ["state_dict", "load_state_dict"])
def test_a_guard_whose_state_cannot_be_kept_is_left_out_too(where: str, tmp_path: Path) -> None:
    """Checkpoints go on without it, and so does a trial that is resumed from one."""
    trial, folder = config(fault="cached", eval_every=80), Folder.at(str(tmp_path))
    whole, _ = run(FAULTY, trial, GradientCoverage())
    store = CheckpointStore(folder)
    run(FAULTY, trial, Failing(where, 0), GradientCoverage(), store=store)
    store.retain([name for name in store.names() if name.endswith("320")])
    loop, reports = run(FAULTY, trial, Failing(where, 0), GradientCoverage(), store=CheckpointStore(folder, 2))
    assert loop.step == 400
    assert all(torch.equal(tensor, weights(whole)[name]) for name, tensor in weights(loop).items())
    told = [
        (report.step, finding.sentence)
        for report in reports
        for finding in report.findings
        if finding.guard == "failing"
    ]
    sentence = f"This guard failed and no longer watches: RuntimeError: lost in {where}"
    assert told == [(160 if where == "state_dict" else 400, sentence)]
    assert loop.watch.state_dict().keys() == {"gradient_coverage"}


def test_a_state_that_no_longer_fits_costs_the_guard_only(tmp_path: Path) -> None:
    store = CheckpointStore(Folder.at(str(tmp_path)))
    loop, _ = run(FAULTY, config(steps=100), *looking(), store=store)
    state = loop.state()
    state["guards"] = {**state["guards"], "no_op_term": {"of": "another version"}}
    again = Loop(FAULTY, config(), FAULTY.build_data(config()))
    again.restore(state)
    assert "no_op_term" not in again.watch.state_dict()
    reports = list(again.run())
    assert any("KeyError" in finding.sentence for finding in reports[0].findings)


def test_news_are_told_once() -> None:
    news = News()

    def tell(failed: bool, number: float) -> int:
        return len(news.of([Finding("a", failed, number, "", "b")]))

    assert [
        tell(False, 1.0),
        tell(True, 0.5),
        tell(True, 0.5),
        tell(True, 0.4),
        tell(False, 1.0),
        tell(False, 1.0),
    ] == [0, 1, 0, 1, 1, 0]
