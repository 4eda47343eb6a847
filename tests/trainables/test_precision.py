"""Precision and recomputation of the transformers of physics and SCAN: the same gradients, or nearly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from leadline.config import ConfigError
from leadline.family import Family
from trainables.physics.family import PHYSICS
from trainables.scan.family import SCAN

SMALL: dict[str, dict[str, Any]] = {
    "physics": {"episodes": 24, "scored": 4, "each": 2, "frames": 24, "width": 32, "layers": 2, "dropout": 0.2},
    "log's physics": {
        **{"episodes": 24, "scored": 4, "each": 2, "frames": 24, "width": 32, "layers": 2, "dropout": 0.2},
        **{"layout": "logged", "target": "raw", "world_given": False},
    },
    "scan": {"model": "transformer", "width": 32, "layers": 2, "dropout": 0.2},
}
ROUNDING = 2.0**-8
"""The relative rounding of bfloat16, which keeps 8 bits."""


def gradients(name: str, **fields: Any) -> dict[str, Tensor]:
    family: Family[Any] = SCAN if name == "scan" else PHYSICS
    config = family.config({**SMALL[name], "batch": 16, "steps": 10, "seed": 1, **fields})
    torch.manual_seed(config.seed)  # as the loop does
    task = family.task(config, family.build_data(config), torch.device("cpu"))
    torch.manual_seed(3)
    torch.autograd.backward(list(task.losses(task.model.train(), task.batch(0), 0.0).values()))
    return {part: parameter.grad for part, parameter in task.model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("name", list(SMALL))
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recomputation_changes_no_bit(name: str, precision: str) -> None:
    """Dropout included."""
    plain, again = (gradients(name, precision=precision, recompute=recompute) for recompute in (False, True))
    assert plain.keys() == again.keys()
    assert all(torch.equal(gradient, again[part]) for part, gradient in plain.items())


@pytest.mark.parametrize("name", list(SMALL))
def test_bfloat16_rounds(name: str) -> None:
    """A gradient passes a dozen roundings on its way, of which some add up: 32 of them are allowed."""
    exact, rounded = gradients(name, dropout=0.0), gradients(name, dropout=0.0, precision="bfloat16")
    both = [(gradient, rounded[part]) for part, gradient in exact.items()]
    error = torch.cat([(a - b).flatten() for a, b in both]).norm() / torch.cat([a.flatten() for a, _ in both]).norm()
    assert 0 < error < 32 * ROUNDING
    assert all(gradient.dtype == torch.float32 for gradient in rounded.values())


@pytest.mark.parametrize("name", list(SMALL))
def test_float16_is_refused_in_one_line(name: str) -> None:
    family: Family[Any] = SCAN if name == "scan" else PHYSICS
    with pytest.raises(ConfigError) as caught:
        family.config({**SMALL[name], "precision": "float16"})
    assert str(caught.value) == "precision: input should be 'float32' or 'bfloat16' (got 'float16')"


@pytest.mark.parametrize("field", [{"precision": "bfloat16"}, {"recompute": True}])
def test_lstms_have_neither(field: dict[str, Any]) -> None:
    (name,) = field
    with pytest.raises(ConfigError, match=f"{name}: only model=transformer has it"):
        SCAN.config({"model": "attention", **field})
