"""What a sweep and a trial show of themselves in a notebook.

They are made from the history alone, so that nothing is read from the storage again.
"""

from __future__ import annotations

from leadline.analysis import progress
from leadline.config import shown
from leadline.ledger import leaderboard
from leadline.ledger.history import History, Trial
from leadline.ledger.ranges import edges
from leadline.ledger.wording import utc
from leadline.markup import table, with_interval
from leadline.measure import PART

__all__ = ["of_sweep", "of_trial"]

_SPLITS = ("validation", PART, "test")


def of_sweep(name: str, history: History) -> str:
    """Returns the question, the state, and a row for each stratum with its best trial."""
    settings = history.settings
    state = progress.state(history) if history.closed else f"not closed, last event at {utc(history.last_time)}"
    told = [
        settings.question or f"Study {settings.study}.",
        f"Trials: {progress.counts(history.search_trials())}.",
        f"{settings.metric} on validation; {'lower' if settings.mode == 'min' else 'higher'} is better.",
    ]
    headings = (settings.stratify or "stratum", "best trial", settings.metric, "best trivial predictor", "searched")
    rows = [(stratum, *_best(history, stratum)) for stratum in leaderboard.strata(history)]
    return table(f"Sweep {name}: {state}", rows, headings, " ".join(told))


def _best(history: History, stratum: str) -> tuple[str, str, str, str]:
    """The cells of a stratum after its name."""
    name, trial = leaderboard.objective(history), progress.best(history, stratum)
    measure = trial.measure(name) if trial else None
    line = leaderboard.best_trivial(history, stratum, name)
    trivial = f"{line.name}: {with_interval(line.metrics[name])}" if line else "none"
    if trial is None or measure is None:
        return "none finished", "–", trivial, "–"
    return str(trial.number), with_interval(measure), trivial, _params(trial)


def _params(trial: Trial) -> str:
    """What was searched, with a mark at what lies at the edge of its range."""
    at = edges(trial)
    found = [
        f"{name} {shown(value)}" + (f" (at the {at[name]} edge)" if name in at else "")
        for name, value in trial.params.items()
    ]
    return ", ".join(found) or "nothing"


def of_trial(sweep: str, history: History, trial: Trial) -> str:
    """Returns status, stratum, what was searched, the last values and the checkpoint of a trial.

    Values are those of the objective and of the metrics that leaderboards show beside it.
    """
    settings = history.settings
    spent = f" after {progress.spent(history, trial.reports[-1])}" if trial.reports else ""
    rows = [
        ("status", trial.status + spent),
        (settings.stratify or "stratum", trial.stratum),
        ("searched", _params(trial) if trial.of is None else f"as trial {trial.of}, which it confirms"),
    ]
    if trial.reports:
        metrics = trial.reports[-1].metrics
        wanted = [f"{split}/{name}" for split in _SPLITS for name in (settings.metric, *settings.beside)]
        rows += [(name, with_interval(metrics[name])) for name in wanted if name in metrics]
    rows.append(("checkpoint", trial.checkpoint or "none is kept"))
    if marks := leaderboard.marks(history, trial):
        rows.append(("marks", "; ".join(marks)))
    return table(f"Trial {trial.number} of {sweep}", rows)
