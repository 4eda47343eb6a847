"""The family contract: what a model family provides, and what the loop and the engine may ask of it.

A family is its task and its models together. It imports torch and numpy and nothing of Ray, Optuna or the engine.
What trains one configuration of it is a `leadline.task.Task`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from leadline.config import ConfigError, TrialConfig, make
from leadline.finding import Finding
from leadline.measure import Measure, Metric
from leadline.task import Split, Task
from leadline.training.guards.guard import Guard

__all__ = ["Family"]

C = TypeVar("C", bound=TrialConfig)


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

    commands: ClassVar[Mapping[str, str]] = {}
    """Commands that question a trained model of the family, `leadline NAME SWEEP ...`: dotted names of
    `leadline.command_line.Command` objects by name. They are loaded when one of them is asked for, like all below."""
    claims: ClassVar[str] = ""
    """Dotted name of a tuple of `leadline.analysis.claims.Claim`: headlines of the log or paper that the family comes
    from, which reports set beside what was measured."""
    studies: ClassVar[Mapping[str, str]] = {}
    """How the family answers studies whose default is another family: dotted names of `Study` objects by the study's
    name."""
    figures: ClassVar[str] = ""
    """Dotted name of a function of a `leadline.Sweep` that returns further figures for the report, each a
    `leadline.analysis.report.figures.Figure`."""

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
        `leadline train` (see `leadline.admission`).
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

    def predict(self, model: nn.Module, inputs: Any, config: C) -> Any:
        """The model's answer to one input as a person would give it, such as a number or a board.

        The configuration is an argument of its own, as a model need not carry what reading its input
        takes, and weights may come from anywhere. `analysis.Sweep` has both at hand: `trial.predict(inputs)`
        is this with the trial's model and configuration.

        It changes neither the model's weights nor its mode, and equal inputs have equal answers. A family
        without it can be swept all the same, as nothing of that asks for it.

        Args:
            model: `model(config)` with trained weights, in eval mode, on any device.
            inputs: what `example` shows; every family says what else it takes.
            config: the configuration that the model was made for.

        Returns:
            Plain values: a number, or a small frozen dataclass of numbers and text. Equal answers are equal by `==`.

        Raises:
            ConfigError: beginning with `inputs`, if it is no input of this family; or if the family has no `predict`.
        """
        raise ConfigError(f"family: {self.name} has no predict")

    def example(self, config: C) -> Any:
        """An input that `predict` answers under this configuration; None where the family has no `predict`."""
        return None

    def metric(self, name: str) -> Metric:
        """The declared metric of that name.

        Raises:
            ConfigError: if there is none.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise ConfigError(f"metric: {self.name} has no {name!r}; it has {', '.join(m.name for m in self.metrics)}")
