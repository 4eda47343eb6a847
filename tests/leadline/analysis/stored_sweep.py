"""A sweep with real checkpoints behind made-up values, for the tests of `doctor` and `gc`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from leadline.checkpoint import CheckpointStore
from leadline.engine.director import Assignment
from leadline.ledger.history import History
from leadline.ledger.layout import trial_folder
from leadline.ledger.segments import read
from leadline.storage import Folder
from tests.leadline.analysis.conftest import report

CURVE = (0.9, 0.3, 0.8, 0.7)
"""The values of trial 0 at steps 100 to 400: the best is the second."""


def train(made: Any, trials: int = 3) -> None:
    """Trains trial 0 along `CURVE`, the others along made-up values."""
    assignment = made.director.next()
    assert isinstance(assignment, Assignment)
    made.director.started(0, 1)
    for number, value in enumerate(CURVE, start=1):
        made.director.reported(0, report(assignment, 100 * number, value))
    made.train(trials - 1, failing=None)


def publish(folder: Path, steps: int = 4) -> None:
    """A checkpoint for each of the last `steps` reports of every trial."""
    for trial in History.of(read(Folder.at(str(folder / "ledger")))).trials.values():
        for step in [found.step for found in trial.reports][-steps:]:
            publish_one(folder, trial.number, step)


def publish_one(folder: Path, trial: int, step: int, attempt: int = 1) -> str:
    """Stores a checkpoint whose weights say where it is from."""
    store = CheckpointStore(Folder.at(str(folder / trial_folder(trial))), attempt)
    return store.publish(step, {"model": {"w": torch.tensor([trial, step, attempt])}}, {"history": []})


def copied(folder: Path, target: Folder) -> Folder:
    """All files of a local folder, the hidden ones too, at another place."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            target.write(str(path.relative_to(folder)), path.read_bytes())
    return target


def flip(path: Path, at: float = 0.5) -> None:
    """Flips the lowest bit of the byte at that share of a file."""
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1
    path.write_bytes(bytes(content))
