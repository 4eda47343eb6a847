"""All benchmarks, one after the other, and the table of their ratios for docs/benchmarks.md.

    python -m benchmarks [PART] ... [--reference PATH]

PART is data, physics, scan, shares, step, recursive, etrm, memory, guards, engine, durability,
scale or report; all by default, which takes more than half an hour. Each prints what it measures;
the table, in Markdown, comes last. --reference is explained in `benchmarks.recursive` and
`benchmarks.etrm`.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import (
    collatz_data,
    durability,
    engine,
    etrm,
    guards,
    memory_plan,
    physics,
    recursive,
    report,
    scale,
    scan,
    shares,
    step,
)
from benchmarks._common import Result

__all__ = ["main"]


def _data() -> list[Result]:
    """Measures the Collatz data and names two of its ratios."""
    ratios = collatz_data.main()
    return [
        Result("Collatz batch with fresh random rows: plain Python / ours", ratios["(a)/(c)"], ">= 20"),
        Result("the same as a share of a step of the log's network", ratios["share (c)"], "<= 0.05"),
    ]


PARTS: dict[str, tuple[str, Callable[[], list[Result]]]] = {
    "data": ("Collatz data", _data),
    "physics": ("physics data", physics.main),
    "scan": ("SCAN's data", scan.main),
    "shares": ("data and scoring of physics and SCAN", shares.main),
    "step": ("training step", step.main),
    "recursive": ("HRM and TRM", recursive.main),
    "etrm": ("ETRM", etrm.main),
    "memory": ("memory of a step", memory_plan.main),
    "guards": ("guards", guards.main),
    "engine": ("engine", engine.main),
    "durability": ("durability", durability.main),
    "scale": ("scale", scale.main),
    "report": ("report", report.main),
}


def main(names: Sequence[str] = (), references: Sequence[Path] = ()) -> None:
    """Runs the named benchmarks, or all, and prints the table."""
    results: list[Result] = []
    parts: dict[str, tuple[str, Callable[[], list[Result]]]] = {
        **PARTS,
        "recursive": (PARTS["recursive"][0], functools.partial(recursive.main, references)),
        "etrm": (PARTS["etrm"][0], functools.partial(etrm.main, references)),
    }
    for title, run in [parts[name] for name in names or PARTS]:
        print(f"\n## {title}\n", flush=True)
        results += run()
    print("\n| what | measured ratio | target |\n| --- | ---: | --- |")
    for result in results:
        print(f"| {result.what} | {result.ratio:.3g} | {result.target} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", choices=[[], *PARTS], metavar="|".join(PARTS))
    parser.add_argument("--reference", type=Path, action="append", default=[], metavar="PATH")
    given = parser.parse_args()
    main(given.names, given.reference)
