"""What the engine costs: a sweep of short trials against the same trials in plain Ray Tune.

    python -m benchmarks.engine

takes about three minutes, without options. 16 trials that import torch and then report four times
over one second, 2 at a time on 2 CPUs: 8 s would be ideal.

tune    a function trainable in `tune.Tuner` with Tune's own settings, as in
        `benchmarks/_plain_tune.py`: a new process per trial. It keeps no checkpoints, and its
        search is random.
engine  a sweep script, as in `benchmarks/_sleep_sweep.py`, with all that a sweep does: Optuna's
        TPE, a durable ledger, a checkpoint per report, leaderboard, TensorBoard files and report.

Each run is a process of its own and is timed from its start to its exit, Ray's start included; the
two take turns. Then the same from the moment at which the first trial could be placed, and the
parts of the engine's time, from its ledger.

Expect about a half on two cores: a trial of the engine takes over a process that has imported torch
already, and what is left is spent once per sweep, on imports, Ray's start and end, and the views.
It weighs less in a longer sweep.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks._common import Result, machine, row, verdict
from benchmarks._sleep_sweep import TRIALS
from benchmarks.sleep_family import PAUSE, REPORTS
from leadline.ledger.events import Reported
from leadline.ledger.segments import read
from leadline.storage import Folder

ROUNDS = 2
CONCURRENT = 2
IDEAL = TRIALS * REPORTS * PAUSE / CONCURRENT
TARGET = 0.5
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Run:
    """The seconds of a process: its whole life, and its parts by name.

    `said` is what it printed.
    """

    wall: float
    parts: dict[str, float]
    said: str

    @property
    def after_start(self) -> float:
        """The seconds from the first trial's placement to the exit."""
        return self.wall - next(iter(self.parts.values()))


def call(module: str, *arguments: str) -> tuple[float, float, str]:
    """Runs a module in a fresh Python process and returns its start, end and output.

    Raises:
        RuntimeError: if it fails, with what it printed.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.time()
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    end = time.time()
    if done.returncode:
        raise RuntimeError(f"{module} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return start, end, done.stdout


def plain() -> Run:
    """Runs the trials in plain Ray Tune."""
    with tempfile.TemporaryDirectory(prefix="ll-") as folder:
        start, end, said = call("benchmarks._plain_tune", folder)
    _, finished, placed, ended = said.splitlines()[-1].split()
    _check(int(finished), said)
    moments = {"imports and Ray's start": float(placed), "trials": float(ended), "shutdown": end}
    return Run(end - start, _parts(start, moments), said)


def engine() -> Run:
    """Runs the trials as a sweep, whose ledger has the moments."""
    with tempfile.TemporaryDirectory(prefix="ll-") as folder:
        start, end, said = call(
            "benchmarks._sleep_sweep", "--storage", folder, "--name", "sleep", "--concurrent", str(CONCURRENT)
        )
        events = read(Folder.at(folder) / "sleep" / "ledger")
    times = {kind: [event.time for event in events if event.type == kind] for kind in ("started", "reported", "closed")}
    _check(sum(isinstance(event, Reported) and event.action == "finish" for event in events), said)
    moments = {
        "imports and Ray's start": times["started"][0],
        "first processes, to the first report": times["reported"][0],
        "trials, to the last report": times["reported"][-1],
        "Ray's shutdown": times["closed"][0],
        "leaderboard, TensorBoard files, report, exit": end,
    }
    return Run(end - start, _parts(start, moments), said)


def _check(finished: int, said: str) -> None:
    """Raises RuntimeError unless all trials ran to their end."""
    if finished != TRIALS:
        raise RuntimeError(f"{finished} of {TRIALS} trials ran to their end:\n{said}")


def _parts(start: float, moments: dict[str, float]) -> dict[str, float]:
    """Returns the seconds before each moment."""
    befores = [start, *moments.values()]
    return {name: moment - before for (name, moment), before in zip(moments.items(), befores, strict=False)}


def _table(title: str, runs: list[Run]) -> None:
    """Prints the table of one contestant."""
    print(f"\n{title:<58}{'min':>11}{'median':>11}{'max':>11}")
    print(row("from start to exit", [run.wall for run in runs], "s"))
    print(row(f"beyond the ideal {IDEAL:g} s, per trial", [(run.wall - IDEAL) / TRIALS for run in runs], "s"))
    print(row("without imports and Ray's start", [run.after_start for run in runs], "s"))
    for name in runs[0].parts:
        print(row(f"  {name}", [run.parts[name] for run in runs], "s"))


def main() -> list[Result]:
    """Measures and prints; the module's docstring says what."""
    print(f"{machine()}; {TRIALS} trials of {REPORTS * PAUSE:g} s, {CONCURRENT} at a time, ideal {IDEAL:g} s")
    pairs = [(plain(), engine()) for _ in range(ROUNDS)]
    plains, engines = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    _table("tune", plains)
    _table("engine", engines)
    print("\nwhat the engine itself says of its last run:")
    print("\n".join(line for line in engines[-1].said.splitlines() if line.startswith(("first step", "per trial"))))
    ratios = [b.wall / a.wall for a, b in pairs]
    found = Result(
        f"{TRIALS} trials of 1 s, engine / plain Ray Tune", statistics.median(ratios), f"at most {TARGET:.2f}"
    )
    print(f"\n{row('engine / tune, from start to exit', ratios, '', 3)}")
    print(
        row("engine / tune, without imports and Ray's start", [b.after_start / a.after_start for a, b in pairs], "", 3)
    )
    print(verdict(found))
    return [found]


if __name__ == "__main__":
    main()
