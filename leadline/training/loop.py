"""The one training loop: any family, one process or one of several data-parallel workers."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import nn

from leadline.checkpoint import CheckpointStore, checkpoint_name
from leadline.config import ConfigError, TrialConfig, to_dict
from leadline.family import Batch, Family, Split, Task
from leadline.finding import Finding
from leadline.measure import Measure, Report
from leadline.training.guards import every_guard
from leadline.training.guards.guard import Interval, Watch
from leadline.training.micro_batch import fastest, rows_of
from leadline.training.schedules import lengthen

__all__ = ["Loop", "World"]

COUNTS = ("step", "samples", "seconds", "overhead", "guarding", "micro_batch")


@dataclass(frozen=True)
class World:
    """This worker's place among the data-parallel workers of a trial."""

    rank: int = 0
    size: int = 1


class Loop:
    """Trains one configuration and yields a report at each evaluation, its checkpoint already published.

    Args:
        family: the model family.
        config: the configuration; `config.steps` is the budget.
        data: what `family.build_data` made for `family.data_key(config)`.
        store: where checkpoints go; None keeps none.
        device: where the model lives.
        world: this worker among its trial's workers; a process group must exist if there are several.
        test: evaluate the test split too, at the end of the budget: for confirmation only.
        log: takes one line of text at a time.
        metric: name of the one on validation whose best checkpoint is kept; the family's objective by default.
        alive: called after each step, and around evaluating and saving: whoever watches learns that the process goes on.
    """

    def __init__(
        self,
        family: Family[Any],
        config: TrialConfig,
        data: Any,
        *,
        store: CheckpointStore | None = None,
        device: torch.device | None = None,
        world: World | None = None,
        test: bool = False,
        metric: str | None = None,
        log: Callable[[str], None] = lambda line: None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.metric = family.metric(metric or family.objective)
        self.family, self.config, self.test, self.log, self.alive = family, config, test, log, alive
        self.store = store.telling(alive, log) if store else None
        self.device, self.world = device or torch.device("cpu"), world or World()
        torch.manual_seed(config.seed)
        self.task: Task = family.task(config, data, self.device)
        self.model: nn.Module = self.task.model
        if self.world.size > 1:
            self.model = nn.parallel.DistributedDataParallel(self.task.model)
        self.step = self.samples = 0
        self.seconds = self.overhead = self.guarding = 0.0
        self.micro_batch: int | str = config.micro_batch
        self.rows = 0
        """Of the micro-batch that was trained on last."""
        self.history: list[Report] = []
        guards = (
            [*every_guard(), *family.guards(config)] if self.world.rank == 0 else []
        )  # only the first worker reports
        self.watch = Watch(guards, self.task, config.eval_every)

    def run(self, stop: int | None = None) -> Iterator[Report]:
        """Reports in order of `step`. After a resume, those of the checkpoint come first: whoever listened may have missed them.

        Args:
            stop: step after which to end, with a report, as if the trial were stopped there; by default the whole budget.
        """
        self._resume()
        yield from list(self.history)
        end = self.config.steps if stop is None else min(stop, self.config.steps)
        while self.step < end:
            if self.micro_batch == "auto":
                self._choose_micro_batch()
            first, started, guarded = self.step, time.perf_counter(), self.watch.seconds
            facts = self._train_until(min(end, (self.step // self.config.eval_every + 1) * self.config.eval_every))
            trained = time.perf_counter()
            guarding = self.watch.seconds - guarded
            self.seconds += trained - started - guarding
            self.overhead += guarding
            self.guarding += guarding
            yield self._report(facts, trained, self.step - first, trained - started - guarding)

    def _choose_micro_batch(self) -> None:
        """That of the first worker for all: a resumed trial, whose workers go on from one checkpoint, then sums as before."""
        began = time.perf_counter()
        chosen = torch.tensor(fastest(self), device=self.device)
        if self.world.size > 1:
            dist.broadcast(chosen, 0)
        self.micro_batch = int(chosen)
        self.overhead += time.perf_counter() - began
        self.log(f"micro-batch of {self.micro_batch} rows: the fastest here")

    def _train_until(self, stop: int) -> dict[str, float]:
        """Optimizer steps up to `stop`; means of the loss terms over them, and over the workers."""
        self.task.model.train()
        sums: dict[str, torch.Tensor] = {}
        first = self.step
        while self.step < stop:
            batch = self.task.batch(self.step)
            for name, term in self.optimize(self.share(batch)).items():
                sums[name] = sums[name] + term if name in sums else term
            self.samples += self.task.samples(batch)
            self.step += 1
            self.task.after_step(self.step)
            self.alive()
        facts = {f"loss/{name}": self._mean(total) / (self.step - first) for name, total in sums.items()}
        rate = float(self.task.optimizers[0].param_groups[0]["lr"])
        return {"loss": math.fsum(facts.values()), **facts, "learning_rate": rate, **self._tallied()}

    def _tallied(self) -> dict[str, float]:
        """Quotients of the task's tallies, of all workers together."""
        found = {}
        for name, tally in self.task.tallies().items():
            if self.world.size > 1:
                dist.all_reduce(tally)
            total, count = tally.tolist()
            found[name] = total / count if count else math.nan
        return found

    def _gather(self) -> None:
        """The rows that `share` has given to the other workers."""
        for tensor in self.task.carried().values():
            mine = tensor[self.world.rank :: self.world.size].contiguous()
            parts = [torch.empty_like(mine) for _ in range(self.world.size)]
            dist.all_gather(parts, mine)
            for rank, part in enumerate(parts):
                tensor[rank :: self.world.size] = part

    def _mean(self, value: torch.Tensor) -> float:
        """Over the workers, each of which has seen its own rows."""
        if self.world.size > 1:
            dist.all_reduce(value)
        return float(value) / self.world.size

    def optimize(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One optimizer step on this worker's rows, of the step that the loop stands at; the detached loss terms."""
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
                scheduler.step(self._mean(loss.clone()))
            else:
                scheduler.step()
        self.watch.after_update(self.step, loss)
        return terms

    def _backward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Gradients of the batch's loss, of one micro-batch after the other; the detached terms."""
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
                if not first:
                    self.watch.before_backward(self.step, part, terms)
                torch.autograd.backward(torch.stack(list(terms.values())).sum() * share)
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term.detach() * share
        return sums

    def _unsynchronised(self, more: bool) -> contextlib.AbstractContextManager[Any]:
        """Workers exchange gradients at the last micro-batch alone."""
        if more and isinstance(self.model, nn.parallel.DistributedDataParallel):
            return self.model.no_sync()
        return contextlib.nullcontext()

    def share(self, batch: Batch) -> Batch:
        """This worker's rows. Equal shares: the mean of the workers' gradients is then the gradient of the global batch."""
        if self.world.size == 1:
            return batch
        rows = len(next(iter(batch.values())))
        if rows % self.world.size:
            raise ConfigError(
                f"batch: {rows} rows cannot be shared by {self.world.size} workers per trial; take a multiple"
            )
        return {name: tensor[self.world.rank :: self.world.size] for name, tensor in batch.items()}

    def _report(self, facts: dict[str, float], trained: float, steps: int, seconds: float) -> Report:
        """Evaluates and saves on the first worker; the others wait."""
        splits: list[Split] = ["validation", "test"] if self.test and self.step == self.config.steps else ["validation"]
        metrics: dict[str, Measure] = {}
        facts = {**facts, **self.task.facts(self.step)}
        losses = self.watch.losses()
        if self.world.size > 1:
            self._gather()
        if self.world.rank == 0:
            self.task.model.eval()
            with torch.no_grad():
                for split in splits:
                    metrics |= {f"{split}/{name}": measure for name, measure in self.task.evaluate(split).items()}
            self._save(metrics, self._guarded(facts, metrics, losses, steps, seconds), trained)
        else:
            self.history.append(Report(self.step, self.samples, self.seconds, self.overhead, {}, facts))
        if self.world.size > 1:
            dist.barrier()
        self.alive()
        report = self.history[-1]
        shown = report.metrics.get(f"validation/{self.family.objective}")
        self.log(
            f"step {report.step}/{self.config.steps}  {self.family.objective} {shown.value if shown else math.nan:.5g}  "
            f"loss {facts['loss']:.5g}  {self.step / max(self.seconds, 1e-9):.0f} steps/s"
        )
        for finding in report.findings:
            self.log(f"{finding.mark}: {finding.sentence}")
        return report

    def _guarded(
        self,
        facts: dict[str, float],
        metrics: dict[str, Measure],
        losses: npt.NDArray[np.float64],
        steps: int,
        seconds: float,
    ) -> tuple[dict[str, float], list[Finding]]:
        """The facts with the guards' share of the training time, and what the guards have found."""
        metric = self.family.metric(self.family.objective)
        objective = metrics.get(f"validation/{metric.name}", Measure.exact(math.nan, 0))
        rates = tuple(float(group["lr"]) for optimizer in self.task.optimizers for group in optimizer.param_groups)
        before = self.watch.seconds
        found = self.watch.report(
            Interval(
                self.step, steps, self.config.steps, seconds, losses, rates, objective, minimise=metric.mode == "min"
            )
        )
        self.guarding += self.watch.seconds - before
        share = self.guarding / max(self.seconds + self.guarding, 1e-9)
        held = {"gpu_memory": float(torch.cuda.max_memory_allocated(self.device))} if self.device.type == "cuda" else {}
        return {**facts, **held, "guards_share": share, "micro_batch": float(self.micro_batch)}, found

    def _save(
        self, metrics: dict[str, Measure], guarded: tuple[dict[str, float], list[Finding]], trained: float
    ) -> None:
        """Appends the report to the history, which its own checkpoint already carries."""
        facts, found = guarded
        name = checkpoint_name(self.store.attempt, self.step) if self.store else None
        missing = [metric.name for metric in self.family.metrics if f"validation/{metric.name}" not in metrics]
        if missing:
            raise ValueError(f"evaluate: returned no {missing[0]!r}, which {self.family.name} declares")
        self.overhead += time.perf_counter() - trained
        report = Report(self.step, self.samples, self.seconds, self.overhead, metrics, facts, name, tuple(found))
        self.history.append(report)
        if self.store is None:
            return
        begun = time.perf_counter()
        record = {
            "family": self.family.name,
            "config": to_dict(self.config),
            "history": [past.to_dict() for past in self.history],
        }
        self.store.publish(self.step, self.state(), record)
        self.store.retain(self._kept())
        self.overhead += time.perf_counter() - begun

    def _kept(self) -> set[str]:
        """The latest two checkpoints and the best: a damaged latest then costs one interval."""
        metric = self.metric
        sign = 1.0 if metric.mode == "min" else -1.0
        scored = [(sign * past.metrics[f"validation/{metric.name}"].value, past) for past in self.history]
        finite = [pair for pair in scored if math.isfinite(pair[0])]
        kept = self.history[-2:] + ([min(finite, key=lambda pair: pair[0])[1]] if finite else [])
        return {past.checkpoint for past in kept if past.checkpoint}

    def state(self) -> dict[str, Any]:
        """Everything that training goes on from."""
        generators = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state(self.device)
        return {
            "model": self.task.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.task.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.task.schedulers],
            "task": self.task.state_dict(),
            "guards": self.watch.state_dict(),
            "generators": generators,
            "counts": {name: getattr(self, name) for name in COUNTS},
        }

    def restore(self, state: dict[str, Any], budget: int | None = None) -> None:
        """The inverse of `state`; but for a micro-batch that the configuration gives, as memory may have asked for a smaller one.

        Args:
            budget: the steps of the trial that saved it, where this one may have more: schedules then follow those of this one.
        """
        self.task.model.load_state_dict(state["model"])
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

    def _resume(self) -> None:
        """Continues from the newest intact checkpoint of any attempt, if there is one."""
        found = self.store.newest() if self.store else None
        if found is None:
            return
        before = int(found.record["config"]["steps"])
        self.restore(found.state, before)
        self.history = [Report.from_dict(plain) for plain in found.record["history"]]
        self.log(f"resumed from {found.name}")
        if before != self.config.steps:
            self.log(
                f"the budget was {before} steps and is {self.config.steps} now: schedules and curricula follow the new one"
            )
