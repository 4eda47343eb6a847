"""Recordings of the reference implementations, tests/golden, as models and tensors of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.trainables.recursive.permuted import PermutedConfig
from trainables.recursive.config import HRMConfig, RecursiveConfig, TRMConfig
from trainables.recursive.model import RecursiveNet, Shape, network
from trainables.recursive.reference import load_reference, our_name

GOLDEN = Path(__file__).parents[2] / "golden"
ACT = (
    "hrm_rope_train",
    "hrm_learned_train",
    "hrm_puzzle_train",
    "hrm_puzzle_eval",
    "trm_att_rope_train",
    "trm_att_learned_puzzle_train",
    "trm_att_eval",
    "trm_mlp_t_train",
)
TRAJECTORIES = ("traj_hrm", "traj_trm")
ENCODED = ("etrm_fixed_standard_train", "etrm_fixed_standard_eval")
CACHED = "etrm_cached_standard_train"


class Recorded:
    """A file: its arrays, its meta data and the model with its weights."""

    def __init__(self, name: str) -> None:
        self.arrays: dict[str, Any] = _arrays(f"{name}.npz")
        self.meta = json.loads(str(self.arrays["meta"]))
        self.told = self.meta["config"]
        if source := self.meta.get("weights_and_batches_from"):
            given = {key: array for key, array in _arrays(source).items() if key.startswith(("w/", "batch/"))}
            self.arrays = {**given, **self.arrays}
        self.family = self.meta["family"] if "etrm" in name else "hrm" if self.told["H_layers"] else "trm"
        self.config = _config(self.told, self.family)
        self.shape = Shape(self.told["seq_len"], self.told["vocab_size"], self.told["num_puzzle_identifiers"])
        self.model: RecursiveNet = network(self.config, self.shape)
        load_reference(
            self.model, {key[2:]: torch.from_numpy(array) for key, array in self.arrays.items() if key.startswith("w/")}
        )

    def __getitem__(self, name: str) -> Tensor:
        tensor = torch.from_numpy(np.array(self.arrays[name]))
        return tensor.long() if tensor.dtype == torch.int32 else tensor

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    @property
    def atol(self) -> Mapping[str, float]:
        """Ten times the rounding of the recording itself in float32, by quantity, and at least 1e-5."""
        return {name: max(1e-5, 10 * value) for name, value in self.meta["fp32_rounding_maxabs_vs_fp64"].items()}

    @property
    def rtol(self) -> float:
        """Of gradients, as a relative L2 norm: ten times the recording's own rounding, and at least 1e-5."""
        return max(
            1e-5, 10 * float(self.meta.get("fp32_rounding_max_rel_grad_norm", self.meta.get("fp32_rounding_rel_grad")))
        )

    def gradients(self, prefix: str) -> dict[str, Tensor]:
        """Recorded gradients by our names."""
        found = {key.removeprefix(prefix): self[key] for key in self.arrays if key.startswith(prefix)}
        return {our_name(name): tensor for name, tensor in found.items()}


def _arrays(name: str) -> dict[str, Any]:
    with np.load(GOLDEN / name, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def _config(told: Mapping[str, Any], family: str) -> RecursiveConfig:
    common: dict[str, Any] = {
        "hidden": told["hidden_size"],
        "heads": told["num_heads"],
        "h_cycles": told["H_cycles"],
        "l_cycles": told["L_cycles"],
        "expansion": told["expansion"],
        "positions": told["pos_encodings"],
        "rope_theta": told["rope_theta"],
        "puzzle_emb": told["puzzle_emb_ndim"],
        "halt_max_steps": told["halt_max_steps"],
        "l_layers": told["L_layers"],
    }
    if family.startswith("etrm"):
        return PermutedConfig(
            **common,
            encoder_layers=told["encoder_num_layers"],
            set_layers=told["encoder_set_layers"],
            context_tokens=told["puzzle_emb_len"],
            encoding="cached" if family == "etrm_cached" else "reencode",
        )
    if family == "hrm":
        return HRMConfig(**common, h_layers=told["H_layers"])
    return TRMConfig(**common, mlp_t=told["mlp_t"], puzzle_tokens=told["puzzle_emb_len"])
