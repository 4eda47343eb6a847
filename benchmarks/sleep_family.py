"""A family whose training is sleep: what remains of a sweep's time is the engine's.

Each optimizer step sleeps a quarter of a second, or as long as it is told. The objective is the same for all trials, and ASHA lets
ties go on, so no rung stops anything.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from leadline.config import TrialConfig, configuration, knob
from leadline.family import Family
from leadline.finding import Finding
from leadline.measure import Measure, Metric
from leadline.task import Batch, Split, Task

__all__ = ["PAUSE", "REPORTS", "SLEEP", "SleepConfig", "SleepFamily", "SleepTask", "Still"]

PAUSE = 0.25
"""Seconds of a step."""

REPORTS = 4
"""Steps of a trial, each of which is reported."""


@configuration
class SleepConfig(TrialConfig):
    """Nothing but a number to search, and how long a step takes."""

    x: float = knob(0.5, "has no effect", ge=0, le=1)
    pause: float = knob(PAUSE, "of a step", unit="s", ge=0, le=60)


class Still(torch.optim.Optimizer):
    """Leaves the weights alone.

    Torch's own optimizers import its compiler when the first one is made. The function that plain Tune trains has no
    optimizer, so this one must not either.
    """

    def __init__(self) -> None:
        self.param_groups: list[dict[str, Any]] = [{"lr": 0.0}]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Nothing to forget."""

    def step(self, closure: Any = None) -> Any:
        """Nothing to change."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing to save."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""


class SleepTask(Task):
    """One weight, and a pause where the batch would be made."""

    def __init__(self, pause: float) -> None:
        self.model = nn.Linear(1, 1)
        self.optimizers = [Still()]
        self.pause = pause

    def batch(self, step: int) -> Batch:
        """One row, after the pause."""
        time.sleep(self.pause)
        return {"x": torch.ones(1, 1)}

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Something to differentiate."""
        return {"output": model(batch["x"]).square().mean()}

    def evaluate(self, split: Split) -> dict[str, Measure]:
        """The same for all."""
        return {"loss": Measure.exact(1.0)}


class SleepFamily(Family[SleepConfig]):
    """See the module."""

    name = "sleep"
    Config = SleepConfig
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("loss", "min", "trials", "always 1"),)
    objective = "loss"

    def data_key(self, config: SleepConfig) -> str:
        """There is one."""
        return "sleep"

    def build_data(self, config: SleepConfig) -> Any:
        """None is needed."""
        return None

    def audit(self, config: SleepConfig, data: Any) -> list[Finding]:
        """Nothing can overlap."""
        return [Finding("overlap", False, 0, "there are no rows that could be trained on and scored")]

    def baselines(self, config: SleepConfig, data: Any, split: Split) -> dict[str, dict[str, Measure]]:
        """Not sleeping scores the same."""
        return {"awake": {"loss": Measure.exact(1.0)}}

    def task(self, config: SleepConfig, data: Any, device: torch.device) -> SleepTask:
        """A fresh task."""
        return SleepTask(config.pause)

    def model(self, config: SleepConfig) -> nn.Module:
        """The untrained model."""
        return nn.Linear(1, 1)


SLEEP = SleepFamily()
