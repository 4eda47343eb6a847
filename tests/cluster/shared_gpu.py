"""The toy study for a cluster whose GPUs exist in Ray's books alone: trials take the CPU for
theirs, and report what they were given.
"""

from __future__ import annotations

import dataclasses
import os

import torch

from leadline import main
from leadline.engine.ray import workers
from tests.leadline.toy import Toy, ToyConfig, ToyTask
from tests.leadline.toy_study import STUDY

SHARE = [0.0]


def _device(gpus: float) -> torch.device:
    """In place of `workers._device`, which refuses where CUDA finds no GPU."""
    SHARE[0] = gpus
    return torch.device("cpu")


class SharedTask(ToyTask):
    def facts(self, step: int) -> dict[str, float]:
        return {**super().facts(step), "share": SHARE[0], "gpu": float(os.environ.get("CUDA_VISIBLE_DEVICES", "nan"))}


class Shared(Toy):
    name = "shared"

    def task(self, config: ToyConfig, data: object, device: torch.device) -> ToyTask:
        return SharedTask(config, device)


workers._device = _device
SHARED = Shared()

if __name__ == "__main__":
    main(dataclasses.replace(STUDY, family="tests.cluster.shared_gpu:SHARED"), __doc__ or "")
