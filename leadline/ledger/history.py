"""The state of a sweep, computed from its events alone.

Everything that is shown or decided is computed from it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, assert_never

from leadline.config import BUDGET_FIELDS
from leadline.finding import Finding, latest
from leadline.ledger.events import (
    Audited,
    BaselineScored,
    Closed,
    Event,
    Failed,
    Judged,
    Kind,
    Noted,
    Opened,
    Proposed,
    Reported,
    Retired,
    Started,
)
from leadline.ledger.rungs import OFF
from leadline.ledger.settings import Settings
from leadline.ledger.wording import last_line, utc
from leadline.measure import Measure, Report

__all__ = ["UNCOUNTED", "Baseline", "History", "Status", "Trial"]

Status = Literal["waiting", "running", "finished", "stopped", "failed"]
UNCOUNTED = ("storage", "preempted")
"""The causes of an attempt's end that are no failures: the store refused, or the node was being
reclaimed."""


@dataclass
class Trial:
    """The training of one configuration, under a number of our own.

    Status and reason follow the last event.

    Attributes:
        kind: `search`, or `replicate` for the confirmation of trial `of`.
        params: what the searcher chose.
        config: the whole configuration.
    """

    number: int
    stratum: str
    kind: Kind
    of: int | None
    params: dict[str, Any]
    config: dict[str, Any]
    status: Status = "waiting"
    reason: str = ""
    attempts: int = 0
    failures: int = 0
    """The number of attempts that ended by an exception or were lost, without the causes in
    `UNCOUNTED`."""
    excused: int = 0
    """The number of failures that do not count against the trial.

    Its process or machine went away after the attempt had brought a report.
    """
    cause: str = ""
    """The cause of the last failure: error, memory, storage, stuck, lost or preempted."""
    workers: list[int] = field(default_factory=list)
    """The numbers of data-parallel workers that its attempts had, each once.

    They are kept because sums of floating-point numbers depend on the number of workers.
    """
    earlier: int = 0
    """The number of reports that were there when the last attempt began."""
    micro_batch: int | str | None = None
    """The next attempt's micro-batch if it differs from the configuration: reduced after running
    out of memory, or measured."""
    reports: list[Report] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    """The time at which each report was recorded, in seconds since the epoch."""
    wall: float = 0.0
    """Seconds that the trial held its place, over all attempts whose end was recorded."""
    retired: set[str] = field(default_factory=set)
    """Checkpoints that reports name but that are not kept any more."""
    distributions: dict[str, str] = field(default_factory=dict)
    """The distribution that each searched parameter was drawn from, as Optuna's JSON."""
    budget: int = 0
    """The sweep's budget when the last attempt began, in the sweep's unit; `config["steps"]` is the
    same in optimizer steps."""
    extended: list[int] = field(default_factory=list)
    """The shorter budgets under which earlier attempts had begun."""
    family_codes: list[str] = field(default_factory=list)
    """The fingerprints of the family's code that its reports were made by, each once; those that
    older ledgers do not record are left out."""
    judged_from: float = 0.0
    """The share of the budget after which its last stage has begun; 0 where it has no stages."""
    since: float = 0.0
    """The time at which it was proposed, in seconds since the epoch."""
    began: float = 0.0
    """The time at which its first attempt began; 0 before."""
    until: float = 0.0
    """The time of the last event that changed its status or brought a report: when it ended, once
    it has."""

    @property
    def open(self) -> bool:
        """Whether the trial waits or runs, so that more reports may come."""
        return self.status in ("waiting", "running")

    @property
    def trained_config(self) -> dict[str, Any]:
        """The configuration with the micro-batch of the next attempt."""
        return self.config if self.micro_batch is None else {**self.config, "micro_batch": self.micro_batch}

    @property
    def brief(self) -> str:
        """The reason in one line.

        A traceback gives its last line, which is the exception; an infeasible trial gives its
        first.
        """
        return self.reason.splitlines()[0].strip() if self.infeasible else last_line(self.reason)

    @property
    def identity(self) -> str:
        """The configuration as text that is equal for equal ones, without what the budget sets."""
        plain = {name: value for name, value in self.config.items() if name not in BUDGET_FIELDS}
        return json.dumps(plain, sort_keys=True)

    @property
    def untrained(self) -> bool:
        """Whether the trial was stopped before its first report, so that it says nothing."""
        return self.status == "stopped" and not self.reports

    @property
    def infeasible(self) -> bool:
        """Whether the trial failed because its configuration was impossible.

        A configuration is also impossible where memory held it in no micro-batch that was tried.
        """
        return self.status == "failed" and self.reason.startswith("infeasible: ")

    @property
    def step(self) -> int:
        """The optimizer step of the last report; 0 before the first."""
        return self.reports[-1].step if self.reports else 0

    @property
    def samples(self) -> int:
        """The number of training rows seen up to the last report; 0 before the first."""
        return self.reports[-1].samples if self.reports else 0

    @property
    def checkpoint(self) -> str | None:
        """The checkpoint of the last report; None where it has none, or it is not kept any more."""
        name = self.reports[-1].checkpoint if self.reports else None
        return None if name in self.retired else name

    @property
    def findings(self) -> list[Finding]:
        """The latest finding of each guard on each subject."""
        return latest(finding for report in self.reports for finding in report.findings)

    @property
    def scored(self) -> Report | None:
        """The last report for which all of validation was scored; None before the first."""
        return next((report for report in reversed(self.reports) if report.whole), None)

    def measure(self, metric: str) -> Measure | None:
        """The metric in the last report that scored everything.

        It is the current value, not the best of many evaluations.
        """
        report = self.scored
        return report.metrics.get(metric) if report else None

    def value(self, metric: str) -> float:
        """The metric's last value; NaN where there is none."""
        measure = self.measure(metric)
        return measure.value if measure else math.nan


