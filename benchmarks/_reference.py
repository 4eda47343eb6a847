"""Training steps of the published HRM, TRM and ETRM, from checkouts of their repositories.

Nothing of theirs is part of this package.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from leadline.config import ConfigError
from trainables.recursive.config import ETRMConfig, HRMConfig, RecursiveConfig, TRMConfig

__all__ = ["ReferenceStep", "reference"]

PLACES = {
    "hrm": (
        ("models.hrm.hrm_act_v1", "HierarchicalReasoningModel_ACTV1"),
        ("models.recursive_reasoning.hrm", "HierarchicalReasoningModel_ACTV1"),
    ),
    "trm": (("models.recursive_reasoning.trm", "TinyRecursiveReasoningModel_ACTV1"),),
    "etrm": (("models.recursive_reasoning.etrm_original", "TRMWithEncoder"),),
}
"""The modules and classes by family, of which the first one found is used."""


class ReferenceStep:
    """A published model with its loss head and carry, in float32 on the CPU.

    The optimizer is torch's fused AdamW, the fastest that torch has: the package adam-atan2 needs a
    GPU. The published puzzle embedding is not updated, which would cost nothing that could be
    measured.
    """

    def __init__(self, head: torch.nn.Module, config: RecursiveConfig) -> None:
        self.head = head.train()
        self.optimizer = torch.optim.AdamW(
            head.parameters(), lr=config.lr, betas=(0.9, 0.95), weight_decay=config.weight_decay, fused=True
        )
        self.carry: Any = None

    def state(self) -> Mapping[str, Tensor]:
        """Returns a copy of the published model's state dict."""
        return {name: tensor.detach().clone() for name, tensor in self.head.state_dict().items()}

    def __call__(self, inputs: Tensor, labels: Tensor, **shown: Tensor) -> float:
        """Makes one training step on boards, int64 [rows, cells], and what is shown beside them.

        Returns the loss, a mean over the rows.
        """
        puzzles = torch.zeros(len(inputs), dtype=torch.int32)
        batch = {"inputs": inputs, "labels": labels, "puzzle_identifiers": puzzles, **shown}
        if self.carry is None:
            self.carry = self.head.initial_carry(batch)  # type: ignore[operator]
        self.carry, total, *_ = self.head(return_keys=[], carry=self.carry, batch=batch)
        loss = total / len(inputs)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())


def reference(paths: Sequence[Path], config: RecursiveConfig) -> ReferenceStep | None:
    """Returns the published model of a configuration from the first checkout that has it.

    None if none has.

    Raises:
        ConfigError: if a path is no folder.
    """
    for path in paths:
        if not path.is_dir():
            raise ConfigError(f"reference: {path} is no folder; name a checkout of HRM's, TRM's or ETRM's repository")
    kind = "hrm" if isinstance(config, HRMConfig) else "etrm" if isinstance(config, ETRMConfig) else "trm"
    for module, name in PLACES[kind]:
        for path in paths:
            if (path / module.replace(".", "/")).with_suffix(".py").exists():
                return ReferenceStep(_build(path, module, name, config), config)
    return None


def _build(path: Path, module: str, name: str, config: RecursiveConfig) -> torch.nn.Module:
    torch.manual_seed(0)
    with _importing(path):
        model = getattr(importlib.import_module(module), name)(_settings(config))
        head: torch.nn.Module = importlib.import_module("models.losses").ACTLossHead(model, "stablemax_cross_entropy")
    return head


def _settings(config: RecursiveConfig) -> dict[str, Any]:
    """Returns our configuration by the published names."""
    layers = config.h_layers if isinstance(config, HRMConfig) else 0
    own = {"mlp_t": config.mlp_t, "puzzle_emb_len": config.prefix} if isinstance(config, TRMConfig) else {}
    if isinstance(config, ETRMConfig):
        own |= {"encoder_num_layers": config.encoder_layers, "encoder_set_layers": config.set_layers}
    return {
        "batch_size": config.batch,
        "seq_len": config.tokens,
        "vocab_size": config.vocabulary,
        "num_puzzle_identifiers": 1,
        "puzzle_emb_ndim": config.puzzle_emb,
        "H_cycles": config.h_cycles,
        "L_cycles": config.l_cycles,
        "H_layers": layers,
        "L_layers": config.l_layers,  # type: ignore[attr-defined]
        "hidden_size": config.hidden,
        "expansion": config.expansion,
        "num_heads": config.heads,
        "pos_encodings": config.positions,
        "halt_max_steps": config.halt_max_steps,
        "halt_exploration_prob": config.explore,
        "forward_dtype": "float32",
        **own,
    }


@contextlib.contextmanager
def _importing(path: Path) -> Iterator[None]:
    """Makes the published package `models` that of `path` inside, and forgets it afterwards.

    Both repositories have a package of that name.
    """
    stand_ins = {name: module for name, module in _stand_ins().items() if importlib.util.find_spec(name) is None}
    sys.modules.update(stand_ins)
    sys.path.insert(0, str(path))
    try:
        yield
    finally:
        sys.path.remove(str(path))
        for name in [name for name in sys.modules if name.partition(".")[0] == "models" or name in stand_ins]:
            del sys.modules[name]


def _stand_ins() -> dict[str, ModuleType]:
    """Returns stand-ins for what the published code imports and uses for one thing each.

    They are attention that needs a GPU, and the exchange of heads and positions.
    """
    flash = ModuleType("flash_attn")
    einops = ModuleType("einops")
    flash.flash_attn_func = _attention  # type: ignore[attr-defined]
    einops.rearrange = lambda tensor, pattern: tensor.transpose(1, 2)  # type: ignore[attr-defined]
    return {"flash_attn": flash, "einops": einops}


def _attention(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """Attends; all tensors are [rows, positions, heads, width], in and out."""
    return (
        scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=causal)
        .transpose(1, 2)
        .contiguous()
    )
