"""Scores on grids: PAD is no target, new rules have a column of their own, and tasks are the units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from leadline.config import ConfigError, make
from trainables.grids.grid import PAD
from trainables.puzzles.data import PuzzleData, build
from trainables.puzzles.puzzle import Boards
from trainables.puzzles.scoring import by_unit, divided
from trainables.recursive import losses
from trainables.recursive.baselines import baselines
from trainables.recursive.config import ETRMConfig, TRMConfig
from trainables.recursive.family import ETRM_FAMILY, TRM_FAMILY
from trainables.recursive.model import RecursiveNet, network
from trainables.recursive.scoring import exponents, probed, score, tensors

SMALL: dict[str, Any] = {
    "task": "rules",
    "size": 5,
    "demonstrations": 2,
    "train_rules": 6,
    "train_boards": 60,
    "validation_boards": 24,
    "test_boards": 24,
    "batch": 8,
    "hidden": 16,
    "heads": 2,
    "round_to": 16,
    "context_tokens": 4,
    "encoder_layers": 1,
    "halt_max_steps": 2,
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def config() -> ETRMConfig:
    return make(ETRMConfig, SMALL)


@pytest.fixture(scope="module")
def data(config: ETRMConfig) -> PuzzleData:
    return build(config)


class Told(nn.Module):
    """Answers boards as it was told to, whatever it reads, with PAD replaced by junk."""

    def __init__(self, net: RecursiveNet, boards: Boards, answers: Any) -> None:
        super().__init__()
        self.net, self.config, self.shape, self.prefix = net, net.config, net.shape, net.prefix
        self.shown, self.learns_to_continue = net.shown, net.learns_to_continue
        self.answers = {board.tobytes(): answer for board, answer in zip(boards.inputs, answers, strict=True)}

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name) if name in ("net", "_modules") else getattr(self.net, name)

    def forward(self, inputs: Tensor, puzzles: Tensor, z_h: Tensor, z_l: Tensor, segments: int, **shown: Any) -> Any:
        said = self.net(inputs, puzzles, z_h, z_l, segments, **shown)
        own = np.stack([self.answers[board.numpy().astype(np.uint8).tobytes()] for board in inputs])
        logits = nn.functional.one_hot(torch.from_numpy(own.astype(np.int64)), said.logits.shape[-1]).float()
        return said._replace(logits=logits.expand_as(said.logits))


def _scores(config: Any, boards: Boards, answers: Any, perturbed: int = 8) -> dict[str, float]:
    told: Any = Told(network(config).eval(), boards, answers)
    return {name: measure.value for name, measure in score(told, boards, perturbed, CPU).items()}


def test_what_stands_where_the_label_is_pad_does_not_count(config: ETRMConfig, data: PuzzleData) -> None:
    """But a colour that makes the grid larger is another shape."""
    boards = data.validation
    beside = np.where(boards.labels == PAD, 1, boards.labels)
    larger = np.where(boards.labels == 1, 5, boards.labels)
    right, wrong = _scores(config, boards, beside), _scores(config, boards, larger)
    assert (right["exact"], right["exact_new"], right["accuracy"], right["shape"]) == (1, 1, 1, 1)
    assert wrong["exact"] < 1
    assert wrong["shape"] < 1


def test_trained_and_new_rules_have_a_column_each(config: ETRMConfig, data: PuzzleData) -> None:
    boards, puzzle = data.test, data.puzzle
    known, new = divided(puzzle, boards)
    assert (len(known), len(new)) == (24, 24)
    half = np.where(puzzle.new(boards)[:, None], boards.inputs, boards.labels)
    found = _scores(config, boards, half)
    assert (found["exact"], found["robust"], found["exact_new"]) == (1, 1, 0)
    told: Any = Told(network(config).eval(), boards, half)
    measures = score(told, boards, 8, CPU)
    assert measures["exact"].n == 24
    assert measures["exact_new"].n == len(set(puzzle.tasks(new).tolist()))  # type: ignore[union-attr]
    assert probed(data, "test") == 24


def test_baselines_are_scored_as_trials_are(config: ETRMConfig, data: PuzzleData) -> None:
    """On the same boards, cells and units."""
    boards = data.validation
    for name, measures in baselines(data, "validation").items():
        predicted = data.puzzle.predictors(data.train)[name](boards)
        told: Any = Told(network(config).eval(), boards, predicted)
        own = score(told, boards, probed(data, "validation"), CPU)
        for metric in ("exact", "exact_new", "shape", "robust"):
            assert own[metric].to_dict(units=True) == measures[metric].to_dict(units=True), (name, metric)
        # A network's share is a float32.
        assert own["accuracy"].units == pytest.approx(measures["accuracy"].units, abs=1e-6)
    assert baselines(data, "validation")["all PAD"]["accuracy"].value == 0


def test_labels_that_are_pad_are_no_targets(config: ETRMConfig, data: PuzzleData) -> None:
    rows = tensors(data.puzzle.rows(data.train, np.arange(9)), CPU)
    assert not (rows["labels"] == PAD).any()
    np.testing.assert_array_equal(rows["labels"] == losses.IGNORED, data.train.labels[:9] == PAD)
    task = ETRM_FAMILY.task(config, ETRM_FAMILY.build_data(config), CPU)
    assert not (task.batch(0)["labels"] == PAD).any()


def test_tasks_are_the_units_on_arc() -> None:
    fields = {"task": "arc", "size": 10, "train_boards": 40, "validation_boards": 60, "batch": 8}
    data = build(make(TRMConfig, fields))
    boards, puzzle = data.validation, data.puzzle
    numbers = puzzle.tasks(boards)
    assert numbers is not None
    right = np.arange(len(boards)) % 2
    values = by_unit(right.astype(np.float64), puzzle.units(boards))
    assert values.tolist() == [right[numbers == task].mean() for task in np.unique(numbers)]
    assert baselines(data, "validation")["the input"]["exact"].n == len(np.unique(numbers)) < len(boards)
    assert "exact_new" not in baselines(data, "validation")["the input"]


def test_where_every_task_is_new_nothing_is_set_apart() -> None:
    """With ARC's inductive protocol `exact` is on tasks that nobody was trained on."""
    fields = {"task": "arc", "size": 10, "protocol": "inductive", "train_boards": 40, "batch": 8}
    data = build(make(ETRMConfig, fields))
    known, new = divided(data.puzzle, data.validation)
    assert len(known) == len(data.validation)
    assert not len(new)