@dataclass(frozen=True)
class Baseline:
    """The measures of a trivial predictor, by `split/metric`.

    They are on the rows that score a stratum's trials.
    """

    name: str
    stratum: str
    metrics: dict[str, Measure]


@dataclass
class History:
    """The state after some events of a ledger; everything in it is in the order of the ledger."""

    opened: Settings | None = None
    """The settings with which a driver last opened the sweep; None before the first has."""
    family_code: str = ""
    """The fingerprint of the family's code under the last driver; empty where none is recorded."""
    manifests: list[dict[str, Any]] = field(default_factory=list)
    trials: dict[int, Trial] = field(default_factory=dict)
    baselines: list[Baseline] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    noted: dict[tuple[int | None, str], int] = field(default_factory=dict)
    """How often each remark was made, by the trial that it is of, or None, and its text."""
    closed: str = ""
    """The way in which the last run of the driver ended; empty while it runs or where it
    was killed."""
    unstopped: Noted | None = None
    """The remark that early stopping was switched off; None where it was not."""
    last_time: float = 0.0
    _began: dict[int, float] = field(default_factory=dict)

    @staticmethod
    def of(events: Iterable[Event]) -> History:
        """Returns the state after those events."""
        history = History()
        for event in events:
            history.apply(event)
        return history

    def copy(self) -> History:
        """Returns a copy that can be changed independently, also in another thread.

        What is never changed, such as reports, is shared.
        """
        twin = replace(
            self, manifests=[dict(manifest) for manifest in self.manifests], trials={}, _began=dict(self._began)
        )
        twin.baselines, twin.findings, twin.noted = list(self.baselines), list(self.findings), dict(self.noted)
        for trial in self.trials.values():
            twin.trials[trial.number] = replace(
                trial,
                reports=list(trial.reports),
                moments=list(trial.moments),
                retired=set(trial.retired),
                extended=list(trial.extended),
                workers=list(trial.workers),
                family_codes=list(trial.family_codes),
            )
        return twin

    def apply(self, event: Event) -> None:
        """Updates the state by one event.

        Raises:
            KeyError: for an event of a trial that was not proposed.
        """
        self.last_time = event.time
        match event:  # the most frequent classes come first, as there are millions of events
            case Reported():
                self._on_reported(event)
            case Proposed():
                self._on_proposed(event)
            case Started():
                self._on_started(event)
            case Retired():
                self.trials[event.trial].retired |= set(event.checkpoints)
            case Judged():
                self._on_judged(event)
            case Failed():
                self._on_failed(event)
            case BaselineScored():
                self.baselines.append(Baseline(event.name, event.stratum, event.metrics))
            case Audited():
                self.findings.append(
                    {key: getattr(event, key) for key in ("guard", "stratum", "failed", "number", "sentence")}
                )
            case Noted():
                key = (event.trial, event.text)
                self.noted[key] = event.count if event.count is not None else self.noted.get(key, 0) + 1
                if event.trial is None and event.text.startswith(OFF):
                    self.unstopped = event
            case Opened():
                self._on_opened(event)
            case Closed():
                self._on_closed(event)
            case _:
                assert_never(event)
        if self.manifests:
            self.manifests[-1]["until"] = event.time

    @property
    def settings(self) -> Settings:
        """The settings with which a driver last opened the sweep.

        Raises:
            ValueError: if no driver has.
        """
        if self.opened is None:
            raise ValueError("ledger: it does not say yet what the sweep was asked for")
        return self.opened

    @property
    def notes(self) -> list[str]:
        """The remarks in words, each once, with how often it was made where that is not once."""
        return [
            ("" if trial is None else f"trial {trial}: ") + text + (f" ({count:,} times)" if count > 1 else "")
            for (trial, text), count in self.noted.items()
        ]

    @property
    def stopping_off(self) -> str:
        """Why, and since when, no trial is stopped at a rung; empty where trials are."""
        if self.settings.scheduler == "none":
            return f"{OFF}, as was asked for (scheduler none)"
        if self.settings.scheduler == "weighed" and self.unstopped:
            return f"{self.unstopped.text} (since {utc(self.unstopped.time)})"
        return ""

    def spent(self, report: Report) -> int:
        """Returns how much of the budget a report has spent, in the sweep's unit."""
        return self.settings.spent(report)

    @property
    def budget(self) -> int:
        """The budget of a whole trial, in the sweep's unit; 0 before the sweep was opened."""
        return self.opened.budget if self.opened else 0

    def budgeted(self, trial: Trial) -> dict[str, Any]:
        """Returns the fields of a trial's configuration that today's budget changes."""
        return (
            {"steps": trial.config["steps"] * self.budget // trial.budget}
            if trial.budget not in (0, self.budget)
            else {}
        )

    def search_trials(self) -> list[Trial]:
        """Returns the trials of the search, in order of their numbers."""
        return [trial for trial in self.trials.values() if trial.kind == "search"]

    def finalist(self, trial: Trial) -> Trial:
        """Returns the trial that a replicate confirms; a trial of the search is its own."""
        return trial if trial.of is None else self.trials[trial.of]

    def replicates(self, of: int) -> list[Trial]:
        """Returns the confirmation runs of a trial."""
        return [trial for trial in self.trials.values() if trial.of == of]

    def _on_opened(self, event: Opened) -> None:
        before, self.opened = self.budget, event.settings
        self.family_code = event.manifest.get("code", {}).get("family", {}).get("fingerprint") or ""
        self.manifests.append({**event.manifest, "time": event.time})
        self.closed = ""
        for trial in self.trials.values():
            if trial.status == "running":
                trial.status = "waiting"
            if self.budget > before and trial.status in ("waiting", "finished"):
                self._outgrown(trial, before)
        self._began.clear()

    def _outgrown(self, trial: Trial, before: int) -> None:
        """Lets a trial go on under a budget that was raised.

        A search trial waits, unless it is judged otherwise; a replicate is stopped until its
        finalist is one again.
        """
        if trial.kind == "replicate" or trial.status == "finished":
            trial.reason = f"the budget of {before} has been raised to {self.budget}"
        trial.status = "waiting" if trial.kind == "search" else "stopped"

    def _on_proposed(self, event: Proposed) -> None:
        trial = Trial(
            event.trial,
            event.stratum,
            event.kind,
            event.of,
            event.params,
            event.config,
            distributions=event.distributions,
            judged_from=event.judged_from,
            since=event.time,
            until=event.time,
        )
        self.trials[event.trial] = trial
        trial.budget = self.budget
        if event.infeasible:
            trial.status, trial.reason = "failed", f"infeasible: {event.infeasible}"

    def _on_started(self, event: Started) -> None:
        trial = self.trials[event.trial]
        if (changed := self.budgeted(trial)) and trial.attempts:
            trial.extended.append(trial.budget)
        trial.config, trial.budget = {**trial.config, **changed}, self.budget
        trial.status, trial.attempts, trial.earlier = "running", event.attempt, len(trial.reports)
        trial.began = trial.began or event.time
        trial.until = event.time
        workers = self.settings.workers_per_trial if event.workers is None else event.workers
        if workers not in trial.workers:
            trial.workers.append(workers)
        self._began[trial.number] = event.time

    def _on_reported(self, event: Reported) -> None:
        trial = self.trials[event.trial]
        trial.reports.append(event.report)
        trial.moments.append(event.time)
        if self.family_code and self.family_code not in trial.family_codes:
            trial.family_codes.append(self.family_code)
        trial.until = event.time
        rows = int(event.report.facts.get("micro_batch", 0))
        if rows and isinstance(trial.trained_config.get("micro_batch"), str):
            trial.micro_batch = rows  # it was to be measured, and is known from now on
        if event.action != "continue":
            self._leave(trial, event.time)
            trial.status = "finished" if event.action == "finish" else "stopped"
        trial.reason = event.reason

    def _on_judged(self, event: Judged) -> None:
        trial = self.trials[event.trial]
        trial.status, trial.reason = ("waiting" if event.action == "continue" else "stopped"), event.reason
        trial.until = event.time

    def _on_failed(self, event: Failed) -> None:
        trial = self.trials[event.trial]
        self._leave(trial, event.time)
        trial.until = event.time
        trial.cause = event.cause
        trial.failures += trial.cause not in UNCOUNTED
        trial.excused += event.excused
        if event.micro_batch is not None:
            trial.micro_batch = event.micro_batch
        trial.status, trial.reason = ("failed" if event.final else "waiting"), event.error

    def _on_closed(self, event: Closed) -> None:
        self.closed = event.how
        for trial in self.trials.values():
            if trial.status == "running":
                trial.status = "waiting"

    def _leave(self, trial: Trial, now: float) -> None:
        began = self._began.pop(trial.number, None)
        trial.wall += now - began if began is not None else 0.0
