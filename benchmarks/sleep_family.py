"""A family whose training is sleep: what remains of a sweep's time is the engine's.

Each optimizer step sleeps a quarter of a second, or as long as it is told. The objective is the
same for all trials, and ASHA lets ties go on, so no rung stops anything.
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
"""The seconds that a step sleeps."""

REPORTS = 4
"""The number of steps of a trial, each of which is reported."""


@configuration
class SleepConfig(TrialConfig):
    """The settings of a trial: a number to search, and how long a step takes."""

    x: float = knob(0.5, "has no effect", ge=0, le=1)
    pause: float = knob(PAUSE, "of a step", unit="s", ge=0, le=60)


class Still(torch.optim.Optimizer):
    """An optimizer that leaves the weights alone.

    Torch's own optimizers import its compiler when the first one is made. The function that plain
    Tune trains has no optimizer, so this one must not either.
    """

    def __init__(self) -> None:
        self.param_groups: list[dict[str, Any]] = [{"lr": 0.0}]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Does nothing, as there is no gradient to forget."""

    def step(self, closure: Any = None) -> Any:
        """Does nothing, as no weight changes."""

    def state_dict(self) -> dict[str, Any]:
        """Returns an empty state."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Does nothing, as there is no state."""


class SleepTask(Task):
    """One weight, and a pause where the batch would be made."""

    def __init__(self, pause: float) -> None:
        self.model = nn.Linear(1, 1)
        self.optimizers = [Still()]
        self.pause = pause

    def batch(self, step: int) -> Batch:
        """Returns one row, after the pause."""
        time.sleep(self.pause)
        return {"x": torch.ones(1, 1)}

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Returns a loss that can be differentiated."""
        return {"output": model(batch["x"]).square().mean()}

    def evaluate(self, split: Split) -> dict[str, Measure]:
        """Returns the same loss for all trials."""
        return {"loss": Measure.exact(1.0)}


class SleepFamily(Family[SleepConfig]):
    """Sleeping networks: a family that measures the engine, since its training costs nothing."""

    name = "sleep"
    Config = SleepConfig
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("loss", "min", "trials", "always 1"),)
    objective = "loss"

    def data_key(self, config: SleepConfig) -> str:
        """Returns the name of the only data."""
        return "sleep"

    def build_data(self, config: SleepConfig) -> Any:
        """Returns None, as no data is needed."""
        return None

    def audit(self, config: SleepConfig, data: Any) -> list[Finding]:
        """Returns one finding: nothing can overlap."""
        return [Finding("overlap", False, 0, "there are no rows that could be trained on and scored")]

    def baselines(self, config: SleepConfig, data: Any, split: Split) -> dict[str, dict[str, Measure]]:
        """Returns the score of not sleeping, which is the same."""
        return {"awake": {"loss": Measure.exact(1.0)}}

    def task(self, config: SleepConfig, data: Any, device: torch.device) -> SleepTask:
        """Returns a fresh task."""
        return SleepTask(config.pause)

    def model(self, config: SleepConfig) -> nn.Module:
        """Returns the untrained model."""
        return nn.Linear(1, 1)


SLEEP = SleepFamily()