def test_a_network_without_demonstrations_has_no_score_on_new_rules() -> None:
    own = {name: SMALL[name] for name in SMALL if name not in ("context_tokens", "encoder_layers")}
    config = make(TRMConfig, {**own, "puzzle_emb": 16})
    assert config.unused() == ["demonstrations=2 has no effect on a network that reads none"]
    data = TRM_FAMILY.build_data(config)
    found = TRM_FAMILY.task(config, data, CPU).evaluate("validation")
    assert "exact_new" not in found
    assert found["shape"].n == 24


def test_a_predicted_grid_is_what_stands_at_the_corner(config: ETRMConfig, data: PuzzleData) -> None:
    """What a network says beside it was never a target."""
    boards, puzzle = data.validation, data.puzzle
    small = int(np.flatnonzero((boards.labels == PAD).any(1))[0])
    told: Any = Told(network(config).eval(), boards, np.where(boards.labels == PAD, 7, boards.labels))
    shown = [
        [puzzle.show(grid.astype(np.uint8)) for grid in pair]
        for pair in zip(*(boards.extra[name][small] for name in ("demo_inputs", "demo_labels")), strict=True)
    ]
    given = {"query": puzzle.show(boards.inputs[small]), "demonstrations": shown}
    answer = ETRM_FAMILY.predict(told, given, config)
    assert answer.board == puzzle.show(boards.labels[small])
    assert answer.valid is None, "nobody knows"


def test_a_network_with_embeddings_asks_for_the_task() -> None:
    fields = {name: SMALL[name] for name in SMALL if name != "encoder_layers"}
    config = make(ETRMConfig, {**fields, "encoder": "lookup"})
    torch.manual_seed(0)
    net = ETRM_FAMILY.model(config).eval()
    nn.init.normal_(net.get_parameter("puzzle.weight"), std=3.0)
    example = ETRM_FAMILY.example(config)
    assert example["task"] == "background 2"
    nn.init.normal_(net.get_parameter("q_head.weight"))
    one, other = (ETRM_FAMILY.predict(net, {**example, "task": task}, config) for task in ("background 2", "keep 3"))
    assert one.q_halt != other.q_halt
    for wrong, message in (
        (
            {**example, "task": "recolour 30"},
            "inputs: task: no rule 'recolour 30' is trained on; they are ",
        ),
        ({name: example[name] for name in ("query", "demonstrations")}, "inputs: needs `task`"),
    ):
        with pytest.raises(ConfigError, match="^" + message):
            ETRM_FAMILY.predict(net, wrong, config)


def test_exponents_are_of_z_h_alone_where_there_is_no_z_l(data: PuzzleData) -> None:
    """Places that outweigh z_H make its map forget it; what stays as it is would have an exponent of 0."""
    net = network(make(ETRMConfig, {**SMALL, "l_cycles": 0})).eval()
    with torch.no_grad():
        net.place.weight.mul_(100)
    assert exponents(net, data.validation, CPU).max() < -1
