"""Ray: the two lanes in which a trial trains: this process, or a Ray Train worker group. Same loop, same reports.

A lane is a generator of reports. Closing it ends the training.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import queue
import random
import resource
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import ray
import torch

from leadline import registry
from leadline.checkpoint import CheckpointStore, attempt_folder
from leadline.config import TrialConfig
from leadline.engine.failure_causes import killed, named
from leadline.ledger.leaderboard_text import Place
from leadline.measure import Report
from leadline.storage import Folder, patiently
from leadline.training.loop import Loop, World
from leadline.training.micro_batch import out_of_memory
from leadline.training.watchdog import Watchdog

__all__ = ["Job", "Reports", "one_process", "place", "worker_group"]

GO_ON = "go on"
GROUP_SECONDS = 60.0
"""How long a worker group may take to end, after it has been told to at its next report."""
GROUP_TRIES = 2
"""How often a worker group that does not get its places is begun again, before the attempt has failed and is placed anew."""
LOG_SECONDS = 2.0
"""How long a line of the log may wait for the storage: it also tells that the storage does not answer."""

Reports = Iterator[tuple[Report, list[str], list[Place]]]
"""Reports, each with the warnings that came before it and the places of the trial's processes."""

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
    metric: str
    test: bool
    known: int
    stuck_after: float
    patience: float
    """Seconds for which a storage that refuses or does not answer is waited for."""
    stacks: str
    """Local file for the stacks of a process that stood still for `stuck_after` seconds."""
    sweep: str = ""
    """Name of the sweep, for Ray's pages."""
    placed_on: dict[str, str] = field(default_factory=dict)
    """Labels of the nodes on which the workers of a group may be; empty where all may."""
    most_workers: int = 1
    """Workers that another attempt may have."""

    def typed_config(self) -> TrialConfig:
        """The configuration as the family's dataclass."""
        config: TrialConfig = registry.family(self.family).config(self.config)
        return config

    def store(self) -> CheckpointStore:
        """Where the checkpoints of this attempt go."""
        return CheckpointStore(Folder.at(self.folder), self.attempt, patience=self.patience)


class _Log:
    """The attempt's log, in its folder: written whole at each flush, as object stores have no append."""

    def __init__(self, job: Job) -> None:
        self._folder, self._name = Folder.at(job.folder), f"{attempt_folder(job.attempt)}/log.txt"
        self._lines: list[str] = []

    def line(self, text: str) -> None:
        """Adds a line with the time of day and stores the log."""
        self._lines.append(f"{time.strftime('%H:%M:%S')} {text}\n")
        with contextlib.suppress(OSError):  # the next line stores it again; a late try stores what there is by then
            patiently(
                lambda: self._folder.write(self._name, "".join(self._lines).encode()), self._folder, seconds=LOG_SECONDS
            )


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
        metric=job.metric,
        log=log,
        alive=alive,
    )


def _reports(job: Job, world: World) -> Iterator[tuple[Report, list[str]]]:
    """Reports after step `job.known`, each with the warnings that came before it; the first worker keeps the log."""
    log = _Log(job) if world.rank == 0 else None
    say: Callable[[str], None] = log.line if log else lambda text: None
    say(
        f"trial {job.trial} attempt {job.attempt} in process {os.getpid()} on {platform.node()}, {world.size} worker(s): {job.config}"
    )
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            if job.known and not job.store().names():
                warnings.warn(
                    f"no checkpoint in {job.folder}, although step {job.known} is recorded: trained anew", stacklevel=1
                )
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
    loop: Loop | None = None
    while True:
        with Watchdog(job.stuck_after, f"{job.stacks}.{world.rank}") as watchdog:
            try:
                if loop is None:
                    if world.size > 1:
                        say(f"workers on {' '.join(_hosts(world))}")
                    loop = _loop(job, world, say, lambda: watchdog.alive())
                    reports = loop.run()
                report = next(reports, None)
            except Exception as error:
                if out_of_memory(error):
                    error.add_note(_held(loop))
                raise
        if report is None:
            return
        yield report


def _hosts(world: World) -> list[str]:
    """Of all workers, in the order of their ranks."""
    hosts = [platform.node()] * world.size
    torch.distributed.all_gather_object(hosts, platform.node())
    return hosts


