"""The one training loop, for any family, in one process or in several data-parallel workers."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist

from leadline.checkpoint import CheckpointStore, checkpoint_name
from leadline.config import ConfigError, TrialConfig, to_dict
from leadline.curriculum import StageClock
from leadline.family import Family
from leadline.finding import Finding
from leadline.heartbeat import Doing
from leadline.measure import PART, Measure, Report, as_measures
from leadline.plain import number, plural, text, type_of, whole
from leadline.retention import kept
from leadline.task import check_tensors
from leadline.training import allocator
from leadline.training.guards.guard import Interval, generators_kept, gpus
from leadline.training.guards.standard import every_guard
from leadline.training.micro_batch import fastest
from leadline.training.step import Trainer, World
from leadline.training.validation import Validation

__all__ = ["Loop"]


class Loop(Trainer):
    """Trains one configuration and yields a report at each evaluation.

    Its checkpoint is published before the report is yielded, so that no report that anybody has
    heard of is lost.

    Args:
        family: the model family.
        config: the configuration; `config.steps` is the budget.
        data: what `family.build_data` made for `family.data_key(config)`.
        store: where checkpoints go; None keeps none.
        device: where the model lives.
        world: this worker among its trial's workers; a process group must exist if there are
            several.
        test: whether to evaluate the test split too, at the end of the budget: for confirmation
            only.
        metric: the metric, on validation, whose best checkpoint is kept; by default the family's
            objective.
        rungs: steps at which all of validation is scored, whatever that costs.
        log: takes one line of text at a time.
        alive: called after each step, and around evaluating and saving, so that whoever watches
            learns that the process goes on.
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
        rungs: Collection[int] = (),
        log: Callable[[str], None] = lambda line: None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.metric = family.metric(metric or family.objective)
        self.family = family
        self.test = test
        self.log = log
        self.alive = alive
        self.store = store.telling(alive, log) if store else None
        device = device or torch.device("cpu")
        world = world or World()
        if device.type == "cpu":
            allocator.set_mapping(config)
        torch.manual_seed(config.seed)
        task = family.task(config, data, device)
        # Only the first worker reports, so only there can a guard be heard.
        guards = [*every_guard(), *family.guards(config)] if world.rank == 0 else []
        super().__init__(task, config, device, world, guards)
        self._rungs = frozenset(rungs)
        self.validation = Validation(task, family, self.metric, config.validation_share)
        self.history: list[Report] = []
        """All reports so far, those of earlier attempts among them."""
        self.doing: Doing = "starting"
        """What is being done, for whoever looks from another thread."""
        self._loads = False

    def run(self, stop: int | None = None) -> Iterator[Report]:
        """Yields reports in order of `step`.

        After a resume, those of the checkpoint come first, as whoever listened may have missed
        them.

        Args:
            stop: step after which to end, with a report, as if the trial were stopped there; by
                default the whole budget.
        """
        self._resume()
        self.doing = "waiting"
        yield from list(self.history)
        end = self.config.steps if stop is None else min(stop, self.config.steps)
        while self.step < end:
            self.doing = "training"
            if self.micro_batch == "auto":
                self._choose_micro_batch()
            first = self.step
            started = time.perf_counter()
            guarded = self.watch.seconds
            next_evaluation = (self.step // self.config.eval_every + 1) * self.config.eval_every
            if self.task.clock is not None:
                next_evaluation = min(next_evaluation, self.task.clock.next_end(self.step))
            facts = self._train_until(min(end, next_evaluation))
            due = self.step in (*self._rungs, end) or self._ruled
            trained = time.perf_counter()
            guarding = self.watch.seconds - guarded
            self.seconds += trained - started - guarding
            self.overhead += guarding
            self.guarding += guarding
            self.doing = "evaluating"
            report = self._report(facts, trained, self.step - first, trained - started - guarding, due)
            self.doing = "waiting"
            yield report

    def _choose_micro_batch(self) -> None:
        """Measures which micro-batch is fastest here.

        All workers use worker 0's choice, so that a resumed trial adds gradients in the same order
        as before.
        """
        began = time.perf_counter()
        chosen = torch.tensor(fastest(self), device=self.device)
        if self.world.size > 1:
            dist.broadcast(chosen, 0)
        self.micro_batch = int(chosen)
        self.overhead += time.perf_counter() - began
        self.log(f"micro-batch of {plural(self.micro_batch, 'row')}: the fastest here")

    def _train_until(self, stop: int) -> dict[str, float]:
        """Takes optimizer steps up to `stop`; returns facts, such as the means of the loss terms.

        Means are those over the steps and over the workers.
        """
        self.task.model.train()
        sums: dict[str, torch.Tensor] = {}
        first = self.step
        while self.step < stop:
            batch = self.task.batch(self.step)
            check_tensors(batch, "batch")
            for name, term in self.optimize(self.share(batch)).items():
                sums[name] = sums[name] + term if name in sums else term
            self.samples += whole(self.task.samples(batch), "samples")
            self.step += 1
            self.task.after_step(self.step)
            self.alive()
        facts = {f"loss/{name}": self.mean(total) / (self.step - first) for name, total in sums.items()}
        rate = float(self.task.optimizers[0].param_groups[0]["lr"])
        return {"loss": math.fsum(facts.values()), **facts, "learning_rate": rate, **self._tallied()}

    def _tallied(self) -> dict[str, float]:
        """Sum over count of each of the task's tallies, of all workers together."""
        found = {}
        for name, tally in _named(self.task.tallies(), "tallies").items():
            if not isinstance(tally, torch.Tensor) or tally.shape != (2,):
                raise ConfigError(f"tallies: {name}: expected a tensor [2], a sum and a count (got {type_of(tally)})")
            if self.world.size > 1:
                dist.all_reduce(tally)
            total, count = tally.tolist()
            found[name] = total / count if count else math.nan
        return found

    def _gather(self) -> None:
        """Fetches the rows of carried tensors that `share` has given to the other workers."""
        for tensor in self.task.carried().values():
            mine = tensor[self.world.rank :: self.world.size].contiguous()
            parts = [torch.empty_like(mine) for _ in range(self.world.size)]
            dist.all_gather(parts, mine)
            for rank, part in enumerate(parts):
                tensor[rank :: self.world.size] = part

    @property
    def _ruled(self) -> bool:
        """Whether the stage under way may end by its rule, which goes by all of validation."""
        return self.task.clock is not None and self.task.clock.at(self.step - 1).stage.until is not None

    def _report(self, facts: dict[str, float], trained: float, steps: int, seconds: float, due: bool) -> Report:
        """Evaluates and saves on the first worker; the others wait."""
        before = self.validation.seconds
        metrics: dict[str, Measure] = {}
        with self.task.clock.describing() if self.task.clock else contextlib.nullcontext():
            told = _named(self.task.facts(self.step), "facts")
        facts = {**facts, **{name: float(number(value, f"facts: {name}")) for name, value in told.items()}}
        losses = self.watch.losses()
        if self.world.size > 1:
            self._gather()
        if self.world.rank == 0:
            self.task.model.eval()
            with torch.no_grad():
                pace = seconds / max(steps, 1)
                metrics = self.validation.score(self.seconds, pace * self.config.eval_every, due=due)
                if self.test and self.step == self.config.steps:
                    found = as_measures(self.task.evaluate("test"), self.family.metrics, "evaluate")
                    metrics |= {f"test/{name}": measure for name, measure in found.items()}
            facts["scoring_share"] = self.validation.seconds / max(self.seconds, 1e-9)
        if self.task.clock is not None:
            facts["stage"] = float(self.task.clock.at(self.step - 1).index)
            self._end_stage(self.task.clock, metrics)
        if self.world.rank == 0:
            scoring = self.validation.seconds - before
            self._save(metrics, self._guarded(facts, metrics, losses, steps, seconds, scoring), trained)
        else:
            self.history.append(Report(self.step, self.samples, self.seconds, self.overhead, {}, facts))
        if self.world.size > 1:
            dist.barrier()
        self.alive()
        report = self.history[-1]
        split = "validation" if report.whole else PART
        shown = report.metrics.get(f"{split}/{self.metric.name}")
        score = shown.value if shown else math.nan
        part = f" (a part: {shown.n} {self.metric.unit})" if shown and not report.whole else ""
        self.log(
            f"step {report.step}/{self.config.steps}  {self.metric.name} {score:.5g}{part}  "
            f"loss {facts['loss']:.5g}  {self.step / max(self.seconds, 1e-9):.0f} steps/s"
        )
        for finding in report.findings:
            self.log(f"{finding.mark}: {finding.sentence}")
        return report

    def _end_stage(self, clock: StageClock, metrics: Mapping[str, Measure]) -> None:
        """Ends the stage where its rule holds; only the first worker has measures to know it by."""
        measures = {name.removeprefix("validation/"): measure for name, measure in metrics.items()}
        ended = torch.tensor(self.world.rank == 0 and clock.satisfied(self.step, measures), device=self.device)
        if self.world.size > 1:
            dist.broadcast(ended, 0)
        if ended:
            stage = clock.at(self.step - 1).stage
            clock.end(self.step)
            self.log(f"stage {stage.name} has ended by its rule")

    def _guarded(
        self,
        facts: dict[str, float],
        metrics: dict[str, Measure],
        losses: npt.NDArray[np.float64],
        steps: int,
        seconds: float,
        scoring: float,
    ) -> tuple[dict[str, float], list[Finding]]:
        """Adds what is known of guards and memory to the facts; returns them and the findings."""
        objective = _scored(metrics, self.metric.name) or Measure.exact(math.nan, 0)
        rates = tuple(float(group["lr"]) for optimizer in self.task.optimizers for group in optimizer.param_groups)
        before = self.watch.seconds
        found = self.watch.report(
            Interval(
                self.step,
                steps,
                self.config.steps,
                seconds,
                losses,
                rates,
                objective,
                minimise=self.metric.mode == "min",
                scoring=scoring,
            )
        )
        self.guarding += self.watch.seconds - before
        share = self.guarding / max(self.seconds + self.guarding, 1e-9)
        held: dict[str, float] = {}
        if self.device.type == "cuda":
            held["gpu_memory"] = float(torch.cuda.max_memory_allocated(self.device))
        return {**facts, **held, "guards_share": share, "micro_batch": float(self.micro_batch)}, found

    def _save(
        self, metrics: dict[str, Measure], guarded: tuple[dict[str, float], list[Finding]], trained: float
    ) -> None:
        """Appends the report to the history, and publishes a checkpoint that carries both."""
        facts, found = guarded
        name = checkpoint_name(self.store.attempt, self.step) if self.store else None
        self.overhead += time.perf_counter() - trained
        report = Report(self.step, self.samples, self.seconds, self.overhead, metrics, facts, name, tuple(found))
        self.history.append(report)
        if self.store is None:
            return
        begun = time.perf_counter()
        self.doing = "saving"
        objective = f"validation/{self.metric.name}"
        record = {
            "family": self.family.name,
            "config": to_dict(self.config),
            "history": [past.to_dict() for past in self.history],
            # Whoever evaluates the checkpoint again can say which units have changed.
            "units": {objective: metrics[objective].to_dict(units=True).get("units", [])} if report.whole else {},
        }
        # First the new checkpoint is published, then old ones are removed: a process that dies in
        # between leaves one too many rather than none.
        state = self.state()
        if not self._loads:
            self._check_loads(state)
        self.store.publish(self.step, state, record)
        self.store.retain(kept(self.history, objective, self.metric.mode))
        self.overhead += time.perf_counter() - begun

    def _check_loads(self, state: dict[str, Any]) -> None:
        """Loads the model as whoever opens the trial later will, before anything is kept of it.

        Raises:
            ConfigError: if the family's `model` does not take the weights.
        """
        # A family's `model` may seed torch, and training must go on as if it had not.
        with generators_kept(gpus(self.task.model)):
            self.family.trained_model(self.config, state)
        self._loads = True

    def state(self) -> dict[str, Any]:
        """Returns everything that training goes on from, what is scored among it."""
        return {**super().state(), "validation": self.validation.state_dict()}

    def _resume(self) -> None:
        """Continues from the newest intact checkpoint of any attempt, if there is one."""
        found = self.store.newest() if self.store else None
        if found is None:
            return
        before = int(found.record["config"]["steps"])
        self.restore(found.state, before)
        self.validation.load_state_dict(found.state.get("validation", {}))
        self.history = [Report.from_dict(plain) for plain in found.record["history"]]
        self.log(f"resumed from {found.name}")
        if before != self.config.steps:
            self.log(
                f"the budget was {before} steps and is {self.config.steps} now: "
                "schedules and curricula follow the new one"
            )


def _scored(metrics: Mapping[str, Measure], name: str) -> Measure | None:
    """A metric's measure, of the part where there is one, so that a curve is of equal units."""
    return metrics.get(f"{PART}/{name}", metrics.get(f"validation/{name}"))


def _named(given: Any, place: str) -> dict[str, Any]:
    """What a task gave by name, with names that can be recorded.

    Raises:
        ConfigError: naming the place, if it is no mapping by text.
    """
    if not isinstance(given, Mapping):
        raise ConfigError(f"{place}: expected values by name (got {type_of(given)})")
    return {text(name, f"{place}: {name!r}"): value for name, value in given.items()}
