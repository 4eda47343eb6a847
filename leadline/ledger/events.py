"""The events of a ledger, a class for each.

A class says when its event is written, by whom, and what every field means.

An event is stored as one JSON object, which `to_dict` makes and `parse` reads; `type` says which
class it is of. The order of the keys, and which of them are left out where they say nothing, are
part of what is stored: do not change them.

Nothing is checked on reading, since a long sweep has millions of events. A field that older ledgers
lack has a default, and a key that a newer version has added is ignored. (The files keep it:
compaction copies what is stored, not these objects.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from leadline.ledger.settings import Settings
from leadline.measure import Measure, Report

__all__ = [
    "EVENTS",
    "Action",
    "Audited",
    "BaselineScored",
    "Closed",
    "Event",
    "Failed",
    "Judged",
    "Kind",
    "Noted",
    "Opened",
    "Proposed",
    "Reported",
    "Retired",
    "Started",
    "parse",
]

Kind = Literal["search", "replicate"]
"""The kind of trial: a proposal of the searcher, or a finalist's training again from a
fresh seed."""

Action = Literal["continue", "stop", "finish"]
"""The decision on a trial: it goes on, it is stopped early, or it has spent its whole budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A driver runs the sweep from now on.

    Written by the director when a driver begins a sweep or goes on with one. Trials that were
    running wait for a new attempt. A larger budget than before brings finished trials back.
    """

    type: ClassVar = "opened"
    settings: Settings
    """The settings that the sweep runs with; stored as `Settings.to_dict` gives them."""
    manifest: dict[str, Any]
    """The place and the software of the driver: process, machine, commit, versions."""
    time: float
    """The time at which the event was recorded, in seconds since the epoch."""

    def to_dict(self) -> dict[str, Any]:
        """The event as it is stored."""
        return {"type": self.type, "settings": self.settings.to_dict(), "manifest": self.manifest, "time": self.time}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Opened:
        """The inverse of `to_dict`."""
        return Opened(settings=Settings.from_dict(plain["settings"]), manifest=plain["manifest"], time=plain["time"])


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineScored:
    """A trivial predictor was measured.

    Written by the director before the first trial starts, when the data was built.
    """

    type: ClassVar = "baseline"
    stratum: str
    """The stratum on whose data it was measured."""
    name: str
    """The predictor's name."""
    metrics: dict[str, Measure]
    """The predictor's measures by `split/metric`, each in the metric's unit."""
    time: float
    """The time at which the event was recorded, in seconds since the epoch."""

    def to_dict(self) -> dict[str, Any]:
        """The event as it is stored."""
        metrics = {name: measure.to_dict(units=True) for name, measure in self.metrics.items()}
        return {"type": self.type, "stratum": self.stratum, "name": self.name, "metrics": metrics, "time": self.time}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> BaselineScored:
        """The inverse of `to_dict`."""
        metrics = {name: Measure.from_dict(measure) for name, measure in plain["metrics"].items()}
        return BaselineScored(stratum=plain["stratum"], name=plain["name"], metrics=metrics, time=plain["time"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """An audit of the data has found something, good or bad.

    Written by the director before the first trial starts.
    """

    type: ClassVar = "finding"
    guard: str
    """The audit's name, such as `overlap`."""
    stratum: str
    """The stratum whose data was audited."""
    failed: bool
    """Whether the finding is a fault, for which the sweep is refused."""
    number: float
    """The number that was counted or measured, in the unit that `sentence` names.

    NaN where there is none, which is stored as null.
    """
    sentence: str
    """The finding in words, for a reader."""
    time: float
    """The time at which the event was recorded, in seconds since the epoch."""

    def to_dict(self) -> dict[str, Any]:
        """The event as it is stored."""
        return {
            "type": self.type,
            "guard": self.guard,
            "stratum": self.stratum,
            "failed": self.failed,
            "number": self.number if math.isfinite(self.number) else None,
            "sentence": self.sentence,
            "time": self.time,
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Audited:
        """The inverse of `to_dict`."""
        return Audited(
            guard=plain["guard"],
            stratum=plain["stratum"],
            failed=plain["failed"],
            number=math.nan if plain["number"] is None else plain["number"],
            sentence=plain["sentence"],
            time=plain["time"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A remark for the sweep's reader, such as a changed version or a warning of a trial.

    Written by the driver through the director. A trial's warning is written when it first comes,
    and again with another count when an attempt in which it came again has ended, or its driver.
    What came after an attempt's last report, or since a driver began that was killed, may be left
    out of the count; it is in the attempt's log.
    """

    type: ClassVar = "noted"
    text: str
    """The remark."""
    trial: int | None = None
    """The number of the trial that warned; None, and not stored, where it is no trial's."""
    count: int | None = None
    """How often the trial has warned so by now, over all its attempts.

    None, and not stored, for a remark that is made once.
    """
    time: float
    """The time at which the event was recorded, in seconds since the epoch."""

    def to_dict(self) -> dict[str, Any]:
        """The event as it is stored."""
        plain: dict[str, Any] = {"type": self.type, "text": self.text}
        if self.trial is not None:
            plain["trial"] = self.trial
        if self.count is not None:
            plain["count"] = self.count
        return {**plain, "time": self.time}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Noted:
        """The inverse of `to_dict`."""
        return Noted(text=plain["text"], trial=plain.get("trial"), count=plain.get("count"), time=plain["time"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A trial exists from now on, and waits for a place.

    Written by the director when the searcher, or confirmation, proposes it.
    """

    type: ClassVar = "proposed"
    trial: int
    """The trial's number: 0, 1, 2 and so on, without gaps."""
    stratum: str
    """The stratum that it belongs to."""
    kind: Kind
    """The kind of trial, search or replicate."""
    of: int | None
    """The finalist that a replicate confirms, by its number; None for a search trial."""
    params: dict[str, Any]
    """The values that the searcher chose, by parameter."""
    config: dict[str, Any]
    """The whole configuration, by field and in the fields' units.

    An infeasible trial has the fields that were proposed.
    """
    distributions: dict[str, str] = field(default_factory=dict)
    """The distribution that each parameter was drawn from, as Optuna's JSON; empty in
    older ledgers."""
    infeasible: str = ""
    """The reason why the configuration is impossible; empty where it is possible.

    An infeasible trial has failed at once.
    """
    judged_from: float = 0.0
    """The share of the budget after which its last stage has begun, before which it is not stopped.

    It is recorded, since a replay must not depend on what the family says later. Not stored where
    it is 0: the trial has no stages, or is a replicate.
    """
    time: float
    """The time at which the event was recorded, in seconds since the epoch."""

    def to_dict(self) -> dict[str, Any]:
        """The event as it is stored."""
        return {
            "type": self.type,
            "trial": self.trial,
            "stratum": self.stratum,
            "kind": self.kind,
            "of": self.of,
            "params": self.params,
            "config": self.config,
            "distributions": self.distributions,
            "infeasible": self.infeasible,
            **({"judged_from": self.judged_from} if self.judged_from else {}),
            "time": self.time,
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Proposed:
        """The inverse of `to_dict`."""
        return Proposed(
            trial=plain["trial"],
            stratum=plain["stratum"],
            kind=plain["kind"],
            of=plain["of"],
            params=plain["params"],
            config=plain["config"],
            distributions=plain.get("distributions", {}),
            infeasible=plain.get("infeasible", ""),
            judged_from=plain.get("judged_from", 0.0),
            time=plain["time"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """An attempt at a trial has a place.

    Written by the director when Ray has placed it, before it trains.
    """

    type: ClassVar = "started"
    trial: int
    """The trial's number."""
    attempt: int
    """The attempt's number, from 1; each attempt has a folder of its own."""
    workers: int | None = None
    """The number of the attempt's data-parallel workers.

    Older ledgers have None, where it is what the settings ask for.
    """
    time: float
    """The time at which the event was recorded, in seconds since the epoch."""

    def to_dict(self) -> dict[str, Any]:
        """The event as it is stored."""
        workers = {} if self.workers is None else {"workers": self.workers}
        return {"type": self.type, "trial": self.trial, "attempt": self.attempt, **workers, "time": self.time}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Started:
        """The inverse of `to_dict`."""
        return Started(trial=plain["trial"], attempt=plain["attempt"], workers=plain.get("workers"), time=plain["time"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A trial was evaluated, and a decision was made on it.

    Written by the director, once for each report of a trial.
    """

    type: ClassVar = "reported"
    trial: int
    """The trial's number."""
    report: Report
    """The report: what was measured and spent; see `Report` for its fields and their units."""
    action: Action
    """The decision on the trial."""
    reason: str
    """The reason for the decision, in words; empty where there was nothing to decide."""
    time: float
    """The time at which the event was recorded, in seconds since the epoch."""

    def to_dict(self) -> dict[str, Any]:
        """The event as it is stored."""
        return {
            "type": self.type,
            "trial": self.trial,
            "report": self.report.to_dict(),
            "action": self.action,
            "reason": self.reason,
            "time": self.time,
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Reported:
        """The inverse of `to_dict`."""
        return Reported(
            trial=plain["trial"],
            report=Report.from_dict(plain["report"]),
            action=plain["action"],
            reason=plain["reason"],
            time=plain["time"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A decision on a waiting trial, made without a new report of it.

    Written by the director. It is written in four cases: a longer budget brings rungs at which a
    finished trial has not been judged; the search ends before a waiting trial has its place; an
    earlier trial has the same configuration; or a replicate is wanted again under a longer budget.
    """

    type: ClassVar = "judged"
    trial: int
    """The trial's number."""
    action: Action
    """The decision on the trial."""
    reason: str
    """The reason for the decision, in words."""
    time: float
    """The time at which the event was recorded, in seconds since the epoch."""

    def to_dict(self) -> dict[str, Any]:
        """The event as it is stored."""
        return {"type": self.type, "trial": self.trial, "action": self.action, "reason": self.reason, "time": self.time}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Judged:
        """The inverse of `to_dict`."""
        return Judged(trial=plain["trial"], action=plain["action"], reason=plain["reason"], time=plain["time"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """An attempt has ended by an exception, or was lost.

    Written by the director when Ray says so.
    """

    type: ClassVar = "failed"
    trial: int
    """The trial's number."""
    attempt: int
    """The attempt's number, from 1."""
    cause: str = "error"
    """The kind of failure: see `leadline.engine.failure_causes.Cause`."""
    error: str
    """The traceback, or what Ray said of the process."""
    final: bool
    """Whether the trial is given up; otherwise it waits for another attempt."""
    micro_batch: int | str | None = None
    """The next attempt's micro-batch in rows, or as `1/4`, where it is smaller.

    None, and not stored, where it stays.
    """
    excused: bool = False
    """Whether the failure does not count against the trial, because the machine was to blame.

    Stored only where it is true.
    """
    time: float
    """The time at which the event was recorded, in seconds since the epoch."""

    def to_dict(self) -> dict[str, Any]:
        """The event as it is stored."""
        plain: dict[str, Any] = {
            "type": self.type,
            "trial": self.trial,
            "attempt": self.attempt,
            "cause": self.cause,
            "error": self.error,
            "final": self.final,
        }
        if self.micro_batch is not None:
            plain["micro_batch"] = self.micro_batch
        if self.excused:
            plain["excused"] = True
        return {**plain, "time": self.time}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Failed:
        """The inverse of `to_dict`."""
        return Failed(
            trial=plain["trial"],
            attempt=plain["attempt"],
            cause=plain.get("cause", "error"),
            error=plain["error"],
            final=plain["final"],
            micro_batch=plain.get("micro_batch"),
            excused=plain.get("excused", False),
            time=plain["time"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """Checkpoints that reports name are not kept any more.

    Written by the director when retention has removed them.
    """

    type: ClassVar = "retired"
    trial: int
    """The trial's number."""
    checkpoints: list[str]
    """The checkpoints' names, as its reports have them."""
    time: float
    """The time at which the event was recorded, in seconds since the epoch."""

    def to_dict(self) -> dict[str, Any]:
        """The event as it is stored."""
        return {"type": self.type, "trial": self.trial, "checkpoints": self.checkpoints, "time": self.time}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Retired:
        """The inverse of `to_dict`."""
        return Retired(trial=plain["trial"], checkpoints=plain["checkpoints"], time=plain["time"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A driver has ended.

    Written by the director, or by a driver that must leave at once; a killed driver writes none.
    """

    type: ClassVar = "closed"
    how: str
    """The way in which it ended: done, failed, interrupted, time limit or handed over."""
    time: float
    """The time at which the event was recorded, in seconds since the epoch."""

    def to_dict(self) -> dict[str, Any]:
        """The event as it is stored."""
        return {"type": self.type, "how": self.how, "time": self.time}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Closed:
        """The inverse of `to_dict`."""
        return Closed(how=plain["how"], time=plain["time"])


Event = Opened | BaselineScored | Audited | Noted | Proposed | Started | Reported | Judged | Failed | Retired | Closed
"""The type of any event of a ledger."""

EVENTS: tuple[type[Event], ...] = (
    Opened,
    BaselineScored,
    Audited,
    Noted,
    Proposed,
    Started,
    Reported,
    Judged,
    Failed,
    Retired,
    Closed,
)
"""The classes, roughly in the order in which a sweep first writes them."""

_BY_TYPE = {kind.type: kind.from_dict for kind in EVENTS}


def parse(plain: Mapping[str, Any]) -> Event:
    """Returns a stored event as an object.

    Raises:
        ValueError: for an event of unknown type.
        KeyError: for an event that lacks a field.
    """
    make = _BY_TYPE.get(plain["type"])
    if make is None:
        raise ValueError(f"ledger: unknown event {plain['type']!r}")
    return make(plain)
