"""All benchmarks, one after the other, and the table of their ratios for the README.

    python -m benchmarks

takes about six minutes, without options. Each prints what it measures; the table, in Markdown, comes last.
"""

from __future__ import annotations

from benchmarks import collatz_data, engine, guards, step
from benchmarks._common import Result

__all__ = ["main"]


def _data() -> list[Result]:
    ratios = collatz_data.main()
    return [
        Result("Collatz batch with fresh random rows: plain Python / ours", ratios["(a)/(c)"], ">= 20"),
        Result("the same as a share of a step of the log's network", ratios["share (c)"], "<= 0.05"),
    ]


def main() -> None:
    """Runs all and prints the table."""
    results: list[Result] = []
    for title, run in (("Collatz data", _data), ("training step", step.main), ("guards", guards.main), ("engine", engine.main)):
        print(f"\n## {title}\n", flush=True)
        results += run()
    print("\n| what | measured ratio | target |\n| --- | ---: | --- |")
    for result in results:
        print(f"| {result.what} | {result.ratio:.3g} | {result.target} |")


if __name__ == "__main__":
    main()
