"""A sweep for Optuna's dashboard: `leadline dashboard SWEEP` writes what optuna-dashboard reads.

It says how to open it and the sweep's TensorBoard files. The two programs are not among the
dependencies: `pip install optuna-dashboard tensorboard`.

The file is an Optuna journal with a study of the whole sweep, one per stratum, and one of each at
the first rung, where more trials can be compared than have finished. It is computed from the
ledger and the notes: writing it again replaces it.
"""

from __future__ import annotations

import argparse
import shlex
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.analysis import early_stopping, notes, progress
from leadline.analysis.sweep import Sweep
from leadline.command_line import Command, local_path
from leadline.config import ConfigError
from leadline.ledger import leaderboard, tensorboard
from leadline.ledger.history import History

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage

__all__ = ["DASHBOARD", "journal"]

FILE = "optuna-journal.log"
INSTALL = "pip install optuna-dashboard tensorboard"


def journal(sweep: Sweep) -> bytes:
    """Returns the content of an Optuna journal file with the sweep's studies and notes."""
    from optuna.storages import JournalStorage

    from leadline.analysis.optuna_study import Lines, study, study_name

    history = sweep.history
    written = defaultdict(list)
    for note in notes.read(sweep.folder):
        written[note.trial].append(f"{note.text}\n\n*{note.author}, {progress.clock(note.time)}*")
    lines = Lines()
    storage = JournalStorage(lines)
    # The dashboard lists the newest first, which is to be that of the whole sweep.
    for stratum, at in reversed([*_studies(history)]):
        name = study_name(history, stratum, sweep.name, at)
        made = study(history, stratum, at=at, storage=storage, name=name)
        for key, value in _facts(sweep, stratum, at).items():
            made.set_user_attr(key, value)
        _note(storage, made, None, _explained(history, stratum, at))
        for trial in made.get_trials(deepcopy=False):
            if found := written.get(trial.user_attrs["trial"]):
                _note(storage, made, trial.number, "\n\n---\n\n".join(found))
    return lines.content


def _studies(history: History) -> Iterator[tuple[str | None, int | None]]:
    """Yields the stratum of each study, None for all, and where its trials are compared.

    A study at the first rung is for Optuna's importances, which rest on trials that completed.
    """
    strata = leaderboard.strata(history) if history.settings.stratify else []
    first = next(iter(early_stopping.rungs(history)), None)
    for stratum in [None, *strata]:
        yield stratum, None
        trials = [trial for trial in history.search_trials() if stratum in (None, trial.stratum)]
        there = sum(any(history.spent(report) == first for report in trial.reports) for trial in trials)
        alone = stratum is not None or not strata
        if alone and there > sum(trial.status == "finished" for trial in trials):
            yield stratum, first


def _facts(sweep: Sweep, stratum: str | None, at: int | None) -> dict[str, Any]:
    """Returns the user attributes of a study."""
    settings = sweep.history.settings
    found = {"sweep": sweep.name, "metric": settings.metric, "unit": settings.unit, "budget": settings.budget}
    if settings.stratify and stratum is not None:
        found[settings.stratify] = stratum
    return found if at is None else {**found, "compared at": at}


def _explained(history: History, stratum: str | None, at: int | None) -> str:
    """Returns the note of a study, in Markdown: how it is to be read."""
    settings = history.settings
    unit = progress.unit(history)
    said = [f"Values are {leaderboard.objective(history)}; a whole trial has {settings.budget:,} {unit}."]
    if stratum is None:
        said.append("Trials have their own numbers. Replicates are no trials of the search: their mean on test")
        said[-1] += " is a finalist's attribute `confirmed`, and a number that one has is a Fail without parameters."
    else:
        said.append("Optuna counts the trials of a stratum anew: a trial's own number is its attribute `trial`.")
    if stratum is None and settings.stratify:
        said.append(f"`{settings.stratify}` is the stratum, which is not searched: compare trials within one only.")
    if at is None:
        said.append("A stopped trial is Pruned with the value at which it was stopped, before the whole budget.")
        said.append("Importance rests on Complete trials alone; where more came to the first rung, another study has")
        said[-1] += " them all as they were there."
    else:
        said.append(f"A trial that came to {at:,} {unit} is Complete with its value there, whatever became of it.")
    return "\n".join(f"* {sentence}" for sentence in said)


def _note(storage: BaseStorage, made: Study, number: int | None, text: str) -> None:
    """Writes the note of a study, or of one of its trials, where optuna-dashboard looks for it.

    It is what `optuna_dashboard.save_note` of 0.21 does, which is not among the dependencies.
    """
    study_id = storage.get_study_id_from_name(made.study_name)
    prefix = "dashboard:"
    if number is not None:
        prefix += f"{storage.get_trial_id_from_study_id_trial_number(study_id, number)}:"
    storage.set_study_system_attr(study_id, f"{prefix}note_ver", 1)
    storage.set_study_system_attr(study_id, f"{prefix}note_str:0", text)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep")
    parser.add_argument(
        "--to", type=local_path, metavar="FILE", help=f"where to write the journal [{FILE} in the sweep's folder]"
    )


def _dashboard(given: argparse.Namespace) -> None:
    sweep = Sweep.open(given.sweep)
    path = _target(sweep, given.to)
    if path.is_dir():
        raise ConfigError(f"to: {path} is a folder; name a file")
    try:
        path.write_bytes(journal(sweep))
    except OSError as error:
        raise ConfigError(f"to: cannot write {path}: {error.strerror}") from None
    print(f"optuna-dashboard {shlex.quote(str(path.absolute()))}")
    if sweep.folder.exists(tensorboard.FOLDER):
        print(f"tensorboard --logdir {shlex.quote(str(sweep.folder / tensorboard.FOLDER))}")
    print(f"# the two programs are installed by: {INSTALL}")


def _target(sweep: Sweep, given: Path | None) -> Path:
    if given is not None:
        return given
    if not sweep.folder.local:
        raise ConfigError(f"to: name a local file, since optuna-dashboard reads no journal from {sweep.folder}")
    return Path(sweep.folder.path) / FILE


_HELP = "writes what Optuna's dashboard reads, and says how to open it and TensorBoard"
DASHBOARD = Command(_HELP, _arguments, _dashboard, f"{_HELP}; both are installed by: {INSTALL}")
