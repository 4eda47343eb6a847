"""What a training step of HRM and TRM costs, against the published code, and at once or one by one.

    python -m benchmarks.recursive [--reference PATH ...] [--quick] [--shared]

--reference PATH   a checkout of github SamsungSAILMontreal/TinyRecursiveModels, which has both
                   models, or of github sapientinc/HRM; may be given twice. Without one, only our
                   own times are printed, which is said aloud.
--quick            width 64 instead of the published 512, and few rounds: whether it runs, not how
                   fast.
--shared           for a machine that others use: one thread, and its processor time instead of the
                   clock. Waiting for a core does not count then, and sharing its caches and its
                   clock rate weighs on all alike.

It prints, in about ten minutes on 2 idle cores, seconds for

ours       an optimizer step of `leadline.training.loop.Loop`: batch, carry, losses, backward pass,
           Adam-atan2, sign-SGD, sums of the loss terms.
reference  their carry, model and loss head, backward pass, and torch's fused AdamW, on the same
           boards.

for HRM, TRM and TRM with its token mixer at the published sizes: 81 tokens, batch 8, float32, 2
threads, without the average of weights. They take turns, and ratios are taken within a round. Both
start from the same weights: the run fails unless their first losses agree.

Then it prints the forward and backward pass of K = 4 perturbed trajectories under `parallel_fixed`,
all at once and one after another, from the same starts. At once pays where a step is so small that
calls cost more than numbers: at width 64 up to some 32 tokens a trajectory. With more, and at full
width, one trajectory keeps the cores busy already, and at once only must not cost.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks._common import Result, machine, row, verdicts
from benchmarks._reference import ReferenceStep, reference
from leadline.family import Family
from leadline.training.loop import Loop
from trainables.recursive.config import RecursiveConfig
from trainables.recursive.family import HRM_FAMILY, TRM_FAMILY
from trainables.recursive.reference import load_reference
from trainables.recursive.task import RecursiveTask

__all__ = ["main", "rollouts", "steps"]

THREADS = 2
ROUNDS = 6
TOLERANCE = 1e-5
"""The largest relative difference of the first losses."""
BOARDS = {
    "size": 9,
    "train_boards": 16,
    "validation_boards": 2,
    "test_boards": 2,
    "batch": 8,
    "ema": 0.0,
    "steps": 10**6,
    "eval_every": 10**6,
}
MODELS: dict[str, tuple[Family[Any], str]] = {
    "HRM": (HRM_FAMILY, "sudoku"),
    "TRM": (TRM_FAMILY, "sudoku-attention"),
    "TRM with mixer": (TRM_FAMILY, "sudoku"),
}
K = 4
FOUR = {"mode": "multi_perturbed_ce", "k": K, "rollout": "parallel_fixed", "ramp": 0.0}

Work = Mapping[str, Callable[[], object]]


def contest(work: Work, rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Measures the seconds of each in each round, in an order that changes from round to round."""
    times: dict[str, list[float]] = {name: [] for name in work}
    turns = list(work.items())
    for turn in range(rounds):
        first = turn % len(turns)
        for name, step in turns[first:] + turns[:first]:
            began = clock()
            step()
            times[name].append(clock() - began)
    return times


def ratios(times: Mapping[str, Sequence[float]], name: str, other: str) -> list[float]:
    """Returns the ratios of two contestants' times, round by round."""
    return [a / b for a, b in zip(times[name], times[other], strict=True)]


def told(title: str, times: Mapping[str, Sequence[float]]) -> None:
    """Prints the table of one contest."""
    print(f"\n{title:<58}{'min':>11}{'median':>11}{'max':>11}")
    for name, seconds in times.items():
        print(row(name, seconds, "s", 3), flush=True)


def steps(title: str, paths: Sequence[Path], *, rounds: int, clock: Callable[[], float], hidden: int) -> list[Result]:
    """Times our step against the published one; no result if there is no reference.

    Raises:
        RuntimeError: if the first losses differ.
    """
    family, preset = MODELS[title]
    published: Any = family.presets[preset](1.0)
    config: RecursiveConfig = replace(published, **BOARDS, hidden=hidden, puzzle_emb=hidden)
    loop = Loop(family, config, family.build_data(config))
    task = loop.task
    assert isinstance(task, RecursiveTask)
    task.model.train()
    theirs = reference(paths, config)
    if theirs is not None:
        load_reference(task.net, theirs.state())
    work: dict[str, Callable[[], object]] = {"ours": lambda: loop._train_until(loop.step + 1)}
    if theirs is not None:
        other, count = theirs, iter(range(1, 10**6))
        check(title, loop, other)
        work["reference"] = lambda: _step(other, task, next(count))
    contest(work, 2, clock)  # the guards look into the first two steps, which are not counted
    times = contest(work, rounds, clock)
    told(f"{title}, width {hidden}, batch {config.batch}, {config.tokens} tokens", times)
    if theirs is None:
        return []
    found = ratios(times, "reference", "ours")
    print(row("reference / ours", found, "", 3))
    print(f"of their minima {min(times['reference']) / min(times['ours']):.3f}")
    return [Result(f"training step of {title}: reference / ours", median(found), ">= 1.00, aimed at 1.5")]


