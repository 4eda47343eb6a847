"""The family contract: what a model family provides, and what the loop and the engine ask of it.

A family is a kind of task together with its models. It imports torch and numpy, and nothing of Ray,
Optuna or the engine. `leadline.task.Task` is the other half: one configuration in training. The
module of a family may import torch, and what trains, within the methods that need it: a command
line that names the family is then read, and refused, without them.

Required: `name`, `Config`, `metrics`, `objective`, `build_data`, `audit`, `baselines`, `task` and
`model`. All else has a default. docs/families.md goes through a whole family, file by file, and
`leadline.testing.FamilyContract` is the suite that tells whether one keeps the contract.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from leadline.config import ConfigError, TrialConfig, make
from leadline.curriculum import Curriculum
from leadline.errors import in_one_line
from leadline.finding import Finding
from leadline.measure import Measure, Metric
from leadline.plain import type_of

if TYPE_CHECKING:  # a command line is read, and refused, without torch, which takes a second to import
    import torch
    from torch import Tensor, nn

    from leadline.task import Split, Task
    from leadline.training.guards.guard import Guard

__all__ = ["Family"]

C = TypeVar("C", bound=TrialConfig)


class Family(ABC, Generic[C]):
    """A model family, of which a module holds one instance; `leadline.registry` finds it by name.

    The instance holds no state: the sweep's driver, every trial and every analysis load their own,
    each in its own process, and call the methods in any order.
    """

    name: ClassVar[str]
    """The family's name, by which `--family`, `leadline train` and the ledger know it."""
    Config: type[C]
    """The configuration: a subclass of `TrialConfig` decorated by `leadline.configuration`."""
    metrics: ClassVar[tuple[Metric, ...]]
    """Every metric that `Task.evaluate` returns, no more and no fewer."""
    objective: ClassVar[str]
    """Name of the metric that a search looks at, on the validation split."""
    beside: ClassVar[tuple[str, ...]] = ()
    """Names of metrics that leaderboards show beside the objective, such as a count that ties."""
    budget_unit: ClassVar[str] = "optimizer steps"
    """What `--dry-run` calls one unit of a budget in optimizer steps."""
    input_help: ClassVar[str] = ""
    """What `predict` takes, as `leadline predict` says it: `an odd number, such as 27`."""
    presets: ClassVar[Mapping[str, Callable[[float], TrialConfig]]] = {}
    """Whole configurations by name, such as that of a published run, for `leadline train --preset`.

    Each function takes a scale in (0, 1], by which it shrinks the run by a rule of its own.
    """

    # What follows is named by dotted name and loaded when it is asked for, so that training a
    # family imports neither its commands nor pandas nor Plotly.
    commands: ClassVar[Mapping[str, str]] = {}
    """Commands that question a trained model of the family, `leadline NAME SWEEP ...`.

    By command name, each is the dotted name of a `leadline.Command`.
    """
    claims: ClassVar[str] = ""
    """Dotted name of a tuple of `leadline.Claim`: headlines of the log or paper behind the family.

    Reports set them beside what was measured.
    """
    studies: ClassVar[Mapping[str, str]] = {}
    """How the family answers studies whose default is another family.

    By the study's name, each is the dotted name of a `leadline.Study` of that name.
    """
    figures: ClassVar[str] = ""
    """Dotted name of a function of a `leadline.Sweep` that returns further figures for the report.

    Each is a `leadline.analysis.report.figures.Figure`.
    """
    opening: ClassVar[str] = ""
    """Dotted name of a function of a `leadline.Sweep` that returns the report's first sentence.

    By default a report opens with the best scores of predictors that learn nothing.
    """

    def config(self, values: Mapping[str, Any]) -> C:
        """A configuration from plain or textual values, by field; a field that is not given has its
        default.

        Raises:
            ConfigError: naming an unknown field of this family, or a value that it does not take.
        """
        return make(self.Config, values, self.name)

    def data_key(self, config: C) -> str:
        """Names the data that a configuration needs; all configurations of one key share it.

        The driver and each trial ask for it. Everything that `build_data` reads from the
        configuration must be in the key: of two configurations with the same key, the second is
        given the data of the first. What is read is noted, and such a sweep is refused, or such a
        trial fails (see `leadline.admission`). Trials differ in `seed`, which is no part of a key.

        Returns:
            Any text. By default the family's name, so that all configurations share their data.
        """
        return self.name

    def curriculum(self, config: C) -> Curriculum | None:
        """The curriculum of a configuration; its task has a clock of the same one.

        Called by whoever plans, judges or shows trials: none is stopped before its last stage has
        begun.

        Returns:
            None where there is none, as by default.
        """
        return None

    def samples_per_step(self, config: C) -> int:
        """Samples of one optimizer step, by which a budget in samples is divided.

        Called while a sweep whose study has `budget="samples"` is planned. It must be what
        `Task.samples` counts for a batch of that configuration.

        Returns:
            By default the rows of a step, which is the value of the field `batch`.

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
        """Builds the data of all splits: train, validation and test.

        Called once for each `data_key`: by the sweep's driver before the first trial, or by
        `leadline train`. Trials get the result through pickle. It must be deterministic, as it is
        built again when the sweep is resumed. An exception ends the command before anything is
        trained.

        Returns:
            Anything that can be pickled. Numpy arrays inside are shared between the trials of a
            machine and cannot be written to: a trial that tries gets a ValueError.
        """

    @abstractmethod
    def audit(self, config: C, data: Any) -> list[Finding]:
        """Judges the data: above all whether a row that is scored is also trained on.

        Called once for each `data_key`, before anything is trained, and again for a stratum that
        differs in a field that was read. What makes two rows the same is the family's to say;
        `leadline.training.guards.overlap.overlap` counts equal keys.

        Returns:
            Findings, of which at least one has a `guard` that begins with `overlap`. Training is
            refused, in a sweep and by `leadline train`, where there is none, where one is `failed`,
            and where this method raises (see `leadline.admission`).
        """

    @abstractmethod
    def baselines(self, config: C, data: Any, split: Split) -> dict[str, dict[str, Measure]]:
        """Scores trivial predictors on exactly the rows that a trial is scored on.

        Called for `validation` and `test`, once for each stratum, before anything is trained. A
        predictor is trivial if it learns nothing, such as a constant or a copy of the input. One
        whose name begins with `oracle` knows the answer: it is shown, and nobody is compared with
        it.

        Returns:
            {baseline: {metric: measure}}. Every metric but those of the role `descriptive` must be
            there for at least one baseline that is no oracle; else training is refused.
        """

    @abstractmethod
    def task(self, config: C, data: Any, device: torch.device) -> Task:
        """Builds one configuration's task: model, optimizers and data order.

        Called once for each attempt, in each process that trains it, after
        `torch.manual_seed(config.seed)`. Every other generator that the task uses must be seeded
        from `config.seed`. Where an attempt resumes, the loop loads the checkpoint into the new
        task. An exception fails the attempt, which is tried again.

        Args:
            config: the trial's configuration.
            data: what `build_data` returned for the configuration's `data_key`; not to be written
                to.
            device: where the model must live: a CPU or the trial's GPU.
        """

    @abstractmethod
    def model(self, config: C) -> nn.Module:
        """Builds the untrained model of a configuration, on the CPU.

        Called wherever a trial's model is loaded, and by the default `checkpoint_bytes`. It must
        have the parameters and buffers of `Task.model`, under the same names, else the weights do
        not fit. Most tasks call it themselves.
        """

    def checkpoint_bytes(self, config: C) -> int:
        """Estimates how large one checkpoint is, in bytes.

        Called before a sweep begins, which is refused where the storage has no room for all its
        checkpoints.

        Returns:
            By default the bytes of the weights three times, as Adam keeps two moments for each.
        """
        return 3 * sum(parameter.numel() * parameter.element_size() for parameter in self.model(config).parameters())

    def scored_weights(self, state: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Finds, in a checkpoint, the weights with which its score was measured.

        Called when a checkpoint's model is loaded. A family that scores averaged weights, which its
        task keeps in `state_dict`, returns those.

        Args:
            state: the training state: `model`, the module's state dict, and `task`, what
                `Task.state_dict` returned, among others.

        Returns:
            A state dict for the module that `model` builds. By default the weights that were
            trained.
        """
        weights: Mapping[str, Tensor] = state["model"]
        return weights

    def trained_model(self, config: C, state: Mapping[str, Any]) -> nn.Module:
        """The model with the weights that a score was measured with, on the CPU, in eval mode.

        Not to be overridden: trials check by it that what they keep can be loaded.

        Args:
            config: the trial's configuration.
            state: the training state, as a checkpoint holds it.

        Raises:
            ConfigError: beginning with `model`, if `model` returns none, or one that the weights do
                not fit.
        """
        from torch import nn

        model = self.model(config)
        if not isinstance(model, nn.Module):
            raise ConfigError(f"model: expected a torch.nn.Module (got {type_of(model)})")
        try:
            model.load_state_dict(self.scored_weights(state))
        except (RuntimeError, LookupError, TypeError, AttributeError) as error:
            words = in_one_line(error)
            raise ConfigError(f"model: the trained weights do not fit that of {self.name}: {words}") from None
        return model.eval()

    def guards(self, config: C) -> Sequence[Guard]:
        """Makes the guards of this family, beside those that every trial has.

        Called once for each attempt, in the process that reports. It must return new objects each
        time, as a guard keeps what it has seen.
        """
        return ()

    def predict(self, model: nn.Module, inputs: Any, config: C) -> Any:
        """The model's answer to one input as a person would give it, such as a number or a board.

        Called by `leadline.Sweep`'s `trial.predict(inputs)`, with that trial's model and
        configuration, and by whoever has a model. The configuration is an argument of its own, as a
        model need not carry what reading its input takes, and weights may come from anywhere.

        It changes neither the model's weights nor its mode, and equal inputs have equal answers. A
        family without it can be swept all the same.

        Args:
            model: `model(config)` with trained weights, in eval mode, on any device.
            inputs: what `example` shows; every family says what else it takes.
            config: the configuration that the model was made for.

        Returns:
            Plain values: a number, or a small frozen dataclass of numbers and text. Equal answers
            are equal by `==`.

        Raises:
            ConfigError: beginning with `inputs`, if it is no input of this family; or beginning
                with `family`, if the family has no `predict`.
        """
        raise ConfigError(f"family: {self.name} has no predict")

    def example(self, config: C) -> Any:
        """An input that `predict` answers under this configuration.

        Called by the contract suite, and by whoever wants to see what an input looks like.

        Returns:
            None where the family has no `predict`, as by default.
        """
        return None

    def metric(self, name: str) -> Metric:
        """The declared metric of that name. Not to be overridden.

        Raises:
            ConfigError: if there is none.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise ConfigError(f"metric: {self.name} has no {name!r}; it has {', '.join(m.name for m in self.metrics)}")
