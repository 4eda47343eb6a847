"""The director decides: what runs next, what a report means, when the sweep is over. Ray only places.

It is a fold over the ledger's events with an outlet for new ones. Feeding it a recorded ledger leaves it where the driver
was, searcher and rungs included: resume is replay.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sweeps.engine.asha import Asha, Decision
from sweeps.engine.search import Outcome, Search, Space, seed_of
from sweeps.engine.study import Settings
from sweeps.ledger import leaderboard
from sweeps.ledger.history import History, Trial
from sweeps.ledger.segments import Event
from trainables.config import ConfigError, to_dict
from trainables.measure import Report

__all__ = ["Assignment", "Director"]

SEARCH_SEEDS, REPLICATE_SEEDS = 1, 2


@dataclass(frozen=True)
class Assignment:
    """One attempt at one trial, to be placed. Reports up to step `known` are recorded already."""

    trial: int
    attempt: int
    config: dict[str, Any]
    test: bool
    known: int


class Director:
    """Decides for one sweep.

    Args:
        settings: what was asked for.
        space: the search space.
        record: takes each new event and returns its position at once: whoever carries out what was decided waits until that is stored.
    """

    def __init__(
        self,
        settings: Settings,
        space: Space,
        record: Callable[[Event], int | None] = lambda event: None,
    ) -> None:
        self.settings, self._record = settings, record
        self.history = History()
        self.position = 0
        """That of the last event recorded."""
        self.stopping = ""
        """Why the search has ended before its last trial, if it has; finalists are confirmed all the same."""
        self.first_step = 0.0
        """When this driver's first report began to be trained, in seconds since the epoch; 0 before."""
        self.news: list[str] = []
        """Faults that guards have found since somebody looked, a line each; whoever tells them empties it."""
        mode = settings.mode
        self._search: dict[str, Search] = {}
        self.asha: dict[str, Asha] = {}
        for index, stratum in enumerate(settings.strata):
            self._search[str(stratum)] = Search(
                space,
                settings.scale,
                sampler=settings.sampler,
                seed=seed_of(settings.seed, index),
                mode=mode,
                startup=settings.startup,
                pinned={**settings.overrides, **settings.dealt(stratum)},
            )
            self.asha[str(stratum)] = Asha(settings.grace, settings.reduction, settings.steps, mode)

    def replay(self, events: Iterable[Event]) -> None:
        """Takes over recorded events. Trials that were running wait for a new attempt."""
        for event in events:
            self._fold(event)
        for trial in self.history.trials.values():
            if trial.status == "running":
                trial.status = "waiting"

    def next(self) -> Assignment | Literal["wait", "done"]:
        """The next attempt to place: trials that wait first, then new proposals, then confirmation."""
        waiting = [trial for trial in self.history.trials.values() if trial.status == "waiting"]
        if self.stopping:
            waiting = [trial for trial in waiting if trial.kind == "replicate"]
        trial = waiting[0] if waiting else self._propose()
        if trial is None:
            return "wait" if self.running() else "done"
        return Assignment(trial.number, trial.attempts + 1, trial.trained_config, trial.kind == "replicate", trial.step)

    def running(self) -> list[Trial]:
        """Trials that hold a place now."""
        return [trial for trial in self.history.trials.values() if trial.status == "running"]

    def started(self, trial: int, attempt: int) -> None:
        """A place was found for an attempt."""
        self._new({"type": "started", "trial": trial, "attempt": attempt})

    def reported(self, number: int, report: Report) -> Decision:
        """Takes a report and decides. A step that is recorded already is passed over: the first value stands."""
        trial = self.history.trials[number]
        if not trial.open:
            return Decision("stop", "ended before")
        if report.step <= trial.step:
            return Decision("continue")
        decision = self._decide(trial, report)
        if not self.first_step:
            past = trial.reports[-1] if trial.reports else None
            self.first_step = time.time() - (report.seconds + report.overhead) + (past.seconds + past.overhead if past else 0.0)
        event = {"type": "reported", "trial": number, "report": report.to_dict(), "action": decision.action, "reason": decision.reason}
        known = {finding.mark for finding in trial.findings if finding.failed}
        new = [finding for finding in report.findings if finding.failed and finding.mark not in known]
        self.news += [f"trial {number}: {finding.mark}: {finding.sentence.rstrip('.')}" for finding in new]
        self._new(event)
        return decision

    def failed(self, number: int, error: str) -> bool:
        """An attempt ended by an exception or with its machine. Returns whether the trial is tried again."""
        trial = self.history.trials[number]
        if not trial.open:
            return False
        final = trial.failures + 1 > self.settings.max_failures
        self._new({"type": "failed", "trial": number, "attempt": trial.attempts, "error": error, "final": final})
        return not final

    def baseline(self, stratum: str, name: str, metrics: dict[str, Any]) -> None:
        """Records a trivial predictor's measures."""
        self._new({"type": "baseline", "stratum": stratum, "name": name, "metrics": metrics})

    def finding(self, stratum: str, guard: str, failed: bool, number: float, sentence: str) -> None:
        """Records what an audit found."""
        self._new({"type": "finding", "guard": guard, "stratum": stratum, "failed": failed, "number": number, "sentence": sentence})

    def noted(self, text: str) -> None:
        """Records a remark, such as a damaged file that was passed over."""
        self._new({"type": "noted", "text": text})

    def opened(self, manifest: dict[str, Any]) -> None:
        """Records that a driver runs the sweep, and where."""
        self._new({"type": "opened", "settings": self.settings.to_dict(), "manifest": manifest})

    def closed(self, how: str) -> None:
        """Records how this driver ended."""
        self._new({"type": "closed", "how": how})

    def _new(self, event: Event) -> None:
        stamped = {**event, "time": time.time()}
        self.position = self._record(stamped) or 0
        self._fold(stamped, live=True)

    def _fold(self, event: Event, live: bool = False) -> None:
        """One event into history, searcher and rungs; live ones have passed through searcher and rungs when they were made."""
        kind = event["type"]
        if kind == "proposed" and not live and event["kind"] == "search":
            self._search[event["stratum"]].ask(event["trial"], event["params"])
        if kind == "reported" and not live:
            self._decide(self.history.trials[event["trial"]], Report.from_dict(event["report"]))
        self.history.apply(event)
        if "trial" in event and kind != "started" and not self.history.trials[event["trial"]].open:
            self._tell(self.history.trials[event["trial"]], infeasible=kind == "proposed")
            self._check_target(self.history.trials[event["trial"]])

    def _decide(self, trial: Trial, report: Report) -> Decision:
        name = leaderboard.metric_name(self.settings.metric)
        value = report.metrics[name].value
        if trial.kind == "search":
            decision = self.asha[trial.stratum].report(trial.number, self.settings.spent(report), value)
            return Decision("stop", self.stopping) if decision.action == "continue" and self.stopping else decision
        if not math.isfinite(value):
            return Decision("stop", f"step {report.step}: the objective is {value}")
        return Decision("finish", "budget reached") if self.settings.spent(report) >= self.settings.steps else Decision("continue")

    def _tell(self, trial: Trial, infeasible: bool) -> None:
        if trial.kind != "search":
            return
        name = leaderboard.metric_name(self.settings.metric)
        curve = [] if infeasible else [(self.settings.spent(report), report.metrics[name].value) for report in trial.reports]
        outcome: Outcome = "finished" if trial.status == "finished" else "stopped" if trial.status == "stopped" or infeasible else "failed"
        self._search[trial.stratum].tell(trial.number, outcome, curve)

    def _check_target(self, trial: Trial) -> None:
        target = self.settings.target
        if target is None or trial.kind != "search" or trial.status != "finished" or self.stopping:
            return
        value = trial.value(leaderboard.metric_name(self.settings.metric))
        if value <= target if self.settings.mode == "min" else value >= target:
            self.stopping = f"target {target:g} reached by trial {trial.number} with {value:.4g}"

    def _propose(self) -> Trial | None:
        while not self.stopping and (index := len(self.history.search_trials())) < self.settings.trials:
            trial = self._propose_search(len(self.history.trials), index)
            if trial is not None:
                return trial
        return self._propose_replicate(len(self.history.trials))

    def _propose_search(self, number: int, index: int) -> Trial | None:
        """Proposes and records trial `number`; None where its configuration is impossible, which is recorded too."""
        given = dict(self.settings.enqueue[index]) if index < len(self.settings.enqueue) else {}
        stratum = given.pop(self.settings.stratify, None) if self.settings.stratify else None
        stratum = self._dealt_next() if stratum is None else next(s for s in self.settings.strata if s == stratum)
        params, fields = self._search[str(stratum)].ask(number, given)
        fields |= {name: value for name, value in given.items() if name not in params}
        try:
            config = to_dict(self.settings.configure(fields, stratum, seed_of(self.settings.seed, SEARCH_SEEDS)))
        except ConfigError as error:
            self._record_proposal(number, str(stratum), "search", None, params, fields, infeasible=str(error))
            return None
        return self._record_proposal(number, str(stratum), "search", None, params, config)

    def _dealt_next(self) -> Any:
        """The first stratum with the fewest trials: enqueued ones count towards their stratum's share."""
        counts = Counter(trial.stratum for trial in self.history.search_trials())
        return min(self.settings.strata, key=lambda stratum: counts[str(stratum)])

    def _propose_replicate(self, number: int) -> Trial | None:
        """The next confirmation run, of strata whose search has ended."""
        ongoing = ("running",) if self.stopping else ("running", "waiting")
        searched = {trial.stratum for trial in self.history.search_trials() if trial.status in ongoing}
        for stratum in [stratum for stratum in leaderboard.strata(self.history) if stratum not in searched]:
            for finalist in leaderboard.finalists(self.history, stratum, self.settings.confirm):
                done = len(self.history.replicates(finalist.number))
                if done < self.settings.replicates:
                    config = {**finalist.config, "seed": seed_of(self.settings.seed, REPLICATE_SEEDS, done)}
                    return self._record_proposal(number, stratum, "replicate", finalist.number, {}, config)
        return None

    def _record_proposal(
        self, number: int, stratum: str, kind: str, of: int | None, params: dict[str, Any], config: dict[str, Any], infeasible: str = ""
    ) -> Trial:
        event = {"type": "proposed", "trial": number, "stratum": stratum, "kind": kind, "of": of, "params": params, "config": config}
        distributions = self._search[stratum].distributions(number) if kind == "search" else {}
        self._new({**event, "distributions": distributions, "infeasible": infeasible})
        return self.history.trials[number]