def check(title: str, loop: Loop, theirs: ReferenceStep) -> None:
    """Makes one step each and compares the losses.

    Raises:
        RuntimeError: if they differ.
    """
    batch = loop.task.batch(0)
    other = theirs(batch["inputs"], batch["labels"])
    own = loop._train_until(1)["loss"]
    if not abs(own - other) <= TOLERANCE * abs(other):
        raise RuntimeError(
            f"{title}: ours does not do the reference's work: its first loss is {own:.8g}, the reference's {other:.8g}"
        )


def _step(theirs: ReferenceStep, task: RecursiveTask, number: int) -> float:
    """Makes the published step on our batch."""
    batch = task.batch(number)
    return theirs(batch["inputs"], batch["labels"])


def rollouts(family: Family[Any], *, rounds: int, clock: Callable[[], float], **fields: Any) -> float:
    """Returns the median time of K trajectories one by one, over that of all at once.

    It is that of one forward and backward pass.
    """
    config = family.Config(**{**BOARDS, **FOUR, **fields})
    task = family.task(config, family.build_data(config), torch.device("cpu"))
    assert isinstance(task, RecursiveTask)
    task.model.train()
    batch, net = task.batch(0), task.net

    def one_by_one(*arguments: Any, **options: Any) -> Any:
        return net(*arguments, **options, parts=K)

    def train(model: Any) -> None:
        net.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(list(task.losses(model, batch, 0.5).values())).sum())

    work: Work = {"one by one": lambda: train(one_by_one), "at once": lambda: train(net)}
    contest(work, 1, clock)
    times = contest(work, rounds, clock)
    size = f"width {config.hidden}, {config.batch} boards of {config.tokens}, {config.segments} segments"
    told(f"{K} trajectories, {family.name}, {size}", times)
    found = ratios(times, "one by one", "at once")
    print(row("one by one / at once", found, "", 3), flush=True)
    return median(found)


def _four(rounds: int, clock: Callable[[], float], quick: bool) -> list[Result]:
    """Times K trajectories at the widths that the targets name."""
    small: dict[str, Any] = {"hidden": 64, "size": 4, "clues": 8, "halt_max_steps": 4}
    found = []
    for family in (TRM_FAMILY, HRM_FAMILY):
        for boards in (1, 2, 8):
            ratio = rollouts(family, rounds=4 * rounds, clock=clock, **small, batch=boards)
            target = ">= 2" if boards == 1 else "for information"
            found.append(
                Result(
                    f"4 trajectories of {family.name} at width 64, {boards} boards of 16 cells: one by one / at once",
                    ratio,
                    target,
                )
            )
    if not quick:
        large = {"hidden": 512, "heads": 8, "size": 9, "halt_max_steps": 1, "batch": 2}
        for family, layers in (
            (TRM_FAMILY, {"l_layers": 2, "h_cycles": 3, "l_cycles": 6}),
            (HRM_FAMILY, {"l_layers": 4, "h_layers": 4}),
        ):
            ratio = rollouts(family, rounds=rounds, clock=clock, **large, **layers)
            found.append(Result(f"the same of {family.name} at width 512, 2 boards of 81 cells", ratio, ">= 0.9"))
    return found


def main(paths: Sequence[Path] = (), *, quick: bool = False, shared: bool = False) -> list[Result]:
    """Measures and prints; the module's docstring says what."""
    torch.set_num_threads(1 if shared else THREADS)
    clock = time.process_time if shared else time.perf_counter
    rounds = 1 if quick else ROUNDS
    print(f"{machine()}, {torch.get_num_threads()} threads, {'processor time' if shared else 'clock time'}")
    if not paths:
        print(
            "NO REFERENCE: only our own steps are timed. "
            "Name a checkout of TinyRecursiveModels or HRM with --reference PATH"
        )
    found: list[Result] = []
    for title in MODELS:
        results = steps(title, paths, rounds=rounds, clock=clock, hidden=64 if quick else 512)
        if paths and not results:
            print(f"NO REFERENCE for {title} in {', '.join(map(str, paths))}")
        found += results
    found += _four(rounds, clock, quick)
    return verdicts(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recursive", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", type=Path, action="append", default=[], metavar="PATH")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--shared", action="store_true")
    given = parser.parse_args()
    main(given.reference, quick=given.quick, shared=given.shared)
