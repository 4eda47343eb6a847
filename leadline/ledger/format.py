"""The format of one ledger segment: its file name, its bytes and its events.

Nothing here touches storage. A segment's file is named after the segments that it holds:

    00000007.jsonl             segment 7, a group of events as it was committed
    00000001-00000256.jsonl    a compacted segment, in the place of segments 1 to 256

Line 1 is the header; each further line is one event. The header has these fields:

    schema       the version of this format
    first, last  the segments that the file holds
    previous     the hash of the segment before
    events       how many events follow
    closing      only in a compacted segment: the hash of its last part
    sha256       the hash of the header without this field and of all that follows it

The hash by which the next segment names an ordinary segment is the sha256 of its file. A compacted
segment is named by its `closing`, so that the chain of hashes goes on as before the compaction.

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
"""The hash that the first segment gives for the segment before it, of which there is none."""

Record = dict[str, Any]
"""An event as it is stored; `leadline.ledger.events.parse` makes an object of it."""


def _with_cause(event: Record) -> Record:
    """Returns a schema 1 event with the `cause` that schema 2 adds to failures.

    Schema 1 has only the traceback, so every failure becomes an error.
    """
    return {**event, "cause": "error"} if event.get("type") == "failed" else event


_MIGRATIONS: dict[int, Callable[[Record], Record]] = {1: _with_cause}
"""For each old schema, the function that brings one of its events to the next schema."""


class Malformed(ValueError):
    """Raised for bytes that are no valid segment.

    Attributes:
        line: the line that shows the damage, from 1; 0 where it concerns the whole file.
        what: what is wrong, in words.
        torn: whether a last segment with this damage may be set aside: its events had not been
            confirmed, or are lost with the file.
    """

    def __init__(self, what: str, line: int = 0, torn: bool = True) -> None:
        super().__init__(f"line {line} {what}" if line else what)
        self.what = what
        self.line = line
        self.torn = torn


@dataclass(frozen=True)
class Span:
    """The segments that a file holds, from `first` to `last`."""

    first: int
    last: int

    @staticmethod
    def of(name: str) -> Span | None:
        """Returns the span that a file's name gives; None for a name that is no segment's."""
        found = re.fullmatch(r"(\d{8})(?:-(\d{8}))?\.jsonl", name)
        return Span(int(found[1]), int(found[2] or found[1])) if found else None

    @property
    def name(self) -> str:
        """The segment's file name."""
        return f"{self.first:08d}-{self.last:08d}.jsonl" if self.compacted else f"{self.first:08d}.jsonl"

    @property
    def compacted(self) -> bool:
        """Whether the file is a compacted segment, which holds several."""
        return self.last > self.first


@dataclass(frozen=True)
class Segment:
    """A segment that was read and checked.

    Attributes:
        span: the segments that the file holds.
        previous: the hash that it gives for the segment before.
        closing: the hash that the next segment must give for it.
        records: its events, in today's schema. They stay plain JSON objects, so that a compaction
            keeps what a newer version has added.
    """

    span: Span
    previous: str
    closing: str
    records: list[Record]


def in_order(names: Iterable[str]) -> tuple[list[Span], list[Span]]:
    """Returns the segment files to read, in order, and those that a compacted segment covers.

    Covered files are left where a compaction was cut off before it had removed them. A missing
    segment shows as a `first` that does not follow the `last` before.
    """
    counting: list[Span] = []
    covered: list[Span] = []
    for span in sorted(filter(None, map(Span.of, names)), key=lambda span: (span.first, -span.last)):
        (covered if counting and span.last <= counting[-1].last else counting).append(span)
    return counting, covered


def lines(events: Iterable[Mapping[str, Any]]) -> bytes:
    """Returns events as they are stored, a line of JSON each.

    Raises:
        ValueError: for a number that is not finite.
    """
    return "".join(json.dumps(event, allow_nan=False) + "\n" for event in events).encode()


def encode(span: Span, previous: str, events: int, body: bytes, closing: str = "") -> bytes:
    """Returns the content of a segment's file.

    Args:
        span: the segments that the file holds.
        previous: the hash of the segment before.
        events: the number of events in `body`.
        body: the events, as `lines` gives them.
        closing: the hash of a compacted segment's last part; unused for others.
    """
    header = {"schema": SCHEMA, "first": span.first, "last": span.last, "previous": previous, "events": events}
    header |= {"closing": closing} if span.compacted else {}
    return json.dumps({**header, "sha256": _own_hash(header, body)}).encode() + b"\n" + body


def decode(span: Span, content: bytes) -> Segment:
    """Reads a segment's file, which is the inverse of `encode`, for any schema so far.

    The events are brought to today's schema.

    Raises:
        Malformed: if the bytes are not what was written under this name.
    """
    try:
        header, events = _parsed(content)
        _check(span, header, events, content)
    except Malformed as error:
        # All parts of a compacted segment had been confirmed, so it is never one to set aside.
        raise Malformed(error.what, error.line, error.torn and not span.compacted) from None
    for schema in range(header["schema"], SCHEMA):
        events = [_MIGRATIONS[schema](event) for event in events]
    closing = header["closing"] if span.compacted else hashlib.sha256(content).hexdigest()
    return Segment(span, header["previous"], closing, events)


def _own_hash(header: Mapping[str, Any], body: bytes) -> str:
    return hashlib.sha256(json.dumps(header).encode() + b"\n" + body).hexdigest()


def _parsed(content: bytes) -> tuple[dict[str, Any], list[Any]]:
    """Returns the header and the events, each as it was stored."""
    *whole, rest = content.split(b"\n")
    if not content:
        raise Malformed("is empty")
    found = [_line(line, at) for at, line in enumerate(whole, start=1)]
    if rest:
        raise Malformed(f"is cut off after {len(rest)} bytes", len(whole) + 1)
    return found[0], found[1:]


def _line(text: bytes, at: int) -> Any:
    try:
        # pydantic's parser is twice as fast as json's, and gives the same numbers to the last bit.
        return from_json(text)
    except ValueError:
        pass  # pydantic's parser refuses half a surrogate pair, which a traceback may hold
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
    if schema == 1:  # which has no hash of its own
        return
    vouched = {key: value for key, value in header.items() if key != "sha256"}
    if header.get("sha256") != _own_hash(vouched, content.partition(b"\n")[2]):
        raise Malformed("has changed since it was written: its bytes are not those that its header names")
    if span.compacted and "closing" not in header:
        raise Malformed("is no compacted segment's header", 1)
