"""What the benchmarks share: the machine's description, a table of times, and the line with the ratio."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["TIMES", "Result", "machine", "row", "verdict", "verdicts"]

TIMES = "LEADLINE_TIMES"
"""The environment's name for the folder in which `benchmarks.timed_family` leaves its times."""


class Result(NamedTuple):
    """A ratio that was measured, and the most or least that it should be, in words."""

    what: str
    ratio: float
    target: str


def machine() -> str:
    """Cores and versions, in one line."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "ray"))
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {versions}"


def row(name: str, values: Sequence[float], unit: str, digits: int = 2) -> str:
    """One line of a table: smallest, median and largest."""
    numbers = "".join(f"{value:11.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{name:<58}{numbers} {unit}"


def verdict(result: Result) -> str:
    """The line with the ratio and its target."""
    return f"ratio {result.ratio:.3f}, target {result.target}: {result.what}"


def verdicts(results: list[Result]) -> list[Result]:
    """Prints their lines, and gives them back."""
    print()
    for result in results:
        print(verdict(result))
    return results
