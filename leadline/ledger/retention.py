"""The checkpoints that a trial still needs once it has ended.

It needs that of its last report, from which a longer budget goes on; that of its best value on
validation; those of the ends of its stages; and the one before the last, in case the last is found
damaged. Confirmation trains from fresh seeds and needs none. While a trial runs it keeps the same
(`leadline.retention`).
"""

from __future__ import annotations

from collections.abc import Sequence

from leadline.ledger import leaderboard
from leadline.ledger.history import History, Trial
from leadline.retention import LATEST, kept

__all__ = ["needed", "superseded"]


def needed(history: History, trial: Trial) -> set[str]:
    """Returns the checkpoints of the last report, the best value and the ends of stages."""
    return kept(trial.reports, leaderboard.objective(history), history.settings.mode, latest=1)


def superseded(history: History, trial: Trial, held: Sequence[str]) -> list[str]:
    """Returns the checkpoints that a trial no longer needs, out of those held, newest first.

    There are none while the trial may go on, or where the checkpoint of its last report is not
    held.
    """
    last = trial.reports[-1].checkpoint if trial.reports else None
    if trial.open or last not in held:
        return []
    keep = needed(history, trial) | set(held[held.index(last) + 1 :][: LATEST - 1])
    return [name for name in held if name not in keep]
