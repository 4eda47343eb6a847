"""All benchmarks, one after the other, and the table of their ratios for the README.

    python -m benchmarks [data | step | guards | engine | durability] ...

takes about fifteen minutes for all. Each prints what it measures; the table, in Markdown, comes last.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from benchmarks import collatz_data, durability, engine, guards, step
from benchmarks._common import Result

__all__ = ["main"]


def _data() -> list[Result]:
    ratios = collatz_data.main()
    return [
        Result("Collatz batch with fresh random rows: plain Python / ours", ratios["(a)/(c)"], ">= 20"),
        Result("the same as a share of a step of the log's network", ratios["share (c)"], "<= 0.05"),
    ]


PARTS: dict[str, tuple[str, Callable[[], list[Result]]]] = {
    "data": ("Collatz data", _data),
    "step": ("training step", step.main),
    "guards": ("guards", guards.main),
    "engine": ("engine", engine.main),
    "durability": ("durability", durability.main),
}


def main(names: Sequence[str] = ()) -> None:
    """Runs those that are named, or all, and prints the table."""
    results: list[Result] = []
    for title, run in [PARTS[name] for name in names or PARTS]:
        print(f"\n## {title}\n", flush=True)
        results += run()
    print("\n| what | measured ratio | target |\n| --- | ---: | --- |")
    for result in results:
        print(f"| {result.what} | {result.ratio:.3g} | {result.target} |")


if __name__ == "__main__":
    main(sys.argv[1:])
