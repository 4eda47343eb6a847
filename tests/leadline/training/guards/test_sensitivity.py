"""Input sensitivity: a constant is named, whatever it scores; a healthy model is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from leadline.checkpoint import CheckpointStore
from leadline.storage import Folder
from leadline.task import Batch
from leadline.training.guards.sensitivity import InputSensitivity, distinct
from tests.leadline.training.guards.faulty import FAULTY, Faulty, FaultyConfig, FaultyTask, Net, config, fired, run


def counts(inputs: list[Tensor], output: Tensor) -> list[int]:
    found: list[int] = distinct(inputs, output).tolist()
    return found


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("labels", [False, True])
def test_a_constant_is_named(labels: bool, dropout: float) -> None:
    """Also where dropout makes its outputs differ in training."""
    _, reports = run(FAULTY, config(fault="constant", labels=labels, batch=32, dropout=dropout), InputSensitivity())
    found = next(fired(reports))
    assert found.guard == "input_sensitivity"
    assert found.number < 0.1
    assert "the model says the same of all" in found.sentence


@pytest.mark.parametrize(
    "fields", [{}, {"labels": True, "batch": 32}, {"dropout": 0.5}, {"batch": 4}, {"micro_batch": 4}]
)
def test_a_healthy_model_is_not(fields: dict[str, Any]) -> None:
    _, reports = run(FAULTY, config(**fields), InputSensitivity())
    assert not [finding for report in reports for finding in report.findings]


class NoisyTask(FaultyTask):
    """Notes in which mode the model is called; in training its output has noise of a generator of its own."""

    def __init__(self, config: FaultyConfig, data: Any, device: torch.device) -> None:
        super().__init__(config, data, device)
        self.modes: list[bool] = []
        self.model.register_forward_hook(self._noisy)

    def _noisy(self, model: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        self.modes.append(model.training)
        noise = torch.randn(output.shape, generator=torch.Generator().manual_seed(len(self.modes)))
        return output + noise if model.training else output


class Noisy(Faulty):
    def task(self, config: FaultyConfig, data: Any, device: torch.device) -> FaultyTask:
        return NoisyTask(config, data, device)


def test_the_look_is_in_evaluation_mode() -> None:
    loop, reports = run(Noisy(), config(fault="constant", steps=100), InputSensitivity())
    assert list(fired(reports))
    assert isinstance(loop.task, NoisyTask)
    assert loop.task.modes.count(True) == 100, "every step trains in training mode"
    looks = loop.task.modes.count(False) - 1  # the evaluation of the last report
    assert 2 <= looks <= 6


def test_large_batches_are_looked_at_every_64_steps_at_most(tmp_path: Path) -> None:
    """Each look costs a forward pass of the batch; also where the trial is resumed between two looks."""
    trial = config(fault="constant", batch=256, steps=256, eval_every=16)
    store = CheckpointStore(Folder.at(str(tmp_path)))
    loop, reports = run(Noisy(), trial, InputSensitivity(), store=store)
    assert isinstance(loop.task, NoisyTask)
    assert list(fired(reports[:2]))
    assert 2 <= loop.task.modes.count(False) - len(reports) <= 4
    store.retain([name for name in store.names() if name.endswith("240")])
    resumed, _ = run(Noisy(), trial, InputSensitivity(), store=CheckpointStore(Folder.at(str(tmp_path)), 2))
    assert resumed.step == 256
    assert resumed.watch.state_dict() == loop.watch.state_dict()


def test_labels_are_not_judged_on_a_few_rows() -> None:
    """Two looks at 2 rows of one class say nothing, so a report of them is silent, and adds to what
    the next one sees.
    """
    _, reports = run(
        FAULTY, config(fault="constant", labels=True, batch=16, steps=200, eval_every=50), InputSensitivity()
    )
    assert not reports[0].findings
    assert list(fired(reports))


def test_a_fault_that_passes_is_taken_back() -> None:
    """The network begins to look at its input after half of the budget."""
    loop, reports = run(Waking(), config(fault="constant"), InputSensitivity())
    told = [(report.step, finding.failed) for report in reports for finding in report.findings]
    assert told[0] == (100, True)
    assert told[-1][0] > 200
    assert not told[-1][1]
    assert not loop.task.model._forward_hooks, "no hook stays behind"


class WakingTask(FaultyTask):
    def after_step(self, step: int) -> None:
        super().after_step(step)
        if step == 200:
            assert isinstance(self.model, Net)
            self.model.fault = "none"


class Waking(Faulty):
    def task(self, config: FaultyConfig, data: Any, device: torch.device) -> FaultyTask:
        return WakingTask(config, data, device)


def test_a_model_whose_output_is_unknown_is_said_once_to_be_out_of_reach() -> None:
    _, reports = run(FAULTY, config(fault="not_a_tensor"), InputSensitivity())
    (found,) = [finding for report in reports for finding in report.findings]
    assert not found.failed
    assert found.sentence == "Not applicable: predictions: the model returns dict; say what of it counts."


class AroundTask(FaultyTask):
    """Calls parts of the model, never the model."""

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        return {"fit": model.decoder(model.encoder(batch["x"])).square().mean()}  # type: ignore[operator]


class Around(Faulty):
    def task(self, config: FaultyConfig, data: Any, device: torch.device) -> FaultyTask:
        return AroundTask(config, data, device)


def test_so_is_one_that_the_loss_goes_around() -> None:
    loop, reports = run(Around(), config(), InputSensitivity())
    (found,) = [finding for report in reports for finding in report.findings]
    assert "does not call the model itself" in found.sentence
    assert not loop.task.model._forward_hooks


def test_equal_input_rows_are_exempt() -> None:
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0], [3.0, -4.0]])
    assert counts([x], x.sum(1)) == [3, 3]
    assert counts([x], torch.arange(4)) == [3, 3], "of equal inputs, as under dropout, one counts"
    assert counts([x], torch.tensor([0, 0, 1, 1])) == [3, 2]
    assert counts([x[:, :1], x[:, 1:].double()], x) == [3, 3], "several tensors are one row"
    assert counts([torch.tensor([[0.0], [-0.0]])], torch.ones(2, 1)) == [1, 1]


def test_outputs_equal_up_to_rounding_are_one() -> None:
    x = torch.arange(200.0)[:, None]
    assert counts([x], 40 + x * 1e-7) == [200, 1]
    assert counts([x], 40 + x * 1e-3) == [200, 200]
    assert counts([x], torch.zeros(200, 3)) == [200, 1]
    assert counts([x], torch.full((200,), float("nan"))) == [0, 0], "nothing is said of what is not a number"


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.uint8, torch.bool, torch.float16, torch.bfloat16, torch.float64, torch.complex64]
)
def test_rows_of_any_type_are_told_apart(dtype: torch.dtype) -> None:
    x = (torch.arange(128)[:, None] >> torch.arange(7) & 1).to(dtype)
    assert counts([x], torch.arange(128)) == [128, 128]


def test_many_similar_rows_have_no_equal_fingerprints() -> None:
    x = torch.zeros(4096, 110)
    x[:, 7] = torch.arange(4096) / 64
    assert counts([x], x[:, 7].long()) == [4096, 64]
