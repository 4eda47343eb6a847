"""The family contract: what a model family provides, and what the loop and the engine may ask of it.

A family is its task and its models together. It imports torch and numpy and nothing of Ray, Optuna or the engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from leadline.config import ConfigError, TrialConfig, make
from leadline.finding import Finding
from leadline.measure import Measure
from leadline.training.guards.guard import Guard

__all__ = ["Batch", "Family", "Finding", "Metric", "Perturbation", "Split", "Task"]

Batch = dict[str, Tensor]
"""Tensors that share their leading dimension, the rows of the batch."""

Split = Literal["train", "validation", "test"]

C = TypeVar("C", bound=TrialConfig)


@dataclass(frozen=True)
class Metric:
    """One reported quantity. `unit` names what `n` counts: the independent units behind the interval.

    `descriptive` ones say what a model is like rather than how well it does, such as an exponent of its dynamics: a trivial predictor
    has none, so that none is asked of the baselines.
    """

    name: str
    mode: Literal["min", "max"]
    unit: str
    doc: str
    descriptive: bool = False


class Perturbation(NamedTuple):
    """Injected noise: the root mean square `asked` for, what was `effective` after rounding, and the share of values that `changed`."""

    asked: float
    effective: float
    changed: float


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

        Each is a mean over the batch's rows, so that the gradients of parts add up to that of the whole. The task may note
        what it needs for `after_step`, such as a new carry; a second call for the same step (guards make some) replaces it.

        Args:
            model: `self.model`, or its data-parallel wrapper; called once.
            batch: rows of `batch(step)`: all of them, one worker's share, or one micro-batch of that.
            progress: share of the trial's budget that is spent, in [0, 1).
        """

    @abstractmethod
    def evaluate(self, split: Split) -> dict[str, Measure]:
        """Every declared metric on a split, by name."""

    def after_step(self, step: int) -> None:  # noqa: B027  (most tasks carry nothing)
        """Called once after each optimizer step, `step` of which are now done: the place to carry state on, mine or average weights."""

    def carried(self) -> Mapping[str, Tensor]:
        """What lives from step to step for each row of the global batch, [rows, ...] by name.

        Of several workers each keeps up the rows of its share; before a checkpoint the loop writes those of the others into the same
        tensors, which `state_dict` then has to hold.
        """
        return {}

    def samples(self, batch: Batch) -> int:
        """What a step on this global batch spends of a budget in samples: `Family.samples_per_step`. Default: its rows."""
        return len(next(iter(batch.values())))

    def tallies(self) -> Mapping[str, Tensor]:
        """Sums and counts over the steps since the last call, [2] by name; a name always has the same meaning and is always there.

        The loop adds up those of all workers and reports sum over count as a fact; no number where nothing was counted.
        """
        return {}

    def stage(self, step: int) -> int:
        """The curriculum's stage at step `step`; a family without stages stays at 0."""
        return 0

    def staged_batch(self, step: int, stage: int) -> Batch:
        """What `batch(step)` would be in another stage: a stage that changes neither rows nor gradient is a no-op."""
        return self.batch(step)

    def predictions(self, output: Any) -> Tensor:
        """What the model's output says, [rows, ...]: distinct inputs must differ in it. Classifiers return their labels.

        Raises:
            TypeError: if it is no tensor; a family whose model returns something else says here what counts.
        """
        if not isinstance(output, Tensor):
            raise TypeError(f"predictions: the model returns {type(output).__name__}; say what of it counts")
        return output

    def perturbations(self) -> Mapping[str, Perturbation]:
        """Noise that the last step injected, by name, as it arrived."""
        return {}

    def facts(self, step: int) -> dict[str, float]:
        """Other numbers worth a report, such as the curriculum's size or a data audit's count."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Whatever the constructor and `step` cannot give back: carry, mined pools, shadow weights."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027  (nothing to restore is a valid answer)
        """The inverse of `state_dict`."""


class Family(ABC, Generic[C]):
    """A model family. Instances hold no state; `leadline.registry` finds them by name."""

    name: ClassVar[str]
    Config: type[C]
    metrics: ClassVar[tuple[Metric, ...]]
    objective: ClassVar[str]
    """Name of the metric that a search looks at, on the validation split."""
    beside: ClassVar[tuple[str, ...]] = ()
    """Names of metrics that the leaderboard shows beside the objective, such as a count that ties."""
    budget_unit: ClassVar[str] = "optimizer steps"
    presets: ClassVar[Mapping[str, Callable[[float], TrialConfig]]] = {}
    """Whole configurations by name, such as a published run's; each function takes a scale in (0, 1] that shrinks it by its own rule."""

    def config(self, values: Mapping[str, Any]) -> C:
        """A configuration from plain or textual values, by field; a field that is not given has its default.

        Raises:
            ConfigError: naming an unknown field of this family, or one whose value it does not take.
        """
        return make(self.Config, values, self.name)

    def data_key(self, config: C) -> str:
        """Names the data that a configuration needs; configurations of one key share one `build_data`. Default: all share one."""
        return self.name

    def samples_per_step(self, config: C) -> int:
        """Samples of one optimizer step, by which a budget in them is divided. Default: rows, the field `batch`.

        Raises:
            ConfigError: if there is no such field.
        """
        rows = getattr(config, "batch", None)
        if not isinstance(rows, int):
            raise ConfigError(
                f"batch: {self.name} has no such field, so a budget in samples needs its `samples_per_step`"
            )
        return rows

    @abstractmethod
    def build_data(self, config: C) -> Any:
        """All splits, deterministic. Numpy arrays inside are shared between trials and must not be written to."""

    @abstractmethod
    def audit(self, config: C, data: Any) -> list[Finding]:
        """Overlap between splits by the family's own key; see `leadline.training.guards.overlap`.

        Training is refused by a failed finding, by an exception, and where no finding's guard begins with `overlap`: in a sweep, and by
        `python -m trainables` (see `leadline.admission`).
        """

    @abstractmethod
    def baselines(self, config: C, data: Any, split: Split) -> dict[str, dict[str, Measure]]:
        """Trivial predictors on the rows that a trial is scored on: {baseline: {metric: measure}}."""

    @abstractmethod
    def task(self, config: C, data: Any, device: torch.device) -> Task:
        """A fresh task. Seeds every generator it uses from `config.seed`."""

    @abstractmethod
    def model(self, config: C) -> nn.Module:
        """The untrained model of a configuration, on the CPU: what a checkpoint's weights are loaded into."""

    def checkpoint_bytes(self, config: C) -> int:
        """About how large a checkpoint is. Default: weights and two moments, as Adam has them."""
        return 3 * sum(parameter.numel() * parameter.element_size() for parameter in self.model(config).parameters())

    def scored_weights(self, state: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """The weights that a checkpoint's score was measured with, as `model` loads them. Default: those that were trained.

        Args:
            state: the training state: `model`, the module's state dict, and `task`, what `Task.state_dict` gave, among others.
        """
        weights: Mapping[str, Tensor] = state["model"]
        return weights

    def guards(self, config: C) -> Sequence[Guard]:
        """Guards of this family beside those that every trial has; fresh ones for each call."""
        return ()

    def metric(self, name: str) -> Metric:
        """The declared metric of that name.

        Raises:
            ConfigError: if there is none.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise ConfigError(f"metric: {self.name} has no {name!r}; it has {', '.join(m.name for m in self.metrics)}")
