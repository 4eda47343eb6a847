"""What a training step of ETRM costs, against the published code, and what encoding costs in it.

    python -m benchmarks.etrm [--reference PATH] [--size SIDE] [--batch BOARDS] [--rounds N]
                              [--quick] [--shared]

--reference PATH   a checkout of github bdsaglam/etrm at 85da7e2. Without one, only our own times
                   are printed, which is said aloud.
--size SIDE        side of the canvas, 9 by default: the published one of 30 has eleven times the
                   tokens, and a step of 8 boards then takes minutes and, in the reference, 16 GB.
--quick, --shared  as in `benchmarks.recursive`.

The network has the published size, 17.3 million numbers; boards are eight of ARC-AGI-1 that fit the
canvas, the same in every step, with all of their demonstrations; float32, 2 threads. All of one
table take turns.

reference / ours   An optimizer step each, from the same weights: the run fails unless their first
                   losses agree. The published code encodes ten demonstrations of every board,
                   however many its task has; `no padding` gives it no more than some board of the
                   batch has.
encodings          Optimizer steps of ours by the field `encoding`, per sample and segment. `fct`
                   encodes for each of two segments of a step. `cached`, where one of eight boards
                   is new in every step; and the log's slow version of it as the bad example, which
                   encodes all boards and throws away all but the new one.
trajectories       Forward and backward pass of four trajectories of each board, `parallel_fixed`:
                   demonstrations encoded once for all of them, or once for each.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks._common import Result, machine, row, verdicts
from benchmarks._reference import ReferenceStep, reference
from benchmarks.recursive import BOARDS, FOUR, THREADS, TOLERANCE, K, Work, contest, ratios, told
from leadline.training.loop import Loop
from trainables.recursive.encoder_task import ETRMTask
from trainables.recursive.family import ETRM_FAMILY
from trainables.recursive.model import ETRM, Context
from trainables.recursive.reference import load_reference

__all__ = ["main"]

PUBLISHED: dict[str, Any] = {
    **BOARDS,
    "task": "arc",
    "demonstrations": 10,
    "hidden": 512,
    "heads": 8,
    "positions": "rope",
    "l_layers": 2,
    "h_cycles": 3,
    "l_cycles": 6,
    "halt_max_steps": 16,
    "explore": 0.5,
    "lr": 1e-4,
}
"""The sizes of github bdsaglam/etrm (85da7e2), by our names."""
SMALL: dict[str, Any] = {"hidden": 64, "heads": 4, "h_cycles": 2, "l_cycles": 2}
ROUNDS = 3
LIMIT = 8
"""The most segments of a board behind a cache: so many boards are worked on, and one is new."""


class _Ours:
    """One of our trials, in the middle of its training, and its next optimizer step."""

    def __init__(self, fields: dict[str, Any]) -> None:
        config = ETRM_FAMILY.config(fields)
        self.loop = Loop(ETRM_FAMILY, config, ETRM_FAMILY.build_data(config))
        task = self.loop.task
        assert isinstance(task, ETRMTask)
        self.task: ETRMTask = task
        self.net: ETRM = task.net  # type: ignore[assignment]
        self.net.train()
        self.loop.step = 2  # guards look into the first two steps, and hardly ever later

    def __call__(self) -> float:
        return self.loop._train_until(self.loop.step + 1)["loss"]

    def stagger(self) -> None:
        """Makes each slot's board a segment older than that of the slot before."""
        steps = self.task._carry["steps"]
        steps.copy_(torch.arange(len(steps))[:, None] % LIMIT + 1)
        self.task._carry["halted"].copy_(steps == LIMIT)


def steps(fields: dict[str, Any], paths: Sequence[Path], rounds: int, clock: Callable[[], float]) -> list[Result]:
    """Times our step against the published one; no result if there is no reference.

    Raises:
        RuntimeError: if the first losses differ.
    """
    ours = _Ours(fields)
    padded, tight = (reference(paths, ours.task.config) for _ in range(2))
    work: dict[str, Callable[[], float]] = {"ours": ours}
    if padded is not None and tight is not None:
        load_reference(ours.net, padded.state())
        work["reference"] = _published(padded, ours)
        work["reference, no padding"] = _published(tight, ours, padding=False)
    first = {name: step() for name, step in work.items()}
    if any(not abs(loss - first["ours"]) <= TOLERANCE * loss for loss in first.values()):
        raise RuntimeError(f"ETRM: the reference does not do our work: first losses {first}")
    times = contest(work, rounds, clock)
    told(f"ETRM, {_size(ours)}", times)
    found = []
    for name in list(work)[1:]:
        ratio = ratios(times, name, "ours")
        print(row(f"{name} / ours", ratio, "", 3), flush=True)
        found.append(Result(f"training step of ETRM: {name} / ours", median(ratio), ">= 1"))
    return found


