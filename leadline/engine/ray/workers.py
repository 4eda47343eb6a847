"""The two ways in which an attempt trains: in this process, or in a Ray Train worker group.

Both use the same loop and give the same reports. Each is a generator of reports, and closing it
ends the training.
"""

from __future__ import annotations

import contextlib
import os
import platform
import queue
import random
import resource
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import ray
import torch

from leadline import plain, registry
from leadline.checkpoint import CheckpointStore, attempt_folder
from leadline.config import TrialConfig
from leadline.engine.attempt_log import AttemptLog
from leadline.engine.failure_causes import killed, named
from leadline.engine.ray.channel import channel
from leadline.engine.ray.private import exits_by_ray
from leadline.engine.warning_counts import WarningCounts
from leadline.errors import raised
from leadline.heartbeat import Heartbeat
from leadline.ledger.layout import log_name, trial_folder
from leadline.ledger.leaderboard_text import Place
from leadline.measure import Report
from leadline.plain import plural
from leadline.storage import Folder
from leadline.training.loop import Loop
from leadline.training.micro_batch import out_of_memory
from leadline.training.step import World
from leadline.training.watchdog import Watchdog

__all__ = ["AttemptSpec", "Reports", "one_process", "this_process", "worker_group"]

GO_ON = "go on"
"""The verdict by which a worker group trains on after a report."""
GROUP_SECONDS = 60.0
"""How long a worker group may take to end, once it has been told to end at its next report."""
GROUP_TRIES = 2
"""How often a worker group that does not get its places is begun again.

After that the attempt has failed, and is placed anew.
"""

Reports = Iterator[tuple[Report, dict[str, int], list[Place]]]
"""The reports of an attempt, each with how often it warned of what since the one before, and with
the places of its processes."""

_DATA: dict[str, Any] = {}
"""The data that this process holds, by key: mapped from the object store, never copied."""


@dataclass(frozen=True)
class AttemptSpec:
    """What a process needs to train one attempt.

    It holds only plain values and a pickled object reference, so that it can be sent to the
    process.
    """

    trial: int
    attempt: int
    family: str
    config: dict[str, Any]
    folder: str
    data_key: str
    data: bytes
    """The pickled reference to the data in Ray's object store."""
    cpus: float
    gpus: float
    workers: int
    metric: str
    rungs: tuple[int, ...]
    """The optimizer steps at which the trial is judged, so that all of validation is scored."""
    test: bool
    known: int
    stuck_after: float
    patience: float
    """How long to wait for a storage that refuses or does not answer, in seconds."""
    stacks: str
    """The local file for the stacks of a process that stood still for `stuck_after` seconds."""
    sweep: str = ""
    """The name of the sweep, for Ray's pages."""
    placed_on: dict[str, str] = field(default_factory=dict)
    """A selector of the nodes on which the workers of a group may be; empty if all may."""
    most_workers: int = 1
    """The largest number of workers that an attempt of the sweep may have."""

    def typed_config(self) -> TrialConfig:
        """The configuration as the family's dataclass."""
        config: TrialConfig = registry.family(self.family).config(self.config)
        return config

    def store(self) -> CheckpointStore:
        """The store in which the checkpoints of this attempt are kept."""
        return CheckpointStore(Folder.at(self.folder), self.attempt, patience=self.patience)


def _data(spec: AttemptSpec) -> Any:
    if spec.data_key not in _DATA:
        # Only one data set is held at a time, so that the object store can let go of the others.
        _DATA.clear()
        _DATA[spec.data_key] = ray.get(ray.cloudpickle.loads(spec.data))
    return _DATA[spec.data_key]


def _device(gpus: float) -> torch.device:
    """The device of this process; with a share of a GPU, memory is limited to the same share."""
    if not gpus:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise RuntimeError("a GPU was promised, and CUDA finds none in this process")
    torch.cuda.set_per_process_memory_fraction(min(1.0, gpus))
    return torch.device("cuda")


