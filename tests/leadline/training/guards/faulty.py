"""A small encoder-decoder family whose faults are switches; with none of them it is healthy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from leadline.config import TrialConfig, configuration, knob, make
from leadline.family import Family
from leadline.finding import Finding
from leadline.measure import Measure, Metric, Report
from leadline.statistics import mean_over_units
from leadline.task import Batch, Perturbation, Split, Task
from leadline.training.guards.guard import Guard
from leadline.training.guards.perturbation import measured
from leadline.training.loop import Loop

__all__ = ["FAULTY", "Faulty", "FaultyConfig", "FaultyTask", "Net", "config", "fired", "run"]

Fault = Literal[
    "none", "constant", "cached", "dead_parameter", "dead_term", "same_rows", "unread_stage", "bf16", "not_a_tensor"
]


@configuration
class FaultyConfig(TrialConfig):
    """Fits y = |x| summed over four columns, or its being above the median."""

    lr: float = knob(0.02, "Adam learning rate", gt=0, le=1)
    batch: int = knob(16, "rows of a step", unit="rows", ge=1, le=256)
    labels: bool = knob(False, "classify")
    dropout: float = knob(0.0, "in the encoder", ge=0, lt=1)
    stages: int = knob(1, "of the curriculum, of equal length", ge=1)
    late: float = knob(0.0, "share of the budget before the second loss term does anything", ge=0, le=1)
    fault: Fault = knob("none", "what is wrong")


class Net(nn.Module):
    def __init__(self, config: FaultyConfig) -> None:
        super().__init__()
        self.fault = config.fault
        self.encoder = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Dropout(config.dropout))
        self.norm = nn.BatchNorm1d(16)
        self.decoder = nn.Linear(16, 2 if config.labels else 1)
        self.spare = nn.Parameter(torch.zeros(1))
        self.decoder.register_parameter(
            "unused", nn.Parameter(torch.zeros(2)) if self.fault == "dead_parameter" else None
        )

    def forward(self, x: Tensor, train_encoder: bool = True) -> Tensor | dict[str, Tensor]:
        """[rows, 4] to [rows, 1], or logits [rows, 2]."""
        z = self.encoder(x * 0 if self.fault == "constant" else x)
        y: Tensor = self.decoder(self.norm(z if train_encoder else z.detach())) + self.spare
        return {"answer": y} if self.fault == "not_a_tensor" else y


class FaultyTask(Task):
    def __init__(self, config: FaultyConfig, data: Any, device: torch.device) -> None:
        self.config, self.data, self.model = config, data, FAULTY.model(config).to(device)
        self.optimizers = [torch.optim.Adam(self.model.parameters(), lr=config.lr)]
        self.noted = self.carry = 0.0
        self.calls = 0

    def stage(self, step: int) -> int:
        return step * self.config.stages // self.config.steps

    def batch(self, step: int) -> Batch:
        return self.staged_batch(step, self.stage(step))

    def staged_batch(self, step: int, stage: int) -> Batch:
        chosen = np.random.default_rng([self.config.seed, step]).integers(0, 256, self.config.batch)
        x, y = (torch.from_numpy(part[chosen]) for part in self.data["train"])
        if self.config.fault == "same_rows":
            return {"x": x, "y": y}
        if self.config.fault == "unread_stage":
            return {"x": x, "y": y, "modification": torch.full((len(x),), stage)}
        return {"x": x, "y": y + 0.01 * stage}

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        self.calls += 1
        step = round(progress * self.config.steps)
        out = model(batch["x"], self.config.fault != "cached" or step % 16 == 0)
        y = out["answer"] if isinstance(out, dict) else out
        above = (batch["y"][:, 0] > 3).long()
        fit = nn.functional.cross_entropy(y, above) if self.config.labels else ((y - batch["y"]) ** 2).mean()
        self.noted = float(fit.detach()) * (1 + float(torch.rand(())))
        size = 1e-3 * (y.detach() if self.config.fault == "dead_term" else y).square().mean()
        return {"fit": fit, "size": size * (0 if progress < self.config.late else 1)}

    def after_step(self, step: int) -> None:
        self.carry = 0.9 * self.carry + 0.1 * self.noted

    def perturbations(self) -> Mapping[str, Perturbation]:
        draws = torch.Generator().manual_seed(self.config.seed)
        z, noise = torch.randn(2, 64, 64, generator=draws)
        precision = torch.bfloat16 if self.config.fault == "bf16" else torch.float32
        before = z.to(precision)
        return {"z": measured(before, before + (3e-5 * noise).to(precision), 3e-5 * noise)}

    def predictions(self, output: Any) -> Tensor:
        found = super().predictions(output)
        return found.argmax(1) if self.config.labels else found

    def facts(self, step: int) -> dict[str, float]:
        return {"carry": self.carry}

    def evaluate(self, split: Split) -> dict[str, Measure]:
        x, y = (torch.from_numpy(part) for part in self.data[split])
        out = self.model(x)
        found = out["answer"] if isinstance(out, dict) else out
        return {"error": mean_over_units((found[:, :1] - y)[:, 0].double().abs().numpy())}

    def state_dict(self) -> dict[str, Any]:
        return {"carry": self.carry}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.carry = state["carry"]


class Faulty(Family[FaultyConfig]):
    name = "faulty"
    Config = FaultyConfig
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("error", "min", "rows", "mean absolute error"),)
    objective = "error"

    def build_data(self, config: FaultyConfig) -> Any:
        x = np.random.default_rng(0).normal(size=(3, 256, 4)).astype(np.float32)
        return {
            split: (part, np.abs(part).sum(1, keepdims=True))
            for split, part in zip(("train", "validation", "test"), x, strict=True)
        }

    def audit(self, config: FaultyConfig, data: Any) -> list[Finding]:
        return []

    def baselines(self, config: FaultyConfig, data: Any, split: Split) -> dict[str, dict[str, Measure]]:
        return {"mean": {"error": mean_over_units(np.abs(data[split][1] - data["train"][1].mean())[:, 0])}}

    def task(self, config: FaultyConfig, data: Any, device: torch.device) -> FaultyTask:
        return FaultyTask(config, data, device)

    def model(self, config: FaultyConfig) -> Net:
        torch.manual_seed(config.seed)
        return Net(config)


FAULTY = Faulty()


def config(**fields: Any) -> FaultyConfig:
    return make(FaultyConfig, {"steps": 400, "eval_every": 100, **fields})


def run(family: Family[Any], config: TrialConfig, *guards: Guard, **options: Any) -> tuple[Loop, list[Report]]:
    """A whole run with these guards alone; its loop and reports."""
    with mock.patch("leadline.training.loop.every_guard", return_value=guards):
        loop = Loop(family, config, family.build_data(config), **options)
    return loop, list(loop.run())


def fired(reports: list[Report]) -> Iterator[Finding]:
    """Every fault that was told."""
    return (finding for report in reports for finding in report.findings if finding.failed)
