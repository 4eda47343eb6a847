"""Recordings of the log's network, tests/golden/dpweb_*.npz, as a network and tensors of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.arc_hrm.config import ArcHRMConfig
from trainables.arc_hrm.model import ArcHRM
from trainables.arc_hrm.reference import load_reference

GOLDEN = Path(__file__).parents[2] / "golden"
NAMES = ("dpweb_full_cycles", "dpweb_early_stop")
ATOL = 1e-5


class Recorded:
    """A file: its arrays, its meta data and the network with its weights, in evaluation mode."""

    def __init__(self, name: str) -> None:
        with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
            self.arrays: dict[str, Any] = {key: file[key] for key in file.files}
        self.meta = json.loads(str(self.arrays["meta"]))
        told = self.meta["config"]
        self.config = ArcHRMConfig(
            hidden=told["hidden_size"],
            heads=told["num_heads"],
            h_layers=told["num_h_layers"],
            l_layers=told["num_l_layers"],
            max_cycles=told["max_cycles"],
            dropout=told["dropout"],
            halt_penalty=self.meta["halt_penalty"],
        )
        self.vocabulary = int(told["vocab_size"])
        self.model = ArcHRM(self.config, self.vocabulary)
        load_reference(self.model, self.weights)
        self.model.eval()

    def __getitem__(self, name: str) -> Tensor:
        tensor = torch.from_numpy(np.array(self.arrays[name]))
        return tensor.long() if tensor.dtype == torch.int32 else tensor

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights by the names of the recording."""
        return {key[2:]: self[key] for key in self.arrays if key.startswith("w/")}
