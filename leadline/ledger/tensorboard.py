"""TensorBoard event files with hyperparameters, rebuilt from the history alone."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from leadline.config import as_text
from leadline.ledger import leaderboard
from leadline.ledger.history import History
from leadline.storage import Folder

__all__ = ["write"]

EXACT = 2**53
"""Integers up to this one, and no larger ones, are all 64-bit floats, too."""


def write(history: History, folder: Folder) -> None:
    """Writes one TensorBoard run per trial below `folder`, replacing what is there."""
    # Imported here, because tensorboardX imports boto3, which would add about a tenth to the start
    # of each trial's process.
    from tensorboardX import SummaryWriter
    from tensorboardX.summary import hparams

    metric = leaderboard.objective(history)
    with tempfile.TemporaryDirectory(prefix="leadline-tensorboard-") as scratch:
        for trial in history.trials.values():
            name = (
                f"trial-{trial.number:04d}" if trial.of is None else f"replicate-{trial.number:04d}-of-{trial.of:04d}"
            )
            with SummaryWriter(f"{scratch}/{name}") as writer:
                for report in trial.reports:
                    values = {label: measure.value for label, measure in report.metrics.items()} | report.facts
                    for label, value in values.items():
                        if math.isfinite(value):
                            writer.add_scalar(label, value, report.step)
            if trial.infeasible and not trial.attempts:
                # It may lack fields, and TensorBoard takes its columns from the first run it reads.
                continue
            # Not by `add_hparams`, which cannot leave the value of a trial that has none empty.
            with SummaryWriter(f"{scratch}/{name}/hparams") as writer:
                value = trial.value(metric)
                for summary in hparams({key: _hparam(entry) for key, entry in trial.config.items()}, {metric: value}):
                    writer.file_writer.add_summary(summary)
                if math.isfinite(value):
                    writer.add_scalar(metric, value)
        folder.delete()
        for path in sorted(Path(scratch).rglob("*")):
            if path.is_file():
                folder.write(str(path.relative_to(scratch)), path.read_bytes())


def _hparam(value: Any) -> bool | int | float | str:
    """Returns a field's value as TensorBoard keeps it.

    TensorBoard has text, booleans and 64-bit floats: what is none of them, and an integer that no
    such float holds, is text.
    """
    kept = isinstance(value, bool | float | str) or (isinstance(value, int) and abs(value) <= EXACT)
    return value if kept else as_text(value)
