"""From which size glibc's malloc maps each piece of memory, and gives it back when it is freed.

Smaller pieces come from a heap, where what is freed leaves holes that the next piece may not fit
in. By itself glibc maps from 32 MiB on, once pieces of that size were freed
(DEFAULT_MMAP_THRESHOLD_MAX, see mallopt(3)). Recomputation frees and makes the inside of each block
again and again, and the holes then eat most of what it saves: a step of TRM that holds 0.51 GB at
most took 1.08 GB, and takes 0.55 GB with pieces mapped from 4 MiB on. That costs time, about a
sixth there, since the system clears each piece anew; so only trials that recompute, which give time
for memory, have it. Elsewhere than on a CPU with glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

__all__ = ["mapped_from", "set_mapping"]

MAPPED = 32 * 2**20
"""Bytes from which pieces are mapped."""
MAPPED_RECOMPUTING = 4 * 2**20
"""The same in a trial that recomputes."""
VARIABLE = "MALLOC_MMAP_THRESHOLD_"
"""glibc's own variable, which stands above both; more than MAPPED is refused by glibc."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h

_settled = False


def mapped_from(config: Any) -> int:
    """The bytes from which pieces are mapped in a process that trains this configuration."""
    asked = os.environ.get(VARIABLE, "")
    if asked.isdecimal():
        return min(int(asked), MAPPED)
    return MAPPED_RECOMPUTING if getattr(config, "recompute", False) else MAPPED


def set_mapping(config: Any) -> None:
    """Makes this process map pieces as `mapped_from` says, where the variable has not done so."""
    global _settled
    wanted = mapped_from(config)
    # glibc moves the threshold by itself until it is set, so that without need it is left alone.
    if platform.libc_ver()[0] != "glibc" or VARIABLE in os.environ or (wanted == MAPPED and not _settled):
        return
    malloc = ctypes.CDLL(None)
    malloc.mallopt(M_MMAP_THRESHOLD, wanted)
    # Once that is set, glibc moves this one no more either; by itself it is twice as large.
    malloc.mallopt(M_TRIM_THRESHOLD, 2 * wanted)
    _settled = True
