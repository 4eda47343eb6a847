"""The guard on memory: how much a full step needs, and whether what is held grows."""

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

__all__ = ["Device", "Host", "Memory", "Meter", "human", "meter"]

FULL = 0.9
"""Share of the limit that a step may need."""
CHANGED = 0.1
"""Share by which the peak must change to be reported again."""

# A leak is growth over at least 5 reports, in at least 80 % of the intervals between them, by at
# least 64 MB and 10 %.
LEAK_REPORTS = 5
LEAK_BYTES = 64 * 2**20
LEAK_SHARE = 0.1
LEAK_RISING = 0.8


class Meter(Protocol):
    """Measures the memory of a place, in bytes.

    Attributes:
        fresh: whether `reset` works; if not, the peak is that since the process began.
    """

    fresh: bool

    def reset(self) -> None:
        """Starts the peak again from what is held now."""

    def peak(self) -> float:
        """The most that was held since `reset`; NaN where it cannot be known."""

    def held(self) -> float:
        """The bytes that are held now."""

    def limit(self) -> float:
        """The bytes that this process may hold at most, as things are now."""


class Host:
    """Measures the process's resident memory.

    On Linux that is VmHWM in /proc/self/status, which writing 5 to clear_refs resets (proc(5)).
    """

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        self._proc = proc
        self._process = psutil.Process()
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
        """What is resident, and what is available to the machine or, if less, the control group."""
        return self.held() + min(float(psutil.virtual_memory().available), _cgroup_available())


def _resource_peak() -> float:
    """The peak in bytes since the process began; NaN on a system that does not count it."""
    try:
        import resource
    except ImportError:
        return math.nan
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (
        1 if sys.platform == "darwin" else 1024
    )  # getrusage(2)


def _cgroup_available(root: Path = Path("/sys/fs/cgroup")) -> float:
    """The bytes left to this control group, of version 2 or 1; infinite without a limit.

    A container sees the root of its group as its own. Pages of files count as used there and are
    given back under pressure, so they are taken off.
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
    """Measures the tensors on a CUDA device, as torch's allocator counts them.

    The limit is this process's share of the device.
    """

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
        """The process's fraction of the device, or what is free there if that is less."""
        free, total = torch.cuda.mem_get_info(self._device)
        fraction = getattr(torch.cuda, "get_per_process_memory_fraction", lambda device: 1.0)(self._device)
        return min(float(fraction) * total, float(free) + torch.cuda.memory_reserved(self._device))


def meter(device: torch.device) -> Meter:
    """Makes the meter of the place where tensors of a device live."""
    return Device(device) if device.type == "cuda" else Host()


class Memory(Guard):
    """Fires where a full step needs more than 90 % of the limit, or what is held keeps growing.

    The peak is taken over the steps from the first that an interval's guards look at to the last:
    forward, backward and optimizer, and what guards compute on the way, without evaluation and
    saving. The number of a peak is in bytes, that of a leak in bytes per 1000 steps.

    Args:
        limit: the limit in bytes; by default what the machine offers at each report, with the
            neighbours that this process then has.
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
        """Starts the measurement at the interval's first look."""
        if not self._measuring:
            self._meter.reset()
            self._measuring = True

    def after_update(self, step: int) -> None:
        """Keeps the peak up to here, so that the evaluation to come has no part in it."""
        self._peak = self._meter.peak()

    def report(self, interval: Interval) -> Iterator[Finding]:
        """Reports a peak that is new, has changed by 10 % or passes the limit, and a leak once."""
        if self._measuring:
            self._measuring = False
            yield from self._step()
        self._held.append((interval.step, self._meter.held()))
        yield from self._leak(interval)

    def _step(self) -> Iterator[Finding]:
        """The finding on the peak of a step, where it is news."""
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
        sentence = f"a full step{since} peaks at {human(self._peak)} (forward, backward, optimizer)"
        more = f": more than {FULL:.0%} of the {human(limit)} that this process may hold" if over else ""
        yield Finding(self.name, over, self._peak, sentence + more, "step")

    def _leak(self, interval: Interval) -> Iterator[Finding]:
        """The finding on a leak, once."""
        held = self._held[1:]  # Allocators warm up over the first interval.
        if self._leaking or len(held) <= LEAK_REPORTS:
            return
        (first, low), (last, high) = held[0], held[-1]
        rising = sum(after > before for (_, before), (_, after) in itertools.pairwise(held))
        if rising < LEAK_RISING * (len(held) - 1) or high - low < max(LEAK_BYTES, LEAK_SHARE * low):
            return
        self._leaking = True
        slope = (high - low) / (last - first)
        end = high + slope * (interval.budget - last)
        grown = f"{human(low)} at step {first}, {human(high)} at step {last}"
        sentence = f"memory grows by {human(1000 * slope)} per 1000 steps: {grown}"
        yield Finding(self.name, True, 1000 * slope, f"{sentence}, {human(end)} by the end of the budget", "leak")

    def state_dict(self) -> dict[str, Any]:
        """Returns what was said.

        What was measured is left out: a resumed trial is in another process, whose memory starts
            again.
        """
        return {"said": self._said, "over": self._over, "leaking": self._leaking}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._said = state["said"]
        self._over = state.get("over", False)
        self._leaking = state["leaking"]


def human(size: float) -> str:
    """A size in bytes as people read it."""
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"