def _held(loop: Loop | None) -> str:
    """What an exception about memory does not say: the micro-batch, and the most that this process has held."""
    tried = f"with {named(loop.rows)}" if loop and loop.rows else "before the first batch"
    if loop and loop.device.type == "cuda":
        return f"out of memory {tried}; at most {torch.cuda.max_memory_allocated(loop.device) / 1e9:.3g} GB of the GPU were held"
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
    return f"out of memory {tried}; the process held at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9:.3g} GB"


def place() -> Place:
    """Where this process is."""
    gpus = tuple(str(gpu) for gpu in ray.get_gpu_ids())
    return Place(ray.get_runtime_context().get_node_id(), platform.node(), os.getpid(), gpus)


def one_process(job: Job) -> Reports:
    """Trains in this process."""
    here = [place()]
    for report, notes in _reports(job, World()):
        yield report, notes, here


class Channel:
    """An actor that passes items on. Unlike Ray's queue it has no task that fails when nothing comes, which its pages would show in red."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._items: asyncio.Queue[Any] = asyncio.Queue()

    def __repr__(self) -> str:
        return f"Channel({self._name})"

    async def put(self, item: Any) -> None:
        """Adds an item."""
        self._items.put_nowait(item)

    async def take(self, seconds: float | None) -> list[Any]:
        """The next item, alone in a list that is empty where none has come after so long."""
        try:
            return [await asyncio.wait_for(self._items.get(), seconds)]
        except TimeoutError:
            return []


def _channel(name: str) -> Any:
    actor: Any = ray.remote(Channel)
    return actor.options(num_cpus=0, max_concurrency=16).remote(name)


def _worker(loop_config: dict[str, Any]) -> None:
    """One worker of a group. The first one reports, and all wait until the report has been judged."""
    import ray.train
    from ray.util.placement_group import get_current_placement_group

    job: Job = loop_config["job"]
    reports, verdicts = loop_config["reports"], loop_config["verdicts"]
    context = ray.train.get_context()
    world = World(context.get_world_rank(), context.get_world_size())
    ray.get(reports.put.remote(place()))
    if world.rank == 0:
        ray.get(reports.put.remote(get_current_placement_group()))
    for report, notes in _reports(job, world):
        verdict = [GO_ON]
        if world.rank == 0:
            ray.get(reports.put.remote((report.to_dict(), notes)))
            verdict = ray.get(verdicts.take.remote(None))
        if world.size > 1:
            torch.distributed.broadcast_object_list(verdict, src=0)
        if verdict[0] != GO_ON:
            return


def worker_group(job: Job) -> Reports:
    """Trains in a Ray Train worker group of `job.workers` workers.

    Raises:
        RuntimeError: with the group's own error, if it ends before it has been told to.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    reports, verdicts = (_channel(f"{job.sweep}, trial {job.trial}") for _ in range(2))
    scratch = tempfile.TemporaryDirectory(prefix="leadline-train-", ignore_cleanup_errors=True)
    resources = {"CPU": job.cpus * 0.99, **({"GPU": job.gpus} if job.gpus else {})}
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"job": job, "reports": reports, "verdicts": verdicts},
        scaling_config=ScalingConfig(  # type: ignore[call-arg]  # mypy sees the one of Ray Train's first version
            num_workers=job.workers,
            use_gpu=bool(job.gpus),
            resources_per_worker=resources,
            label_selector=job.placed_on or None,
        ),
        run_config=RunConfig(
            name=f"trial-{job.trial:04d}-attempt-{job.attempt:02d}",
            storage_path=scratch.name,
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=GROUP_TRIES),  # type: ignore[call-arg]  # as above
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
    bundles: PlacementGroup | None = None
    places: list[Place] = []
    try:
        while True:
            taken = ray.get(reports.take.remote(1.0))
            if not taken:
                if outcome.empty():
                    continue
                raise RuntimeError(killed(f"worker group ended: {outcome.get()}"))
            found = taken[0]
            if isinstance(found, PlacementGroup):
                bundles = found
            elif isinstance(found, Place):
                places.append(found)
            else:
                plain, notes = found
                yield Report.from_dict(plain), notes, places
                verdicts.put.remote(GO_ON)
    finally:
        # A group that is told to end gives its placement back; one that is abandoned keeps it from the next trial.
        verdicts.put.remote("end")
        group.join(GROUP_SECONDS)
        if bundles is not None:  # Ray Train 2.60 keeps it where the memory monitor has ended a worker
            remove_placement_group(bundles)
        for channel in (reports, verdicts):
            ray.kill(channel)
        scratch.cleanup()
