"""Sweeps and trials as plain values: what `--json` prints and the terminal's tables are made of.

The names of the ledger are kept, and times are seconds since the epoch. What a table rounds is here
with all its digits.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from leadline.analysis import notes, progress
from leadline.analysis.sweep import Sweep, TrialView, sweep_names
from leadline.ledger import leaderboard
from leadline.ledger.ranges import edges
from leadline.ledger.segments import LedgerError
from leadline.storage import Folder

__all__ = ["sweep_row", "sweeps", "trial"]


def sweeps(results: Folder) -> list[dict[str, Any]]:
    """Returns the sweeps of a folder, in order of their names.

    One that cannot be read has its `name` and, as `unreadable`, why.
    """
    found = []
    for name in sweep_names(results):
        try:
            found.append(sweep_row(Sweep.open(results / name)))
        except (LedgerError, ValueError) as error:
            found.append({"name": name, "unreadable": str(error)})
    return found


def sweep_row(sweep: Sweep) -> dict[str, Any]:
    """Returns what `leadline list` shows of a sweep."""
    history, settings = sweep.history, sweep.settings
    metric = leaderboard.objective(history)
    best = [(stratum, progress.best(history, stratum)) for stratum in sweep.strata]
    return {
        "name": sweep.name,
        "study": settings.study,
        "state": sweep.state,
        "ended": progress.done(history),
        "trials": settings.trials,
        "metric": settings.metric,
        "mode": settings.mode,
        "stratify": settings.stratify,
        "strata": list(sweep.strata),
        "best": [
            {"stratum": stratum, "trial": found.number, "value": found.value(metric), "params": found.params}
            for stratum, found in best
            if found
        ],
        "last_event": history.last_time or None,
    }


def trial(view: TrialView) -> dict[str, Any]:
    """Returns all that is known of a trial; every checkpoint is read and verified.

    The attributes of its status are those of `leadline.ledger.history.Trial`.
    """
    sweep, found = view.sweep, view.trial
    history, settings = sweep.history, sweep.settings
    heartbeat = view.heartbeat() if found.status == "running" else None
    return {
        "sweep": sweep.name,
        "trial": found.number,
        "kind": found.kind,
        "of": found.of,
        "stratum": found.stratum,
        "status": found.status,
        "spent": history.spent(found.reports[-1]) if found.reports else 0,
        "budget": settings.budget,
        "unit": settings.unit,
        "step": found.step,
        "reason": found.reason.strip(),
        "attempts": found.attempts,
        "failures": found.failures,
        "wall": found.wall,
        "marks": leaderboard.marks(history, found),
        "replicates": [{"trial": run.number, "status": run.status} for run in view.replicates],
        "guards": [finding.to_dict() for finding in found.findings],
        "notes": [dataclasses.asdict(note) for note in notes.read(sweep.folder, found.number)],
        "heartbeat": dataclasses.asdict(heartbeat) if heartbeat else None,
        "params": found.params,
        "edges": edges(found),
        "config": found.config,
        "metric": leaderboard.objective(history),
        "reports": [report.to_dict() for report in view.reports],
        "checkpoints": _checkpoints(view),
    }


def _checkpoints(view: TrialView) -> list[dict[str, Any]]:
    """Returns the checkpoints by name, each with what is damaged; None where it is intact."""
    from leadline.checkpoint import DamagedCheckpoint  # which imports torch: a list is read without it

    found = []
    for name in view.store.names():
        damaged = None
        try:
            view.store.load(name)
        except DamagedCheckpoint as error:
            damaged = str(error)
        found.append({"name": name, "damaged": damaged})
    return found
