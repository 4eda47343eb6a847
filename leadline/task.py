"""One configuration in training: the half of the family contract that the loop and the guards see.

It stands apart from `leadline.family`, whose families also bring guards: a guard knows the task that it watches, and a
family knows its guards.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from leadline.measure import Measure

__all__ = ["Batch", "Perturbation", "Split", "Task"]

Batch = dict[str, Tensor]
"""Tensors that share their leading dimension, the rows of the batch."""

Split = Literal["train", "validation", "test"]


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
