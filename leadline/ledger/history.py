"""The state of a sweep: a fold over its events. Everything that is shown or decided is computed from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from leadline.finding import Finding, latest
from leadline.ledger.segments import Event
from leadline.measure import Measure, Report

__all__ = ["UNCOUNTED", "Baseline", "History", "Status", "Trial"]

Status = Literal["waiting", "running", "finished", "stopped", "failed"]
Kind = Literal["search", "replicate"]
UNCOUNTED = ("storage", "preempted")
"""Causes for which an attempt ends that are no failures: the store refused, or the node was announced to go away."""


@dataclass
class Trial:
    """One configuration's training, under our own number.

    `kind` is "search", or "replicate" for the confirmation of trial `of`. `params` are what the searcher chose, `config` the
    whole configuration. Status and reason follow the last event.
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
    """Attempts that ended by an exception or were lost; none of the causes in `UNCOUNTED`."""
    excused: int = 0
    """Failures that do not count against the trial: its process or machine went away when the attempt had brought a report."""
    cause: str = ""
    """Of the last failure: error, memory, storage, stuck, lost or preempted."""
    workers: list[int] = field(default_factory=list)
    """Data-parallel workers of its attempts, each number once: sums of floating-point numbers depend on it."""
    earlier: int = 0
    """Reports that were there when the last attempt began."""
    micro_batch: int | str | None = None
    """That of the next attempt, where it is not the configuration's: smaller, as memory did not suffice, or measured."""
    reports: list[Report] = field(default_factory=list)
    wall: float = 0.0
    """Seconds that the trial held its place, over all attempts whose end was recorded."""
    retired: set[str] = field(default_factory=set)
    """Checkpoints that reports name and that are not kept any more."""
    distributions: dict[str, str] = field(default_factory=dict)
    """What each searched parameter was drawn from, as Optuna's JSON."""
    budget: int = 0
    """That of the sweep, in its unit, when the last attempt began; `config` has the steps that it comes to."""
    extended: list[int] = field(default_factory=list)
    """The shorter budgets under which earlier attempts had begun."""

    @property
    def open(self) -> bool:
        """Whether more is to come."""
        return self.status in ("waiting", "running")

    @property
    def trained_config(self) -> dict[str, Any]:
        """The configuration with the micro-batch of the next attempt."""
        return self.config if self.micro_batch is None else {**self.config, "micro_batch": self.micro_batch}

    @property
    def brief(self) -> str:
        """The reason in one line: of a traceback the last, which is the exception; of an infeasible trial the first."""
        lines = self.reason.strip().splitlines() or ["no reason recorded"]
        return lines[0 if self.infeasible else -1].strip()

    @property
    def infeasible(self) -> bool:
        """Whether it was impossible, or did not fit the memory in any micro-batch that was tried."""
        return self.status == "failed" and self.reason.startswith("infeasible: ")

    @property
    def step(self) -> int:
        """Step of the last report."""
        return self.reports[-1].step if self.reports else 0

    @property
    def samples(self) -> int:
        """Training rows seen up to the last report."""
        return self.reports[-1].samples if self.reports else 0

    @property
    def findings(self) -> list[Finding]:
        """The last word of each guard on each subject."""
        return latest(finding for report in self.reports for finding in report.findings)

    def measure(self, metric: str) -> Measure | None:
        """The metric in the last report: the current value, not the best of many evaluations."""
        return self.reports[-1].metrics.get(metric) if self.reports else None

    def value(self, metric: str) -> float:
        """The metric's last value; NaN where there is none."""
        measure = self.measure(metric)
        return measure.value if measure else math.nan


@dataclass(frozen=True)
class Baseline:
    """A trivial predictor's measures on the rows that trials of a stratum are scored on, by `split/metric`."""

    name: str
    stratum: str
    metrics: dict[str, Measure]