def _reset_process(spec: AttemptSpec) -> None:
    """Undoes what an earlier trial may have left in this process.

    These are the number of threads, the default type, whether gradients are computed, and the
    states of the global random generators.
    """
    random.seed(spec.config["seed"])
    np.random.seed(spec.config["seed"] % 2**32)
    torch.set_num_threads(max(1, int(spec.cpus)))
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _loop(spec: AttemptSpec, world: World, log: Callable[[str], None], alive: Callable[[], None]) -> Loop:
    _reset_process(spec)
    family = registry.family(spec.family)
    return Loop(
        family,
        spec.typed_config(),
        _data(spec),
        store=spec.store(),
        device=_device(spec.gpus),
        world=world,
        test=spec.test,
        metric=spec.metric,
        rungs=spec.rungs,
        log=log,
        alive=alive,
    )


def _reports(spec: AttemptSpec, world: World) -> Iterator[tuple[Report, dict[str, int]]]:
    """Yields the reports after step `spec.known`, each with how often it was warned of what."""
    log = AttemptLog(Folder.at(spec.folder), f"{attempt_folder(spec.attempt)}/{log_name(world.rank)}")
    log.line(
        f"trial {spec.trial} attempt {spec.attempt} in process {os.getpid()} on {platform.node()}, "
        f"{plural(world.size, 'worker')}: {spec.config}"
    )
    try:
        with _counted_warnings(log) as taken:
            if spec.known and not spec.store().names():
                warnings.warn(
                    f"no checkpoint in {spec.folder}, although step {spec.known} is recorded: trained anew",
                    stacklevel=1,
                )
            for report in _watched(spec, world, log):
                if report.step > spec.known:
                    yield report, taken()
    except BaseException as error:
        if isinstance(error, GeneratorExit | KeyboardInterrupt) or exits_by_ray(error):
            raise
        failure = raised(error)  # `sys.exit` in a family would end the process without a word
        words = "".join(traceback.format_exception(failure))
        log.line(words)
        if (told := plain.text(words, "error")) != words:
            raise RuntimeError(told.strip()) from None  # Ray cannot pass on the text, be it of a cause
        if failure is error:
            raise
        raise failure from error
    finally:
        log.close()


_TOLD = (UserWarning, RuntimeWarning)
"""The classes of warnings that are about the training: torch's and a family's own, and numpy's."""


@contextlib.contextmanager
def _counted_warnings(log: AttemptLog) -> Iterator[Callable[[], dict[str, int]]]:
    """Counts warnings instead of showing them.

    It yields a function that returns how often each came since it was called last. The log, which
    keeps a bounded beginning and end, gets each as well, but for those that only repeat, since that
    call, the text that they are counted under. Those that are about code and not about the
    training, such as a DeprecationWarning, stand in the log alone.
    """
    counts = WarningCounts()

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        text = plain.text(str(message), "warning")
        if not issubclass(category, _TOLD) or counts.add(text) != text or counts.by_text[text] == 1:
            log.printed(f"{category.__name__}: {text}")

    def taken() -> dict[str, int]:
        nonlocal counts
        since, counts = counts.by_text, WarningCounts()
        return since

    with warnings.catch_warnings():
        for told in _TOLD:
            warnings.simplefilter("always", told)
        warnings.showwarning = show
        yield taken


def _watched(spec: AttemptSpec, world: World, log: AttemptLog) -> Iterator[Report]:
    """Yields the loop's reports, and watches that the training makes progress.

    The watchdog does not run while a report is being handled, which may take any time. What is
    printed goes to the log while it does.
    """
    run = f"{spec.sweep}/{trial_folder(spec.trial)}/{attempt_folder(spec.attempt)}"
    heartbeat = Heartbeat(Folder.at(spec.folder), spec.attempt, run)
    with heartbeat if world.rank == 0 else contextlib.nullcontext():
        yield from _beating(spec, world, log, heartbeat)


def _beating(spec: AttemptSpec, world: World, log: AttemptLog, heartbeat: Heartbeat) -> Iterator[Report]:
    """Yields the loop's reports to `_watched`, whose heartbeat tells of that loop."""
    loop: Loop | None = None
    while True:
        with Watchdog(spec.stuck_after, f"{spec.stacks}.{world.rank}") as watchdog, log.captured():
            try:
                if loop is None:
                    if world.size > 1:
                        log.line(f"workers on {' '.join(_hosts(world))}")
                    loop = _loop(spec, world, log.line, lambda: watchdog.alive())
                    heartbeat.watch(loop)
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
    """The host names of all workers, in the order of their ranks."""
    hosts = [platform.node()] * world.size
    torch.distributed.all_gather_object(hosts, platform.node())
    return hosts


