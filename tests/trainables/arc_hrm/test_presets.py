"""The log's sessions as configurations, on the boards that `BOARDS` names."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch

from leadline.config import ConfigError, make, to_dict
from trainables.arc_hrm import presets
from trainables.arc_hrm.config import ArcHRMConfig
from trainables.arc_hrm.family import ARC_HRM
from trainables.arc_hrm.model import ArcHRM, parameter_count
from trainables.arc_hrm.presets import LOGGED_RESULTS, PRESETS


@pytest.fixture(autouse=True)
def boards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log's boards on a canvas of a ninth, so that a step takes no seconds."""
    assert {"task": "arc", "size": 30, "augmentations": 500}.items() <= presets.BOARDS.items()
    monkeypatch.setattr(presets, "BOARDS", {**presets.BOARDS, "size": 10})


def preset(name: str, scale: float = 1.0) -> ArcHRMConfig:
    return cast(ArcHRMConfig, PRESETS[name](scale))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("session1", {"batch": 24, "micro_batch": 0, "steps": 7000, "schedule": "constant"}),
        ("session3", {"batch": 40, "micro_batch": 20, "steps": 18_500, "label_smoothing": 0.0}),
        ("session4", {"batch": 40, "micro_batch": 8, "steps": 125_500, "label_smoothing": 0.0}),
        (
            "session5",
            {"batch": 40, "micro_batch": 20, "label_smoothing": 0.1, "schedule": "restarts", "restart_period": 20_000},
        ),
    ],
)
def test_the_log_s_sessions(name: str, fields: dict[str, Any]) -> None:
    config = preset(name)
    assert make(ArcHRMConfig, to_dict(config)) == config
    common = {"hidden": 256, "max_cycles": 8, "lr": 3e-4, "weight_decay": 0.01, "clip": 1.0, "pad": "class"}
    assert {field: getattr(config, field) for field in {**common, **fields}} == {**common, **fields}
    assert parameter_count(config.hidden, config.h_layers + config.l_layers, 12) == 5_667_597


def test_the_size_that_the_log_had_planned() -> None:
    """27.04 million trained numbers with ARC's vocabulary of 12."""
    config = preset("27m")
    with torch.device("meta"):
        net = ArcHRM(config, 12)
    trained = sum(tensor.numel() for tensor in net.parameters())
    assert trained == parameter_count(config.hidden, config.h_layers + config.l_layers, 12) == 27_038_493
    assert config.hidden % config.heads == 0


def test_a_scale_shrinks_steps_width_and_the_period_of_restarts() -> None:
    """The batch and its parts stay."""
    config = preset("session5", 0.01)
    assert (config.steps, config.restart_period, config.eval_every) == (1931, 200, 97)
    assert (config.hidden, config.batch, config.micro_batch) == (32, 40, 20)
    assert preset("27m", 0.25).hidden == 280
    for scale in (0.0, 1.5, math.nan):
        with pytest.raises(ConfigError, match=r"^scale: must be above 0"):
            preset("session1", scale)


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_step_of_each(name: str) -> None:
    """Small, and with its own micro-batches, cycles, precision and dropout."""
    small = {**to_dict(preset(name, 0.001)), "train_boards": 48, "validation_boards": 4, "test_boards": 4}
    config = ARC_HRM.config({**small, "max_cycles": 2, "h_layers": 1, "l_layers": 1})
    torch.manual_seed(0)
    task = ARC_HRM.task(config, ARC_HRM.build_data(config), torch.device("cpu"))
    terms = task.losses(task.model, task.batch(0), 0.0)
    assert all(math.isfinite(float(term.detach())) for term in terms.values())


def test_results_are_of_presets() -> None:
    assert LOGGED_RESULTS.keys() < PRESETS.keys()
    best = max(found.cells for found in LOGGED_RESULTS.values())
    assert best == pytest.approx(presets.ALL_PAD_ACCURACY, abs=1e-4), "the log's plateau is the constant's score"
