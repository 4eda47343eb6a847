"""What of a trial's time is not training: data's share of a step, and scoring's of a report.

    python -m benchmarks.shares

For physics and SCAN as `sweeps/stages.py` trains them on a laptop, and for SCAN's transformer, it
trains from one report to the next with one thread, twice, and prints from the second how much of a
step's processor time is spent on making its batch, and how much of the time from report to report
on scoring validation, which for SCAN is decoding answers one action after the other.
"""

from __future__ import annotations

import time

import torch

from benchmarks._common import Result, machine, verdicts
from leadline import registry
from leadline.config import parse_overrides
from leadline.training.step import Trainer, World
from search_spaces.stages import physics, scan

__all__ = ["main"]

CASES = ("physics", "scan", "scan model=transformer")
"""Families, with fields beside those of the study."""
STUDIES = {"physics": physics.STUDY, "scan": scan.STUDY}
MOST_DATA, MOST_SCORING = 0.05, 0.5
DEVICE = torch.device("cpu")


def shares(case: str) -> tuple[float, float]:
    """Returns data's share of a step, and scoring's of the time from report to report."""
    name, *words = case.split()
    family = registry.family(name)
    study = STUDIES[name]
    scale = study.scales["laptop"]
    interval = scale.grace
    arm = study.arms["joint"]
    config = family.config({**scale.fields, **arm, "steps": scale.budget, **parse_overrides(words)})
    task = family.task(config, family.build_data(config), DEVICE)
    trainer = Trainer(task, config, DEVICE, World(), [])
    for start in (0, interval):  # what is made once is made in the first
        data = training = 0.0
        task.model.train()
        for step in range(start, start + interval):
            began = time.process_time()
            batch = task.batch(step)
            made = time.process_time()
            trainer.optimize(batch)
            data += made - began
            trainer.step = step + 1
            task.after_step(step + 1)
            training += time.process_time() - made
        task.model.eval()
        began = time.process_time()
        task.evaluate("validation")
        scoring = time.process_time() - began
    per_step = (data + training) / interval
    print(
        f"{case:<26}{1e3 * per_step:9.1f} ms a step, data {data / (data + training):.1%}; {interval} steps "
        f"{data + training:.1f} s, scoring {scoring:.2f} s",
        flush=True,
    )
    return data / (data + training), scoring / (data + training + scoring)


def main() -> list[Result]:
    """Measures and prints; the module's docstring says what."""
    print(machine())
    torch.set_num_threads(1)
    found = []
    for case in CASES:
        data, scoring = shares(case)
        found.append(Result(f"data's share of a step: {case}", data, f"<= {MOST_DATA}"))
        found.append(Result(f"scoring's share of the time between reports: {case}", scoring, f"<= {MOST_SCORING}"))
    return verdicts(found)


if __name__ == "__main__":
    main()
