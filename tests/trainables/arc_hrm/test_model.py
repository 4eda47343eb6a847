"""Sizes by formula, the loss, the learning rate, micro-batches, precision and recomputation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from leadline.config import ConfigError
from leadline.training.memory_plan import needed
from leadline.training.step import Trainer, World
from trainables.arc_hrm.config import ArcHRMConfig
from trainables.arc_hrm.family import ARC_HRM
from trainables.arc_hrm.losses import IGNORED, cross_entropy, targets, terms
from trainables.arc_hrm.model import POSITIONS, ArcHRM, Thought, parameter_count
from trainables.arc_hrm.task import ArcHRMTask, rate
from trainables.puzzles.data import PuzzleData

LOG: dict[str, Any] = {"hidden": 256, "heads": 8, "h_layers": 4, "l_layers": 3}
SMALL: dict[str, Any] = {
    "train_boards": 48,
    "validation_boards": 8,
    "test_boards": 8,
    "hidden": 32,
    "batch": 8,
    "steps": 100,
}
UNIT = 2.0**-8
"""The largest relative error of rounding to bfloat16, whose significand has 8 bits."""
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> PuzzleData:
    return ARC_HRM.build_data(ARC_HRM.config(SMALL))


def made(data: PuzzleData, **fields: Any) -> ArcHRMTask:
    config = ARC_HRM.config({**SMALL, **fields})
    torch.manual_seed(config.seed)  # as the loop does
    return ARC_HRM.task(config, data, CPU)


def gradients(task: ArcHRMTask) -> dict[str, Tensor]:
    return {name: one.grad.clone() for name, one in task.net.named_parameters() if one.grad is not None}


def distance(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The relative L2 distance over all tensors."""
    assert found.keys() == expected.keys()
    error = torch.cat([(found[name] - value).flatten() for name, value in expected.items()]).norm()
    return float(error / torch.cat([value.flatten() for value in expected.values()]).norm())


def test_the_published_size() -> None:
    """6,947,597 numbers, 1,280,000 of which are the fixed table of positions."""
    net = ArcHRM(ArcHRMConfig(**LOG), 12)
    trained = sum(tensor.numel() for tensor in net.parameters() if tensor.requires_grad)
    fixed = sum(tensor.numel() for tensor in net.buffers())
    assert (trained, fixed, trained + fixed) == (5_667_597, 1_280_000, 6_947_597)
    assert parameter_count(256, 7, 12) == trained
    assert fixed == POSITIONS * 256


@pytest.mark.parametrize(("hidden", "layers"), [(8, (1, 1)), (24, (3, 2))])
def test_sizes_follow_the_formula(hidden: int, layers: tuple[int, int]) -> None:
    config = ArcHRMConfig(hidden=hidden, h_layers=layers[0], l_layers=layers[1])
    net = ARC_HRM.model(config)
    assert sum(tensor.numel() for tensor in net.parameters()) == parameter_count(hidden, sum(layers), 6)


def test_label_smoothing_and_padding() -> None:
    """(1 - s) * onehot + s / V by hand; a cell that is ignored costs nothing."""
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0, 4, 2], [1, 0, IGNORED]])
    said = logits.log_softmax(-1)
    for pad in ("class", "ignored"):
        counted = targets(labels, pad)
        for smoothing in (0.0, 0.1, 0.9):
            found = cross_entropy(logits, counted, smoothing)
            for row, cell in [(i, j) for i in range(2) for j in range(3)]:
                label = int(labels[row, cell])
                if label == IGNORED or (pad == "ignored" and label == 0):
                    assert found[row, cell] == 0
                    continue
                wanted = torch.full((5,), smoothing / 5)
                wanted[label] += 1 - smoothing
                assert float(found[row, cell]) == pytest.approx(float(-(wanted * said[row, cell]).sum()), rel=1e-5)


def test_all_of_a_label_s_weight_cannot_be_smoothed_away() -> None:
    with pytest.raises(ConfigError, match=r"^label_smoothing: input should be less than 1 \(got 1\.0\)$"):
        ARC_HRM.config({"label_smoothing": 1.0})


def test_the_penalty_is_the_mean_over_rows_and_cycles() -> None:
    halt = torch.tensor([[0.2, 0.4], [0.6, 0.8]])
    said = Thought(torch.zeros(2, 1, 3), halt, torch.tensor([2, 2]))
    found = terms(said, torch.zeros(2, 1, dtype=torch.int64), torch.ones(2), 0.0, 0.01)
    assert float(found["halting"]) == pytest.approx(0.01 * 0.5)
    assert float(found["cross_entropy"]) == pytest.approx(math.log(3))


@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_warm_restarts_by_their_closed_form(warmup: float, data: PuzzleData) -> None:
    """Also against torch's own scheduler, step by step."""
    period, lr = 20, 2e-3
    task = made(data, schedule="restarts", restart_period=period, lr=lr, warmup=warmup)
    rising = round(warmup * 100)
    found = []
    for _ in range(100):
        found.append(task.optimizers[0].param_groups[0]["lr"])
        task.optimizers[0].step()
        task.schedulers[0].step()
    assert found[:rising] == pytest.approx([lr * (step + 1) / (rising + 1) for step in range(rising)])
    after = [lr * 0.5 * (1 + math.cos(math.pi * (step % period) / period)) for step in range(100 - rising)]
    assert found[rising:] == pytest.approx(after)
    assert [step for step, value in enumerate(found) if value == lr] == list(range(rising, 100, period))
    other = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(other, period)
    for value in found[rising:]:
        assert value == pytest.approx(other.param_groups[0]["lr"])
        other.step()
        theirs.step()


