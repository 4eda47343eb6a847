"""What SCAN's data costs.

    python benchmarks/scan.py

prints, in under a minute and without options, smallest, median and largest CPU time of:
(a)   all 20,910 commands with their answers, interpreted one by one from their words, in a process
      that has made nothing yet;
(b)   the same answers joined from those of 102 sentences, as token ids;
(c)   `trainables.scan.data.build` with the log's eleven rules and their 50 pairs;
(d)   its audit;
(e)   the token ids of 512 rows under random rules, as a step asks for them.

Targets: all pairs, (a), in under 1 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from benchmarks._common import Result, machine, row, verdicts
from trainables.scan.audit import audit
from trainables.scan.data import Answers, build
from trainables.scan.grammar import commands
from trainables.scan.interpreter import interpret

__all__ = ["main"]

REPEATS, ROWS = 7, 512


def seconds(work: Callable[[], object]) -> float:
    """Returns the CPU time of `work`."""
    start = time.process_time()
    work()
    return time.process_time() - start


def every_pair() -> float:
    """Returns the CPU time of all commands and answers, in a process of its own."""
    return seconds(lambda: [interpret(command) for command in commands()])


def fresh() -> list[float]:
    """Runs `every_pair` in new processes, one after the other."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        return [pool.submit(every_pair).result() for _ in range(REPEATS)]


def main() -> list[Result]:
    """Measures, prints the table, and returns the one figure that has a target."""
    print(machine())
    pairs = fresh()
    data = build()
    every = np.arange(len(data.commands))
    generator = np.random.default_rng(0)
    rules, chosen = generator.integers(len(data.rules), size=ROWS), generator.integers(len(every), size=ROWS)
    rows: dict[str, Callable[[], object]] = {
        "(b) all answers, joined from sentences": lambda: Answers([()])(0, every),
        f"(c) data of {len(data.rules)} rules": build,
        "(d) its audit": lambda: audit(data),
        f"(e) {ROWS} rows": lambda: data.answers(rules, chosen),
    }
    print(row("(a) 20,910 pairs, from words", pairs, "s"))
    for name, work in rows.items():
        work()
        print(row(name, [1e3 * seconds(work) for _ in range(REPEATS)], "ms"))
    return verdicts([Result("SCAN's 20,910 pairs, CPU seconds", sorted(pairs)[len(pairs) // 2], "<= 1")])


if __name__ == "__main__":
    main()
