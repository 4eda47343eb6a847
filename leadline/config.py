"""Trial configurations: frozen dataclasses whose every field is typed, bounded and documented.

One grammar is used wherever a person sets a field (`field=value`, tuples as `128,64`), and one
error type reports a bad one by the name of the field.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar, cast, dataclass_transform

import pydantic
from pydantic.dataclasses import dataclass as pydantic_dataclass

__all__ = [
    "ConfigError",
    "Floats",
    "Ints",
    "TrialConfig",
    "configuration",
    "describe",
    "did_you_mean",
    "knob",
    "make",
    "parse_overrides",
    "to_dict",
]


class ConfigError(ValueError):
    """A field that cannot be accepted; the message is one line and begins with the field's name."""


def knob(default: Any, doc: str, *, unit: str = "", **bounds: Any) -> Any:
    """A documented field of a configuration.

    Args:
        default: value when nothing is said.
        doc: what it is, and the paper or log that it comes from.
        unit: unit of the value, empty for pure numbers and names.
        bounds: `ge`, `gt`, `le`, `lt` as pydantic takes them.
    """
    return pydantic.Field(default, description=doc, json_schema_extra={"unit": unit}, **bounds)


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return () if value.strip() in ("", "linear") else tuple(value.split(","))


Ints = Annotated[tuple[pydantic.PositiveInt, ...], pydantic.BeforeValidator(_split)]
"""A tuple of positive integers, written `128,64`; `linear` is the empty tuple."""

Floats = Annotated[tuple[pydantic.PositiveFloat, ...], pydantic.BeforeValidator(_split)]
"""A tuple of positive numbers, written `1e-3,1e-2`."""

Share = Annotated[str, pydantic.StringConstraints(pattern=r"^1/[1-9][0-9]*$")]
"""One part of several, written `1/4`."""

_T = TypeVar("_T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def configuration(cls: type[_T]) -> type[_T]:
    """Class decorator: a frozen, keyword-only dataclass that validates when it is made; numbers are finite."""
    config = pydantic.ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)
    return cast(type[_T], pydantic_dataclass(config=config, frozen=True, kw_only=True)(cls))


@configuration
class TrialConfig:
    """What every family's configuration has."""

    steps: int = knob(
        2000, "budget; curricula and schedules are fractions of it", unit="optimizer steps", ge=1, le=10**9
    )
    eval_every: int = knob(
        250, "interval between evaluations on validation, which are the reports", unit="optimizer steps", ge=1
    )
    micro_batch: pydantic.NonNegativeInt | Literal["auto"] | Share = knob(
        0,
        "rows of one forward and backward pass, whose gradients are added up; 0: the whole batch; 1/4: a quarter; auto: the fastest here",
        unit="rows",
    )
    seed: int = knob(0, "seed of initialisation, sampling and shuffling", ge=0, lt=2**63)


C = TypeVar("C", bound=TrialConfig)


def make(cls: type[C], values: Mapping[str, Any], owner: str = "") -> C:
    """A configuration of type `cls` from plain or textual values.

    Raises:
        ConfigError: for an unknown field, a value of the wrong type or one out of bounds.
    """
    known = [f.name for f in dataclasses.fields(cls)]
    for name in values:
        if name not in known:
            hint = did_you_mean(str(name), known) or f"known: {', '.join(known)}"
            raise ConfigError(f"{name}: unknown field{f' of {owner}' if owner else ''}; {hint}")
    try:
        return cls(**values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        field, *inside = first["loc"] or ("configuration",)
        place = ".".join(
            [str(field), *(str(part) for part in inside if isinstance(part, int))]
        )  # not the parts of a union
        message = first["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
        if first["type"] == "value_error" and not first["loc"]:
            raise ConfigError(message) from None
        raise ConfigError(f"{place}: {message} (got {first['input']!r})") from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean lookahead?` for a word close to a known one; empty where none is close."""
    near = difflib.get_close_matches(word, list(known), 1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else ""


def parse_overrides(words: Iterable[str]) -> dict[str, str]:
    """`["lr=3e-4", "layers=128,64"]` as a mapping.

    Raises:
        ConfigError: for a word without `=`, an empty name, or a field given twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise ConfigError(f"{word}: expected field=value, for example lr=3e-4")
        if name in found:
            raise ConfigError(f"{name}: given twice")
        found[name] = value
    return found


def to_dict(config: TrialConfig) -> dict[str, Any]:
    """The configuration as plain JSON values; `make` accepts it back."""
    plain = dataclasses.asdict(cast(Any, config))
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def _type_name(annotation: Any) -> str:
    if typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) is typing.Literal:
        return "{" + ",".join(str(choice) for choice in typing.get_args(annotation)) + "}"
    if typing.get_origin(annotation) is tuple:
        part = _type_name(typing.get_args(annotation)[0])
        return f"{part},{part},..."
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return " or ".join(_type_name(part) for part in typing.get_args(annotation))
    return getattr(annotation, "__name__", str(annotation))


def describe(cls: type[TrialConfig]) -> list[tuple[str, str, str, str]]:
    """(field, type, default with unit, documentation) of every field, for help texts."""
    hints = typing.get_type_hints(cls, include_extras=True)
    rows = []
    for name, info in cast(Any, cls).__pydantic_fields__.items():
        unit = (info.json_schema_extra or {}).get("unit", "")
        default = ",".join(map(str, info.default)) if isinstance(info.default, tuple) else str(info.default)
        rows.append((name, _type_name(hints[name]), f"{default} {unit}".strip(), info.description or ""))
    return rows
