"""The published runs on ARC and the run of ETRM's log as configurations."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch

from leadline.config import ConfigError, make, to_dict
from trainables.recursive.config import ETRMConfig, HRMConfig, TRMConfig
from trainables.recursive.family import ETRM_FAMILY, HRM_FAMILY, TRM_FAMILY
from trainables.recursive.model import ETRM, HRM, PUZZLE, TRM, Shape
from trainables.recursive.presets import ETRM_PRESETS, HRM_PRESETS, TRM_PRESETS

ARC = Shape(900, 12)
"""A canvas of 30 x 30; the task embeddings are counted apart."""


def _numbers(net: torch.nn.Module) -> int:
    """The trained numbers of a network, without its embeddings of tasks."""
    return sum(tensor.numel() for name, tensor in net.named_parameters() if not name.startswith(PUZZLE))


def _fields(config: Any, fields: dict[str, Any]) -> dict[str, Any]:
    return {name: getattr(config, name) for name in fields}


PUBLISHED: dict[str, Any] = {
    "task": "arc",
    "size": 30,
    "protocol": "transductive",
    "augmentations": 1000,
    "hidden": 512,
    "heads": 8,
    "positions": "rope",
    "puzzle_emb": 512,
    "batch": 768,
    "lr": 1e-4,
    "puzzle_lr": 1e-2,
    "weight_decay": 0.1,
    "puzzle_weight_decay": 0.1,
    "halt_max_steps": 16,
    "explore": 0.1,
    "mode": "none",
}


@pytest.mark.parametrize(("run", "data_set", "steps"), [("arc1", "arcagi1", 518_071), ("arc2", "arcagi2", 723_914)])
def test_hrm_and_trm_on_arc(run: str, data_set: str, steps: int) -> None:
    hrm, trm = cast(HRMConfig, HRM_PRESETS[run](1.0)), cast(TRMConfig, TRM_PRESETS[run](1.0))
    own = {
        hrm: {"h_layers": 4, "l_layers": 4, "h_cycles": 2, "l_cycles": 2, "ema": 0.0},
        trm: {"l_layers": 2, "h_cycles": 3, "l_cycles": 4, "ema": 0.999, "puzzle_tokens": 16, "mlp_t": False},
    }
    for config, fields in own.items():
        expected = {**PUBLISHED, **fields, "data_set": data_set, "steps": steps}
        assert _fields(config, expected) == expected
        assert make(type(config), to_dict(config)) == config
        assert round(config.warmup * steps) == 2000
        assert config.unused() == []
    assert trm.prefix == 16
    assert hrm.prefix == 1


def test_a_batch_of_768_is_100_000_epochs() -> None:
    """ARC-AGI-1 has 3,081 pairs that are trained on, ARC-AGI-2 4,667; ConceptARC, which is not here, the others."""
    pairs = {run: TRM_PRESETS[run](1.0).steps * 768 / 100_000 for run in ("arc1", "arc2")}
    assert pairs["arc1"] - 3081 == pytest.approx(pairs["arc2"] - 4667, rel=0.01)


def test_their_sizes_are_the_published_ones() -> None:
    """27.28 million for HRM and 6.83 million for TRM: as on Sudoku, and an embedding of one token more."""
    with torch.device("meta"):
        hrm = HRM(cast(HRMConfig, HRM_PRESETS["arc1"](1.0)), ARC)
        trm = TRM(cast(TRMConfig, TRM_PRESETS["arc1"](1.0)), ARC)
    assert _numbers(hrm) == 27_275_266 + 2 * 512
    assert _numbers(trm) == 6_829_058 == 6_828_034 + 2 * 512


def test_every_image_of_every_task_has_an_embedding() -> None:
    config = cast(TRMConfig, TRM_PRESETS["arc1"](1.0))
    assert config.puzzle.identifiers == 800 * 1001
    assert cast(TRMConfig, TRM_PRESETS["arc2"](1.0)).puzzle.identifiers == 1120 * 1001


def test_the_run_of_the_log_of_encoders() -> None:
    """17.3 million numbers, of which 6,829,058 are TRM's on ARC; the two controls differ in the encoding alone."""
    config, cached, fct = (cast(ETRMConfig, ETRM_PRESETS[f"a4-{name}"](1.0)) for name in ("reencode", "cached", "fct"))
    expected = {
        "train_rules": 8,
        "size": 30,
        "lr": 2e-4,
        "batch": 256,
        "explore": 0.5,
        "halt_max_steps": 16,
        "clip": 1.0,
        "encoder": "standard",
        "pooling": "mean",
        "encoder_layers": 2,
        "encoding": "reencode",
        "demonstrations": 10,
    }
    assert _fields(config, expected) == expected
    assert config.eval_every == 240, "the step of the log's figures"
    assert _differ(config, cached) == {"encoding": "cached"}
    assert _differ(config, fct) == {
        "encoding": "fct",
        "rollout": "parallel_fixed",
        "halt_max_steps": 4,
        "explore": 0.1,
    }
    assert config.unused() == cached.unused() == fct.unused() == []
    with torch.device("meta"):
        net = ETRM(config, ARC)
    assert _numbers(net) == 17_335_298


def _differ(one: Any, other: Any) -> dict[str, Any]:
    first, second = to_dict(one), to_dict(other)
    return {name: value for name, value in second.items() if first[name] != value}


@pytest.mark.parametrize("scale", [0.0, 1.5, math.nan])
def test_a_scale_that_cannot_be(scale: float) -> None:
    for presets in (HRM_PRESETS, TRM_PRESETS):
        with pytest.raises(ConfigError, match=r"^scale: must be above 0"):
            presets["arc1"](scale)


@pytest.mark.parametrize(
    ("family", "run"),
    [(HRM_FAMILY, "arc1"), (TRM_FAMILY, "arc1"), *((ETRM_FAMILY, run) for run in ETRM_PRESETS)],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_step_of_each(family: Any, run: str) -> None:
    """Scaled down, on a small canvas; a step is finite, and the gradient is bounded where the log's was."""
    small = to_dict(family.presets[run](0.004))
    assert (small["hidden"], small["steps"]) == (32, round(family.presets[run](1.0).steps * 0.004))
    small |= {"size": 10, "train_boards": 96, "validation_boards": 4, "test_boards": 4, "halt_max_steps": 2}
    small |= {"task": "rules", "augmentations": 0, "demonstrations": min(2, small["demonstrations"]), "batch": 4}
    config = family.config(small)
    task = family.task(config, family.build_data(config), torch.device("cpu"))
    loss = sum(task.losses(task.model, task.batch(0), 0.0).values())
    (1000 * loss).backward()
    task.optimizers[0].step()
    dense = [tensor.grad for tensor in task.optimizers[0].param_groups[0]["params"] if tensor.grad is not None]
    norm = float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(grad) for grad in dense])))
    assert math.isfinite(norm)
    assert (norm <= 1.001) == bool(config.clip)
