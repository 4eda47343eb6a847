"""What a full optimizer step is said to need, against what it needed.

    python -m benchmarks.memory_plan [--quick] [--family NAME field=value ...]

For each of several configurations whose step needs more than 500 MB, it prints what
`leadline.training.memory_plan.needed` tells, how much of it are the allocator's holes, by how much
the resident memory of a fresh process grew at its peak when the steps were taken, and the ratio.
The aim is a ratio within 15 % of 1. The process takes two steps, without guards, after small ones
of the same family: what the libraries hold is then there already. The time that telling took is
that of one processor.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks._common import Result, machine, verdicts
from leadline import registry
from leadline.config import parse_overrides
from leadline.training.allocator import set_mapping
from leadline.training.guards.memory import Host
from leadline.training.memory_plan import needed
from leadline.training.step import Trainer, World

__all__ = ["CASES", "grown", "main"]

BOARDS = "size=9 train_boards=512 validation_boards=2 test_boards=2"
WIDE = f"{BOARDS} hidden=512 heads=8 h_cycles=2 l_cycles=2 positions=rope"
BOX = "width=256 layers=6 heads=8 expansion=4 episodes=300 scored=16 each=2"
CASES = (
    ("trm", f"{WIDE} l_layers=2 batch=32"),
    ("trm", f"{WIDE} l_layers=2 batch=64 micro_batch=1/4"),
    ("trm", f"{WIDE} l_layers=2 batch=64 recompute=true"),
    ("trm", f"{WIDE} l_layers=2 batch=32 precision=bfloat16"),
    ("trm", f"{BOARDS} hidden=512 heads=8 positions=none mlp_t=true l_layers=2 batch=32"),
    ("trm", f"{BOARDS} hidden=128 batch=32 mode=multi_perturbed_ce rollout=parallel_fixed"),
    ("trm", f"{WIDE} l_layers=4 batch=48 recompute=true"),
    ("hrm", f"{WIDE} h_layers=4 l_layers=4 batch=64 recompute=true"),
    ("hrm", f"{WIDE} h_layers=4 l_layers=4 batch=16"),
    ("hrm", f"{WIDE} h_layers=4 l_layers=4 batch=48 optimizer=adamw"),
    ("hrm", f"{BOARDS} hidden=1024 heads=8 h_layers=4 l_layers=4 batch=8 ema=0"),
    ("physics", f"{BOX} batch=1024"),
    ("physics", f"{BOX} batch=2048 recompute=true"),
    ("scan", "model=transformer width=256 batch=256"),
    ("scan", "model=transformer width=256 batch=768 recompute=true"),
)
"""Families with the fields of configurations, all above 500 MB."""
SMALL = {"train_boards": 64, "validation_boards": 2, "test_boards": 2, "batch": 2}
STEPS = 2
LEAST = 500e6
"""Bytes above which the aim holds."""


def _made(name: str, words: Sequence[str]) -> tuple[Any, Any, Any]:
    """The family of that name, the configuration, and its data."""
    family = registry.family(name)
    config = family.config(parse_overrides(words))
    return family, config, family.build_data(config)


def _steps(family: Any, config: Any, data: Any) -> None:
    """Takes the steps of a new task, and forgets it."""
    device = torch.device("cpu")
    trainer = Trainer(family.task(config, data, device), config, device, World(), [])
    trainer.task.model.train()
    for _ in range(STEPS):
        trainer.optimize(trainer.task.batch(0))


def measure(name: str, words: Sequence[str]) -> float:
    """The bytes by which this process's resident memory grows at its peak during the steps."""
    torch.set_num_threads(1)
    family, config, data = _made(name, words)
    small = family.config({**SMALL, "size": 4} if name in ("hrm", "trm") else {})
    set_mapping(config)
    _steps(family, small, family.build_data(small))
    gc.collect()
    meter = Host()
    meter.reset()
    before = meter.held()
    _steps(family, config, data)
    return meter.peak() - before


def grown(name: str, words: Sequence[str]) -> float:
    """The bytes that `measure` returns in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory_plan", "--measure", name, *words]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def main(cases: Sequence[tuple[str, str]] = CASES) -> list[Result]:
    """Compares and prints; the module's docstring says what."""
    print(machine())
    print(f"{'told / MB':>10}{'holes':>8}{'grown / MB':>12}{'ratio':>7}{'seconds':>9}")
    found = []
    for name, fields in cases:
        family, config, data = _made(name, fields.split())
        began = time.process_time()
        need = needed(family, config, data)
        seconds = time.process_time() - began
        real = grown(name, fields.split())
        ratio = need.peak / real
        print(
            f"{need.peak / 1e6:10.0f}{need.holes / 1e6:8.0f}{real / 1e6:12.0f}{ratio:7.3f}{seconds:9.2f}"
            f"  {name} {fields}",
            flush=True,
        )
        if real >= LEAST:
            found.append(Result(f"memory of a step of {name} {fields}: told / grown", ratio, "0.85 to 1.15"))
    return verdicts(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory_plan",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="the first configuration alone")
    parser.add_argument("--family", metavar="NAME", help="a configuration of that family instead")
    parser.add_argument("--measure", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", metavar="field=value")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, given.words)))
    elif given.family:
        main([(given.family, " ".join(given.words))])
    else:
        main(CASES[:1] if given.quick else CASES)
