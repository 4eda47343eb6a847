"""How many rows of a batch to train on at a time.

It is measured, since it depends on the caches and the memory of the machine.
"""

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
"""Samples below which a micro-batch is not tried."""
TIMED_STEPS = 3
"""Steps that are timed for each micro-batch, after one that allocates memory."""
WORTH = 0.95
"""Share of the best time so far that a smaller micro-batch must stay below to be chosen."""


def candidates(rows: int, samples: int = 1) -> list[int]:
    """Lists micro-batches to try, in rows: the batch itself, its half, its quarter and so on.

    They are whole numbers of rows, and at least 32 samples.

    Args:
        rows: rows of the batch.
        samples: samples of a row.
    """
    found = [rows]
    while found[-1] % 2 == 0 and found[-1] // 2 * samples >= LEAST_SAMPLES:
        found.append(found[-1] // 2)
    return found


REFUSALS = ("can't allocate memory", "not enough memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""Words by which torch says that memory did not suffice, where the exception's class does not."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory did not suffice.

    torch's allocator for the host raises a plain RuntimeError, which is known by its words alone.
    """
    words = str(error)
    refused = isinstance(error, RuntimeError) and any(said in words for said in REFUSALS)
    return (
        refused
        or isinstance(error, MemoryError | torch.OutOfMemoryError)
        or getattr(error, "errno", None) == errno.ENOMEM
    )


def fastest(trainer: Trainer) -> int:
    """The micro-batch, in rows, with which a whole optimizer step is fastest on this machine.

    A smaller one must gain 5 %.

    Real steps are trained and taken back, generators included. One that does not fit the memory is
    passed over.

    Raises:
        torch.OutOfMemoryError: if not even the smallest fits.
    """
    state = copy.deepcopy(trainer.state())
    batch = trainer.share(trainer.task.batch(trainer.step))
    best = 0
    least = math.inf
    # No guard looks at steps that are taken back.
    watch = trainer.watch
    trainer.watch = GuardRunner([], trainer.task, trainer.config.eval_every)
    try:
        count = len(next(iter(batch.values())))
        for rows in candidates(count, trainer.task.samples(batch) // count):
            trainer.micro_batch = rows
            try:
                seconds = _seconds(trainer, batch)
            except Exception as error:
                # Of several workers none may go on alone: the others would wait for it.
                if not out_of_memory(error) or trainer.world.size > 1:
                    raise
                seconds = math.inf
            if math.isinf(seconds):
                # Not in the handler above, whose traceback holds on to tensors.
                torch.cuda.empty_cache()
            if seconds < WORTH * least:
                best, least = rows, seconds
    finally:
        trainer.watch = watch
        trainer.restore(state)
    if not best:
        raise torch.OutOfMemoryError("micro_batch: not even the smallest fits the memory")
    return best


def _seconds(trainer: Trainer, batch: Batch) -> float:
    """Seconds of the fastest of a few steps, after one that allocates memory."""
    trainer.optimize(batch)
    times = []
    for _ in range(TIMED_STEPS):
        began = time.perf_counter()
        loss = torch.stack(list(trainer.optimize(batch).values())).sum()
        float(loss)  # waits for the device
        times.append(time.perf_counter() - began)
    return min(times)
