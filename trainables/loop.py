"""The one training loop: any family, one process or one of several data-parallel workers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from trainables.checkpoint import CheckpointStore
from trainables.config import ConfigError, TrialConfig, to_dict
from trainables.family import Batch, Family, Split, Task
from trainables.measure import Measure, Report

__all__ = ["Loop", "World"]


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
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.family, self.config, self.store, self.test, self.log = family, config, store, test, log
        self.device, self.world = device or torch.device("cpu"), world or World()
        torch.manual_seed(config.seed)
        self.task: Task = family.task(config, data, self.device)
        self.model: nn.Module = self.task.model
        if self.world.size > 1:
            self.model = nn.parallel.DistributedDataParallel(self.task.model)
        self.step = self.samples = 0
        self.seconds = self.overhead = 0.0
        self.history: list[Report] = []

    def run(self) -> Iterator[Report]:
        """Reports in order of `step`. After a resume, those of the checkpoint come first: whoever listened may have missed them."""
        self._resume()
        yield from list(self.history)
        while self.step < self.config.steps:
            started = time.perf_counter()
            facts = self._train_until(min(self.config.steps, (self.step // self.config.eval_every + 1) * self.config.eval_every))
            trained = time.perf_counter()
            self.seconds += trained - started
            yield self._report(facts, trained)

    def _train_until(self, stop: int) -> dict[str, float]:
        """Optimizer steps up to `stop`; means of the loss terms over them, and over the workers."""
        self.task.model.train()
        sums: dict[str, torch.Tensor] = {}
        first = self.step
        while self.step < stop:
            batch = self.task.batch(self.step)
            for name, term in self._optimize(self._share(batch)).items():
                sums[name] = sums[name] + term if name in sums else term
            self.samples += len(next(iter(batch.values())))
            self.step += 1
        facts = {f"loss/{name}": self._mean(total) / (self.step - first) for name, total in sums.items()}
        rate = float(self.task.optimizers[0].param_groups[0]["lr"])
        return {"loss": math.fsum(facts.values()), **facts, "learning_rate": rate, **self.task.facts(self.step)}

    def _mean(self, value: torch.Tensor) -> float:
        """Over the workers, each of which has seen its own rows."""
        if self.world.size > 1:
            dist.all_reduce(value)
        return float(value) / self.world.size

    def _optimize(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One optimizer step; the detached loss terms."""
        terms = self.task.losses(self.model, batch, self.step / self.config.steps)
        for optimizer in self.task.optimizers:
            optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        for optimizer in self.task.optimizers:
            optimizer.step()
        for scheduler in self.task.schedulers:
            scheduler.step()
        return {name: term.detach() for name, term in terms.items()}

    def _share(self, batch: Batch) -> Batch:
        """This worker's rows. Equal shares: the mean of the workers' gradients is then the gradient of the global batch."""
        if self.world.size == 1:
            return batch
        rows = len(next(iter(batch.values())))
        if rows % self.world.size:
            raise ConfigError(f"batch: {rows} rows cannot be shared by {self.world.size} workers per trial; take a multiple")
        return {name: tensor[self.world.rank :: self.world.size] for name, tensor in batch.items()}

    def _report(self, facts: dict[str, float], trained: float) -> Report:
        """Evaluates and saves on the first worker; the others wait."""
        splits: list[Split] = ["validation", "test"] if self.test and self.step == self.config.steps else ["validation"]
        metrics: dict[str, Measure] = {}
        if self.world.rank == 0:
            self.task.model.eval()
            with torch.no_grad():
                for split in splits:
                    metrics |= {f"{split}/{name}": measure for name, measure in self.task.evaluate(split).items()}
            self._save(metrics, facts, trained)
        else:
            self.history.append(Report(self.step, self.samples, self.seconds, self.overhead, {}, facts))
        if self.world.size > 1:
            dist.barrier()
        report = self.history[-1]
        shown = report.metrics.get(f"validation/{self.family.objective}")
        self.log(
            f"step {report.step}/{self.config.steps}  {self.family.objective} {shown.value if shown else math.nan:.5g}  "
            f"loss {facts['loss']:.5g}  {self.step / max(self.seconds, 1e-9):.0f} steps/s"
        )
        return report

    def _save(self, metrics: dict[str, Measure], facts: dict[str, float], trained: float) -> None:
        """Appends the report to the history, which its own checkpoint already carries."""
        name = f"attempt-{self.store.attempt:02d}/step-{self.step:09d}" if self.store else None
        missing = [metric.name for metric in self.family.metrics if f"validation/{metric.name}" not in metrics]
        if missing:
            raise ValueError(f"evaluate: returned no {missing[0]!r}, which {self.family.name} declares")
        self.overhead += time.perf_counter() - trained
        report = Report(self.step, self.samples, self.seconds, self.overhead, metrics, facts, name)
        self.history.append(report)
        if self.store is None:
            return
        begun = time.perf_counter()
        record = {"family": self.family.name, "config": to_dict(self.config), "history": [past.to_dict() for past in self.history]}
        self.store.publish(self.step, self._state(), record)
        self.store.retain(self._kept())
        self.overhead += time.perf_counter() - begun

    def _kept(self) -> set[str]:
        """The latest two checkpoints and the best: a damaged latest then costs one interval."""
        metric = self.family.metric(self.family.objective)
        sign = 1.0 if metric.mode == "min" else -1.0
        scored = [(sign * past.metrics[f"validation/{metric.name}"].value, past) for past in self.history]
        finite = [pair for pair in scored if math.isfinite(pair[0])]
        kept = self.history[-2:] + ([min(finite, key=lambda pair: pair[0])[1]] if finite else [])
        return {past.checkpoint for past in kept if past.checkpoint}

    def _state(self) -> dict[str, Any]:
        generators = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state(self.device)
        return {
            "model": self.task.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.task.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.task.schedulers],
            "task": self.task.state_dict(),
            "generators": generators,
            "counts": {"step": self.step, "samples": self.samples, "seconds": self.seconds, "overhead": self.overhead},
        }

    def _resume(self) -> None:
        """Continues from the newest intact checkpoint of any attempt, if there is one."""
        found = self.store.newest() if self.store else None
        if found is None:
            return
        state = found.state
        self.task.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.task.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for scheduler, saved in zip(self.task.schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(saved)
        self.task.load_state_dict(state["task"])
        torch.set_rng_state(state["generators"]["cpu"])
        if "cuda" in state["generators"] and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["generators"]["cuda"], self.device)
        counts = state["counts"]
        self.step, self.samples, self.seconds, self.overhead = (counts[key] for key in ("step", "samples", "seconds", "overhead"))
        self.history = [Report.from_dict(plain) for plain in found.record["history"]]
        self.log(f"resumed from {found.name}")
