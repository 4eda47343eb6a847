"""The training loop: when it reports, what it keeps, how it goes on, and that two workers are one."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from leadline.checkpoint import CheckpointStore
from leadline.config import ConfigError, make
from leadline.measure import Measure, Report
from leadline.storage import Folder
from leadline.task import Batch, Split
from leadline.testing import WHOLE, curve, digest, training_state
from leadline.training.loop import Loop
from leadline.training.step import World
from tests.conftest import two_workers
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CollatzData
from trainables.collatz.family import COLLATZ, CollatzFamily
from trainables.collatz.task import CollatzTask

TINY = {"layers": "16", "lookahead": 20, "batch": 32, "pool": 1024, "steps": 50, "eval_every": 20, "start_seeds": 20}
FALLING = {"skip": True, "anchor": 0, "lookahead": 10, "batch": 64, "steps": 150, "eval_every": 30}
"""Starts at a formula that training at this rate makes worse: the first report is the best."""


def config(**fields: Any) -> CollatzConfig:
    return make(CollatzConfig, {**WHOLE, **TINY, **fields})


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from several threads, which wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data() -> CollatzData:
    return COLLATZ.build_data(config())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.at(str(tmp_path / "trial"))


def trained(data: CollatzData, folder: Folder | None = None, attempt: int = 1, **fields: Any) -> list[Report]:
    return list(Loop(COLLATZ, config(**fields), data, store=CheckpointStore(folder, attempt) if folder else None).run())


def abandoned(data: CollatzData, folder: Folder, attempt: int, reports: int) -> None:
    run = Loop(COLLATZ, config(), data, store=CheckpointStore(folder, attempt)).run()
    for _ in range(reports):
        next(run)


def final(folder: Folder) -> str:
    found = CheckpointStore(folder).newest()
    assert found is not None
    return digest(training_state(found))


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [(50, 20, [20, 40, 50]), (40, 20, [20, 40]), (10, 20, [10]), (3, 1, [1, 2, 3]), (21, 20, [20, 21])],
)
def test_reports_come_at_each_interval_and_at_the_end(
    data: CollatzData, steps: int, every: int, expected: list[int]
) -> None:
    reports = trained(data, steps=steps, eval_every=every)
    assert [report.step for report in reports] == expected
    assert [report.samples for report in reports] == [32 * step for step in expected]
    assert [report.checkpoint for report in reports] == [None] * len(expected)
    assert all(set(report.metrics) == {f"validation/{metric.name}" for metric in COLLATZ.metrics} for report in reports)


def test_the_loss_of_a_report_is_the_mean_since_the_last(data: CollatzData) -> None:
    """Reports of one step each hold the losses themselves."""
    single = trained(data, steps=40, eval_every=1)
    for number, report in enumerate(trained(data, steps=40, eval_every=20)):
        for name in ("loss", "loss/t1", "loss/anchor"):
            expected = sum(one.facts[name] for one in single[20 * number : 20 * number + 20]) / 20
            assert report.facts[name] == pytest.approx(expected, rel=1e-5)
        assert report.facts["loss"] == pytest.approx(report.facts["loss/t1"] + report.facts["loss/anchor"])
        assert report.facts["learning_rate"] == single[20 * number + 19].facts["learning_rate"]


def test_a_resumed_run_tells_its_history_and_ends_the_same(data: CollatzData, folder: Folder, tmp_path: Path) -> None:
    whole = trained(data, Folder.at(str(tmp_path / "whole")))
    abandoned(data, folder, 1, 2)
    lines: list[str] = []
    reports = list(Loop(COLLATZ, config(), data, store=CheckpointStore(folder, 2), log=lines.append).run())
    assert curve(reports) == curve(whole)
    names = ["attempt-01/step-000000020", "attempt-01/step-000000040", "attempt-02/step-000000050"]
    assert [report.checkpoint for report in reports] == names
    assert lines[0] == "resumed from attempt-01/step-000000040"
    assert len([line for line in lines if not line.startswith("validation cost: ")]) == 2, "but for a slow machine's"
    assert final(folder) == final(Folder.at(str(tmp_path / "whole")))
    seconds = [report.seconds for report in reports]
    assert seconds == sorted(seconds)


class Noisy(CollatzTask):
    """Draws from torch's generator at each step, and carries a value from one step to the next."""

    carry = 0.0

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        terms = {
            name: term * (1 + 0.1 * torch.rand(()) + self.carry)
            for name, term in super().losses(model, batch, progress).items()
        }
        self.carry = 0.5 * self.carry + 0.01 * float(terms["t1"].detach())
        return terms

    def state_dict(self) -> dict[str, Any]:
        return {"carry": self.carry}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.carry = state["carry"]


