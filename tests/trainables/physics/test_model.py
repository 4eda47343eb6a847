"""The networks: their sizes, what they begin as, and what they read."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from leadline.config import ConfigError
from tests.trainables.physics.conftest import LOGGED, MakeTask
from trainables.physics.family import PHYSICS
from trainables.physics.features import features, states_of
from trainables.physics.model import Block, LoggedTransformer, sinusoids
from trainables.physics.presets import logged
from trainables.physics.world import PARAMETERS


def test_the_logs_transformer_has_4751641_parameters() -> None:
    """25 -> 256, six blocks of 789,760 (attention 263,168, perceptron 525,568, norms 1,024), 256 -> 25."""
    model = PHYSICS.model(logged())
    each = 4 * (256 * 256 + 256) + (256 * 1024 + 1024 + 1024 * 256 + 256) + 2 * 2 * 256
    assert each == 789_760
    assert sum(p.numel() for p in model.blocks[0].parameters()) == each
    assert sum(p.numel() for p in model.parameters()) == (25 + 1) * 256 + 6 * each + (256 + 1) * 25 == 4_751_641


def test_a_block_is_the_encoder_layer_of_torch_normed_after() -> None:
    """With ReLU and an epsilon of 1e-6, as Keras has it; in float64, where torch's own 1e-5 would be seen."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        16, 4, 48, dropout=0.0, activation="relu", layer_norm_eps=1e-6, batch_first=True, norm_first=False
    ).double()
    block = Block(16, 4, 3, 0.0).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    whole = dict(layer.named_parameters())
    places = {"qkv.": "self_attn.in_proj_", "out.": "self_attn.out_proj.", "up.": "linear1.", "down.": "linear2."}
    places |= {"norms.0.": "norm1.", "norms.1.": "norm2."}
    block.load_state_dict(
        {own + part: whole[theirs + part] for own, theirs in places.items() for part in ("weight", "bias")}
    )
    tokens = torch.randn(3, 5, 16, dtype=torch.float64)
    torch.testing.assert_close(block(tokens), layer(tokens), rtol=1e-10, atol=1e-10)


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


def test_features_are_normalised_by_the_training_rows(make_task: MakeTask) -> None:
    """To a mean of 0 and a standard deviation of 1; raw units are left alone."""
    task, raw = make_task(**LOGGED), make_task(**LOGGED, units="raw")
    assert isinstance(task.net, LoggedTransformer)
    assert isinstance(raw.net, LoggedTransformer)
    train = task.sampler.rows(np.arange(len(task.data.physics.train)))
    rows = features(train["future"], train["balls"], train["world"], 0.04, 10).flatten(0, 1).double()
    torch.testing.assert_close(task.net.feature_center.double(), rows.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(task.net.feature_scale.double(), rows.std(0, correction=0), rtol=1e-4, atol=0.0)
    normal = (rows - task.net.feature_center) / task.net.feature_scale
    torch.testing.assert_close(normal.mean(0), torch.zeros(25, dtype=torch.float64), rtol=0.0, atol=1e-4)
    torch.testing.assert_close(normal.std(0, correction=0), torch.ones(25, dtype=torch.float64), rtol=1e-4, atol=0.0)
    assert (raw.net.feature_center == 0).all()
    assert (raw.net.feature_scale == 1).all()


def test_units_are_the_spread_of_the_training_rows(make_task: MakeTask) -> None:
    """Of the balls that are there, in the frames ahead; the network's and those of the data are the same."""
    task = make_task(fewest=1)
    windows, units = task.data.physics.train, task.data.units
    ahead = windows.states[:, 10:].astype(np.float64)
    rows = np.concatenate([ahead[:, :, ball][windows.present[:, ball]].reshape(-1, 4) for ball in range(3)])
    assert len(rows) < ahead.size / 4
    energy = (windows.kinetic + windows.potential)[:, 10:].astype(np.float64)
    momentum = sum(windows.mass[:, ball, None, None] * ahead[:, :, ball, 2:] for ball in range(3))
    assert task.net.state_center.numpy() == pytest.approx(rows.mean(0), rel=1e-4, abs=1e-5)
    assert task.net.state_scale.numpy() == pytest.approx(rows.std(0), rel=1e-4)
    assert units.state == pytest.approx(rows.std(0), rel=1e-6)
    assert units.energy == pytest.approx(energy.std(), rel=1e-6)
    assert units.momentum == pytest.approx(np.std(momentum, (0, 1)), rel=1e-6)


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
