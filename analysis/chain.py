"""The ledger's chain of segments, examined: how far it is intact, and where and how the first damage shows.

`sweeps.ledger.segments` refuses a ledger that is damaged before its last segment; this says which file and which line it is,
and reads what comes before. A segment is vouched for by the one after it, so that the last one's content has no witness: there,
only what cannot be read or understood is noticed.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from sweeps.ledger.history import History
from sweeps.ledger.segments import SCHEMA
from trainables.storage import Folder

__all__ = ["Chain", "Damage", "examine"]

_START = "0" * 64
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class Damage:
    """The first damage: the file, with its line where there is one, and what is wrong.

    `tail`: it is in the last segment, and the next driver sets that aside; otherwise no driver goes on.
    """

    where: str
    what: str
    tail: bool = False


@dataclass(frozen=True)
class Chain:
    """What a ledger holds before its first damage, if it has one: segments, events and the history that they make.

    `aside` names the damaged segments that drivers have set aside.
    """

    segments: int
    events: int
    history: History
    damage: Damage | None
    aside: list[str]


class _Broken(Exception):
    """The first damage; `settable`: a driver would set the segment aside, were it the last."""

    def __init__(self, where: str, what: str, settable: bool = True) -> None:
        super().__init__(where, what)
        self.where, self.what, self.settable = where, what, settable


def examine(folder: Folder) -> Chain:
    """Reads a ledger as far as it is intact.

    Raises:
        OSError: if the storage refuses.
    """
    held = folder.sizes()
    names = sorted(name for name in held if name.endswith(".jsonl"))
    contents = [folder.read(name) for name in names]
    history, segments, events, damage = History(), 0, 0, None
    for index, name in enumerate(names):
        try:
            header, lines = _segment(index + 1, name, contents[index])
            _linked(index, names, contents, header)
            for line, event in enumerate(lines, start=2):
                _apply(history, event, f"{name}, line {line}")
                events += 1
        except _Broken as broken:
            damage = Damage(broken.where, broken.what, tail=broken.settable and index + 1 == len(names))
            break
        segments += 1
    return Chain(segments, events, history, damage, sorted(name for name in held if ".jsonl.damaged-" in name))


def _segment(number: int, name: str, content: bytes) -> tuple[dict[str, Any], list[Any]]:
    """The header and the events of the segment that is next by its name."""
    if not re.fullmatch(r"\d{8}\.jsonl", name):
        raise _Broken(name, "has no segment's name, and lies among the segments: move it elsewhere", settable=False)
    if int(name[:8]) != number:
        raise _Broken(f"{number:08d}.jsonl", f"is missing, and {name} is there", settable=False)
    lines = _lines(name, content)
    header, *events = lines
    if not isinstance(header, dict) or not {"schema", "segment", "previous", "events"} <= header.keys():
        raise _Broken(f"{name}, line 1", "is no segment's header")
    if header["schema"] != SCHEMA:
        raise _Broken(f"{name}, line 1", f"has schema {header['schema']}, and this version reads {SCHEMA}", settable=False)
    if header["segment"] != number:
        raise _Broken(f"{name}, line 1", f"says that it is segment {header['segment']}")
    if header["events"] != len(events):
        raise _Broken(name, f"has {len(events)} of {header['events']} events")
    return header, events


def _lines(name: str, content: bytes) -> list[Any]:
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _Broken(f"{name}, line {line}", f"is no text: {error}") from None
    if not lines:
        raise _Broken(name, "is empty")
    whole = lines if content.endswith(b"\n") else lines[:-1]
    found = [_parsed(line, f"{name}, line {at}") for at, line in enumerate(whole, start=1)]
    if len(whole) < len(lines):
        raise _Broken(f"{name}, line {len(lines)}", f"is cut off after {len(lines[-1])} characters")
    return found


def _parsed(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Broken(where, f"is no JSON: {error}") from None


def _linked(index: int, names: list[str], contents: list[bytes], header: dict[str, Any]) -> None:
    """Raises where a segment does not name the content before it, or the one after it does not name its own."""
    name, own = names[index], _hash(contents[index])
    if header["previous"] != (_hash(contents[index - 1]) if index else _START):
        other = f"{names[index - 1]} has another content than it names" if index else "it names a segment before the first"
        raise _Broken(f"{name}, line 1", f"{other}: one of the two has changed" if index else other, settable=False)
    follows = names[index + 1 : index + 2] == [f"{index + 2:08d}.jsonl"]
    if follows and _previous(contents[index + 1]) != own and _vouched(index + 1, contents):
        raise _Broken(name, f"has changed since {names[index + 1]} was written, which names its content")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _previous(content: bytes) -> str | None:
    """The hash that a segment's header names; None where it cannot be read."""
    try:
        return str(json.loads(content.split(b"\n", 1)[0].decode())["previous"])
    except _UNREADABLE:
        return None


def _vouched(index: int, contents: list[bytes]) -> bool:
    """Whether the segment after names this one's content: then not this one has changed, but the one before it."""
    return index + 1 < len(contents) and _previous(contents[index + 1]) == _hash(contents[index])


def _apply(history: History, event: Any, where: str) -> None:
    try:
        history.apply(event)
    except _UNREADABLE as error:
        raise _Broken(where, f"is no event that this version understands: {type(error).__name__}: {error}", settable=False) from None
