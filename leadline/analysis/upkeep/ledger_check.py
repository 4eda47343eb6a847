"""An examination of a ledger's chain of segments.

It says how far the ledger is intact, and where and how the first damage shows.
`leadline.ledger.segments` refuses a ledger that is damaged before its last segment; this module
names the file and the line, and reads what comes before.

A segment has its own hash and that of the one before it. In ledgers of schema 1 only the next
segment had a segment's hash, so that nothing vouches for the last one's content: there, only what
cannot be read or understood is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leadline.errors import told
from leadline.ledger.events import parse
from leadline.ledger.format import START, Malformed, Segment, Span, decode, in_order
from leadline.ledger.history import History
from leadline.ledger.reader import contents, steady
from leadline.storage import Folder

__all__ = ["Chain", "Damage", "examine"]

_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class Damage:
    """The first damage of a ledger.

    Attributes:
        where: the file, with its line where there is one.
        what: what is wrong, in words.
        tail: whether it is in the last segment, which the next driver sets aside; otherwise no
            driver goes on.
    """

    where: str
    what: str
    tail: bool = False


@dataclass(frozen=True)
class Chain:
    """What a ledger holds before its first damage.

    Attributes:
        segments: the number of intact segments.
        events: the number of their events.
        history: the state that these events make.
        damage: the first damage; None where there is none.
        aside: damaged segments that drivers have set aside.
        covered: segments that a compacted one stands for, left by a compaction that was cut off.
    """

    segments: int
    events: int
    history: History
    damage: Damage | None
    aside: list[str]
    covered: list[str]


class _Broken(Exception):
    """Raised at the first damage of a ledger.

    `torn` says whether a driver would set the segment aside, if it were the last.
    """

    def __init__(self, where: str, what: str, torn: bool = False) -> None:
        super().__init__(where, what)
        self.where = where
        self.what = what
        self.torn = torn


def examine(folder: Folder) -> Chain:
    """Reads a ledger as far as it is intact.

    Raises:
        OSError: if the storage refuses.
    """
    return steady(folder, lambda held: _examined(folder, held))


def _examined(folder: Folder, held: list[str]) -> Chain:
    spans, covered = in_order(held)
    history, segments, events, damage = History(), 0, 0, None
    before: Segment | None = None
    try:
        for span, content in zip(spans, contents(folder, spans), strict=True):
            before = _linked(span, content, before)
            for line, record in enumerate(before.records, start=2):
                _apply(history, record, f"{span.name}, line {line}")
                events += 1
            segments += 1
    except _Broken as broken:
        damage = Damage(broken.where, broken.what, tail=broken.torn and segments + 1 == len(spans))
    strange = [name for name in held if name.endswith(".jsonl") and Span.of(name) is None]
    if strange and (damage is None or damage.tail):
        damage = Damage(strange[0], "has no segment's name, and lies among the segments: move it elsewhere")
    aside = [name for name in held if ".jsonl.damaged-" in name]
    return Chain(segments, events, history, damage, aside, [span.name for span in covered])


def _linked(span: Span, content: bytes, before: Segment | None) -> Segment:
    """Returns the next segment, checked against the one before it.

    Raises:
        _Broken: if it is missing or damaged, or does not follow.
    """
    wanted = before.span.last + 1 if before else 1
    if span.first != wanted:
        raise _Broken(Span(wanted, wanted).name, f"is missing, and {span.name} is there")
    try:
        found = decode(span, content)
    except Malformed as error:
        raise _Broken(f"{span.name}, line {error.line}" if error.line else span.name, error.what, error.torn) from None
    if found.previous != (before.closing if before else START):
        other = (
            f"{before.span.name} has another content than it names" if before else "it names a segment before the first"
        )
        raise _Broken(f"{span.name}, line 1", f"{other}: one of the two has changed" if before else other)
    return found


def _apply(history: History, record: Any, where: str) -> None:
    try:
        history.apply(parse(record))
    except _UNREADABLE as error:
        raise _Broken(where, f"is no event that this version understands: {told(error)}") from None