@dataclass
class History:
    """Trials by number, baselines, findings and manifests, in the order of the ledger."""

    settings: dict[str, Any] = field(default_factory=dict)
    manifests: list[dict[str, Any]] = field(default_factory=list)
    trials: dict[int, Trial] = field(default_factory=dict)
    baselines: list[Baseline] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    closed: str = ""
    """How the last run of the driver ended; empty while it runs or where it was killed."""
    last_time: float = 0.0
    _began: dict[int, float] = field(default_factory=dict)

    @staticmethod
    def of(events: Iterable[Event]) -> History:
        """The state after those events."""
        history = History()
        for event in events:
            history.apply(event)
        return history

    def copy(self) -> History:
        """One that moves on by itself, in another thread if need be; what is never changed, such as reports, is shared."""
        twin = replace(
            self, manifests=[dict(manifest) for manifest in self.manifests], trials={}, _began=dict(self._began)
        )
        twin.baselines, twin.findings, twin.notes = list(self.baselines), list(self.findings), list(self.notes)
        for trial in self.trials.values():
            reports, retired, extended = list(trial.reports), set(trial.retired), list(trial.extended)
            twin.trials[trial.number] = replace(
                trial, reports=reports, retired=retired, extended=extended, workers=list(trial.workers)
            )
        return twin

    def apply(self, event: Event) -> None:
        """Moves on by one event.

        Raises:
            ValueError: for an event of unknown type.
        """
        handler = getattr(self, f"_on_{event['type']}", None)
        if handler is None:
            raise ValueError(f"ledger: unknown event {event['type']!r}")
        self.last_time = event["time"]
        handler(event)
        if self.manifests:
            self.manifests[-1]["until"] = event["time"]

    def spent(self, report: Report) -> int:
        """How much of the budget a report has spent, in the unit that the sweep's sizes count."""
        return report.samples if self.settings.get("unit") == "samples" else report.step

    @property
    def budget(self) -> int:
        """Of a whole trial, in the sweep's unit; 0 before the sweep was opened."""
        return int(self.settings.get("steps", 0))

    def budgeted(self, trial: Trial) -> dict[str, Any]:
        """The fields of a trial's configuration that the budget decides, as it stands now."""
        return (
            {"steps": trial.config["steps"] * self.budget // trial.budget}
            if trial.budget not in (0, self.budget)
            else {}
        )

    def search_trials(self) -> list[Trial]:
        """Trials of the search, in order of their numbers."""
        return [trial for trial in self.trials.values() if trial.kind == "search"]

    def replicates(self, of: int) -> list[Trial]:
        """The confirmation runs of a trial."""
        return [trial for trial in self.trials.values() if trial.of == of]

    def _on_opened(self, event: Event) -> None:
        before, self.settings = self.budget, event["settings"]
        self.manifests.append({**event["manifest"], "time": event["time"]})
        self.closed = ""
        for trial in self.trials.values():
            if trial.status == "running":
                trial.status = "waiting"
            if self.budget > before and trial.status in ("waiting", "finished"):
                self._outgrown(trial, before)
        self._began.clear()

    def _outgrown(self, trial: Trial, before: int) -> None:
        """A search trial goes on unless it is judged otherwise; a replicate only once its finalist is one again."""
        if trial.kind == "replicate" or trial.status == "finished":
            trial.reason = f"the budget of {before} has been raised to {self.budget}"
        trial.status = "waiting" if trial.kind == "search" else "stopped"

    def _on_baseline(self, event: Event) -> None:
        metrics = {name: Measure.from_dict(plain) for name, plain in event["metrics"].items()}
        self.baselines.append(Baseline(event["name"], event["stratum"], metrics))

    def _on_finding(self, event: Event) -> None:
        self.findings.append({key: event[key] for key in ("guard", "stratum", "failed", "number", "sentence")})

    def _on_noted(self, event: Event) -> None:
        self.notes.append(event["text"])

    def _on_proposed(self, event: Event) -> None:
        fields = {key: event[key] for key in ("stratum", "kind", "of", "params", "config")}
        self.trials[event["trial"]] = trial = Trial(
            event["trial"], **fields, distributions=event.get("distributions", {})
        )
        trial.budget = self.budget
        if event.get("infeasible"):
            trial.status, trial.reason = "failed", f"infeasible: {event['infeasible']}"

    def _on_started(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        if (changed := self.budgeted(trial)) and trial.attempts:
            trial.extended.append(trial.budget)
        trial.config, trial.budget = {**trial.config, **changed}, self.budget
        trial.status, trial.attempts, trial.earlier = "running", event["attempt"], len(trial.reports)
        if (workers := event.get("workers", self.settings.get("workers_per_trial", 1))) not in trial.workers:
            trial.workers.append(workers)
        self._began[trial.number] = event["time"]

    def _on_reported(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.reports.append(Report.from_dict(event["report"]))
        rows = int(trial.reports[-1].facts.get("micro_batch", 0))
        if rows and isinstance(trial.trained_config.get("micro_batch"), str):
            trial.micro_batch = rows  # known from now on
        if event["action"] != "continue":
            self._leave(trial, event)
            trial.status = "finished" if event["action"] == "finish" else "stopped"
        trial.reason = event["reason"]

    def _on_judged(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.status, trial.reason = ("waiting" if event["action"] == "continue" else "stopped"), event["reason"]

    def _on_retired(self, event: Event) -> None:
        self.trials[event["trial"]].retired |= set(event["checkpoints"])

    def _on_failed(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        self._leave(trial, event)
        trial.cause = event.get("cause", "error")
        trial.failures += trial.cause not in UNCOUNTED
        trial.excused += event.get("excused", False)
        trial.micro_batch = event.get("micro_batch", trial.micro_batch)
        trial.status, trial.reason = ("failed" if event["final"] else "waiting"), event["error"]

    def _on_closed(self, event: Event) -> None:
        self.closed = event["how"]
        for trial in self.trials.values():
            if trial.status == "running":
                trial.status = "waiting"

    def _leave(self, trial: Trial, event: Event) -> None:
        began = self._began.pop(trial.number, None)
        trial.wall += event["time"] - began if began is not None else 0.0
