"""TensorBoard event files with hyperparameters, rebuilt from the history alone."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from leadline.ledger import leaderboard
from leadline.ledger.history import History
from leadline.storage import Folder

__all__ = ["write"]


def write(history: History, folder: Folder) -> None:
    """Writes one TensorBoard run per trial below `folder`, replacing what is there."""
    # Imported here, because tensorboardX imports boto3, which would add about a tenth to the start
    # of each trial's process.
    from tensorboardX import SummaryWriter

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
                value = trial.value(metric)
                plain = {
                    key: ",".join(map(str, entry))
                    if isinstance(entry, list)
                    else str(entry)
                    if entry is None
                    else entry
                    for key, entry in trial.config.items()
                }
                if math.isfinite(value):
                    writer.add_hparams(plain, {metric: value}, name="hparams")
        folder.delete()
        for path in sorted(Path(scratch).rglob("*")):
            if path.is_file():
                folder.write(str(path.relative_to(scratch)), path.read_bytes())
