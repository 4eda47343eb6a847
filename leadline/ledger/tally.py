"""What is asked of a history at each turn of a sweep, kept from event to event.

Counts, finalists and what waits or runs then cost the same at 100 trials and at 100,000.
"""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict

from leadline.ledger import leaderboard
from leadline.ledger.events import Closed, Event, Opened
from leadline.ledger.history import History, Trial
from leadline.ledger.race import Racer

__all__ = ["Tally"]


class Tally:
    """Counts of a history's trials, and those among them that are asked for often.

    Args:
        history: what is counted. After each event that it has taken, and whatever else has changed
            it, `take` and `recount` are called.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self.recount()

    def recount(self) -> None:
        """Counts anew."""
        self.states: Counter[tuple[str, str]] = Counter()
        """The trials by kind and status."""
        self.searched: Counter[str] = Counter()
        """The search trials of each stratum."""
        self.seconds = 0.0
        """The training seconds of all trials."""
        self.spent = 0
        """The budget that they have spent."""
        self._budget = self._history.budget
        self._runs: defaultdict[int, list[Trial]] = defaultdict(list)
        self._open: dict[int, Trial] = {}
        self._known: dict[int, tuple[str, int, float]] = {}
        """Each trial's status, budget spent and seconds when it was looked at last."""
        self._finished: defaultdict[str, list[tuple[leaderboard.Rank, Trial]]] = defaultdict(list)
        """The search trials of each stratum that have finished, best first, after their places."""
        for trial in self._history.trials.values():
            self._look(trial)

    def take(self, event: Event) -> None:
        """Takes an event that the history has taken."""
        if isinstance(event, Opened | Closed):
            if self._history.budget != self._budget:  # trials that had finished may go on
                self.recount()
            for trial in list(self._open.values()):
                self._look(trial)
        elif (number := getattr(event, "trial", None)) is not None:
            self._look(self._history.trials[number])

    def _look(self, trial: Trial) -> None:
        before, spent, seconds = self._known.get(trial.number, ("", 0, 0.0))
        if not before and trial.kind == "search":
            self.searched[trial.stratum] += 1
        elif not before and trial.of is not None:
            self._runs[trial.of].append(trial)
        last = trial.reports[-1] if trial.reports else None
        known = (trial.status, self._history.spent(last) if last else 0, last.seconds if last else 0.0)
        self._known[trial.number] = known
        self.spent += known[1] - spent
        self.seconds += known[2] - seconds
        if trial.status == before:
            return
        if before:
            self.states[trial.kind, before] -= 1
        self.states[trial.kind, trial.status] += 1
        if trial.open:
            self._open[trial.number] = trial
        else:
            self._open.pop(trial.number, None)
        if trial.kind == "search" and trial.status == "finished":
            bisect.insort(self._finished[trial.stratum], (leaderboard.place(self._history, trial), trial))

    def of(self, status: str) -> list[Trial]:
        """The trials that wait, or those that run, in order of their numbers."""
        return [self._open[number] for number in sorted(self._open) if self._open[number].status == status]

    @property
    def open(self) -> int:
        """The number of trials that wait or run."""
        return len(self._open)

    def runs(self, of: int) -> list[Trial]:
        """The confirmation runs of a trial."""
        return self._runs.get(of, [])

    def finished(self, stratum: str) -> int:
        """How many search trials of a stratum have finished."""
        return len(self._finished[stratum])

    def field(self, stratum: str) -> list[Trial]:
        """The finalists that begin a stratum's race, as `leaderboard.field` has them."""
        return leaderboard.field(self._history, stratum, (trial for _, trial in self._finished[stratum]))

    def racers(self, stratum: str) -> list[Racer]:
        """How far each of them has come."""
        return [leaderboard.racer(self._history, trial, self.runs(trial.number)) for trial in self.field(stratum)]

    def confirming(self) -> tuple[int, int]:
        """How many confirmation runs have ended, and of how many: `leaderboard.confirming`."""
        return leaderboard.run_counts(self._history, map(self.racers, leaderboard.strata(self._history)))

    def best(self, stratum: str) -> Trial | None:
        """The best search trial of a stratum; if none has finished, the one that is ahead."""
        if found := self._finished[stratum]:
            return found[0][1]
        return next(iter(leaderboard.ranked(self._history, stratum)), None)

    def begun(self, kind: str) -> int:
        """How many trials of a kind there are."""
        return sum(count for (of, _), count in self.states.items() if of == kind)

    def ended(self, kind: str) -> int:
        """How many of them have ended."""
        return self.begun(kind) - self.states[kind, "waiting"] - self.states[kind, "running"]
