"""A sweep as a researcher opens it: its trials, its leaderboard, and the weights of any trial.

Everything is read from the ledger; nothing is unpickled. Only `TrialView.load` imports torch.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leadline.analysis.columns import COLUMNS, REPORTS, listed
from leadline.config import ConfigError
from leadline.ledger import leaderboard, lease, segments
from leadline.ledger.history import History, Status, Trial
from leadline.ledger.layout import trial_folder
from leadline.ledger.reader import READING_PATIENCE
from leadline.ledger.settings import Settings
from leadline.markup import harmless
from leadline.measure import Report
from leadline.plain import plural
from leadline.storage import Folder

if TYPE_CHECKING:
    import pandas
    from torch import nn

    from leadline.checkpoint import Checkpoint, CheckpointStore
    from leadline.heartbeat import Beat

__all__ = ["Sweep", "TrialView", "place", "sweep_names"]


RESULTS = "results"
"""The folder in which sweeps lie where `--storage` names no other."""


def place(path_or_uri: str | os.PathLike[str] | Folder) -> Folder:
    """Returns the folder at a local path or a URI.

    A local path may have a trailing slash, `.` or `..`.

    Raises:
        ConfigError: if the URI is not understood, or has one slash for two.
    """
    if isinstance(path_or_uri, Folder):
        return path_or_uri
    text = os.fspath(path_or_uri)
    folder = Folder.at(text)
    return folder if "://" in text else Folder.at(os.path.abspath(folder.path))


def sweep_names(results: Folder) -> list[str]:
    """Returns the names of the folders directly below that have a ledger, sorted.

    Raises:
        ValueError: if `results` is a file.
    """
    try:
        return [name for name in results.folders() if (results / name).exists("ledger")]
    except NotADirectoryError:
        raise ValueError(f"{results} is a file, not a folder") from None


def near(folder: Folder) -> str:
    """Returns a hint at the sweep of that name in `results` beside it; empty if none is there."""
    parent, _, name = folder.path.rpartition("/")
    beside = f"{parent}/{RESULTS}/{name}"
    there = folder.local and Folder.at(beside).exists("ledger")
    return f"; there is a sweep at {os.path.relpath(beside)}" if there else ""


def _not_a_sweep(folder: Folder) -> ValueError:
    if not folder.exists():
        return ValueError(f"{folder}: there is no such folder{near(folder)}")
    if found := sweep_names(folder):
        return ValueError(f"{folder} is not a sweep, it holds sweeps; name one of them: {', '.join(found)}")
    inside = sorted([f"{name}/" for name in folder.folders()] + list(folder.sizes()))
    return ValueError(f"{folder} is not a sweep: it has no ledger; it holds {', '.join(inside[:20]) or 'nothing'}")


@dataclass(frozen=True)
class TrialView:
    """A trial of a sweep, with its checkpoints."""

    sweep: Sweep
    trial: Trial

    def __repr__(self) -> str:
        return f"<TrialView {self.number} of {self.sweep.name}: {self.status} at step {self.trial.step}>"

    @harmless
    def _repr_html_(self) -> str:
        from leadline.analysis import notebook

        return notebook.of_trial(self.sweep.name, self.sweep.history, self.trial)

    @property
    def number(self) -> int:
        """The trial's number in its sweep."""
        return self.trial.number

    @property
    def stratum(self) -> str:
        """The value of the stratifying field, as text."""
        return self.trial.stratum

    @property
    def status(self) -> Status:
        """The trial's status: waiting, running, finished (the whole budget), stopped or failed."""
        return self.trial.status

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration as plain values."""
        return self.trial.config

    @property
    def params(self) -> dict[str, Any]:
        """What the searcher chose; nothing for a replicate, whose `trial.of` has been searched."""
        return self.trial.params

    @property
    def reports(self) -> list[Report]:
        """The trial's reports, one per evaluation, in order of steps."""
        return self.trial.reports

    @property
    def replicates(self) -> list[TrialView]:
        """The trial's confirmation runs from fresh seeds."""
        return [TrialView(self.sweep, run) for run in self.sweep.history.replicates(self.number)]

    @property
    def store(self) -> CheckpointStore:
        """The trial's checkpoints."""
        from leadline.checkpoint import CheckpointStore

        return CheckpointStore(self.sweep.folder / trial_folder(self.number), patience=READING_PATIENCE)

    def heartbeat(self) -> Beat | None:
        """Returns what the last attempt has said of itself; None where it has said nothing yet.

        Raises:
            StorageError: if the storage does not answer.
        """
        from leadline.heartbeat import read

        return read(self.sweep.folder / trial_folder(self.number), self.trial.attempts, patience=READING_PATIENCE)

    def curve(self, metric: str) -> list[tuple[int, float]]:
        """Returns (step, value) of a metric at each report that holds it.

        The metric is named `split/metric`; without a split it is that on validation.

        Raises:
            ValueError: if no report holds the metric; the message names those that are held.
        """
        name = metric if "/" in metric else leaderboard.metric_name(metric)
        found = [(report.step, report.metrics[name].value) for report in self.reports if name in report.metrics]
        if self.reports and not found:
            held = sorted({key for report in self.reports for key in report.metrics})
            raise ValueError(f"metric: trial {self.number} has no {name!r}; it has {', '.join(held)}")
        return found

    def checkpoint(self) -> Checkpoint:
        """Returns the checkpoint of the last report.

        Where that is damaged or missing it is the newest intact one, and warnings say so.

        Raises:
            ValueError: if no checkpoint is intact.
        """
        store = self.store
        wanted = self.reports[-1].checkpoint if self.reports else None
        names = store.names()
        order = names if wanted is None else [wanted, *(name for name in names if name != wanted)]
        found = next(store.intact(order), None)
        if found is None:
            raise ValueError(
                f"trial {self.number}: no intact checkpoint at {store.folder} "
                f"({len(names)} there, status {self.status})"
            )
        if wanted is not None and found.name != wanted:
            warnings.warn(
                f"trial {self.number}: using {found.name}, not {wanted} of its last report, "
                "whose values it does not have",
                stacklevel=2,
            )
        return found

    def load(self) -> nn.Module:
        """Returns the model with the weights of `checkpoint()`, on the CPU, in eval mode.

        Raises:
            ConfigError: if the family is not installed or no longer accepts the configuration.
            ValueError: if no checkpoint is intact, or the weights do not fit the model.
        """
        family = self.sweep.settings.model_family()
        config = family.config(self.config)
        found = self.checkpoint()
        try:
            return family.trained_model(config, found.state)
        except ConfigError as error:
            raise ValueError(f"trial {self.number}: {found.name}: {error}") from None

    def predict(self, inputs: Any) -> Any:
        """Returns the answer of the trial's model to one input, such as a number or a board.

        See the family's `predict`. The model is loaded anew; for many inputs, call
        `family.predict(model, inputs, config)` with a model of `load()`.

        Raises:
            ConfigError: if it is no input of the family, the family has no `predict` or is not
                installed, or it no longer accepts the configuration.
            ValueError: if no checkpoint is intact, or the weights do not fit the model.
        """
        family = self.sweep.settings.model_family()
        return family.predict(self.load(), inputs, family.config(self.config))