class NoisyFamily(CollatzFamily):
    def task(self, config: CollatzConfig, data: CollatzData, device: torch.device) -> Noisy:
        return Noisy(config, data, device)


def test_the_generator_and_the_carry_go_on_where_they_were(data: CollatzData, folder: Folder, tmp_path: Path) -> None:
    def run(place: Folder, attempt: int) -> Iterator[Report]:
        return Loop(NoisyFamily(), config(), data, store=CheckpointStore(place, attempt)).run()

    whole = list(run(Folder.at(str(tmp_path / "whole")), 1))
    assert curve(whole) != curve(trained(data)), "the noise does something"
    next(run(folder, 1))
    torch.manual_seed(99)
    assert curve(run(folder, 2)) == curve(whole)
    assert final(folder) == final(Folder.at(str(tmp_path / "whole")))


def test_a_finished_run_only_tells_its_history(data: CollatzData, folder: Folder) -> None:
    first = trained(data, folder)
    before = folder.sizes(recursive=True)
    assert [report.to_dict() for report in trained(data, folder, 2)] == [report.to_dict() for report in first]
    assert folder.sizes(recursive=True) == before


def test_a_damaged_latest_checkpoint_costs_one_interval(data: CollatzData, folder: Folder, tmp_path: Path) -> None:
    whole = trained(data, Folder.at(str(tmp_path / "whole")))
    abandoned(data, folder, 1, 2)
    Path(folder.path, "attempt-01/step-000000040/state.pt").write_bytes(b"lost")
    with pytest.warns(UserWarning, match=r"step-000000040/state\.pt"):
        reports = trained(data, folder, 2)
    assert curve(reports) == curve(whole)
    assert reports[1].checkpoint == "attempt-02/step-000000040"
    assert final(folder) == final(Folder.at(str(tmp_path / "whole")))


def test_another_interval_after_a_resume_keeps_to_its_multiples(data: CollatzData, folder: Folder) -> None:
    abandoned(data, folder, 1, 1)
    assert [report.step for report in trained(data, folder, 2, eval_every=15)] == [20, 30, 45, 50]


def steps_kept(folder: Folder) -> list[int]:
    return sorted(int(name.rsplit("-", 1)[1]) for name in CheckpointStore(folder).names())


def test_the_best_and_the_latest_two_are_kept(data: CollatzData, folder: Folder) -> None:
    reports = trained(data, folder, **FALLING)
    scores = [report.metrics["validation/hinge"].value for report in reports]
    assert min(scores) == scores[0], "or this test shows nothing"
    assert steps_kept(folder) == [30, 120, 150]


class Upside(CollatzFamily):
    """Searched by a metric of which more is better."""

    objective = "margin_p5"


def test_the_best_is_the_highest_where_more_is_better(data: CollatzData, folder: Folder) -> None:
    reports = list(Loop(Upside(), config(**FALLING), data, store=CheckpointStore(folder)).run())
    scores = [report.metrics["validation/margin_p5"].value for report in reports]
    assert max(scores) == scores[0], "or this test shows nothing"
    assert steps_kept(folder) == [30, 120, 150]


def test_no_number_is_never_the_best(data: CollatzData, folder: Folder) -> None:
    loop = Loop(COLLATZ, config(steps=80), data, store=CheckpointStore(folder))
    next(loop.task.model.parameters()).data.fill_(math.nan)
    assert len(list(loop.run())) == 4
    assert steps_kept(folder) == [60, 80]


def test_an_attempt_leaves_the_checkpoints_of_others_alone(data: CollatzData, folder: Folder) -> None:
    abandoned(data, folder, 1, 2)
    trained(data, folder, 2, eval_every=5)
    assert [name for name in CheckpointStore(folder).names() if "01/" in name] == [
        "attempt-01/step-000000040",
        "attempt-01/step-000000020",
    ]


@pytest.mark.parametrize("test", [False, True])
def test_the_test_split_is_scored_at_the_end_of_a_confirmation_only(data: CollatzData, test: bool) -> None:
    splits = [
        {name.partition("/")[0] for name in report.metrics} for report in Loop(COLLATZ, config(), data, test=test).run()
    ]
    assert splits == [{"validation"}, {"validation"}, {"validation", "test"} if test else {"validation"}]


