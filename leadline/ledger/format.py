"""One segment of a ledger: its name, its bytes, its events. Nothing here touches storage.

    00000007.jsonl             segment 7, a group of events as it was committed
    00000001-00000256.jsonl    a compacted one, in the place of segments 1 to 256

Line 1 is the header, then comes one event a line. The header has `schema`, `first` and `last` segment, `previous`: the hash of the
segment before, `events`: how many, and `sha256`: of the header without this field and of all that follows it. The hash of a segment,
which the next one names, is the sha256 of its file; a compacted one has that of its last part in `closing`, so that the chain goes on.

Schema 1 had `segment` for `first` and `last`, no `sha256` and no compacted segments.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

__all__ = ["SCHEMA", "START", "Malformed", "Record", "Segment", "Span", "decode", "encode", "in_order", "lines"]

SCHEMA = 2
START = "0" * 64
"""What the first segment names as the one before."""

Record = dict[str, Any]
"""An event as it is stored; `leadline.ledger.events.parse` makes an object of it."""


def _with_cause(event: Record) -> Record:
    """Schema 2 says of what kind a failure was; before, it was whatever the traceback said."""
    return {**event, "cause": "error"} if event.get("type") == "failed" else event


_MIGRATIONS: dict[int, Callable[[Record], Record]] = {1: _with_cause}
"""From each schema to the next: what becomes of an event."""


class Malformed(ValueError):
    """Bytes that are no segment.

    Attributes:
        line: which line shows it; 0 where it is the whole file.
        what: what is wrong, in words.
        torn: whether a last segment with it is set aside: what it held had not been confirmed, or is lost with the file.
    """

    def __init__(self, what: str, line: int = 0, torn: bool = True) -> None:
        super().__init__(f"line {line} {what}" if line else what)
        self.what, self.line, self.torn = what, line, torn


@dataclass(frozen=True)
class Span:
    """The segments that a file holds, from `first` to `last`."""

    first: int
    last: int

    @staticmethod
    def of(name: str) -> Span | None:
        """By a file's name; None where it is no segment's."""
        found = re.fullmatch(r"(\d{8})(?:-(\d{8}))?\.jsonl", name)
        return Span(int(found[1]), int(found[2] or found[1])) if found else None

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.first:08d}-{self.last:08d}.jsonl" if self.compacted else f"{self.first:08d}.jsonl"

    @property
    def compacted(self) -> bool:
        """Whether it holds several."""
        return self.last > self.first


@dataclass(frozen=True)
class Segment:
    """A segment that was read: its events in today's schema, what it names as the one before, and what the next one must name.

    The events are as they were stored, so that a compaction keeps what a newer version has added.
    """

    span: Span
    previous: str
    closing: str
    records: list[Record]


def in_order(names: Iterable[str]) -> tuple[list[Span], list[Span]]:
    """The files that count, in order, and those that they cover: what a compaction had no time to remove.

    A gap shows as a `first` that does not follow the `last` before.
    """
    counting: list[Span] = []
    covered: list[Span] = []
    for span in sorted(filter(None, map(Span.of, names)), key=lambda span: (span.first, -span.last)):
        (covered if counting and span.last <= counting[-1].last else counting).append(span)
    return counting, covered


def lines(events: Iterable[Mapping[str, Any]]) -> bytes:
    """Events as they are stored.

    Raises:
        ValueError: for a number that is not finite.
    """
    return "".join(json.dumps(event, allow_nan=False) + "\n" for event in events).encode()


def encode(span: Span, previous: str, events: int, body: bytes, closing: str = "") -> bytes:
    """A segment's file.

    Args:
        previous: hash of the segment before.
        events: how many there are in `body`.
        body: see `lines`.
        closing: of a compacted one, the hash of its last part.
    """
    header = {"schema": SCHEMA, "first": span.first, "last": span.last, "previous": previous, "events": events}
    header |= {"closing": closing} if span.compacted else {}
    return json.dumps({**header, "sha256": _own_hash(header, body)}).encode() + b"\n" + body


def decode(span: Span, content: bytes) -> Segment:
    """The inverse of `encode`, for any schema so far; events come in today's.

    Raises:
        Malformed: if the bytes are not what was written under this name.
    """
    try:
        header, events = _parsed(content)
        _check(span, header, events, content)
    except Malformed as error:  # the parts of a compacted segment had all been confirmed
        raise Malformed(error.what, error.line, error.torn and not span.compacted) from None
    for schema in range(header["schema"], SCHEMA):
        events = [_MIGRATIONS[schema](event) for event in events]
    closing = header["closing"] if span.compacted else hashlib.sha256(content).hexdigest()
    return Segment(span, header["previous"], closing, events)


def _own_hash(header: Mapping[str, Any], body: bytes) -> str:
    return hashlib.sha256(json.dumps(header).encode() + b"\n" + body).hexdigest()


def _parsed(content: bytes) -> tuple[dict[str, Any], list[Any]]:
    """Header and events, each as it was stored."""
    *whole, rest = content.split(b"\n")
    if not content:
        raise Malformed("is empty")
    found = [_line(line, at) for at, line in enumerate(whole, start=1)]
    if rest:
        raise Malformed(f"is cut off after {len(rest)} bytes", len(whole) + 1)
    return found[0], found[1:]


def _line(text: bytes, at: int) -> Any:
    try:
        return from_json(text)  # twice as fast, and equal to the last bit
    except ValueError:
        pass  # it refuses half a surrogate pair, which a traceback may hold
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"is no JSON: {error}", at) from None


def _check(span: Span, header: Any, events: list[Any], content: bytes) -> None:
    if not isinstance(header, dict) or not {"schema", "previous", "events"} <= header.keys():
        raise Malformed("is no segment's header", 1)
    schema = header["schema"]
    if schema not in (*_MIGRATIONS, SCHEMA):
        raise Malformed(f"has schema {schema}, and this version reads {min(_MIGRATIONS)} to {SCHEMA}", 1, torn=False)
    said = header.get("first", header.get("segment")), header.get("last", header.get("segment"))
    if said != (span.first, span.last):
        raise Malformed(f"says that it is segment {said[0]}{f' to {said[1]}' if said[1] != said[0] else ''}", 1)
    if header["events"] != len(events):
        raise Malformed(f"has {len(events)} of {header['events']} events")
    if schema == 1:
        return
    vouched = {key: value for key, value in header.items() if key != "sha256"}
    if header.get("sha256") != _own_hash(vouched, content.partition(b"\n")[2]):
        raise Malformed("has changed since it was written: its bytes are not those that its header names")
    if span.compacted and "closing" not in header:
        raise Malformed("is no compacted segment's header", 1)
