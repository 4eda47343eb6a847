"""The events of a ledger without what differs between two runs of the same code.

Left out, because it rests on the clock, the memory or the process: the time of every event; the
manifest; seconds of training and of overhead; the facts in `MACHINE_FACTS`; the findings of guards that
watch the machine; drivers that ended before they did anything. Everything else must be equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leadline.testing import MACHINE as MACHINE_GUARDS

Event = dict[str, Any]
"""An event as it is recorded: plain JSON values."""

__all__ = [
    "LEFT_OUT",
    "MACHINE_FACTS",
    "Comparable",
    "Entry",
    "Event",
    "comparable",
    "disturbances",
    "measured_micro_batches",
]

_UNORDERED = ("retired", "noted")
"""Events that other threads make: what they say is compared, but not when they say it."""

LEFT_OUT = (
    "times of events",
    "manifests",
    "what a sweep records of its family: the dotted name, and what its metrics are",
    "seconds and overhead",
    "facts guards_share, scoring_share and gpu_memory",
    f"findings of the guards {' and '.join(MACHINE_GUARDS)}",
    "drivers that could not start Ray and were started again",
    f"when {' and '.join(_UNORDERED)} events came",
)
"""What is not compared, in words."""

MACHINE_FACTS = ("guards_share", "scoring_share", "gpu_memory")
"""Facts of a report that are about the machine."""

_BY_MACHINE = ("lost", "stuck", "preempted")
"""Causes of a failed attempt that are the machine's."""

_OF_TRIAL = ("type", "trial", "attempt")
"""Fields that say what an event of a trial is about, beside its step; events are paired by them."""
_OF_SWEEP = ("type", "stratum", "guard", "name")
"""The same for the events of no trial."""


@dataclass(frozen=True)
class Entry:
    """An event as it is compared; `number` is its place in the whole ledger, from 1 on."""

    number: int
    fields: dict[str, Any]

    @property
    def identity(self) -> tuple[tuple[str, Any], ...]:
        """What the event is about: fields with their values."""
        names = _OF_TRIAL if "trial" in self.fields else _OF_SWEEP
        about = [(name, self.fields[name]) for name in names if name in self.fields]
        report = self.fields.get("report")
        return (*about, ("step", report.get("step"))) if isinstance(report, dict) else tuple(about)

    @property
    def title(self) -> str:
        """What the event is about, in words."""
        (_, kind), *about = self.identity
        return ", ".join([str(kind), *(f"{name} {value}" for name, value in about)])


@dataclass(frozen=True)
class Comparable:
    """A ledger's events: those whose order counts, in that order, and the others, sorted."""

    ordered: list[Entry]
    unordered: list[Entry]


def comparable(events: Sequence[Event], places: Mapping[str, str] | None = None) -> Comparable:
    """The events of a ledger, in today's schema, as they are compared.

    Args:
        events: what the ledger's reader gave.
        places: folders of this run, each with the words that stand for it in texts.
    """
    idle = _idle_lives(events)
    counted = [(number, event) for number, event in enumerate(events, start=1) if number not in idle]
    entries = [Entry(number, _fields(event, places or {})) for number, event in counted]
    ordered = [entry for entry in entries if entry.fields["type"] not in _UNORDERED]
    others = [entry for entry in entries if entry.fields["type"] in _UNORDERED]
    return Comparable(ordered, sorted(others, key=lambda entry: json.dumps(entry.fields, sort_keys=True)))


def disturbances(events: Sequence[Event]) -> list[str]:
    """What the machine did to a run, in words.

    These are drivers that died at work or could not begin, and trials' processes that were lost or
    stood still.
    """
    if not any(event["type"] not in ("opened", "closed", *_UNORDERED) for event in events):
        return ["no driver could begin"] if events else []
    idle = _idle_lives(events)
    drivers = sum(event["type"] == "opened" for number, event in enumerate(events, start=1) if number not in idle)
    failures = [event for event in events if event["type"] == "failed" and event.get("cause") in _BY_MACHINE]
    again = [f"{drivers} drivers" if drivers > 1 else ""]
    return [
        *filter(None, again),
        *(f"attempt {event['attempt']} of trial {event['trial']}: {event['cause']}" for event in failures),
    ]


def measured_micro_batches(events: Iterable[Event]) -> list[int]:
    """Trials whose micro-batch was measured by the clock: their values need not be repeatable."""
    proposed = [event for event in events if event["type"] == "proposed"]
    return [event["trial"] for event in proposed if event["config"].get("micro_batch") == "auto"]


def _idle_lives(events: Sequence[Event]) -> set[int]:
    """The numbers of events of drivers that did nothing, as where Ray did not start, and were replaced."""
    found: set[int] = set()
    life: list[int] = []
    idle = False
    for number, event in enumerate(events, start=1):
        if event["type"] == "opened":
            found |= set(life) if idle else set()
            life, idle = [number], True
        elif event["type"] == "closed":
            life.append(number)
        elif event["type"] not in _UNORDERED:
            idle = False
    return found


def _fields(event: Event, places: Mapping[str, str]) -> dict[str, Any]:
    fields = {name: value for name, value in event.items() if name not in ("time", "manifest")}
    if "settings" in fields:  # what these two say of the family is not what the sweep was asked to do
        said_of_family = ("family_target", "metrics")
        fields["settings"] = {name: value for name, value in fields["settings"].items() if name not in said_of_family}
    if "report" in fields:
        fields["report"] = _report(fields["report"])
    if "distributions" in fields:  # texts of JSON, in which a changed bound should be named
        fields["distributions"] = {name: json.loads(text) for name, text in fields["distributions"].items()}
    if "error" in fields:
        fields["error"] = _error(fields["error"])
    if fields["type"] == "retired":
        fields["checkpoints"] = sorted(fields["checkpoints"])
    replaced: dict[str, Any] = _without_places(fields, places)
    return replaced


def _report(report: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in report.items() if name not in ("seconds", "overhead")}
    kept["facts"] = {name: value for name, value in kept.get("facts", {}).items() if name not in MACHINE_FACTS}
    kept["findings"] = [finding for finding in kept.get("findings", []) if finding["guard"] not in MACHINE_GUARDS]
    return kept


def _error(text: str) -> str:
    """A failure without its traceback, whose lines move with the code: the exception's own line.

    Of a trial that is infeasible the first line, which says why, is kept too.
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    first = [line for line in lines[:1] if line.startswith("infeasible: ")]
    return "\n".join(dict.fromkeys([*first, *lines[-1:]]))


def _without_places(value: Any, places: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for place, words in places.items():
            value = value.replace(place, words)
        return value
    if isinstance(value, dict):
        return {name: _without_places(part, places) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_places(part, places) for part in value]
    return value