class Watched(CollatzTask):
    """Writes down in which mode it was called."""

    modes: set[tuple[str, bool, bool]]

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        self.modes.add(("losses", model.training, torch.is_grad_enabled()))
        assert 0 <= progress < 1
        return super().losses(model, batch, progress)

    def evaluate(self, split: Split) -> dict[str, Measure]:
        self.modes.add(("evaluate", self.model.training, torch.is_grad_enabled()))
        return super().evaluate(split)


class WatchedFamily(CollatzFamily):
    def task(self, config: CollatzConfig, data: CollatzData, device: torch.device) -> Watched:
        found = Watched(config, data, device)
        found.modes = set()
        return found


def test_trains_in_training_mode_and_evaluates_without_gradients(data: CollatzData) -> None:
    loop = Loop(WatchedFamily(), config(), data)
    assert len(list(loop.run())) == 3
    assert isinstance(loop.task, Watched)
    assert loop.task.modes == {("losses", True, True), ("evaluate", False, False)}


def _as_worker(rank: int, folder: str, work: Callable[[World, CollatzData, Path], None]) -> None:
    """Runs in one of two processes that have met in a file."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    work(World(rank, 2), COLLATZ.build_data(config()), Path(folder))
    dist.destroy_process_group()


def _worker(world: World, data: CollatzData, folder: Path) -> None:
    """A run that is abandoned after its first report and goes on, one whose workers choose other
    micro-batches, one not shared.
    """

    def run(attempt: int, **fields: Any) -> Any:
        return Loop(
            COLLATZ, config(**fields), data, store=CheckpointStore(Folder.at(str(folder / "two")), attempt), world=world
        ).run()

    next(run(1))
    reports = [report.to_dict() for report in run(2)]
    (folder / f"worker-{world.rank}.json").write_text(json.dumps(reports))
    loop = Loop(COLLATZ, config(micro_batch="auto", steps=1), data, world=world)
    with mock.patch("leadline.training.loop.fastest", return_value=(16, 8)[world.rank]):
        list(loop.run())
    assert loop.micro_batch == 16, "the first worker's for both"
    with pytest.raises(ConfigError, match=r"^batch: 33 rows cannot be shared by 2 workers"):
        next(Loop(COLLATZ, config(batch=33), data, world=world).run())


def test_two_workers_train_what_one_does(data: CollatzData, tmp_path: Path) -> None:
    """Up to rounding: sums are taken in another order."""
    two_workers(_as_worker, str(tmp_path), _worker)
    first, second = (
        [Report.from_dict(one) for one in json.loads((tmp_path / f"worker-{rank}.json").read_text())] for rank in (0, 1)
    )
    alone = trained(data, Folder.at(str(tmp_path / "one")))
    assert [r.step for r in first] == [r.step for r in second] == [r.step for r in alone]
    for two, one, other in zip(first, alone, second, strict=True):
        assert two.samples == one.samples
        assert two.metrics["validation/hinge"].value == pytest.approx(one.metrics["validation/hinge"].value, abs=1e-5)
        mine, theirs, whole = (
            {
                name: value
                for name, value in report.facts.items()
                if name not in ("guards_share", "scoring_share", "micro_batch")
            }
            for report in (two, other, one)
        )
        assert mine == pytest.approx(whole, rel=1e-5, abs=1e-5)
        assert mine == theirs
    assert not second[-1].metrics, "the first worker evaluates"
    weights, expected = (CheckpointStore(Folder.at(str(tmp_path / name))).newest() for name in ("two", "one"))
    assert weights is not None
    assert expected is not None
    assert weights.state["model"].keys() == expected.state["model"].keys()
    for name, tensor in expected.state["model"].items():
        torch.testing.assert_close(weights.state["model"][name], tensor, rtol=0, atol=1e-5)


def test_an_evaluation_that_leaves_out_a_declared_metric_is_named(data: CollatzData) -> None:
    loop = Loop(COLLATZ, config(steps=1), data)
    whole = loop.task.evaluate
    loop.task.evaluate = lambda split: {name: measure for name, measure in whole(split).items() if name != "hinge"}  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="evaluate: returned no 'hinge', which collatz declares"):
        next(loop.run())
