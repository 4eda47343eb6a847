"""A family for tests of the engine: a real one, made to fail, diverge, stall or report what a test wants."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pydantic
import torch
from torch import Tensor, nn

from leadline.config import TrialConfig, configuration, knob
from leadline.family import Family
from leadline.finding import Finding
from leadline.measure import Measure, Metric
from leadline.statistics import mean_over_units
from leadline.task import Batch, Split, Task

HELD_SECONDS = 0.5
"""How long the memory of each row is held: Ray's monitor, which a test lets look ten times a second, must see it."""

TRAINED = "TOY_TRAINED"
"""Environment variable that names a file in which each step that is trained adds a line."""


@configuration
class ToyConfig(TrialConfig):
    """Fits a constant; the score is `offset` plus what is left of the error."""

    lr: float = knob(0.1, "SGD learning rate", gt=0, le=10)
    offset: float = knob(0.0, "added to every score", ge=-100, le=100)
    level: int = knob(0, "stratum", ge=0, le=9)
    nan_at: int = knob(-1, "step from which scores are NaN", unit="step", ge=-1)
    raise_at: int = knob(-1, "step that raises, each time", unit="step", ge=-1)
    die_once: str = knob("", "file that is made by a process which then kills itself at half of the budget")
    hang_once: str = knob(
        "", "file that is made by a process which then stands still, with the GIL held, at half of the budget"
    )
    sleep: float = knob(0.0, "seconds of each step", ge=0)
    hold: float = knob(0.0, "memory that each row of a micro-batch holds at half of the budget", unit="MB", ge=0)
    ballast: float = knob(0.0, "size of a buffer that makes checkpoints large", unit="MB", ge=0)
    leak: bool = knob(False, "the audit fails")

    @pydantic.model_validator(mode="after")
    def _feasible(self) -> ToyConfig:
        if self.offset == 13:
            raise ValueError("offset: 13 is impossible")
        return self


class ToyTask(Task):
    def __init__(self, config: ToyConfig, device: torch.device) -> None:
        self.config = config
        self.model = TOY.model(config).to(device)
        self.optimizers = [torch.optim.SGD(self.model.parameters(), lr=config.lr, momentum=0.9)]
        self.seen = 0

    def batch(self, step: int) -> Batch:
        time.sleep(self.config.sleep)
        if step == self.config.raise_at:
            raise ArithmeticError(f"asked to fail at step {step}")
        mark = Path(self.config.die_once) if self.config.die_once else None
        if mark and step == self.config.steps // 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), 9)
        still = Path(self.config.hang_once) if self.config.hang_once else None
        if still and step == self.config.steps // 2 and not still.exists():
            still.touch()
            ctypes.PyDLL(None).sleep(600)
        self.seen = step
        self._count(step)
        draw = np.random.default_rng([self.config.seed, step]).normal(size=(4, 1)).astype(np.float32)
        return {"x": torch.from_numpy(draw)}

    def _count(self, step: int) -> None:
        if TRAINED in os.environ:
            config = self.config
            with open(os.environ[TRAINED], "a") as counts:
                counts.write(f"{config.level} {config.seed} {config.lr!r} {config.offset!r} {step}\n")

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        if self.config.hold and self.seen == self.config.steps // 2:
            held = torch.ones(len(batch["x"]), int(self.config.hold * 250_000))
            time.sleep(HELD_SECONDS * len(held))
        return {"square": ((model(batch["x"]) - 1) ** 2).mean()}

    def evaluate(self, split: Split) -> dict[str, Measure]:
        if 0 <= self.config.nan_at <= self.seen + 1:
            return {"error": Measure(float("nan"), 4, float("nan"), float("nan"))}
        return self._errors(np.arange(4))

    def strata(self, metric: str) -> npt.NDArray[np.int64]:
        return np.arange(4) % 2

    def evaluate_part(self, metric: str, units: npt.NDArray[np.int64]) -> dict[str, Measure]:
        return self._errors(units)

    def _errors(self, units: npt.NDArray[np.int64]) -> dict[str, Measure]:
        error = (self.model(torch.ones(len(units), 1)) - 1).abs()[:, 0] + self.config.offset
        return {"error": mean_over_units(error.double().numpy() + units / 100)}


class Toy(Family[ToyConfig]):
    name = "toy"
    Config = ToyConfig
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("error", "min", "rows", "distance from 1"),)
    objective = "error"

    def build_data(self, config: ToyConfig) -> Any:
        return {"x": np.zeros(3)}

    def audit(self, config: ToyConfig, data: Any) -> list[Finding]:
        return [
            Finding(
                "overlap", config.leak, 0.0, "3 training rows are also scored" if config.leak else "no row is shared"
            )
        ]

    def baselines(self, config: ToyConfig, data: Any, split: Split) -> dict[str, dict[str, Measure]]:
        return {"zero": {"error": Measure.exact(1.0, 4)}}

    def task(self, config: ToyConfig, data: Any, device: torch.device) -> ToyTask:
        return ToyTask(config, device)

    def model(self, config: ToyConfig) -> nn.Module:
        torch.manual_seed(config.seed)
        model = nn.Linear(1, 1)
        if config.ballast:
            model.register_buffer("ballast", torch.zeros(int(config.ballast * 250_000)))
        return model


TOY = Toy()