def test_a_constant_rate_after_the_warm_up() -> None:
    config = ArcHRMConfig(steps=50, warmup=0.1)
    assert [rate(config, step) for step in range(7)] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1])
    assert rate(ArcHRMConfig(steps=50, warmup=0.0), 0) == 1


@pytest.mark.parametrize("pad", ["class", "ignored"])
@pytest.mark.parametrize("rows", [4, 2, 3])
def test_accumulated_gradients_are_those_of_the_batch(data: PuzzleData, rows: int, pad: str) -> None:
    """Parts of 4, 2 and (with a smaller last one) 3 of 8 rows, where none stops early.

    Some labels are made PAD, so that rows differ in the cells that count.
    """
    found = []
    for size in (0, rows):
        task = made(data, micro_batch=size, pad=pad, clip=0.0, label_smoothing=0.1)
        batch = task.batch(0)
        batch["labels"] = batch["labels"].clone()
        for row in range(8):
            batch["labels"][row, :row] = 0 if pad == "class" else IGNORED
        batch["weight"] = torch.full((8,), 8 / int((batch["labels"] != IGNORED).sum()))
        trainer = Trainer(task, task.config, CPU, World(), [])
        trainer.optimize(batch)
        assert float(task._cycles.min()) == task.config.max_cycles
        found.append(gradients(task))
    assert 0 < distance(found[1], found[0]) < 3e-6


def test_rows_of_a_micro_batch_stop_together(data: PuzzleData) -> None:
    """With a threshold between two boards' probabilities, other parts run other cycles."""
    task = made(data)
    task.net.eval()
    batch = task.batch(0)
    with torch.no_grad():
        after_two = task.net(batch["inputs"]).halt[1]
    order = after_two.argsort()
    batch = {name: tensor[order] for name, tensor in batch.items()}
    threshold = float(after_two.mean())
    cycles = {}
    for rows in (8, 4):
        again = made(data, halt_threshold=threshold + 1e-6)
        again.net.load_state_dict(task.net.state_dict())
        again.net.eval()
        for first in range(0, 8, rows):
            part = {name: tensor[first : first + rows] for name, tensor in batch.items()}
            again.losses(again.net, part, 0.0)
        again.after_step(1)
        (total, count) = again.tallies()["train/cycles"].tolist()
        assert count == 8
        cycles[rows] = total
    assert cycles[8] == 8 * task.config.max_cycles
    assert cycles[4] == 4 * 2 + 4 * task.config.max_cycles, "the upper half stops at once"


def test_clipping_bounds_the_sum_of_all_micro_batches(data: PuzzleData) -> None:
    task = made(data, micro_batch=2, clip=0.01)
    Trainer(task, task.config, CPU, World(), []).optimize(task.batch(0))
    norm = torch.cat([gradient.flatten() for gradient in gradients(task).values()]).norm()
    assert float(norm) == pytest.approx(0.01, rel=1e-4)


def backward(data: PuzzleData, **fields: Any) -> dict[str, Tensor]:
    task = made(data, **{"dropout": 0.2, "h_layers": 2, **fields})
    torch.manual_seed(3)
    torch.autograd.backward(list(task.losses(task.model.train(), task.batch(0), 0.0).values()))
    return gradients(task)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recomputation_changes_no_bit(data: PuzzleData, precision: str) -> None:
    """Dropout included."""
    plain, again = (backward(data, precision=precision, recompute=recompute) for recompute in (False, True))
    assert plain.keys() == again.keys()
    assert len(plain) == sum(1 for _ in made(data, h_layers=2).net.parameters())
    assert all(torch.equal(gradient, again[part]) for part, gradient in plain.items())


def test_bfloat16_rounds(data: PuzzleData) -> None:
    """A gradient passes 4 cycles of 3 layers of 4 products and 2 between them, forward and back.

    Errors of so many roundings, independent of each other, add up as the root of their number.
    """
    exact, rounded = (backward(data, dropout=0.0, precision=precision) for precision in ("float32", "bfloat16"))
    assert 0 < distance(rounded, exact) < (4 * (3 * 4 + 2) * 3) ** 0.5 * UNIT
    assert all(gradient.dtype == torch.float32 for gradient in rounded.values())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_states_and_halting_are_in_float32(data: PuzzleData, precision: str) -> None:
    task = made(data, precision=precision)
    seen: list[torch.dtype] = []
    task.net.l_norm.register_forward_hook(lambda _, inputs, output: seen.extend((inputs[0].dtype, output.dtype)))
    said = task.net(task.batch(0)["inputs"])
    assert set(seen) == {torch.float32}
    assert len(seen) == 2 * task.config.max_cycles
    assert said.halt.dtype == said.logits.dtype == torch.float32
    assert not torch.equal(said.halt.to(torch.bfloat16).float(), said.halt)


def test_all_cycles_are_counted_in_the_memory_that_a_step_is_said_to_need(data: PuzzleData) -> None:
    """Whether a row stops is not known beforehand, so the plan takes it that none does."""
    activations = [needed(ARC_HRM, made(data, max_cycles=cycles).config, data, CPU).activations for cycles in (2, 4, 8)]
    assert activations[2] > 1.7 * activations[1] > 1.7**2 * activations[0]
