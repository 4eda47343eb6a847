"""A synthetic sweep: the real director and a real ledger, with made-up values in place of training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leadline.checkpoint import checkpoint_name
from leadline.engine.director import Assignment, Director
from leadline.ledger.events import Event
from leadline.ledger.segments import Ledger
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Report
from leadline.storage import Folder

HOSTILE = "<script>alert('no')</script> & <b>bold</b>"

SETTINGS = Settings(
    study="lookahead",
    family="tests.leadline.analysis.demo:DEMO",
    metric="hinge",
    mode="min",
    sampler="random",
    scale="smoke",
    stratify="lookahead",
    strata=(10, 100),
    trials=12,
    budget=400,
    grace=100,
    reduction=2,
    startup=3,
    seed=0,
    confirm=2,
    replicates=5,
    fields={"pool": 64},
    overrides={},
)


def space(trial: Any, scale: str) -> dict[str, Any]:
    width = trial.suggest_categorical("width", [4, 8])
    return {
        "lr": trial.suggest_float("lr", 1e-4, 1e-2, log=True),
        "layers": [width, width],
        "margin": trial.suggest_float("margin", 0.01, 0.5),
    }


def value_of(config: dict[str, Any], step: int) -> float:
    """Better with more lookahead, more steps and a learning rate near 2e-3; a seed is worth up to 5 %."""
    off = math.log10(config["lr"] / 2e-3) ** 2
    seed = 1 + (config["seed"] % 11 - 5) / 100
    return float(seed * (0.02 + 0.05 * off) * (1 + 200 / step) / math.log10(config["lookahead"]))


def measure(value: float, units: int, seed: int) -> Measure:
    noise = np.random.default_rng(seed).normal(0, 0.2 * value, units)
    values = value + noise - noise.mean()
    half = float(2 * values.std() / math.sqrt(units))
    return Measure(value, units, value - half, value + half, tuple(values.tolist()))


def report(assignment: Assignment, step: int, value: float) -> Report:
    metrics = {"validation/hinge": measure(value, 96, assignment.trial)}
    if assignment.test and step == SETTINGS.budget:
        metrics["test/hinge"] = measure(1.1 * value, 128, 1000 + assignment.trial)
        metrics["test/logged_violations"] = Measure.exact(assignment.trial % 3, 429)
    name = checkpoint_name(assignment.attempt, step)
    return Report(step, 32 * step, step / 100, step / 1000, metrics, {"loss": value}, name)


class Synthetic:
    """Drives a director over made-up values and records what it decides."""

    def __init__(self, folder: Path, settings: Settings = SETTINGS) -> None:
        self.folder = folder
        self.ledger = Ledger(Folder.at(str(folder)) / "ledger")
        self.director = Director(settings, space, self._record)

    def _record(self, event: Event) -> int:
        position = self.ledger.append(event)
        self.ledger.commit()
        return position

    def open(self) -> None:
        versions = {"python": "3.11", "torch": "2.13"}
        self.director.opened(
            {"command": ["lookahead.py", "--seed", "0"], "commit": "abc1234", "dirty": True, "versions": versions}
        )

    def baselines(self, units: bool = True, rows: int = 7) -> None:
        """Trivial predictors; `units` on test too, unless it is an old ledger; `rows` stands for
        which rows they are scored on.
        """
        for stratum in self.director.settings.strata:
            for name, value in (("constant", 1.05), ("sum of ln T^k", 0.09), ("oracle: steps to 1", 0.0)):
                scores = {split: measure(value, n, rows) for split, n in (("validation", 96), ("test", 128))}
                metrics = {
                    f"{split}/hinge": score.to_dict(units=units and split == "test") for split, score in scores.items()
                }
                self.director.baseline(str(stratum), name, metrics)
            self.director.finding(str(stratum), "overlap", False, 0, "no test row is among the rows of train")

    def train(self, limit: int = 10**6, failing: int | None = 3) -> None:
        """Trains up to `limit` attempts; trial `failing` fails for good."""
        for _ in range(limit):
            assignment = self.director.next()
            if not isinstance(assignment, Assignment):
                return
            self.director.started(assignment.trial, assignment.attempt)
            if assignment.trial == failing:
                self.director.failed(assignment.trial, f"Traceback\n  line\nValueError: {HOSTILE}")
            else:
                self._attempt(assignment)

    def _attempt(self, assignment: Assignment) -> None:
        for step in range(SETTINGS.grace, SETTINGS.budget + 1, SETTINGS.grace):
            if step <= assignment.known:
                continue
            value = math.nan if assignment.trial == 5 and step == 300 else value_of(assignment.config, step)
            if self.director.reported(assignment.trial, report(assignment, step, value)).action != "continue":
                return

    def close(self, how: str = "done") -> Path:
        if how:
            self.director.closed(how)
        self.ledger.close()
        return self.folder


Build = Callable[..., Synthetic]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Opens a synthetic sweep below `results`; keywords change its settings."""

    def make(name: str = "demo", **changes: Any) -> Synthetic:
        made = Synthetic(tmp_path / "results" / name, dataclasses.replace(SETTINGS, **changes))
        made.open()
        return made

    return make


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished sweep; not to be written to."""
    made = Synthetic(tmp_path_factory.mktemp("results") / "demo")
    made.open()
    made.baselines()
    made.train()
    made.director.noted(f"a note with {HOSTILE}")
    return made.close()
