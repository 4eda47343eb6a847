"""What the benchmarks share: the machine's description, a table's row, a ratio's line."""

from __future__ import annotations

import importlib.metadata
import platform
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from leadline import cpus

__all__ = ["TIMES", "Result", "machine", "row", "verdict", "verdicts"]

TIMES = "LEADLINE_TIMES"
"""The environment's name for the folder in which `benchmarks.timed_family` leaves its times."""


class Result(NamedTuple):
    """A ratio that was measured, and the most or least that it should be, in words."""

    what: str
    ratio: float
    target: str


def machine() -> str:
    """Describes cores and versions in one line."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "ray"))
    return f"{cpus.usable()} cores, {platform.machine()}, Python {platform.python_version()}, {versions}"


def row(name: str, values: Sequence[float], unit: str, digits: int = 2) -> str:
    """Formats one line of a table: smallest, median and largest."""
    numbers = "".join(f"{value:11.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{name:<58}{numbers} {unit}"


def verdict(result: Result) -> str:
    """Formats the line with the ratio and its target."""
    return f"ratio {result.ratio:.3f}, target {result.target}: {result.what}"


def verdicts(results: list[Result]) -> list[Result]:
    """Prints the results' lines, and returns the results."""
    print()
    for result in results:
        print(verdict(result))
    return results
