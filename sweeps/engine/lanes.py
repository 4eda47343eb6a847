"""Ray: the two lanes in which a trial trains: this process, or a Ray Train worker group. Same loop, same reports.

A lane is a generator of reports. Closing it ends the training.
"""

from __future__ import annotations

import contextlib
import os
import queue
import random
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import torch

from trainables import registry
from trainables.checkpoint import CheckpointStore
from trainables.config import TrialConfig, make
from trainables.loop import Loop, World
from trainables.measure import Report
from trainables.storage import Folder
from trainables.watchdog import Watchdog

__all__ = ["Job", "one_process", "worker_group"]

GO_ON = "go on"
GROUP_SECONDS = 60.0
"""How long a worker group may take to end, after it has been told to at its next report."""

_DATA: dict[str, Any] = {}
"""The data that this process holds, by key: mapped from the object store, never copied."""


@dataclass(frozen=True)
class Job:
    """What a lane needs to train one attempt; plain values and object references, so that it travels."""

    trial: int
    attempt: int
    family: str
    config: dict[str, Any]
    folder: str
    data_key: str
    data: bytes
    """Pickled reference to the data in Ray's object store."""
    cpus: float
    gpus: float
    workers: int
    test: bool
    known: int
    stuck_after: float
    stacks: str
    """Local file for the stacks of a process that stood still for `stuck_after` seconds."""

    def typed_config(self) -> TrialConfig:
        """The configuration as the family's dataclass."""
        config: TrialConfig = make(registry.family(self.family).Config, self.config, self.family)
        return config

    def store(self) -> CheckpointStore:
        """Where the checkpoints of this attempt go."""
        return CheckpointStore(Folder.at(self.folder), self.attempt)


class _Log:
    """The attempt's log, in its folder: written whole at each flush, as object stores have no append."""

    def __init__(self, job: Job) -> None:
        self._folder, self._name = Folder.at(job.folder), f"attempt-{job.attempt:02d}/log.txt"
        self._lines: list[str] = []

    def line(self, text: str) -> None:
        """Adds a line with the time of day and stores the log."""
        self._lines.append(f"{time.strftime('%H:%M:%S')} {text}\n")
        with contextlib.suppress(OSError):
            self._folder.write(self._name, "".join(self._lines).encode())


def _data(job: Job) -> Any:
    if job.data_key not in _DATA:
        _DATA.clear()
        _DATA[job.data_key] = ray.get(ray.cloudpickle.loads(job.data))
    return _DATA[job.data_key]


def _device(gpus: float) -> torch.device:
    """The device of this process; a share of a GPU is held to its share of the memory."""
    if not gpus:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise RuntimeError("a GPU was promised, and CUDA finds none in this process")
    torch.cuda.set_per_process_memory_fraction(min(1.0, gpus))
    return torch.device("cuda")


def _reset_process(job: Job) -> None:
    """Undoes what an earlier trial of this process may have left: threads, default type, gradients, global generators."""
    random.seed(job.config["seed"])
    np.random.seed(job.config["seed"] % 2**32)
    torch.set_num_threads(max(1, int(job.cpus)))
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _loop(job: Job, world: World, log: Callable[[str], None], alive: Callable[[], None]) -> Loop:
    _reset_process(job)
    family = registry.family(job.family)
    return Loop(
        family,
        job.typed_config(),
        _data(job),
        store=job.store(),
        device=_device(job.gpus),
        world=world,
        test=job.test,
        log=log,
        alive=alive,
    )


def _reports(job: Job, world: World) -> Iterator[tuple[Report, list[str]]]:
    """Reports after step `job.known`, each with the warnings that came before it; the first worker keeps the log."""
    log = _Log(job) if world.rank == 0 else None
    say: Callable[[str], None] = log.line if log else lambda text: None
    say(f"trial {job.trial} attempt {job.attempt} in process {os.getpid()}, {world.size} worker(s): {job.config}")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            for report in _watched(job, world, say):
                if report.step > job.known:
                    notes = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
                    caught.clear()
                    yield report, notes
    except Exception:
        say(traceback.format_exc())
        raise


def _watched(job: Job, world: World, say: Callable[[str], None]) -> Iterator[Report]:
    """The loop's reports; whoever takes them may take his time, the training may not."""
    reports: Iterator[Report] | None = None
    while True:
        with Watchdog(job.stuck_after, f"{job.stacks}.{world.rank}") as watchdog:
            reports = _loop(job, world, say, lambda: watchdog.alive()).run() if reports is None else reports
            report = next(reports, None)
        if report is None:
            return
        yield report


def one_process(job: Job) -> Iterator[tuple[Report, list[str]]]:
    """Trains in this process."""
    return _reports(job, World())


def _worker(loop_config: dict[str, Any]) -> None:
    """One worker of a group. The first one reports, and all wait until the report has been judged."""
    import ray.train

    job: Job = loop_config["job"]
    reports, verdicts = loop_config["reports"], loop_config["verdicts"]
    context = ray.train.get_context()
    world = World(context.get_world_rank(), context.get_world_size())
    for report, notes in _reports(job, world):
        verdict = [GO_ON]
        if world.rank == 0:
            reports.put((report.to_dict(), notes))
            verdict = [verdicts.get()]
        if world.size > 1:
            torch.distributed.broadcast_object_list(verdict, src=0)
        if verdict[0] != GO_ON:
            return


def worker_group(job: Job) -> Iterator[tuple[Report, list[str]]]:
    """Trains in a Ray Train worker group of `job.workers` workers.

    Raises:
        RuntimeError: with the group's own error, if it ends before it has been told to.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.util.queue import Empty, Queue

    reports, verdicts = (Queue(actor_options={"num_cpus": 0}) for _ in range(2))
    scratch = tempfile.TemporaryDirectory(prefix="leadline-train-", ignore_cleanup_errors=True)
    resources = {"CPU": job.cpus * 0.99, **({"GPU": job.gpus} if job.gpus else {})}
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"job": job, "reports": reports, "verdicts": verdicts},
        scaling_config=ScalingConfig(num_workers=job.workers, use_gpu=bool(job.gpus), resources_per_worker=resources),
        run_config=RunConfig(
            name=f"trial-{job.trial:04d}-attempt-{job.attempt:02d}",
            storage_path=scratch.name,
            failure_config=FailureConfig(max_failures=0),
        ),
    )
    outcome: queue.Queue[BaseException | None] = queue.Queue()

    def fit() -> None:
        try:
            trainer.fit()
            outcome.put(None)
        except BaseException as error:
            outcome.put(error)

    group = threading.Thread(target=fit, name="worker-group", daemon=True)
    group.start()
    try:
        while True:
            try:
                plain, notes = reports.get(timeout=1.0)
            except Empty:
                if outcome.empty():
                    continue
                raise RuntimeError(f"worker group ended: {outcome.get()}") from None
            yield Report.from_dict(plain), notes
            verdicts.put(GO_ON)
    finally:
        # A group that is told to end gives its placement back; one that is abandoned keeps it from the next trial.
        verdicts.put("end")
        group.join(GROUP_SECONDS)
        for channel in (reports, verdicts):
            channel.shutdown(force=True)
        scratch.cleanup()
