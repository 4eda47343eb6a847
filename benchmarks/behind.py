"""How far the leaderboard in Ray's dashboard is behind the ledger, with thousands of trials.

    python -m benchmarks.behind [TRIALS]

takes about two minutes. 5,000 trials of the sleeping family are written as ended, with reports that
are made up; then the sweep is resumed as a job on a Ray head of its own, with further trials that
are real: two at a time, a report each second. Each report is looked for in the leaderboard's file
as the log viewer gets it, ten times a second.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks._common import Result, machine, row, verdicts
from benchmarks._sleep_sweep import STUDY
from benchmarks.durability import record
from benchmarks.engine import ROOT
from benchmarks.sleep_family import REPORTS
from leadline.ledger.segments import read
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Report
from leadline.storage import Folder
from tests.leadline.ray_head import Head, behind, head, until

__all__ = ["main"]

TRIALS, FURTHER = 5000, 200  # made-up trials, and real ones
PAUSE, SECONDS = 1.0, 60.0  # between reports, and of measuring
NAME = "behind"


def _resumed(place: str, ray: Head, trials: int) -> list[float]:
    """Resumes the sweep as a job, and returns by how many seconds each report was behind."""
    words = ["-m", "benchmarks._sleep_sweep", "--resume", NAME, "--storage", place, "--trials", str(trials + FURTHER)]
    typed = subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env={**ray.environment, "RAY_ADDRESS": ray.url},
        stdout=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []

    def link() -> str:
        assert typed.stdout is not None
        said.append(typed.stdout.readline())
        assert said[-1] or typed.poll() is None, "".join(said)
        found = re.match(r"leaderboard +(http\S+)", said[-1])
        return found[1] if found else ""

    try:
        where = until(link)
        until(lambda: f" | {trials} | running | " in ray.viewed(where))
        return behind(lambda: ray.viewed(where), lambda: list(read(Folder.at(place) / NAME / "ledger")), SECONDS)
    finally:
        typed.kill()
        typed.wait()


def main(trials: int = TRIALS) -> list[Result]:
    """Measures and prints; the module's docstring says what."""
    print(machine())
    settings = Settings(
        study=STUDY.name,
        family=str(STUDY.family),
        metric="loss",
        mode="min",
        sampler="random",
        scale="laptop",
        stratify=None,
        strata=("all",),
        trials=trials,
        budget=REPORTS,
        grace=1,
        reduction=4,
        startup=trials,
        seed=0,
        confirm=0,
        replicates=1,
        fields={},
        overrides={"pause": PAUSE},
        concurrent=2,
    )
    # The job's `python` is then this one.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    report = Report(1, 1, PAUSE, 0.0, {"validation/loss": Measure.exact(1.0)})
    with tempfile.TemporaryDirectory(prefix="ll-") as place, head() as ray:
        count = record(Folder.at(place) / NAME / "ledger", settings, report, STUDY.space)
        print(f"{count:,} events of {trials:,} trials that have ended; then reports of two that train")
        found = _resumed(place, ray, trials)
    print(row(f"    {len(found)} reports, until the log viewer gets them; min, median, max", found, "s"))
    title = f"leaderboard of {trials:,} trials behind the ledger, median, seconds"
    return verdicts([Result(title, statistics.median(found), "<= 2")])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