def _size(ours: _Ours) -> str:
    config = ours.task.config
    shown = float(ours.task.data.train.extra["demo_inputs"].any(2).sum(1).mean())
    return f"width {config.hidden}, batch {config.batch}, {config.tokens} tokens, {shown:.1f} demonstrations"


def _published(theirs: ReferenceStep, ours: _Ours, padding: bool = True) -> Callable[[], float]:
    """Returns the published step on the batches that ours has, one after the other."""
    numbers = itertools.count(ours.loop.step)

    def step() -> float:
        batch = ours.task.batch(next(numbers))
        most = batch["demo_mask"].shape[1] if padding else int(batch["demo_mask"].sum(1).max())
        shown = {name: batch[name][:, :most] for name in ours.net.shown}
        return theirs(batch["inputs"], batch["labels"], **shown)

    return step


def encodings(fields: dict[str, Any], rounds: int, clock: Callable[[], float]) -> list[Result]:
    """Times the ways to encode against each other, per sample and segment."""
    fixed = _Ours({**fields, "encoding": "fct", "rollout": "parallel_fixed", "halt_max_steps": 2})
    behind = {**fields, "encoding": "cached", "halt_max_steps": LIMIT}
    again, cached, wasteful = _Ours(fields), _Ours(behind), _Ours(behind)
    wasteful.net._encode = functools.partial(_encode_all, wasteful.net)  # type: ignore[method-assign]
    work: Work = {"reencode": again, "fct, two segments": fixed, "cached": cached, "cached, all encoded": wasteful}
    for step in work.values():
        step()
    cached.stagger()
    wasteful.stagger()
    times = contest(work, rounds, clock)
    told(f"encodings, {_size(again)}", times)
    return [
        Result(
            "encoding at every call: per sample and segment / that of FCT",
            median([2 * ratio for ratio in ratios(times, "reencode", "fct, two segments")]),
            "<= 1.1",
        ),
        Result(
            "the log's slow cache, all encoded and all but the new discarded / only the new encoded",
            median(ratios(times, "cached, all encoded", "cached")),
            "the bad example",
        ),
    ]


def _encode_all(net: ETRM, time: int, copies: int, *, fresh: Tensor, context: Tensor, **shown: Tensor) -> Context:
    """Encodes all rows, and throws away those of slots that go on with their board."""
    found = ETRM._encode(net, time, copies, **shown)
    assert found.tokens is not None
    return found._replace(tokens=torch.where(fresh[:, None, None], found.tokens, context))


def trajectories(fields: dict[str, Any], rounds: int, clock: Callable[[], float]) -> list[Result]:
    """Times four trajectories of each board, whose demonstrations are encoded once, or for each."""
    ours = _Ours({**fields, **FOUR, "halt_max_steps": 1, "batch": max(1, fields["batch"] // K)})
    batch, net = ours.task.batch(0), ours.net

    def apart(**rows: Any) -> Any:
        more = {name: rows[name].repeat(K, *[1] * (rows[name].dim() - 1)) for name in net.shown}
        return net(**{**rows, **more})

    def train(model: Any) -> None:
        net.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(list(ours.task.losses(model, batch, 0.5).values())).sum())

    work: Work = {"encoded for each": lambda: train(apart), "encoded once": lambda: train(net)}
    times = contest(work, rounds, clock)
    told(f"{K} trajectories, {_size(ours)}", times)
    found = ratios(times, "encoded for each", "encoded once")
    return [Result(f"{K} trajectories of a board: encoded for each / once", median(found), ">= 1")]


def main(
    paths: Sequence[Path] = (),
    *,
    size: int = 9,
    batch: int = 8,
    rounds: int = ROUNDS,
    quick: bool = False,
    shared: bool = False,
) -> list[Result]:
    """Measures and prints; the module's docstring says what."""
    torch.set_num_threads(1 if shared else THREADS)
    clock = time.process_time if shared else time.perf_counter
    fields = {**PUBLISHED, "size": size, "batch": batch, "train_boards": batch, **(SMALL if quick else {})}
    print(f"{machine()}, {torch.get_num_threads()} threads, {'processor time' if shared else 'clock time'}")
    found = steps(fields, paths, rounds, clock)
    if not found:
        print("NO REFERENCE: only our own steps are timed. Name a checkout of bdsaglam/etrm with --reference PATH")
    return verdicts([*found, *encodings(fields, rounds, clock), *trajectories(fields, rounds, clock)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.etrm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", type=Path, action="append", default=[], metavar="PATH")
    parser.add_argument("--size", type=int, default=9)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--shared", action="store_true")
    given = vars(parser.parse_args())
    main(given.pop("reference"), **given)
