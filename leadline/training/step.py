"""An optimizer step of one process, or of one of several data-parallel workers.

It consists of micro-batches, their gradients, what guards look at, and the new weights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from leadline.config import ConfigError, TrialConfig
from leadline.task import Batch, Task, check_tensors
from leadline.training.guards.guard import Guard, GuardRunner
from leadline.training.schedules import lengthen

__all__ = ["Trainer", "World", "rows_of"]

COUNTS = ("step", "samples", "seconds", "overhead", "guarding", "micro_batch")
"""Attributes of a `Trainer` that a checkpoint keeps under `counts`."""


@dataclass(frozen=True)
class World:
    """The place of a worker among the data-parallel workers of its trial.

    Attributes:
        rank: its number, from 0.
        size: how many workers the trial has.
    """

    rank: int = 0
    size: int = 1


def rows_of(rows: int, share: str) -> int:
    """The rows of a micro-batch that is a share of the batch, such as `1/4`; at least one."""
    return max(1, rows // int(share.removeprefix("1/")))


class Trainer:
    """Takes the optimizer steps of one configuration, and knows where training stands.

    Args:
        task: the configuration's task, just made.
        config: the configuration; `config.steps` is the budget.
        device: where the model lives.
        world: this worker among its trial's workers; a process group must exist if there are
            several.
        guards: the guards that look into the steps.
    """

    def __init__(
        self, task: Task, config: TrialConfig, device: torch.device, world: World, guards: Sequence[Guard]
    ) -> None:
        self.task = task
        self.config = config
        self.device = device
        self.world = world
        self.model: nn.Module = task.model
        if world.size > 1:
            self.model = nn.parallel.DistributedDataParallel(task.model)
        self.step = 0
        """Optimizer steps done."""
        self.samples = 0
        """Samples trained on, as `Task.samples` counts them."""
        self.seconds = 0.0
        """Seconds of training, without evaluation, saving and guards."""
        self.overhead = 0.0
        """Seconds of evaluation, saving and guards."""
        self.guarding = 0.0
        """Seconds of guards alone."""
        self.micro_batch: int | str = config.micro_batch
        """Rows of a micro-batch, 0 for the whole batch; text, as configured, until it is known."""
        self.rows = 0
        """Rows of the micro-batch that was trained on last."""
        self.watch = GuardRunner(guards, task, config.eval_every)

    def optimize(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Takes one optimizer step, the one at which training stands.

        Args:
            batch: this worker's rows.

        Returns:
            The loss terms, detached, on their device.
        """
        for optimizer in self.task.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.watch.before_forward(self.step)
        terms = self._backward(batch)
        self.watch.before_update(self.step)
        for optimizer in self.task.optimizers:
            optimizer.step()
        loss = torch.stack(list(terms.values())).sum()
        for scheduler in self.task.schedulers:
            if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
                scheduler.step(self.mean(loss.clone()))
            else:
                scheduler.step()
        self.watch.after_update(self.step, loss)
        return terms

    def _backward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Adds up the gradients of one micro-batch after the other; returns the detached terms."""
        rows = len(next(iter(batch.values())))
        if isinstance(self.micro_batch, str):
            self.micro_batch = rows_of(rows, self.micro_batch)
        self.rows = size = min(self.micro_batch or rows, rows)
        sums: dict[str, torch.Tensor] = {}
        for first in range(0, rows, size):
            part = batch if size == rows else {name: tensor[first : first + size] for name, tensor in batch.items()}
            share = min(size, rows - first) / rows
            with self._unsynchronised(first + size < rows):
                terms = self.task.losses(self.model, part, self.step / self.config.steps)
                check_tensors(terms, "losses")
                if not first:
                    self.watch.before_backward(self.step, part, terms)
                torch.autograd.backward(torch.stack(list(terms.values())).sum() * share)
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term.detach() * share
        return sums

    def _unsynchronised(self, more: bool) -> contextlib.AbstractContextManager[Any]:
        """A context without exchange of gradients, where more micro-batches of the step follow."""
        if more and isinstance(self.model, nn.parallel.DistributedDataParallel):
            return self.model.no_sync()
        return contextlib.nullcontext()

    def share(self, batch: Batch) -> Batch:
        """The rows of the global batch that are this worker's.

        All workers have equal shares, so that the mean of their gradients is that of the global
        batch.

        Raises:
            ConfigError: if the workers do not divide the rows.
        """
        if self.world.size == 1:
            return batch
        rows = len(next(iter(batch.values())))
        if rows % self.world.size:
            raise ConfigError(
                f"batch: {rows} rows cannot be shared by {self.world.size} workers per trial; take a multiple"
            )
        return {name: tensor[self.world.rank :: self.world.size] for name, tensor in batch.items()}

    def mean(self, value: torch.Tensor) -> float:
        """The mean of a value over the workers, each of which has seen its own rows."""
        if self.world.size > 1:
            dist.all_reduce(value)
        return float(value) / self.world.size

    def state(self) -> dict[str, Any]:
        """Returns everything that training goes on from, as a checkpoint holds it."""
        generators = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state(self.device)
        return {
            "model": self.task.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.task.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.task.schedulers],
            "task": self.task.state_dict(),
            "clock": self.task.clock.state_dict() if self.task.clock else {},
            "guards": self.watch.state_dict(),
            "generators": generators,
            "counts": {name: getattr(self, name) for name in COUNTS},
        }

    def restore(self, state: dict[str, Any], budget: int | None = None) -> None:
        """Restores what `state` returned, except that a micro-batch set in the configuration wins.

        A retry after running out of memory may have made it smaller.

        Args:
            state: what `state` returned.
            budget: the steps of the trial that saved it. Where they are not those of this one, the
                schedules follow this one's. By default the budget is the same.
        """
        self.task.model.load_state_dict(state["model"])
        if self.task.clock is not None:  # before the schedules, which may follow it
            self.task.clock.load_state_dict(state["clock"])
        if budget in (None, self.config.steps):
            for optimizer, saved in zip(self.task.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            for scheduler, saved in zip(self.task.schedulers, state["schedulers"], strict=True):
                scheduler.load_state_dict(saved)
        else:
            lengthen(
                self.task.optimizers,
                self.task.schedulers,
                (state["optimizers"], state["schedulers"]),
                state["counts"]["step"],
            )
        self.task.load_state_dict(state["task"])
        self.watch.load_state_dict(state["guards"])
        torch.set_rng_state(state["generators"]["cpu"])
        if "cuda" in state["generators"] and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["generators"]["cuda"], self.device)
        for name in COUNTS:
            setattr(self, name, state["counts"][name])
        if self.config.micro_batch != "auto":
            self.micro_batch = self.config.micro_batch
