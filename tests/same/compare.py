"""Two ledgers beside each other: which events and which of their fields differ."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.same.events import Comparable, Entry

__all__ = ["ABSENT", "Difference", "compare"]

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_SHOWN = 160
"""Characters of a value that are shown."""


class _Absent:
    """Stands for the value of a field, or the fields of an event, that one side does not have."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


@dataclass(frozen=True)
class Difference:
    """What differs in one place.

    Attributes:
        event: number and title of the event, by the base's ledger where it is there.
        field: path of the field in the event, its parts separated by dots; empty for the whole event.
        base: value in the base's ledger, or `ABSENT`.
        here: value in this tree's ledger, or `ABSENT`.
    """

    event: str
    field: str
    base: Any
    here: Any

    def __str__(self) -> str:
        if not self.field:
            return f"{self.event}: only {'in the base' if self.here is ABSENT else 'here'}"
        return f"{self.event}: {self.field}: base {_shown(self.base)}, here {_shown(self.here)}"


def compare(base: Comparable, here: Comparable, rtol: float = 0.0) -> list[Difference]:
    """All differences, in the order of the ledgers; those of unordered events come last.

    Args:
        rtol: how far two floating-point numbers may be apart, relative to the larger one; 0 wants them equal.
            Whole numbers must be equal. In texts, a rounded number may also differ by one in its last place.
    """
    return [*_entries(base.ordered, here.ordered, rtol), *_entries(base.unordered, here.unordered, rtol)]


def _entries(base: Sequence[Entry], here: Sequence[Entry], rtol: float) -> Iterator[Difference]:
    """Pairs events by what they are about, in order: one that has moved is one lost and one added."""
    about, about_here = [one.identity for one in base], [one.identity for one in here]
    matcher = difflib.SequenceMatcher(None, about, about_here, autojunk=False)
    for same, first, last, other_first, other_last in matcher.get_opcodes():
        if same == "equal":
            for one, other in zip(base[first:last], here[other_first:other_last], strict=True):
                for field, was, now in _values("", one.fields, other.fields, rtol):
                    yield Difference(_event(one, other), field, was, now)
            continue
        for one in base[first:last]:
            yield Difference(_event(one), "", one.fields, ABSENT)
        for one in here[other_first:other_last]:
            yield Difference(_event(one), "", ABSENT, one.fields)


def _event(one: Entry, other: Entry | None = None) -> str:
    moved = f" (here {other.number})" if other and other.number != one.number else ""
    return f"event {one.number}{moved} [{one.title}]"


def _values(path: str, base: Any, here: Any, rtol: float) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(base, dict) and isinstance(here, dict):
        for name in dict.fromkeys([*base, *here]):
            yield from _values(f"{path}.{name}" if path else name, base.get(name, ABSENT), here.get(name, ABSENT), rtol)
    elif isinstance(base, list) and isinstance(here, list) and len(base) == len(here):
        for index, (one, other) in enumerate(zip(base, here, strict=True)):
            yield from _values(f"{path}.{index}", one, other, rtol)
    elif not _agree(base, here, rtol):
        yield path, base, here


def _agree(base: Any, here: Any, rtol: float) -> bool:
    if isinstance(base, bool) or isinstance(here, bool):  # True == 1
        return base is here
    if isinstance(base, int | float) and isinstance(here, int | float):
        if isinstance(base, int) and isinstance(here, int):
            return base == here
        return math.isclose(base, here, rel_tol=rtol, abs_tol=0.0)
    if rtol and isinstance(base, str) and isinstance(here, str):
        return _texts_agree(base, here, rtol)
    return bool(type(base) is type(here) and base == here)


def _texts_agree(base: str, here: str, rtol: float) -> bool:
    """Whether two sentences differ in their numbers alone, and by no more than these may."""
    if _NUMBER.split(base) != _NUMBER.split(here):
        return False
    pairs = zip(_NUMBER.findall(base), _NUMBER.findall(here), strict=True)
    return all(one == other or _rounded_agree(one, other, rtol) for one, other in pairs)


def _rounded_agree(base: str, here: str, rtol: float) -> bool:
    if not ({".", "e"} & {*base, *here}):
        return False  # counts and steps
    place = 1.0001 * max(_last_place(base), _last_place(here))  # as 0.126 - 0.125 is a little more than 0.001
    return math.isclose(float(base), float(here), rel_tol=rtol, abs_tol=place)


def _last_place(number: str) -> float:
    """What one in the last digit of a written number is worth."""
    mantissa, _, exponent = number.partition("e")
    return float(10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2])))


def _shown(value: Any) -> str:
    text = repr(value) if value is ABSENT else json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
