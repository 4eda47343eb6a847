"""How `benchmarks.recursive` takes the published models from a checkout; the checkout here is a
stand-in of a few lines.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from benchmarks._reference import reference
from benchmarks.recursive import contest, ratios
from leadline.config import ConfigError
from trainables.recursive.config import ETRMConfig, HRMConfig, TRMConfig

MODEL = """
import einops
import flash_attn
import torch
from torch import nn

class {name}(nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        self.weight = nn.Parameter(torch.full((settings["seq_len"],), {value}))
"""
LOSSES = """
from torch import nn

class ACTLossHead(nn.Module):
    def __init__(self, model, loss_type):
        super().__init__()
        self.model, self.loss_type = model, loss_type

    def initial_carry(self, batch):
        return 0

    def forward(self, return_keys, carry, batch):
        loss = (self.model.weight * batch["inputs"]).sum()
        return carry + 1, loss, {}, None, False
"""
HRM, TRM = "HierarchicalReasoningModel_ACTV1", "TinyRecursiveReasoningModel_ACTV1"


def _checkout(folder: Path, module: str, name: str, value: float) -> Path:
    target = folder / "models" / module
    target.parent.mkdir(parents=True)
    target.write_text(MODEL.format(name=name, value=value))
    (folder / "models" / "losses.py").write_text(LOSSES)
    return folder


def test_each_model_comes_from_the_checkout_that_has_it(tmp_path: Path) -> None:
    trm = _checkout(tmp_path / "a", "recursive_reasoning/trm.py", TRM, 1.0)
    hrm = _checkout(tmp_path / "b", "hrm/hrm_act_v1.py", HRM, 2.0)
    before = set(sys.modules)
    for config, value in ((TRMConfig(mlp_t=True, positions="none"), 1.0), (HRMConfig(), 2.0)):
        found = reference([trm, hrm], config)
        assert found is not None
        assert found.state()["model.weight"].eq(value).all()
        settings = cast(Any, found.head.model).settings
        assert settings["hidden_size"] == config.hidden
        assert ("mlp_t" in settings) == isinstance(config, TRMConfig)
    assert "models" not in sys.modules
    assert not {name for name in set(sys.modules) - before if name.startswith(("models", "einops", "flash_attn"))}


def test_etrm_has_its_own_checkout_and_is_given_what_is_shown(tmp_path: Path) -> None:
    config = ETRMConfig(encoder_layers=3, context_tokens=5)
    trm = _checkout(tmp_path / "a", "recursive_reasoning/trm.py", TRM, 1.0)
    assert reference([trm], config) is None, "TRM's repository has no encoder"
    etrm = _checkout(tmp_path / "b", "recursive_reasoning/etrm_original.py", "TRMWithEncoder", 2.0)
    step = reference([trm, etrm], config)
    assert step is not None
    settings = cast(Any, step.head.model).settings
    assert (settings["encoder_num_layers"], settings["puzzle_emb_len"]) == (3, 5)
    seen: list[set[str]] = []
    cast(Any, step.head).register_forward_pre_hook(
        lambda head, inputs, named: seen.append(set(named["batch"])), with_kwargs=True
    )
    boards = torch.ones(2, config.tokens, dtype=torch.int64)
    step(boards, boards, demo_mask=torch.ones(2, 3, dtype=torch.bool))
    assert seen == [{"inputs", "labels", "puzzle_identifiers", "demo_mask"}]


def test_a_step_trains_and_carries_on(tmp_path: Path) -> None:
    step = reference([_checkout(tmp_path, "recursive_reasoning/trm.py", TRM, 1.0)], TRMConfig())
    assert step is not None
    boards = torch.ones(2, TRMConfig().tokens, dtype=torch.int64)
    assert step(boards, boards) == TRMConfig().tokens, "the sum over two rows, as a mean over them"
    assert step.state()["model.weight"].lt(1).all()
    assert cast(Any, step.head.model).weight.grad is None
    step(boards, boards)
    assert step.carry == 2


def test_what_is_not_there(tmp_path: Path) -> None:
    assert reference([], TRMConfig()) is None
    assert reference([_checkout(tmp_path, "hrm/hrm_act_v1.py", HRM, 1.0)], TRMConfig()) is None
    with pytest.raises(ConfigError, match=r"^reference: .*nowhere is no folder"):
        reference([tmp_path / "nowhere"], TRMConfig())


def test_turns_change_and_ratios_are_taken_within_a_round() -> None:
    order: list[str] = []
    ticks = iter(range(100))
    times = contest({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3, lambda: float(next(ticks)))
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert times == {"a": [1.0] * 3, "b": [1.0] * 3}
    assert ratios({"a": [2.0, 9.0], "b": [1.0, 3.0]}, "a", "b") == [2.0, 3.0]
