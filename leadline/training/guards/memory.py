"""How much memory a full step needs, and whether it grows."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import psutil
import torch

from leadline.finding import Finding
from leadline.task import Task
from leadline.training.guards.guard import Guard, Interval

__all__ = ["Device", "Host", "Memory", "Meter", "meter"]

FULL = 0.9
"""Share of the limit that a step may need."""
CHANGED = 0.1
LEAK_REPORTS, LEAK_BYTES, LEAK_SHARE, LEAK_RISING = 5, 64 * 2**20, 0.1, 0.8
"""A leak: growth over at least 5 reports, in at least 80 % of the intervals between them, by 64 MB and by 10 %."""


class Meter(Protocol):
    """A place's memory, in bytes. `fresh` says whether `reset` works; if not, the peak is that since the process began."""

    fresh: bool

    def reset(self) -> None:
        """The peak starts again from what is held now."""

    def peak(self) -> float:
        """Most that was held since `reset`; NaN where it cannot be known."""

    def held(self) -> float:
        """What is held now."""

    def limit(self) -> float:
        """What this process may hold at most, as things are now."""


class Host:
    """The process's resident memory. Linux: VmHWM in /proc/self/status, which writing 5 to clear_refs resets (proc(5))."""

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        self._proc, self._process = proc, psutil.Process()
        self.fresh = True
        self.reset()

    def reset(self) -> None:
        """See `Meter`."""
        try:
            (self._proc / "clear_refs").write_text("5")
        except OSError:
            self.fresh = False

    def peak(self) -> float:
        """See `Meter`."""
        try:
            lines = (self._proc / "status").read_text().splitlines()
            return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
        except (OSError, StopIteration):
            return _resource_peak()

    def held(self) -> float:
        """See `Meter`."""
        return float(self._process.memory_info().rss)

    def limit(self) -> float:
        """Resident now and available now: the machine's, or the control group's where that is less."""
        return self.held() + min(float(psutil.virtual_memory().available), _cgroup_available())


def _resource_peak() -> float:
    try:
        import resource
    except ImportError:
        return math.nan
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def _cgroup_available(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Bytes left to this control group (version 2 or 1), whose root a container sees as its own; inf without a limit.

    Pages of files count as used there and are given back under pressure, so they are taken off.
    """
    for folder, limit, usage in (
        (root, "memory.max", "memory.current"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        try:
            left = int((folder / limit).read_text()) - int((folder / usage).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            return left + float(stat.get("inactive_file", stat.get("total_inactive_file", 0)))
        except (OSError, ValueError):
            continue
    return math.inf


class Device:
    """A CUDA device's tensors, as torch's allocator counts them; the limit is this process's share of the device."""

    fresh = True

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def reset(self) -> None:
        """See `Meter`."""
        torch.cuda.reset_peak_memory_stats(self._device)

    def peak(self) -> float:
        """See `Meter`."""
        return float(torch.cuda.max_memory_allocated(self._device))

    def held(self) -> float:
        """See `Meter`."""
        return float(torch.cuda.memory_allocated(self._device))

    def limit(self) -> float:
        """The per-process fraction of the device, or what is free there if that is less."""
        free, total = torch.cuda.mem_get_info(self._device)
        fraction = getattr(torch.cuda, "get_per_process_memory_fraction", lambda device: 1.0)(self._device)
        return min(float(fraction) * total, float(free) + torch.cuda.memory_reserved(self._device))


def meter(device: torch.device) -> Meter:
    """The meter of the place where tensors of a device live."""
    return Device(device) if device.type == "cuda" else Host()


class Memory(Guard):
    """Measures the peak of full steps; fires where it exceeds 90 % of the limit, or where what is held keeps growing.

    The peak is taken over the steps from the first that an interval's guards look at to the last: forward, backward and optimizer,
    and what guards compute on the way, without evaluation and saving. Its number is in bytes, that of a leak in bytes per 1000 steps.

    Args:
        limit: bytes; by default what the machine offers at each report, with the neighbours that this process then has.
    """

    name = "memory"
    looks = 4

    def __init__(self, limit: float | None = None) -> None:
        self._limit = limit
        self._measuring = False
        self._peak = math.nan
        self._said = math.nan
        self._over = False
        self._leaking = False
        self._held: list[tuple[int, float]] = []

    def started(self, task: Task) -> None:
        """Finds the place where the model lives."""
        super().started(task)
        device = next((parameter.device for parameter in task.model.parameters()), torch.device("cpu"))
        self._meter = meter(device)

    def before_forward(self, step: int) -> None:
        """The interval's first look starts the measurement."""
        if not self._measuring:
            self._meter.reset()
            self._measuring = True

    def after_update(self, step: int) -> None:
        """The peak up to here, so that the evaluation to come has no part in it."""
        self._peak = self._meter.peak()

    def report(self, interval: Interval) -> Iterator[Finding]:
        """The peak when it is new, has changed by more than 10 % or passes the limit, and a leak once."""
        if self._measuring:
            self._measuring = False
            yield from self._step()
        self._held.append((interval.step, self._meter.held()))
        yield from self._leak(interval)

    def _step(self) -> Iterator[Finding]:
        if math.isnan(self._peak):
            if self._said != 0:
                self._said = 0.0
                yield Finding(
                    self.name, False, math.nan, "the peak memory of a step cannot be measured on this system", "step"
                )
            return
        limit = self._meter.limit() if self._limit is None else self._limit
        over = self._peak > FULL * limit
        if abs(self._peak - self._said) <= CHANGED * self._said and over == self._over:
            return
        self._said, self._over = self._peak, over
        since = "" if self._meter.fresh else ", or anything since the process began,"
        sentence = f"a full step{since} peaks at {_human(self._peak)} (forward, backward, optimizer)"
        more = f": more than {FULL:.0%} of the {_human(limit)} that this process may hold" if over else ""
        yield Finding(self.name, over, self._peak, sentence + more, "step")

    def _leak(self, interval: Interval) -> Iterator[Finding]:
        held = self._held[1:]  # allocators warm up over the first interval
        if self._leaking or len(held) <= LEAK_REPORTS:
            return
        (first, low), (last, high) = held[0], held[-1]
        rising = sum(after > before for (_, before), (_, after) in itertools.pairwise(held))
        if rising < LEAK_RISING * (len(held) - 1) or high - low < max(LEAK_BYTES, LEAK_SHARE * low):
            return
        self._leaking = True
        slope = (high - low) / (last - first)
        end = high + slope * (interval.budget - last)
        sentence = f"memory grows by {_human(1000 * slope)} per 1000 steps: {_human(low)} at step {first}, {_human(high)} at step {last}"
        yield Finding(self.name, True, 1000 * slope, f"{sentence}, {_human(end)} by the end of the budget", "leak")

    def state_dict(self) -> dict[str, Any]:
        """What was said; a resumed trial may be in another process, whose memory starts again."""
        return {"said": self._said, "over": self._over, "leaking": self._leaking}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._said, self._over, self._leaking = state["said"], state.get("over", False), state["leaking"]


def _human(size: float) -> str:
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"