@dataclass(frozen=True)
class Sweep:
    """A sweep's record, as it stood when it was opened."""

    name: str
    folder: Folder
    history: History

    def __repr__(self) -> str:
        from leadline.analysis import progress

        replicates = len(self.history.trials) - len(self.history.search_trials())
        confirmed = f"; replicates: {replicates}" if replicates else ""
        return f"<Sweep {self.name}; trials: {progress.counts(self.history.search_trials())}{confirmed}>"

    @harmless
    def _repr_html_(self) -> str:
        from leadline.analysis import notebook

        return notebook.of_sweep(self.name, self.history)

    @staticmethod
    def open(path_or_uri: str | os.PathLike[str] | Folder) -> Sweep:
        """Reads the ledger of the sweep in a folder, also while it runs.

        A damaged tail is named in a warning.

        Raises:
            ValueError: if there is no sweep; the message says what is there.
            LedgerError: if the ledger is damaged before its last segment.
        """
        folder = place(path_or_uri)
        if not folder.exists("ledger"):
            raise _not_a_sweep(folder)
        history = History.of(segments.read(folder / "ledger"))
        if history.opened is None:
            raise ValueError(f"{folder} is not a sweep yet: its ledger does not say what was asked for")
        return Sweep(folder.path.rsplit("/", 1)[-1], folder, history)

    @property
    def state(self) -> str:
        """How the sweep ended, or whether it runs; see `leadline.analysis.progress.state`."""
        from leadline.analysis import progress

        return progress.state(self.history, gone=lease.gone(self.folder / "lease"))

    @property
    def settings(self) -> Settings:
        """The settings that the sweep was opened with."""
        return self.history.settings

    @property
    def strata(self) -> list[str]:
        """The values of the stratifying field, as text, in the study's order."""
        return leaderboard.strata(self.history)

    def stratum(self, value: Any) -> str | None:
        """Returns the stratum of a value of the stratifying field; None if there is none.

        Numbers compare as numbers, so that 20 and `20` name the stratum 20.0.
        """
        return next((one for one in self.strata if one == str(value)), None) or next(
            (one for one in self.strata if _number(one) == _number(value) is not None), None
        )

    @property
    def trials(self) -> list[TrialView]:
        """All trials in order of their numbers, replicates included."""
        return [TrialView(self, trial) for _, trial in sorted(self.history.trials.items())]

    def trial(self, number: int) -> TrialView:
        """Returns the trial of that number.

        Raises:
            ValueError: if there is none.
        """
        if number not in self.history.trials:
            known = f"0 to {max(self.history.trials)}" if self.history.trials else "none yet"
            raise ValueError(f"trial: {self.name} has no trial {number}; it has {known}")
        return TrialView(self, self.history.trials[number])

    def best(self, **where: Any) -> TrialView:
        """Returns the best search trial on validation that finished its whole budget.

        Args:
            where: the stratum, by the study's stratifying field, as in `best(lookahead=100)`; not
                needed where there is only one.

        Raises:
            ValueError: if the stratum is not named, unknown, or without a finished trial.
        """
        stratum = self._stratum(where)
        found = leaderboard.finalists(self.history, stratum, 1)
        if not found:
            count = len(leaderboard.ranked(self.history, stratum))
            raise ValueError(
                f"{self._field} {stratum}: none of its {plural(count, 'trial')} finished with a finite value"
            )
        return TrialView(self, found[0])

    def leaderboard(self) -> dict[str, Any]:
        """Returns the leaderboard as plain JSON values; see `leadline.ledger.leaderboard.board`."""
        return leaderboard.board(self.history, self.name)

    @listed(COLUMNS)
    def table(self, constants: bool = False) -> pandas.DataFrame:
        """Returns a row for each trial, in order of their numbers.

        Trial, stratum, status and value come first, then what was searched: `config.<field>`, or
        `params.<name>` of a parameter that is no field of the configuration. At the end stand the
        other fields in which trials differ, as `config.<field>`. A field that is the same in every
        trial that has it is no column: `table().attrs["constants"]` has its value by name.

        Values are in the metric's own unit. A field has the type of its values: int64, float64,
        bool or str, and Int64 or boolean where a trial has none or None, which are both missing.
        Lists are tuples. A field whose values are of several types keeps each as it is, but for
        integers among floats.

        Args:
            constants: whether those are columns, too.
        """
        from leadline.analysis.frame import table

        return table(self.history, constants)

    @listed(REPORTS)
    def reports(self) -> pandas.DataFrame:
        """Returns a row for each metric and fact of each report of each trial."""
        from leadline.analysis.frame import reports

        return reports(self.history)

    @property
    def _field(self) -> str:
        return self.settings.stratify or "stratum"

    def _stratum(self, where: dict[str, Any]) -> str:
        values = ", ".join(self.strata)
        for name in where:
            if name != self.settings.stratify:
                hint = (
                    f"it is stratified by {self._field}: {values}"
                    if self.settings.stratify
                    else "it has a single stratum"
                )
                raise ValueError(f"{name}: {self.name} cannot be divided by it; {hint}")
        if not where and len(self.strata) > 1:
            raise ValueError(f"{self._field}: name one of {values}; trials that differ in it are not compared")
        wanted = next(iter(where.values())) if where else self.strata[0]
        found = self.stratum(wanted)
        if found is None:
            raise ValueError(f"{self._field}: no {wanted} in {self.name}; it has {values}")
        return found


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
