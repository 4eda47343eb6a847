"""What a sweep under attack has left, against what it would have left in peace."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leadline import registry
from leadline.checkpoint import CheckpointStore
from leadline.engine.search import Space
from leadline.ledger.history import History, Trial
from leadline.ledger.layout import trial_folder
from leadline.ledger.segments import read
from leadline.measure import Report
from leadline.storage import Folder
from leadline.testing import curve, digest, training_state
from leadline.training.loop import Loop
from tests.conftest import command
from tests.leadline.ledger_audit import audit

__all__ = ["Found", "board", "examine"]


@dataclass
class Found:
    """The state of a sweep after its end.

    Args:
        attempts: of all trials.
        cut_off: checkpoints without a manifest, whose upload was cut off.
        damaged: warnings of a damaged checkpoint that was passed over.
        steps: that the trials' curves are made of.
        repeated: steps that were trained more than once; None where nobody counted.
        losses: whatever is not as it would have been in peace.
    """

    trials: int = 0
    attempts: int = 0
    cut_off: int = 0
    damaged: int = 0
    steps: int = 0
    repeated: int | None = None
    losses: list[str] = field(default_factory=list)


def examine(folder: Folder, space: Space, scratch: Path, trained: Path | None, **idle: Any) -> Found:
    """Compares each trial with the same configuration trained alone, without interruption, in this process.

    Args:
        folder: the sweep's.
        space: its search space.
        scratch: for the checkpoints of the latter.
        trained: the toy family's count of steps, if it was kept.
        idle: fields that change nothing but the time, with what they are alone.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        events = read(folder / "ledger")
        history = History.of(events)
        trials = list(history.trials.values())
        found = Found(len(trials), sum(trial.attempts for trial in trials), steps=sum(trial.step for trial in trials))
        alone = _Alone(history, scratch, idle)
        for trial in trials:
            found.losses += [
                f"trial {trial.number}: {loss}" for loss in alone.compared(trial, folder / trial_folder(trial.number))
            ]
        found.losses += audit(folder, space)
    if history.closed != "done":
        found.losses.append(f"the books are closed as {history.closed or 'killed'}, not as done")
    found.losses += [str(warning.message) for warning in caught]
    found.cut_off = _cut_off(folder / "trials")
    found.damaged = sum(
        count for (_, text), count in history.noted.items() if "damaged checkpoint, going back one" in text
    )
    if trained is not None:
        found.repeated = _repeated(trained, found)
    return found


def board(sweep: str) -> dict[str, Any]:
    """Leaderboard and confirmed table of a sweep, but for clocks, for where things lie, and for
    marks, which tell of failures.
    """
    run = command("-m", "leadline", "leaderboard", sweep, "--json")
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    rows = [
        {key: value for key, value in row.items() if key not in ("seconds", "checkpoint", "marks")}
        for row in found["rows"]
    ]
    return {**found, "sweep": "", "rows": rows}


class _Alone:
    """Trials trained in this process, without Ray and without interruption."""

    def __init__(self, history: History, scratch: Path, idle: dict[str, Any]) -> None:
        self.family = registry.family(history.settings.family)
        self.scratch, self.idle = scratch, idle
        self._data: dict[str, Any] = {}

    def compared(self, trial: Trial, folder: Folder) -> list[str]:
        """What is different in the sweep's trial: its curve, or the training state at its end."""
        if not trial.reports:
            return ["no report"]
        config = self.family.config({**trial.trained_config, **self.idle})
        key = self.family.data_key(config)
        if key not in self._data:
            self._data = {key: self.family.build_data(config)}
        store = CheckpointStore(Folder.at(str(self.scratch / f"{trial.number:04d}")))
        loop = Loop(self.family, config, self._data[key], store=store, test=trial.kind == "replicate")
        reports = list(loop.run(stop=trial.step))
        return [*_curves(trial.reports, reports), *_weights(CheckpointStore(folder), store)]


def _curves(reports: list[Report], alone: list[Report]) -> list[str]:
    steps, expected = [report.step for report in reports], [report.step for report in alone]
    if steps != expected:
        return [f"reports at {steps}, alone at {expected}"]
    pairs = zip(curve(reports), curve(alone), strict=True)
    return [f"the report of step {one['step']} is {one}, alone {other}" for one, other in pairs if one != other]


def _weights(store: CheckpointStore, alone: CheckpointStore) -> list[str]:
    last, expected = store.newest(), alone.newest()
    if last is None or expected is None:
        return ["no checkpoint"]
    if digest(training_state(last)) != digest(training_state(expected)):
        return [f"{last.name} is another training state than alone"]
    return []


def _cut_off(trials: Folder) -> int:
    """Checkpoints of which something is there, but no manifest."""
    names = [name.rsplit("/", 1) for name in trials.sizes(recursive=True, hidden=True)]
    steps = {place for place, _ in names if "/step-" in place}
    return len(steps - {place for place, file in names if file == "manifest.json"})


def _repeated(trained: Path, found: Found) -> int:
    """Steps that were trained again, by the toy family's count; a step that was never trained is a loss."""
    counts = Counter(trained.read_text().splitlines())
    if len(counts) < found.steps:
        found.losses.append(f"{found.steps} steps are reported, {len(counts)} were trained")
    return sum(counts.values()) - found.steps
