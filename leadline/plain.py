"""Plain values: what the ledger can keep of what a user's code gives.

Everything that a family, a space or a study gives passes through here where it enters, so that
what cannot be stored is refused there, by its name, and is not first noticed by whoever stores it.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from leadline.errors import ConfigError

__all__ = ["culprit", "number", "plain", "plural", "text", "type_of", "whole", "without_nan"]


def type_of(value: object) -> str:
    """The type of a value with its article, as in `a set`."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def plural(count: int, one: str, many: str = "", *, grouped: bool = False) -> str:
    """A number of things in words, as in `1 trial` and `20 trials`.

    Args:
        count: how many.
        one: what one of them is called; words may follow, as in `trial is`.
        many: what several are called; empty for `one` with an s.
        grouped: whether thousands are parted, as in `2,000 trials`.
    """
    shown = f"{count:,}" if grouped else str(count)
    return f"{shown} {one if count == 1 else many or f'{one}s'}"


def without_nan(value: Any) -> Any:
    """The same plain value with None for each number that is not finite, as JSON has none."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: without_nan(part) for name, part in value.items()}
    return [without_nan(part) for part in value] if isinstance(value, list | tuple) else value


def plain(value: Any, place: str) -> Any:
    """The value as JSON holds it: a finite number, text, True, False, None, a list or a mapping.

    Scalars, arrays and tensors of numpy and torch become numbers and lists, tuples become lists,
    and members of an enumeration their values.

    Args:
        value: what was given.
        place: its name, with which the error begins, as in `space: hidden`.

    Raises:
        ConfigError: naming the place, and the key below it, if there is no such value.
    """
    try:
        return _plain(value, place)
    except RecursionError:
        raise ConfigError(f"{place}: contains itself, or is nested too deeply to be recorded") from None


def _plain(value: Any, place: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, place)
    if isinstance(value, str):
        return text(value, place)
    if isinstance(value, int):
        return _within(int(value), place)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{place}: {float(value)} cannot be recorded; give a finite number")
        return float(value)
    if isinstance(value, Mapping):
        found = {}
        for name, part in value.items():
            if not isinstance(name, str):
                raise ConfigError(f"{place}: the key {name!r} is {type_of(name)}; keys must be text")
            key = text(name, place)
            found[key] = _plain(part, _below(place, key))
        return found
    if isinstance(value, list | tuple):
        return [_plain(part, _below(place, str(at))) for at, part in enumerate(value)]
    if (listed := _listed(value)) is not value:
        return _plain(listed, place)
    raise ConfigError(f"{place}: {type_of(value)} cannot be recorded; give a number, text, a list or a mapping")


def _listed(value: Any) -> Any:
    """The numbers of a scalar, an array or a tensor as Python's own; any other value as it is."""
    # Known by their methods, so that a leaderboard is read without importing numpy or torch.
    if not (hasattr(value, "tolist") and hasattr(value, "dtype")):
        return value
    found = value.tolist()
    if type(found) is not type(value):
        return found
    return value if isinstance(found, complex) else float(found)  # numpy's longdouble is its own


def _below(place: str, key: str) -> str:
    """The name of a part: `space: hidden` of `space`, and `space: hidden.0` of that."""
    return f"{place}.{key}" if ": " in place else f"{place}: {key}"


def _within(value: int, place: str) -> int:
    """The whole number, if those who read it as a floating point number can."""
    try:
        float(value)
    except OverflowError:
        raise ConfigError(f"{place}: a whole number beyond 1e308 cannot be recorded") from None
    return value


def text(value: Any, place: str) -> str:
    """The value as text that can be stored and printed.

    Half a surrogate pair, which no terminal takes, is written as `\\udc80`.

    Raises:
        ConfigError: naming the place, if it is no text.
    """
    if not isinstance(value, str):
        raise ConfigError(f"{place}: expected text (got {type_of(value)})")
    return str.encode(value, "utf-8", "backslashreplace").decode()


def number(value: Any, place: str) -> int | float:
    """The value as a number of Python's, NaN and infinity among them.

    Raises:
        ConfigError: naming the place, if it is no number.
    """
    if type(value) is float:
        return value
    found = _listed(value)
    if isinstance(found, float):
        return float(found)
    if not isinstance(found, int):
        raise ConfigError(f"{place}: expected a number (got {type_of(value)})")
    return found if isinstance(found, bool) else _within(int(found), place)


def whole(value: Any, place: str) -> int:
    """The value as a whole number from 0 to 2**63 - 1, which may be given as 4.0.

    Raises:
        ConfigError: naming the place, if it is none.
    """
    found = value if type(value) is int else number(value, place)
    if not 0 <= found < 2**63 or found != int(found):
        raise ConfigError(f"{place}: expected a whole number from 0 to 2**63 - 1 (got {found})")
    return int(found)


def culprit(value: Any, refuses: Callable[[Any], Exception | None], place: str) -> tuple[str, Any, Exception] | None:
    """Finds the innermost part of a value that is refused.

    Args:
        value: mappings, sequences and objects, nested in any way.
        refuses: why a value is refused; None if it is not.
        place: the name of the whole value.

    Returns:
        the part's name, such as `build_data: train.lock`, the part, and why it is refused; None if
        the value is not refused.
    """
    return _culprit(value, refuses, place, set())


def _culprit(
    value: Any, refuses: Callable[[Any], Exception | None], place: str, seen: set[int]
) -> tuple[str, Any, Exception] | None:
    error = refuses(value)
    if error is None:
        return None
    if id(value) not in seen:  # a value may contain itself
        seen.add(id(value))
        for key, part in _parts(value):
            if found := _culprit(part, refuses, _below(place, key), seen):
                return found
    return place, value, error


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a value by key, place or attribute."""
    if isinstance(value, Mapping):
        yield from ((str(key), part) for key, part in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((str(at), part) for at, part in enumerate(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    elif not isinstance(value, type):
        yield from getattr(value, "__dict__", {}).items()
