"""What a Collatz batch costs: plain Python per number, or node tables.

    python benchmarks/collatz_data.py

prints, in under a minute and without options, milliseconds for a batch of 1,024 rows (256 hard, 768
random) at lookahead 100, each the median of its repeats with the range:
(a)   Python integers, one number at a time, as the log's code works: it walks the hard seed's orbit
      for each hard row, and computes the valuations of n, T(n), T^4(n) and T^8(n) anew for each.
      (a2) does so for n and T(n) alone.
(b)   `CollatzTask.batch`: gathers from the tables that the family builds once.
(c)   the same, and in addition making 768 new random rows, exclusion and features included, as if
      none were used twice; made in blocks of 65,536 rows, so the cost is that of a block times
      768/65,536.

Then (a)/(b), (a)/(c) and (a2)/(c); the tables' build time; and the share that each would have of a
step of the log's 4.6M-parameter network on this machine, batch included; torch uses its default
number of threads.
"""

from __future__ import annotations

import math
import platform
import random
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from leadline import cpus
from leadline.config import make
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import build
from trainables.collatz.features import REACH, pair, table
from trainables.collatz.orbits import random_odd, trace
from trainables.collatz.split import TRAIN_SEEDS, Membership, partition
from trainables.collatz.task import CollatzTask

BATCH, HARD, LOOKAHEAD, BLOCK = 1024, 256, 100, 65_536
LAYERS = "2048,1024,1024,512,512,512,256,128,64"
ORBIT = 300  # iterates of a hard seed among which the log's sampler picks


def milliseconds(work: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Returns median, smallest and largest wall time of `work`, after one uncounted call."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times), min(times), max(times)


def step(n: int) -> tuple[int, int]:
    """Returns T(n) and k, computed with Python integers."""
    m = 3 * n + 1
    k = (m & -m).bit_length() - 1
    return m >> k, k


def one_row(n: int) -> list[float]:
    """Returns the 106 features of one number."""
    base = [math.log10(n) / 40, n % 3 / 2, n % 9 / 8, n % 27 / 26, n % 81 / 80]
    valuations = []
    for _ in range(LOOKAHEAD):
        n, k = step(n)
        valuations.append(k)
    drift = LOOKAHEAD * math.log2(3) - sum(valuations)
    return [*base, drift / 10, *(min(k, 10) / 10 for k in valuations)]


def draw(hard: bool) -> int:
    """Draws one number of a batch."""
    if not hard:
        size = random.randint(2, 124)
        return random.randrange(2**size, 2 ** (size + 1)) | 1
    n = random.choice(TRAIN_SEEDS)
    orbit = []
    for _ in range(ORBIT):
        if n % 2 and n > 1:
            orbit.append(n)
        n = step(n)[0]
        if n == 1:
            break
    return random.choice(orbit)


def plain(iterates: tuple[int, ...]) -> list[torch.Tensor]:
    """Makes a batch one number at a time: features of T^j(n) for each j of `iterates`."""
    rows = [draw(i < HARD) for i in range(BATCH)]
    found = []
    for j in iterates:
        ahead = []
        for n in rows:
            m = n
            for _ in range(j):
                m = step(m)[0]
            ahead.append(one_row(m))
        found.append(torch.tensor(ahead))
    return found


def fresh(generator: np.random.Generator, guarded: Membership) -> None:
    """Makes a block of new random rows with their features of n and T(n)."""
    run = trace(random_odd(generator, BLOCK), LOOKAHEAD + REACH + 1, REACH + 1)
    allowed = np.flatnonzero(~np.any([guarded(run.numbers[j]) for j in (0, 1, 4, 8)], axis=0))
    nodes = table(run.k, run.numbers)
    for rows in np.array_split(allowed * (REACH + 1), BLOCK // BATCH):
        pair(nodes, rows, LOOKAHEAD)


def train_step(task: CollatzTask) -> None:
    """Makes a batch and its optimizer step."""
    batch = task.batch(0)
    task.optimizers[0].zero_grad()
    torch.stack(list(task.losses(task.model, batch, 0.5).values())).sum().backward()  # type: ignore[no-untyped-call]
    task.optimizers[0].step()


def show(name: str, times: tuple[float, float, float]) -> None:
    """Prints one line of the report."""
    print(f"{name:<58}{times[0]:9.2f} ms   ({times[1]:.2f} to {times[2]:.2f})")


def main() -> dict[str, float]:
    """Measures, prints and returns the ratios; the module's docstring says which."""
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}"
    print(f"{cpus.usable()} cores, {platform.machine()}, {versions}")
    start = time.perf_counter()
    config = make(
        CollatzConfig,
        {"lookahead": LOOKAHEAD, "batch": BATCH, "layers": LAYERS, "ramp": 0, "start_seeds": len(TRAIN_SEEDS)},
    )
    data = build(config.pool, config.data_seed)
    print(f"tables with {data.pool} random rows built in {time.perf_counter() - start:.2f} s")
    task = CollatzTask(config, data, torch.device("cpu"))
    guarded, generator = Membership(partition().guarded()), np.random.default_rng(0)
    random.seed(0)
    steps = iter(range(10**9))
    a = milliseconds(lambda: plain((0, 1, 4, 8)), 15)
    a2 = milliseconds(lambda: plain((0, 1)), 9)
    b = milliseconds(lambda: task.batch(next(steps)), 200)
    block = milliseconds(lambda: fresh(generator, guarded), 5)
    share = (BATCH - HARD) / BLOCK
    c = (b[0] + share * block[0], b[1] + share * block[1], b[2] + share * block[2])
    whole = milliseconds(lambda: train_step(task), 5)
    show("(a)  Python, one number at a time, n T T^4 T^8", a)
    show("(a2) the same for n and T(n) alone", a2)
    show("(b)  gathered from the tables", b)
    show("(c)  (b) and 768 new random rows", c)
    ratios = {"(a)/(b)": a[0] / b[0], "(a)/(c)": a[0] / c[0], "(a2)/(c)": a2[0] / c[0]}
    rest = whole[0] - b[0]
    print("   ".join(f"{name} {ratio:.0f}" for name, ratio in ratios.items()))
    show(f"optimizer step of the log's network, {torch.get_num_threads()} threads, with (b)", whole)
    print(
        "share of a step with it: "
        + ", ".join(f"({name}) {t / (rest + t):.2%}" for name, t in (("a", a[0]), ("b", b[0]), ("c", c[0])))
    )
    return {**ratios, "share (c)": c[0] / (rest + c[0])}


if __name__ == "__main__":
    main()
