"""The family contract: what a model family provides, and what the loop and the engine may ask of it.

A family is its task and its models together. It imports torch and numpy and nothing of Ray, Optuna or the engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from trainables.config import ConfigError, TrialConfig
from trainables.measure import Measure

__all__ = ["Batch", "Family", "Finding", "Metric", "Split", "Task"]

Batch = dict[str, Tensor]
"""Tensors that share their leading dimension, the rows of the batch."""

Split = Literal["train", "validation", "test"]

C = TypeVar("C", bound=TrialConfig)


@dataclass(frozen=True)
class Metric:
    """One reported quantity. `unit` names what `n` counts: the independent units behind the interval."""

    name: str
    mode: Literal["min", "max"]
    unit: str
    doc: str


@dataclass(frozen=True)
class Finding:
    """What a guard or an audit found: a number and a sentence. `failed` findings stop a sweep before it starts."""

    guard: str
    failed: bool
    number: float
    sentence: str


class Task(ABC):
    """One configuration in training: model, optimizers, data order and metrics.

    `model`, `optimizers` and `schedulers` are set by the constructor. The loop owns the backward pass, the optimizer
    steps and the checkpoint; a task owns what is computed.
    """

    model: nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    schedulers: Sequence[torch.optim.lr_scheduler.LRScheduler] = ()

    @abstractmethod
    def batch(self, step: int) -> Batch:
        """The global batch of optimizer step `step` (from 0). A pure function of (configuration, step) and of `state_dict`."""

    @abstractmethod
    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Named loss terms, already weighted; their sum is minimised.

        Args:
            model: `self.model`, or its data-parallel wrapper; called once.
            batch: rows of `batch(step)`, all of them or one worker's share.
            progress: share of the trial's budget that is spent, in [0, 1).
        """

    @abstractmethod
    def evaluate(self, split: Split) -> dict[str, Measure]:
        """Every declared metric on a split, by name."""

    def facts(self, step: int) -> dict[str, float]:
        """Other numbers worth a report, such as the curriculum's size or a data audit's count."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Whatever the constructor and `step` cannot give back: carry, mined pools, shadow weights."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027  (nothing to restore is a valid answer)
        """The inverse of `state_dict`."""


class Family(ABC, Generic[C]):
    """A model family. Instances hold no state; `trainables.registry` finds them by name."""

    name: ClassVar[str]
    Config: type[C]
    metrics: ClassVar[tuple[Metric, ...]]
    objective: ClassVar[str]
    """Name of the metric that a search looks at, on the validation split."""
    beside: ClassVar[tuple[str, ...]] = ()
    """Names of metrics that the leaderboard shows beside the objective, such as a count that ties."""
    budget_unit: ClassVar[str] = "optimizer steps"

    def data_key(self, config: C) -> str:
        """Names the data that a configuration needs; configurations of one key share one `build_data`. Default: all share one."""
        return self.name

    @abstractmethod
    def build_data(self, config: C) -> Any:
        """All splits, deterministic. Numpy arrays inside are shared between trials and must not be written to."""

    @abstractmethod
    def audit(self, config: C, data: Any) -> list[Finding]:
        """Overlap between splits by the family's own key; a failed finding refuses the data."""

    @abstractmethod
    def baselines(self, config: C, data: Any, split: Split) -> dict[str, dict[str, Measure]]:
        """Trivial predictors on the rows that a trial is scored on: {baseline: {metric: measure}}."""

    @abstractmethod
    def task(self, config: C, data: Any, device: torch.device) -> Task:
        """A fresh task. Seeds every generator it uses from `config.seed`."""

    @abstractmethod
    def model(self, config: C) -> nn.Module:
        """The untrained model of a configuration, on the CPU: what a checkpoint's weights are loaded into."""

    def metric(self, name: str) -> Metric:
        """The declared metric of that name.

        Raises:
            ConfigError: if there is none.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise ConfigError(f"metric: {self.name} has no {name!r}; it has {', '.join(m.name for m in self.metrics)}")
