"""What the training loop costs: `Loop` against a bare PyTorch loop over the same batches.

    python -m benchmarks.step

prints, in about two minutes and without options, milliseconds for a training step on one thread,
which is what a trial with one CPU has, for the log's 4.6M-parameter network (lookahead 100, batch
1,024) and for a small one (64,64, batch 256):

loop       a step of `leadline.training.loop.Loop`: batch, losses, backward pass, AdamW, cosine
           schedule, sums of the loss terms.
bare       forward pass, T1 and anchor, backward pass, AdamW, cosine schedule over the tensors of
           `task.batch(step)`, made before the clock starts.
bare+data  the same, with the batches made inside the clock.
batch      `task.batch` alone.

The three loops take turns, in an order that changes each round, and ratios are taken within a
round: what else the machine does then weighs on all alike. Every loop starts from the same weights
and sees the same batches, so they must end at the same weights; the run fails if they do not.
Evaluation and checkpoints are not part of a step and are left out.

Expect loop/bare of the log's network near 1.01, within what the machine's noise allows. In the
small network a step is so short that the batch and torch's own calls show: loop/bare is well above
1 there, loop/bare+data close to 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

import torch
from torch.nn.functional import mse_loss

from benchmarks._common import Result, machine, row, verdict
from leadline.config import make
from leadline.task import Batch
from leadline.training.loop import Loop
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CollatzData, build
from trainables.collatz.family import COLLATZ
from trainables.collatz.split import TRAIN_SEEDS
from trainables.collatz.task import CollatzTask

ROUNDS = 20
TARGET = 1.05
WEIGHT_TOLERANCE = 1e-5
LOG = "2048,1024,1024,512,512,512,256,128,64"


def configuration(layers: str, batch: int) -> CollatzConfig:
    """Returns the configuration of a network, with all hard seeds in use from the start.

    Neither an evaluation nor the anchor's decay comes before the end.
    """
    fields = {
        "layers": layers,
        "batch": batch,
        "lookahead": 100,
        "ramp": 0,
        "start_seeds": len(TRAIN_SEEDS),
        "anchor_decay_start": 1,
    }
    return make(CollatzConfig, {**fields, "steps": 100_000, "eval_every": 100_000})


def bare_steps(task: CollatzTask, batches: Iterable[Batch]) -> None:
    """Makes optimizer steps, one per batch."""
    for batch in batches:
        bare_step(task, batch)


def bare_step(task: CollatzTask, batch: Batch) -> None:
    """Makes one optimizer step as one would write it for this family alone.

    The anchor's weight is taken to be 1.
    """
    now, later = task.model(torch.cat([batch["now"], batch["next"]])).chunk(2)
    hinge = (batch["weight"] * torch.clamp(task.config.margin - (now - later), min=0)).mean()
    loss = hinge + mse_loss(now, batch["target"])
    task.optimizers[0].zero_grad()
    torch.autograd.backward(loss)
    task.optimizers[0].step()
    task.schedulers[0].step()


@dataclass
class Contest:
    """The loops, each with its own model, and their milliseconds per step in each round."""

    config: CollatzConfig
    data: CollatzData
    steps: int
    times: dict[str, list[float]] = field(default_factory=dict)
    done: int = 0

    def __post_init__(self) -> None:
        self.loop = Loop(COLLATZ, self.config, self.data)
        cpu = torch.device("cpu")
        self.bare = CollatzTask(self.config, self.data, cpu)
        self.fed = CollatzTask(self.config, self.data, cpu)
        for model in (self.loop.task.model, self.bare.model, self.fed.model):
            model.train()

    def round(self, record: bool = True) -> None:
        """Gives each loop a turn over the next steps.

        The first turn passes from one loop to the next.
        """
        span = range(self.done, self.done + self.steps)
        batches = [self.bare.batch(step) for step in span]
        turns: list[tuple[str, Callable[[], object]]] = [
            ("loop", lambda: self.loop._train_until(span.stop)),
            ("bare", lambda: bare_steps(self.bare, batches)),
            ("bare+data", lambda: bare_steps(self.fed, map(self.fed.batch, span))),
            ("batch", lambda: [self.bare.batch(step) for step in span]),
        ]
        first = (self.done // self.steps) % len(turns)
        for name, work in turns[first:] + turns[:first]:
            start = time.perf_counter()
            work()
            if record:
                self.times.setdefault(name, []).append(1e3 * (time.perf_counter() - start) / self.steps)
        self.done = span.stop

    def ratios(self, name: str, other: str) -> list[float]:
        """Returns the ratios of two loops' times, round by round."""
        return [a / b for a, b in zip(self.times[name], self.times[other], strict=True)]

    def check(self) -> float:
        """Returns the largest difference between the loops' weights.

        Raises:
            RuntimeError: if they did not do the same work.
        """
        trained = [list(model.parameters()) for model in (self.loop.task.model, self.bare.model, self.fed.model)]
        largest = max(
            float((a - b).detach().abs().max()) for one in trained[1:] for a, b in zip(trained[0], one, strict=True)
        )
        if not largest <= WEIGHT_TOLERANCE:
            raise RuntimeError(
                f"the loops did not do the same work: weights differ by {largest:g} after {self.done} steps"
            )
        return largest


def compare(title: str, config: CollatzConfig, data: CollatzData, steps: int) -> Contest:
    """Runs and prints one network's table."""
    contest = Contest(config, data, steps)
    contest.round(record=False)
    for _ in range(ROUNDS):
        contest.round()
    print(f"\n{f'{title}: {ROUNDS} rounds of {steps} steps':<58}{'min':>11}{'median':>11}{'max':>11}")
    for name in ("loop", "bare", "bare+data", "batch"):
        print(row(name, contest.times[name], "ms"))
    for name, other in (("loop", "bare"), ("loop", "bare+data"), ("batch", "loop")):
        print(row(f"{name} / {other}", contest.ratios(name, other), "", 3))
    print(f"weights of the loops differ by {contest.check():.1g} at most after {contest.done} steps each")
    return contest


def main() -> list[Result]:
    """Measures and prints; the module's docstring says what."""
    torch.set_num_threads(1)
    print(f"{machine()}, {torch.get_num_threads()} thread")
    large = configuration(LOG, 1024)
    data = build(large.pool, large.data_seed)
    full = compare("log's network", large, data, steps=2)
    small = compare("64,64", configuration("64,64", 256), data, steps=50)
    found = Result(
        "step of the log's network, Loop / bare PyTorch", median(full.ratios("loop", "bare")), f"at most {TARGET:.2f}"
    )
    print(f"\n{verdict(found)}")
    print(f"for information: 64,64 network loop/bare {median(small.ratios('loop', 'bare')):.3f}, ", end="")
    print(f"with the data in both {median(small.ratios('loop', 'bare+data')):.3f}; data's share of a step ", end="")
    print(f"{median(full.ratios('batch', 'loop')):.2%} (log's), {median(small.ratios('batch', 'loop')):.2%} (64,64)")
    return [found]


if __name__ == "__main__":
    main()
