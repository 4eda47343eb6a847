"""How much memory a full optimizer step of a configuration needs, told without allocating it.

The family's own task is made, and two of its steps are taken, on fake tensors: they have shapes,
types and a device, and no numbers. Every storage that an operation makes is counted until it is
freed, so forward pass, backward pass, optimizer, micro-batches, mixed precision and recomputation
are counted as they are programmed, and no family has to say anything. A formula would have to be
written, and kept right, for each network.

Fake tensors are torch's own and private (`torch._subclasses`), as are the modes that see operations
(`torch.utils._python_dispatch`). constraints.txt pins the version that the tests pass with; where
anything fails, the need is not known and nothing is refused. torch's MemTracker does more than is
needed here, and cannot answer a task that asks for a number of a tensor, as ACT does for "has any
slot halted?". The meta device, which is public, would not do: on it attention takes another kernel,
which keeps the attention weights, and autocast does nothing.
"""

from __future__ import annotations

import dataclasses
import platform
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from leadline.config import TrialConfig
from leadline.family import Family
from leadline.task import Batch, Task
from leadline.training.allocator import mapped_from
from leadline.training.step import Trainer, World, rows_of

__all__ = ["MemoryNeed", "needed", "smaller"]

QUESTIONS = 10_000
"""Questions about numbers that are answered; beyond them a loop waits for another answer."""
HOLES = 0.3
"""Share by which pieces that are not mapped take more: what is freed leaves holes that do not fit.

It was fitted: four configurations of HRM and TRM took 18 to 39 % more than is counted, one of them
2 % with all pieces mapped (`leadline.training.allocator`).
"""
PARTS = 2**10
"""The most parts that `smaller` divides a batch into."""


@dataclass(frozen=True)
class MemoryNeed:
    """The bytes that one process of a trial holds at most during an optimizer step.

    Attributes:
        weights: parameters and buffers of the model.
        gradients: gradients of the parameters, after the backward pass.
        optimizer: states of the optimizers.
        kept: what else the task holds from step to step, such as averaged weights or a carry.
        activations: what a step adds to weights, optimizer and kept at its peak: what the forward
            pass saves for the backward pass, temporaries, the batch, and those gradients that are
            there by then.
        holes: what the allocator needs beside, on a CPU with glibc, as an estimate.
        peak: all of it at the peak of a step: weights + optimizer + kept + activations + holes.
        rows: rows of a micro-batch.
    """

    weights: int
    gradients: int
    optimizer: int
    kept: int
    activations: int
    holes: int
    peak: int
    rows: int


