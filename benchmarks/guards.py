"""What the guards cost: their share of the training time, and the slowest guards by name.

    python -m benchmarks.guards

trains networks on one thread in under a minute, without options: 64,64 with batch 256, whose step
is about the shortest that a family can have; 512,512,256 with batch 512; and the largest batch of
`sweeps/batch_size.py`, with few steps and a report every 16, once whole and once in the fastest
micro-batches. Reports otherwise come every 400 and every 100 steps, five in all. The share is the
one that every report states; the last report's counts.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch

from benchmarks._common import Result, machine, verdict
from leadline.training.guards.guard import Guard
from leadline.training.loop import Loop
from sweeps import batch_size
from trainables.collatz.data import CollatzData
from trainables.collatz.family import COLLATZ

HOOKS = ("before_forward", "before_backward", "before_update", "after_update", "report")
TARGET = 0.02
LARGE = {**batch_size.FIELDS, "batch": 4096, "steps": 256, "eval_every": 16, "micro_batch": 0}
"""The fields as `sweeps/batch_size.py` trains them: 2^20 samples, a report every 2^16."""


def timed(guard: Guard, seconds: dict[str, float]) -> None:
    """Adds the time of every hook that the guard has to `seconds`."""

    def wrap(hook: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            began = time.perf_counter()
            found = hook(*arguments)
            found = list(found) if hook.__name__ == "report" else found
            seconds[guard.name] += time.perf_counter() - began
            return found

        return run

    for name in HOOKS:
        if getattr(type(guard), name) is not getattr(Guard, name):
            setattr(guard, name, wrap(getattr(guard, name)))


def share(title: str, data: CollatzData, **fields: Any) -> float:
    """Trains; prints the guards' share of each report and returns that of the last."""
    config = COLLATZ.config({"lookahead": 20, "ramp": 0, **fields})
    loop = Loop(COLLATZ, config, data)
    seconds: dict[str, float] = defaultdict(float)
    for guard in loop.watch.guards:
        timed(guard, seconds)
    reports = list(loop.run())
    shares = ", ".join(f"{report.facts['guards_share']:.2%}" for report in reports)
    print(f"{title}: share of each report {shares}; {1e3 * reports[-1].seconds / config.steps:.2f} ms a step")
    for name, spent in sorted(seconds.items(), key=lambda pair: -pair[1])[:4]:
        print(f"    {name:<24}{spent / reports[-1].seconds:8.2%}")
    return reports[-1].facts["guards_share"]


def main() -> list[Result]:
    """Measures and prints; the module's docstring says what."""
    torch.set_num_threads(1)
    print(f"{machine()}, {torch.get_num_threads()} thread")
    data = COLLATZ.build_data(COLLATZ.config({}))
    shares = [
        share("64,64", data, layers="64,64", batch=256, steps=2000, eval_every=400),
        share("512,512,256", data, layers="512,512,256", batch=512, steps=500, eval_every=100),
        share("batch 4096", data, **LARGE),
        share("batch 4096, micro-batch auto", data, **{**LARGE, "micro_batch": "auto"}),
    ]
    found = Result(
        "all guards, share of the training time (the largest of four runs)", max(shares), f"at most {TARGET}"
    )
    print(f"\n{verdict(found)}")
    return [found]


if __name__ == "__main__":
    main()
