"""The family of the made-up sweeps: it declares what they record, and has a model that can be stored and loaded."""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar

import pydantic
import torch
from torch import nn

from leadline.analysis.claims import Claim, fall
from leadline.config import ConfigError, Ints, TrialConfig, configuration, knob
from leadline.family import Family
from leadline.finding import Finding
from leadline.measure import Measure, Metric
from leadline.task import Split, Task

CLAIMS = (
    Claim(
        "a log", "The hinge falls with lookahead.", "0.2 to 0.1", "lookahead 10 and 100", fall("hinge", ("10", "100"))
    ),
)


@configuration
class DemoConfig(TrialConfig):
    """The settings of a function of one number."""

    lookahead: int = knob(10, "columns of the input, by which sweeps are stratified", unit="steps", ge=1, le=1000)
    layers: Ints = knob((64, 64), "hidden widths")
    batch: int = knob(256, "rows of a step", unit="rows", ge=1, le=2**20)
    lr: float = knob(1e-3, "learning rate", gt=0, le=1)
    margin: float = knob(0.05, "threshold of the hinge", gt=0, le=100)
    anchor: float = knob(1.0, "weight of an anchor", ge=0, le=1000)
    anchor_min: float = knob(0.0, "floor of that weight, which needs an anchor", ge=0, le=1)
    pool: int = knob(2**17, "rows made once, which name the data", unit="rows", ge=1, le=2**20)
    data_seed: int = knob(0, "seed of these rows, which names the data too", ge=0)

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> DemoConfig:
        if self.anchor == 0 and self.anchor_min > 0:
            raise ValueError("anchor_min: has no effect with anchor=0")
        return self


class Demo(Family[DemoConfig]):
    """Nothing of it is trained: the values of a sweep are made up, and only its weights are real."""

    name = "demo"
    Config = DemoConfig
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("hinge", "min", "orbits", "mean over orbits of a hinge on their margins"),
        Metric("violations", "min", "orbits", "mean over orbits of the share of steps with margin <= 0"),
        Metric("margin_p5", "max", "orbits", "5th percentile of the margins of all steps"),
        Metric("common_hinge", "min", "orbits", "hinge on the steps that all strata can be compared on", role="common"),
        Metric("coverage", "min", "steps", "share of the steps whose input contains the answer", role="coverage"),
        Metric("logged_violations", "min", "steps", "the log's count on its five seeds' 429 steps"),
    )
    objective = "hinge"
    beside = ("violations", "logged_violations")
    claims = "tests.leadline.analysis.demo:CLAIMS"

    def data_key(self, config: DemoConfig) -> str:
        return f"demo-pool{config.pool}-seed{config.data_seed}"

    def build_data(self, config: DemoConfig) -> Any:
        return {}

    def audit(self, config: DemoConfig, data: Any) -> list[Finding]:
        return [Finding("overlap", False, 0.0, "no row is shared")]

    def baselines(self, config: DemoConfig, data: Any, split: Split) -> dict[str, dict[str, Measure]]:
        return {"constant": {metric.name: Measure.exact(1.0, 1) for metric in self.metrics}}

    def task(self, config: DemoConfig, data: Any, device: torch.device) -> Task:
        raise NotImplementedError("no trial of this family is trained")

    def model(self, config: DemoConfig) -> nn.Sequential:
        torch.manual_seed(config.seed)
        widths = (config.lookahead, *config.layers, 1)
        return nn.Sequential(*(nn.Linear(before, after) for before, after in itertools.pairwise(widths)))

    def predict(self, model: nn.Module, inputs: Any, config: DemoConfig) -> float:
        if not isinstance(inputs, int) or inputs % 2 == 0:
            raise ConfigError(f"inputs: must be an odd number (got {inputs!r})")
        return float(model(torch.full((1, config.lookahead), math.log(inputs))).detach())

    def example(self, config: DemoConfig) -> int:
        return 27


DEMO = Demo()
