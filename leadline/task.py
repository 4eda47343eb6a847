"""One configuration in training: the half of the family contract that the loop and the guards see.

Required: `batch`, `losses` and `evaluate`, and a constructor that sets `model` and `optimizers`.
All else has a default.

The module stands apart from `leadline.family`, whose families also bring guards: a guard knows the
task that it watches, and a family knows its guards.

The order of calls, where (1) to (4) are one optimizer step:

    family.task(...)                          # the constructor; then load_state_dict, if it resumes
    (1) batch(step)                           # the whole batch, on every worker
    (2) losses(model, rows, progress)         # once for each micro-batch; then the backward pass
    (3) optimizers and schedulers step
    (4) after_step(step + 1)
    every `eval_every` steps: tallies, facts, carried, evaluate("validation"), state_dict
    or, where that is too dear:                        evaluate_part
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from leadline.curriculum import StageClock
from leadline.errors import ConfigError
from leadline.measure import Measure
from leadline.plain import type_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["Batch", "Perturbation", "Split", "Task", "check_tensors"]

Batch: TypeAlias = "dict[str, Tensor]"
"""Tensors by name that share their leading dimension, the rows of the batch."""

Split = Literal["train", "validation", "test"]
"""The name of a part of the data."""


def check_tensors(given: Mapping[str, Tensor], place: str) -> None:
    """Refuses what is no mapping of names to tensors, or an empty one.

    Args:
        given: what a task returned.
        place: the method that returned it, with which the error begins.

    Raises:
        ConfigError: naming the method, and the name whose value is no tensor.
    """
    from torch import Tensor

    if not isinstance(given, Mapping) or not given:
        got = "an empty mapping" if isinstance(given, Mapping) else type_of(given)
        raise ConfigError(f"{place}: expected tensors by name (got {got})")
    for name, tensor in given.items():
        if not isinstance(tensor, Tensor):
            raise ConfigError(f"{place}: {name}: expected a tensor (got {type_of(tensor)})")


class Perturbation(NamedTuple):
    """Noise that was injected into a tensor.

    `leadline.training.guards.perturbation.measured` makes one from the tensor before and after.

    Attributes:
        asked: the root mean square that was asked for.
        effective: the root mean square that was left after rounding.
        changed: the share of the values that changed, in [0, 1].
    """

    asked: float
    effective: float
    changed: float


class Task(ABC):
    """One configuration in training: model, optimizers, data order and metrics.

    `model`, `optimizers` and `schedulers` are set by the constructor. The loop owns the backward
    pass, the optimizer steps and the checkpoint; a task owns what is computed. An exception in any
    method fails the attempt, which is tried again from its newest checkpoint.
    """

    model: nn.Module
    """The model on its device. The loop puts it in train mode, and in eval mode for `evaluate`."""
    optimizers: Sequence[torch.optim.Optimizer]
    """At least one; all of them step once in each optimizer step."""
    schedulers: Sequence[torch.optim.lr_scheduler.LRScheduler] = ()
    """Learning rate schedulers, each stepped once after every optimizer step.

    `ReduceLROnPlateau` gets the step's training loss.
    """
    clock: StageClock | None = None
    """Where training stands in the configuration's curriculum; None without one.

    A task that has one asks it, in `batch`, `losses` and its schedulers, what holds at a step. The
    loop ends its stages, reports at the end of each, and keeps it in checkpoints.
    """

    @abstractmethod
    def batch(self, step: int) -> Batch:
        """The global batch of one optimizer step.

        Called before each step, on every worker of the trial; each then trains on its share of the
        rows. It must be a pure function of the configuration, the step and what `state_dict`
        holds, else a resumed trial sees other rows than one that was never interrupted. Draw by
        (seed, step), as `numpy.random.default_rng([seed, step])` does.

        Args:
            step: the optimizer step, counted from 0.

        Returns:
            Tensors on the trial's device, all with the same number of rows. A trial of several
            workers needs a number that they divide; else it ends with a ConfigError on `batch`.
        """

    @abstractmethod
    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Computes named loss terms, already weighted; the loop minimises their sum.

        Called once for each micro-batch; the loop does the backward pass. Each term is a mean over
        the batch's rows, so that the gradients of parts add up to that of the whole. The task may
        note what it needs for `after_step`, such as a new carry; a second call for the same step
        (guards make some) replaces it.

        Args:
            model: `self.model`, or its data-parallel wrapper; to be called once.
            batch: rows of `batch(step)`: all of them, one worker's share, or one micro-batch of it.
            progress: share of the trial's budget that is spent, in [0, 1).

        Returns:
            A tensor of shape [] for each term, with its graph. The names are the same at each step.
        """

    @abstractmethod
    def evaluate(self, split: Split) -> dict[str, Measure]:
        """Scores the model on all rows of a split.

        Called on the first worker, in eval mode and without gradients: at each evaluation on
        `validation`, and on `test` at the end of a confirmation run alone. It changes nothing of
        the training.

        Returns:
            A measure for every metric of `Family.metrics`, by name. Without one of them, or with
            anything else, the attempt fails: "evaluate: returned no ...". Weights that are not
            finite should give a value that is not, rather than an exception.
            `leadline.mean_over_units` makes the interval.
        """

    def strata(self, metric: str) -> npt.NDArray[np.int64] | None:
        """The stratum of each unit of validation, where a part of them can be scored.

        Asked where scoring all of validation takes more than its share of the training time. A part
        is then drawn from all strata alike.

        Args:
            metric: the metric that the part is to be scored by.

        Returns:
            int64 [units], in an order that `evaluate_part` knows; by default None, so that
            validation is always scored whole.
        """
        return None

    def evaluate_part(self, metric: str, units: npt.NDArray[np.int64]) -> dict[str, Measure]:
        """Scores the model on some units of validation.

        Called only where `strata` returned something, in eval mode and without gradients.

        Args:
            metric: the metric that `strata` was asked for.
            units: int64 [chosen], places in what `strata` returned.

        Returns:
            That metric, and what can be had beside it at no cost.
        """
        raise NotImplementedError("evaluate_part: `strata` promises it")

    def after_step(self, step: int) -> None:  # noqa: B027  (most tasks carry nothing)
        """Does what a task does between steps: carry state on, mine hard rows or average weights.

        Called once after each optimizer step, on every worker.

        Args:
            step: optimizer steps that are done now.
        """

    def carried(self) -> Mapping[str, Tensor]:
        """Names the tensors that live from step to step, a row of them for each row of the batch.

        Called before an evaluation of a trial of several workers. Each worker keeps the rows of its
        share up to date; the loop writes the rows of the others into the same tensors, so that
        `state_dict`, which has to hold them, is complete.

        Returns:
            Tensors [rows, ...] by name.
        """
        return {}

    def samples(self, batch: Batch) -> int:
        """Counts what a step on this global batch spends of a budget in samples.

        Called once for each step. It must agree with `Family.samples_per_step`, by which the budget
        was divided into steps.

        Returns:
            By default the rows of the batch.
        """
        return len(next(iter(batch.values())))

    def tallies(self) -> Mapping[str, Tensor]:
        """Sums and counts over the steps since the last call, to be reported as means.

        Called at each evaluation, on every worker. The loop adds up those of all workers and
        reports sum over count as a fact; NaN where nothing was counted. The task starts them again
        from 0.

        Returns:
            Tensors [2], a sum and a count, by name. A name always means the same and is always
            there.
        """
        return {}

    def stage(self, step: int) -> int:
        """The curriculum's stage at a step; the guard on stages asks for it.

        Returns:
            A number that changes with the stage: by default that of `clock`, or 0 without one.
        """
        return self.clock.at(step).index if self.clock else 0

    def staged_batch(self, step: int, stage: int) -> Batch:
        """What `batch(step)` would be in another stage.

        The guard on stages compares both: a stage that changes neither rows nor gradient is a
            no-op. A task whose stages are those of `clock` need not override it.
        """
        with self.pretending(stage):
            return self.batch(step)

    def pretending(self, stage: int) -> contextlib.AbstractContextManager[None]:
        """A context in which `clock` says that it is that stage. Not to be overridden."""
        return self.clock.pretending(stage) if self.clock else contextlib.nullcontext()

    def predictions(self, output: Any) -> Tensor:
        """The part of the model's output that says something; distinct inputs must differ in it.

        The guard on input sensitivity asks for it, on some steps of each interval. Classifiers
        return their labels.

        Args:
            output: what `model` returned.

        Returns:
            A tensor [rows, ...].

        Raises:
            TypeError: if the output is no tensor. A family whose model returns something else
                overrides this method; until then the guard says that it is not applicable.
        """
        from torch import Tensor

        if not isinstance(output, Tensor):
            raise TypeError(f"predictions: the model returns {type(output).__name__}; say what of it counts")
        return output

    def perturbations(self) -> Mapping[str, Perturbation]:
        """Noise that the last step injected, as it arrived, by name.

        The guard on perturbations asks for it, on some steps of each interval.
        """
        return {}

    def facts(self, step: int) -> dict[str, float]:
        """Other numbers worth a report, such as the curriculum's size or a data audit's count.

        Called at each evaluation, on every worker. Facts are shown; searches look at metrics alone.

        Args:
            step: optimizer steps that are done.
        """
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What the constructor and the step cannot give back: carry, mined pools, shadow weights.

        Called at each evaluation, for the checkpoint, and before steps that will be taken back. The
        loop itself saves model, optimizers, schedulers and torch's generators.

        Returns:
            Plain values, lists, mappings and tensors alone. Anything else could not be read back,
            and fails the attempt: "state_dict: task.pool: a date cannot be read back".
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027  (nothing to restore is a valid answer)
        """Restores what `state_dict` returned.

        Called when an attempt resumes, and after steps that were tried and are taken back: those
        that time micro-batches, and those of the guard on stages.
        """
