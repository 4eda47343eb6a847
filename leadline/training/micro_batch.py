"""How many rows of a batch to train on at a time: measured, since it depends on the caches or the memory of the machine."""

from __future__ import annotations

import copy
import errno
import math
import time

import torch

from leadline.task import Batch
from leadline.training.guards.guard import GuardRunner
from leadline.training.step import Trainer

__all__ = ["candidates", "fastest", "out_of_memory"]

LEAST_SAMPLES = 32
TIMED_STEPS = 3
WORTH = 0.95


def candidates(rows: int, samples: int = 1) -> list[int]:
    """The batch itself, its half, quarter and so on while these are whole and at least 32 samples, of which a row has some."""
    found = [rows]
    while found[-1] % 2 == 0 and found[-1] // 2 * samples >= LEAST_SAMPLES:
        found.append(found[-1] // 2)
    return found


REFUSALS = ("can't allocate memory", "not enough memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch says in exceptions that are not of a class of their own."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory did not suffice; torch's allocator for the host raises a plain RuntimeError."""
    words = str(error)
    refused = isinstance(error, RuntimeError) and any(said in words for said in REFUSALS)
    return (
        refused
        or isinstance(error, MemoryError | torch.OutOfMemoryError)
        or getattr(error, "errno", None) == errno.ENOMEM
    )


def fastest(trainer: Trainer) -> int:
    """The micro-batch with which a whole optimizer step is fastest on this machine; a smaller one must gain 5 %.

    Real steps are trained and taken back, generators included. One that does not fit the memory is passed over.

    Raises:
        torch.OutOfMemoryError: if not even the smallest fits.
    """
    state = copy.deepcopy(trainer.state())
    batch = trainer.share(trainer.task.batch(trainer.step))
    best, least = 0, float("inf")
    watch, trainer.watch = trainer.watch, GuardRunner([], trainer.task, trainer.config.eval_every)
    try:
        count = len(next(iter(batch.values())))
        for rows in candidates(count, trainer.task.samples(batch) // count):
            trainer.micro_batch = rows
            try:
                seconds = _seconds(trainer, batch)
            except Exception as error:
                if not out_of_memory(error) or trainer.world.size > 1:  # the other workers would wait for this one
                    raise
                seconds = math.inf
            if math.isinf(seconds):
                torch.cuda.empty_cache()  # not in the handler, whose traceback holds on to tensors
            if seconds < WORTH * least:
                best, least = rows, seconds
    finally:
        trainer.watch = watch
        trainer.restore(state)
    if not best:
        raise torch.OutOfMemoryError("micro_batch: not even the smallest fits the memory")
    return best


def _seconds(trainer: Trainer, batch: Batch) -> float:
    """Of the fastest of a few steps, after one that allocates."""
    trainer.optimize(batch)
    times = []
    for _ in range(TIMED_STEPS):
        began = time.perf_counter()
        loss = torch.stack(list(trainer.optimize(batch).values())).sum()
        float(loss)  # waits for the device
        times.append(time.perf_counter() - began)
    return min(times)