def _held(loop: Loop | None) -> str:
    """A note for an exception about memory: the micro-batch, and the peak of this process."""
    tried = f"with {named(loop.rows)}" if loop and loop.rows else "before the first batch"
    if loop and loop.device.type == "cuda":
        held = torch.cuda.max_memory_allocated(loop.device)
        return f"out of memory {tried}; at most {held / 1e9:.3g} GB of the GPU were held"
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of a unit of ru_maxrss, by getrusage(2)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return f"out of memory {tried}; the process held at most {held / 1e9:.3g} GB"


def this_process() -> Place:
    """The place of this process; without a node's id and GPUs if it has no Ray."""
    if not ray.is_initialized():  # otherwise Ray's functions would start a Ray
        return Place("", platform.node(), os.getpid(), ())
    gpus = tuple(str(gpu) for gpu in ray.get_gpu_ids())
    return Place(ray.get_runtime_context().get_node_id(), platform.node(), os.getpid(), gpus)


def one_process(spec: AttemptSpec) -> Reports:
    """Trains an attempt in this process and yields its reports."""
    here = [this_process()]
    for report, warned in _reports(spec, World()):
        yield report, warned, here


def _worker(loop_config: dict[str, Any]) -> None:
    """Runs one worker of a group.

    The first worker sends the reports, and all wait until a report has been judged.
    """
    import ray.train
    from ray.util.placement_group import get_current_placement_group

    spec: AttemptSpec = loop_config["spec"]
    reports = loop_config["reports"]
    verdicts = loop_config["verdicts"]
    context = ray.train.get_context()
    world = World(context.get_world_rank(), context.get_world_size())
    ray.get(reports.put.remote(this_process()))
    if world.rank == 0:
        ray.get(reports.put.remote(get_current_placement_group()))
    for report, warned in _reports(spec, world):
        verdict = [GO_ON]
        if world.rank == 0:
            ray.get(reports.put.remote((report.to_dict(), warned)))
            verdict = ray.get(verdicts.take.remote(None))
        if world.size > 1:
            torch.distributed.broadcast_object_list(verdict, src=0)
        if verdict[0] != GO_ON:
            return


def worker_group(spec: AttemptSpec) -> Reports:
    """Trains an attempt in a group of `spec.workers` Ray Train workers and yields its reports.

    Raises:
        RuntimeError: with the group's own error, if it ends before it has been told to.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    reports, verdicts = (channel(f"{spec.sweep}, trial {spec.trial}") for _ in range(2))
    scratch = tempfile.TemporaryDirectory(prefix="leadline-train-", ignore_cleanup_errors=True)
    # The rest of the CPUs is for the process that leads the group.
    resources = {"CPU": spec.cpus * 0.99, **({"GPU": spec.gpus} if spec.gpus else {})}
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"spec": spec, "reports": reports, "verdicts": verdicts},
        scaling_config=ScalingConfig(  # type: ignore[call-arg]  # mypy sees the one of Ray Train's first version
            num_workers=spec.workers,
            use_gpu=bool(spec.gpus),
            resources_per_worker=resources,
            label_selector=spec.placed_on or None,
        ),
        run_config=RunConfig(
            name=f"trial-{spec.trial:04d}-attempt-{spec.attempt:02d}",
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
                told, warned = found
                yield Report.from_dict(told), warned, places
                verdicts.put.remote(GO_ON)
    finally:
        # A group that is told to end gives its placement back; an abandoned one would keep it from
        # the next trial.
        verdicts.put.remote("end")
        group.join(GROUP_SECONDS)
        # Ray Train 2.60 keeps the placement if the memory monitor has ended a worker.
        if bundles is not None:
            remove_placement_group(bundles)
        for actor in (reports, verdicts):
            ray.kill(actor)
        scratch.cleanup()