class _Account(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that are alive, and answers questions about numbers.

    While the task is made, a tensor of which a number is asked says 0 or False, so that drawing
    again until it fits ends. In a step it says 1 or True, which is where a task does most. Where a
    mask selects rows, it selects all.

    Args:
        fakes: the mode that makes the tensors fake.
        holes: the share that small pieces take more.
        mapped: bytes from which a piece is not small.

    Attributes:
        held: bytes that are alive.
        small: those of them in pieces that are not mapped.
        peak: the most that were held, with holes, and how many of these were holes.
        stepping: whether the task has been made.
    """

    def __init__(self, fakes: FakeTensorMode, holes: float, mapped: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._fakes = fakes
        self._holes = holes
        self._mapped = mapped
        self._alive: dict[int, tuple[weakref.ref[Any], int]] = {}
        self._asked = 0
        self.held = 0
        self.small = 0
        self.peak = (0, 0)
        self.stepping = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation on fake tensors and counts the storages that it makes."""
        answer = self._answer(func, args)
        if answer is not None:
            return answer
        if func is torch.ops.aten.index.Tensor:
            args = (args[0], [index for given in args[1] for index in _all_of(given)])
        made = func(*args, **(kwargs or {}))
        if not self.stepping:
            # `Module.to` refuses parameters that something else refers to, as these two do.
            converter = self._fakes.fake_tensor_converter
            converter.meta_converter.tensor_memo.clear()
            converter.constant_storage_mapping.clear()
        for tensor in _tensors(made):
            self.count(tensor)
        return made

    def _answer(self, func: Any, args: Any) -> Any:
        """The answer to what only numbers could tell; None where the operation can be run."""
        if func is torch.ops.aten._local_scalar_dense.default:
            self._asked += 1
            if self._asked > QUESTIONS:
                raise RuntimeError("it asks for more numbers of tensors than are answered")
            return bool(self.stepping) if args[0].dtype == torch.bool else int(self.stepping)
        if func is torch.ops.aten.nonzero.default:
            return args[0].new_zeros(args[0].numel(), args[0].dim(), dtype=torch.int64)
        if func is torch.ops.aten.masked_select.default:
            return args[0].new_zeros(args[0].numel())
        return None

    def count(self, tensor: Tensor) -> None:
        """Counts the storage of a tensor until it is freed."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive or not size:
            return

        def freed(_: Any) -> None:
            self._add(-self._alive.pop(key)[1])

        self._alive[key] = weakref.ref(storage, freed), size
        self._add(size)
        self.peak = max(self.peak, self.now())

    def _add(self, size: int) -> None:
        self.held += size
        if abs(size) < self._mapped:
            self.small += size

    def now(self) -> tuple[int, int]:
        """The bytes that are held now, with holes, and how many of these are holes."""
        holes = round(self._holes * self.small)
        return self.held + holes, holes


def _tensors(made: Any) -> Iterator[Tensor]:
    """Yields the tensors that an operation returned."""
    if isinstance(made, Tensor):
        yield made
    elif isinstance(made, list | tuple):
        for one in made:
            yield from _tensors(one)


def _all_of(index: Tensor | None) -> list[Tensor | None]:
    """An index as it is, or for a mask the indices of as many rows as it has places."""
    if index is None or index.dtype not in (torch.bool, torch.uint8):
        return [index]
    return [index.new_zeros(index.numel(), dtype=torch.int64) for _ in index.shape]


def needed(
    family: Family[Any], config: TrialConfig, data: Any, device: torch.device | None = None, workers: int = 1
) -> MemoryNeed:
    """What a full optimizer step needs: forward, backward, optimizer, weights and batch.

    It is that of the second step, when the optimizer has its states, or of the first if that needs
    more; two micro-batches stand for all. What guards compute beside, evaluation, the data, and
    what the process holds without any model, are not in it. `micro_batch=auto` counts as the whole
    batch, which it tries.

    Args:
        family: the model family.
        config: the configuration.
        data: what `family.build_data` made for its `data_key`.
        device: where the model will live; by default the CPU. It need not exist here.
        workers: data-parallel workers of a trial, of which each has its share of the rows.

    Raises:
        Exception: whatever a task raises that cannot do without numbers.
    """
    device = device or torch.device("cpu")
    fakes = FakeTensorMode(allow_non_fake_inputs=True)
    generators = torch.get_rng_state()
    holes = HOLES if device.type == "cpu" and platform.libc_ver()[0] == "glibc" else 0.0
    account = _Account(fakes, holes, mapped_from(config))
    try:
        with fakes, account:
            return _counted(family, config, data, device, workers, account)
    finally:
        torch.set_rng_state(generators)


def _counted(
    family: Family[Any], config: TrialConfig, data: Any, device: torch.device, workers: int, account: _Account
) -> MemoryNeed:
    """What `needed` returns; both modes are on."""
    task = family.task(config, data, device)
    task.model.train()
    account.stepping = True
    trainer = Trainer(task, config, device, World(), [])
    constructed = account.held
    peaks = []
    gradients = 0
    for _ in range(2):
        account.peak = account.now()
        # Two micro-batches are enough: the second meets the gradients of the first.
        trainer.optimize(_two_parts(trainer, _batch(task, workers, account)))
        peaks.append(account.peak)
        gradients = max(gradients, _bytes(one.grad for one in task.model.parameters() if one.grad is not None))
    peak, holes = max(peaks)
    peak += gradients if workers > 1 else 0  # DistributedDataParallel sends copies of them
    weights = _bytes([*task.model.parameters(), *task.model.buffers()])
    optimizer = _bytes(_states(task))
    kept = max(0, constructed - weights)
    activations = max(0, peak - weights - optimizer - kept - holes)
    return MemoryNeed(weights, gradients, optimizer, kept, activations, holes, peak, trainer.rows)


def _states(task: Task) -> Iterator[Tensor]:
    """Yields the tensors in the states of the optimizers."""
    for optimizer in task.optimizers:
        for state in optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))


def _batch(task: Task, workers: int, account: _Account) -> Batch:
    """A worker's share of the first batch, which is counted.

    Its tensors may well be real, as they come from the data.
    """
    whole = task.batch(0)
    batch = {name: tensor[::workers] for name, tensor in whole.items()} if workers > 1 else whole
    for tensor in batch.values():
        account.count(tensor)
    return batch


def _two_parts(trainer: Trainer, batch: Batch) -> Batch:
    """The rows of the first two micro-batches."""
    rows = len(next(iter(batch.values())))
    asked = trainer.micro_batch
    size = 0 if asked == "auto" else rows_of(rows, asked) if isinstance(asked, str) else asked
    trainer.micro_batch = min(size, rows) if size else rows
    parts = 2 * trainer.micro_batch
    return batch if parts >= rows else {name: tensor[:parts] for name, tensor in batch.items()}


def _bytes(tensors: Iterable[Tensor]) -> int:
    """The bytes of tensors, of which those that share a storage count once."""
    found: dict[int, int] = {}
    for tensor in tensors:
        parts = (tensor._indices(), tensor._values()) if tensor.is_sparse else (tensor,)
        found |= {(one := part.untyped_storage())._cdata: one.nbytes() for part in parts}
    return sum(found.values())


def smaller(
    family: Family[Any],
    config: TrialConfig,
    data: Any,
    limit: float,
    device: torch.device | None = None,
    workers: int = 1,
) -> str:
    """The largest micro-batch with which a step needs at most `limit` bytes, such as `1/4`.

    Halves are tried one after another, up to 1/1024 or a row. Other arguments are those of
    `needed`. Empty if none suffices.
    """
    parts = 2
    while parts <= PARTS:
        micro_batch = f"1/{parts}"
        need = needed(family, dataclasses.replace(cast(Any, config), micro_batch=micro_batch), data, device, workers)
        if need.peak <= limit:
            return micro_batch
        if need.rows == 1:
            break
        parts *= 2
    return ""
