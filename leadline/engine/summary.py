"""What a driver prints and writes when a sweep ends.

It prints the leaderboard, the best trials and the timing, and writes TensorBoard files and the
report.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from leadline.engine.director import Director
from leadline.engine.tensorboard_files import TensorBoardFiles
from leadline.engine.waiting import waiting
from leadline.ledger import leaderboard
from leadline.ledger.confirmed import cut_short
from leadline.ledger.history import Trial
from leadline.ledger.layout import trial_folder
from leadline.ledger.leaderboard_table import leaderboard_table
from leadline.ledger.ranges import words
from leadline.ledger.wording import last_line
from leadline.storage import Folder

__all__ = ["FirstStep", "Summary"]


@dataclass(frozen=True)
class FirstStep:
    """When the first optimizer step was taken, and what came before it, in seconds since the epoch.

    Attributes:
        began: when the command was given.
        marks: when each part of the start was over, by the part's name, in order.
        taken: when the first trial began to train; 0 if none has.
    """

    began: float
    marks: Mapping[str, float]
    taken: float

    def line(self) -> str:
        """A line on how long the first step took to come, with its parts.

        It is empty where there was no report, or the first one repeats what an earlier driver
        recorded.
        """
        if self.taken <= max(self.marks.values()):
            return ""
        parts = []
        before = self.began
        for what, moment in [*self.marks.items(), ("first trial's process", self.taken)]:
            parts.append(f"{what} {moment - before:.1f}")
            before = moment
        return f"first step   after {self.taken - self.began:.1f} s: {', '.join(parts)}"


class Summary:
    """Prints and writes what a sweep has found when it ends.

    Args:
        director: the sweep's director, whose history is closed: nothing is recorded any more.
        folder: the sweep's folder.
        files: writes the TensorBoard files.
        name: the sweep's name.
        console: where all of it is printed.
        resume: the command that goes on with the sweep.
        first_step: when training began.
        stored: whether the storage answers, so that files can be written to it.
    """

    def __init__(
        self,
        director: Director,
        folder: Folder,
        files: TensorBoardFiles,
        name: str,
        console: Console,
        resume: str,
        first_step: FirstStep,
        *,
        stored: bool,
    ) -> None:
        self._director = director
        self._history = director.history
        self._settings = director.settings
        self._folder = folder
        self._files = files
        self._name = name
        self._console = console
        self._resume = resume
        self._first_step = first_step
        self._stored = stored

    def views(self) -> None:
        """Prints the leaderboard and the timing, and writes the TensorBoard files and the report.

        All of it can be rebuilt from the ledger, so that a failure is only reported.
        """
        history = self._history
        if not history.trials:
            return
        self._console.print(leaderboard_table(history, self._name, width=self._console.width))
        for line in [*self._best(), *self._unconfirmed(), *self._timing()]:
            self._say(line)
        if self._director.stopping:
            self._say(self._director.stopping)
        if not any(leaderboard.finalists(history, stratum, 1) for stratum in leaderboard.strata(history)):
            self._say("best         none: no trial has finished with a finite value")
        if not self._stored:
            return
        self._attempt("TensorBoard files", self._files.write_all)
        self._attempt("report", self._report)
        self._say(f"sweep        {self._folder}")

    def _report(self) -> None:
        from leadline.analysis.report import document

        self._say(f"report       {document.write(self._folder, self._name)}")
        if first := document.opened(self._folder):
            self._say(f"opening      {first}")
        for sentence in document.answered(self._folder) if self._settings.contrasts else ():
            self._say(f"answer       {sentence}")

    def _attempt(self, what: str, action: Callable[[], None]) -> None:
        try:
            with waiting(f"the {what} to be written", self._say):
                action()
        except Exception as error:
            self._say(f"{what} could not be written ({error!r}); everything is in the ledger")

    def _best(self) -> list[str]:
        history = self._history
        found = []
        for stratum in leaderboard.strata(history):
            first = leaderboard.confirmed(history, stratum) or leaderboard.finalists(history, stratum, 1)
            for trial in first[:1]:
                where = f"{self._settings.stratify} {stratum}: " if self._settings.stratify else ""
                checkpoint = f"{self._folder}/{trial_folder(trial.number)}/{trial.reports[-1].checkpoint}"
                searched = f"{words(trial)}, " if trial.params else ""
                found.append(f"best         {where}trial {trial.number}, {searched}{checkpoint}")
        return found

    def _unconfirmed(self) -> list[str]:
        history = self._history
        chosen = [trial for stratum in leaderboard.strata(history) for trial in leaderboard.field(history, stratum)]
        lost = [
            run
            for trial in chosen
            for run in history.replicates(trial.number)
            if run.status in ("failed", "stopped") and not cut_short(history, run)
        ]
        return [f"unconfirmed  replicate {run.number} of trial {run.of}: {last_line(run.reason)}" for run in lost]

    def _timing(self) -> list[str]:
        """Lines on the time from command to first step, and on a trial's time, by parts."""
        history = self._history
        whole = [trial for trial in history.trials.values() if trial.reports and not trial.open and trial.attempts == 1]
        lines = []
        if line := self._first_step.line():
            lines.append(line)
        if whole:
            training = statistics.mean(trial.reports[-1].seconds for trial in whole)
            overhead = statistics.mean(trial.reports[-1].overhead for trial in whole)
            wall = statistics.mean(trial.wall for trial in whole)
            rest = max(0.0, wall - training - overhead)
            lines.append(
                f"per trial    {wall:.2f} s: training {training:.2f}, evaluating and saving {overhead:.2f}, "
                f"starting processes, placing and deciding {rest:.2f} (mean of {len(whole)})"
            )
        return lines

    def explain(self, failed: Sequence[Trial]) -> None:
        """Prints why the sweep failed and where to look; the first failed trial stands for all."""
        if self._director.halting:
            self._say(f"storage {self._folder}: {self._director.halting}; go on with: {self._resume}")
            return
        self._say("every trial failed" if failed else f"the sweep failed; go on with: {self._resume}")
        for trial in failed[:1]:
            self._say(
                f"trial {trial.number}: {last_line(trial.reason)}; "
                f"see {self._folder}/{trial_folder(trial.number)} and the ledger"
            )

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
