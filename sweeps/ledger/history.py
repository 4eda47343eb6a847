"""The state of a sweep: a fold over its events. Everything that is shown or decided is computed from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from sweeps.ledger.segments import Event
from trainables.finding import Finding, latest
from trainables.measure import Measure, Report

__all__ = ["Baseline", "History", "Status", "Trial"]

Status = Literal["waiting", "running", "finished", "stopped", "failed"]
Kind = Literal["search", "replicate"]


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
    reports: list[Report] = field(default_factory=list)
    wall: float = 0.0
    """Seconds that the trial held its place, over all attempts whose end was recorded."""
    distributions: dict[str, str] = field(default_factory=dict)
    """What each searched parameter was drawn from, as Optuna's JSON."""

    @property
    def open(self) -> bool:
        """Whether more is to come."""
        return self.status in ("waiting", "running")

    @property
    def trained_config(self) -> dict[str, Any]:
        """The configuration with the micro-batch that was measured, where that was left to the machine and is known."""
        rows = self.reports[-1].facts.get("micro_batch", 0) if self.reports else 0
        return {**self.config, "micro_batch": int(rows)} if rows and self.config.get("micro_batch") == "auto" else self.config

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

    def search_trials(self) -> list[Trial]:
        """Trials of the search, in order of their numbers."""
        return [trial for trial in self.trials.values() if trial.kind == "search"]

    def replicates(self, of: int) -> list[Trial]:
        """The confirmation runs of a trial."""
        return [trial for trial in self.trials.values() if trial.of == of]

    def _on_opened(self, event: Event) -> None:
        self.settings = event["settings"]
        self.manifests.append({**event["manifest"], "time": event["time"]})
        self.closed = ""
        for trial in self.trials.values():
            if trial.status == "running":
                trial.status = "waiting"
        self._began.clear()

    def _on_baseline(self, event: Event) -> None:
        metrics = {name: Measure.from_dict(plain) for name, plain in event["metrics"].items()}
        self.baselines.append(Baseline(event["name"], event["stratum"], metrics))

    def _on_finding(self, event: Event) -> None:
        self.findings.append({key: event[key] for key in ("guard", "stratum", "failed", "number", "sentence")})

    def _on_noted(self, event: Event) -> None:
        self.notes.append(event["text"])

    def _on_proposed(self, event: Event) -> None:
        fields = {key: event[key] for key in ("stratum", "kind", "of", "params", "config")}
        self.trials[event["trial"]] = trial = Trial(event["trial"], **fields, distributions=event.get("distributions", {}))
        if event.get("infeasible"):
            trial.status, trial.reason = "failed", f"infeasible: {event['infeasible']}"

    def _on_started(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.status, trial.attempts = "running", event["attempt"]
        self._began[trial.number] = event["time"]

    def _on_reported(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.reports.append(Report.from_dict(event["report"]))
        if event["action"] != "continue":
            self._leave(trial, event)
            trial.status = "finished" if event["action"] == "finish" else "stopped"
        trial.reason = event["reason"]

    def _on_failed(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        self._leave(trial, event)
        trial.failures += 1
        trial.status, trial.reason = ("failed" if event["final"] else "waiting"), event["error"]

    def _on_closed(self, event: Event) -> None:
        self.closed = event["how"]
        for trial in self.trials.values():
            if trial.status == "running":
                trial.status = "waiting"

    def _leave(self, trial: Trial, event: Event) -> None:
        began = self._began.pop(trial.number, None)
        trial.wall += event["time"] - began if began is not None else 0.0
