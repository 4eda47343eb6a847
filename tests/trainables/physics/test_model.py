"""The networks: their sizes, what they begin as, and what they read."""

from __future__ import annotations

import math

import pytest
import torch

from leadline.config import ConfigError
from tests.trainables.physics.conftest import LOGGED, MakeTask
from trainables.physics.family import PHYSICS
from trainables.physics.features import features, states_of
from trainables.physics.model import sinusoids
from trainables.physics.presets import logged
from trainables.physics.world import PARAMETERS


def test_the_logs_transformer_has_4751641_parameters() -> None:
    """25 -> 256, six blocks of 789,760 (attention 263,168, perceptron 525,568, norms 1,024), 256 -> 25."""
    model = PHYSICS.model(logged())
    each = 4 * (256 * 256 + 256) + (256 * 1024 + 1024 + 1024 * 256 + 256) + 2 * 2 * 256
    assert each == 789_760
    assert sum(p.numel() for p in model.blocks[0].parameters()) == each
    assert sum(p.numel() for p in model.parameters()) == (25 + 1) * 256 + 6 * each + (256 + 1) * 25 == 4_751_641


def test_sinusoids_are_those_of_the_formula() -> None:
    found = sinusoids(4, 6)
    for position in range(4):
        for column in range(6):
            angle = position / 10000 ** (2 * (column // 2) / 6)
            expected = math.sin(angle) if column % 2 == 0 else math.cos(angle)
            assert float(found[position, column]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("target", "predictor"), [("reflected", "reflected"), ("ballistic", "ballistic")])
def test_an_untrained_network_is_the_flight_that_it_adds_to(make_task: MakeTask, target: str, predictor: str) -> None:
    task = make_task(target=target)
    found = task.evaluate("validation")
    trivial = PHYSICS.baselines(task.config, task.data, "validation")[predictor]
    for name in ("nrmse", "energy", "novel_nrmse"):
        assert found[name].value == pytest.approx(trivial[name].value, rel=1e-5)


def test_a_raw_target_begins_at_the_mean(make_task: MakeTask) -> None:
    task = make_task(target="raw")
    trivial = PHYSICS.baselines(task.config, task.data, "validation")["mean"]
    assert task.evaluate("validation")["nrmse"].value == pytest.approx(trivial["nrmse"].value, rel=0.05)


@pytest.mark.parametrize("given", [True, False])
def test_the_world_is_read_where_it_is_given(make_task: MakeTask, given: bool) -> None:
    task = make_task(world_given=given)
    torch.nn.init.ones_(task.net.get_parameter("answer.weight"))
    batch = task.batch(0)
    inputs = (batch["seen"], batch["flight"], batch["balls"])
    other = batch["world"] * 1.1
    same = torch.equal(task.model(*inputs, batch["world"]), task.model(*inputs, other))
    assert same is not given


def test_the_logs_layout_does_not_read_the_flight(make_task: MakeTask) -> None:
    task = make_task(**LOGGED)
    batch = task.batch(0)
    first = task.model(batch["seen"], batch["flight"], batch["balls"], batch["world"])
    assert first.shape == (16, 10, 25)
    assert torch.equal(first, task.model(batch["seen"], batch["flight"] + 1, batch["balls"], batch["world"]))


def test_features_are_those_of_the_log() -> None:
    states = torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]])
    world = torch.zeros(1, len(PARAMETERS))
    world[0, PARAMETERS.index("gravity")] = -10.0
    found = features(states, torch.tensor([[[2.0, 0.1, 1.0]]]), world, dt=0.5, first=3)
    assert found.flatten().tolist() == pytest.approx([1.5, 1.0, 2.0, 3.0, 4.0, 2.0, 0.1, 25.0, 40.0])
    assert torch.equal(states_of(found), states)


def test_balls_that_are_not_there_are_not_read(make_task: MakeTask) -> None:
    task = make_task(fewest=1, batch=64)
    torch.nn.init.ones_(task.net.get_parameter("answer.weight"))
    batch = task.batch(0)
    absent = batch["balls"][..., 2] == 0
    assert absent.any()
    assert (batch["seen"].transpose(1, 2)[absent] == 0).all()
    terms = task.raw_terms(batch["future"] + 5 * absent[:, None, :, None], batch)
    assert float(terms["data"]) == 0


def test_heads_divide_the_width() -> None:
    with pytest.raises(ConfigError, match=r"^heads: 4 do not divide a width of 30$"):
        PHYSICS.config({"width": 30})
