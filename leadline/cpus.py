"""The CPUs that this process may use, which may be fewer than the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from leadline.plain import plural

__all__ = ["in_words", "quota", "usable"]


def usable() -> int:
    """The number of CPUs that this process may use, at least 1.

    It is the least of the machine's CPUs, those that the process may be scheduled on (`taskset`,
    Slurm), and the quotas of its control groups (containers), rounded down.
    """
    # macOS has no affinity.
    scheduled = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else math.inf
    return max(1, int(min(os.cpu_count() or 1, scheduled, quota())))


def in_words() -> str:
    """The usable CPUs for a message: "2 CPUs here", with the machine's where those are more."""
    count = usable()
    whole = os.cpu_count() or 1
    said = plural(count, "CPU")
    return f"{said} here" if count == whole else f"{said} that this process may use (of {whole} here)"


def quota(root: Path = Path("/")) -> float:
    """The least CPU time per time that the control groups of this process allow.

    Args:
        root: the folder in which `proc` and `sys` lie.

    Returns:
        a number of CPUs, which may be a fraction; infinite where nothing is limited.
    """
    return min(_quotas(root), default=math.inf)


def _quotas(root: Path) -> Iterator[float]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        group = PurePosixPath(path.lstrip("/"))
        # The groups around a group limit it too. In a container the path may be that of the host,
        # of which only the last folder, the mount itself, is seen.
        for place in (mount / group, *(mount / parent for parent in group.parents)):
            yield from _quota_v1(place) if controllers else _quota_v2(place)


def _quota_v2(group: Path) -> Iterator[float]:
    limit, _, period = _read(group / "cpu.max").partition(" ")
    if limit.isdigit():
        yield int(limit) / int(period)


def _quota_v1(group: Path) -> Iterator[float]:
    limit, period = (_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if limit.isdigit() and period.isdigit():  # -1 for no limit
        yield int(limit) / int(period)


def _read(file: Path) -> str:
    """The content of a file; empty where it cannot be read."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""
