"""What the simulator of balls costs: episodes a second, and what a coarser step is off by.

    python -m benchmarks.physics

prints, in about a minute of an idle core and without options, for 1,000 episodes of 300 frames and
3 balls in worlds of the training ranges, the episodes that one core simulates in a second, with and
without books, for 1, 2, 4 and 8 steps in a frame of 0.04 s; the time of all data at its default
size; and how far the frames of coarser steps are from those of 64 steps in a frame, as the mean
square error over the variance, positions and velocities taken alike, 10 frames and 20 frames after
they agreed.

Seconds are processor time of this process, so that waiting for a core does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks._common import Result, machine, row, verdicts
from trainables.physics.episodes import build, draw_start
from trainables.physics.record import Episodes, Start
from trainables.physics.setting import Setting
from trainables.physics.simulator import simulate
from trainables.physics.world import F64, TRAINING, Worlds

__all__ = ["main"]

EPISODES, FRAMES = 1000, 300
ROUNDS = 3
STEPS = (1, 2, 4, 8)
FINE = 64
LATER = (10, 20)
"""Frames after which two simulations are compared."""


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Returns the processor time of each of some rounds."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return times


def rates(setting: Setting, worlds: Worlds, start: Start) -> dict[tuple[int, bool], list[float]]:
    """Prints and returns the episodes a second for each number of steps, without books and with."""
    found = {}
    print(f"\n{'episodes a second':<58}{'min':>11}{'median':>11}{'max':>11}")
    for steps in STEPS:
        for books in (False, True):

            def work(steps: int = steps, books: bool = books) -> Episodes:
                return simulate(worlds, start, FRAMES, setting.dt, steps, box=setting.box, books=books)

            found[steps, books] = [len(worlds) / one for one in seconds(work)]
            name = f"{steps} steps in a frame, {'with' if books else 'without'} books"
            print(row(name, found[steps, books], "", 0), flush=True)
    return found


def states(setting: Setting, worlds: Worlds, start: Start, steps: int) -> F64:
    """Returns positions and velocities: [E, F, B, 4]."""
    made = simulate(worlds, start, max(LATER) + 1, setting.dt, steps, box=setting.box, books=False)
    return np.concatenate([made.position, made.velocity], axis=-1)


def accuracy(setting: Setting, worlds: Worlds, start: Start) -> dict[int, list[float]]:
    """Prints and returns the error of coarser steps at each of LATER, in units of the variance."""
    fine = states(setting, worlds, start, FINE)
    variance = fine.var(axis=(0, 1, 2))
    found = {}
    print(f"\n{f'error against {FINE} steps in a frame':<58}" + "".join(f"{f'{one} frames':>11}" for one in LATER))
    for steps in (*STEPS, 16, 32):
        error = (states(setting, worlds, start, steps) - fine) ** 2 / variance
        found[steps] = [float(error[:, frame].mean()) for frame in LATER]
        print(f"{f'{steps} steps':<58}" + "".join(f"{one:11.5f}" for one in found[steps]))
    return found


def main() -> list[Result]:
    """Measures and prints; the module's docstring says what."""
    print(f"{machine()}, {EPISODES} episodes of {FRAMES} frames")
    setting = Setting()
    generator = np.random.default_rng(0)
    worlds, start = TRAINING.draw(EPISODES, generator), draw_start(setting, EPISODES, generator)
    found = rates(setting, worlds, start)
    accuracy(setting, worlds, start)
    whole = seconds(lambda: build(setting), 1)[0]
    windows = setting.train * len(setting.starts)
    print(f"\nall data of the default setting, {windows} training windows: {whole:.2f} s")
    rate = float(np.median(found[setting.substeps, False]))
    return verdicts(
        [
            Result("episodes of 300 frames and 3 balls a second on one core / 1,000", rate / EPISODES, ">= 1"),
            Result(
                "the same without books / with",
                rate / float(np.median(found[setting.substeps, True])),
                "stated",
            ),
        ]
    )


if __name__ == "__main__":
    main()
