"""Trial configurations: frozen dataclasses whose every field is typed, bounded and documented.

    @configuration
    class LineConfig(TrialConfig):
        lr: float = knob(0.1, "learning rate of SGD", gt=0, le=10)
        batch: int = knob(8, "rows of a step", unit="rows", ge=1, le=256)

Wherever a person sets a field, it is written `field=value`, with tuples as `128,64`. A value that
cannot be accepted is a `ConfigError`, whose line begins with the name of the field:
"lr: input should be greater than 0 (got '0')".
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar, cast, dataclass_transform

import pydantic
from pydantic.dataclasses import dataclass as pydantic_dataclass

from leadline.errors import ConfigError, calling
from leadline.plain import plain

__all__ = [
    "BUDGET_FIELDS",
    "ConfigError",
    "Floats",
    "Ints",
    "Texts",
    "TrialConfig",
    "as_text",
    "configuration",
    "describe",
    "did_you_mean",
    "knob",
    "make",
    "parse_overrides",
    "refused",
    "shown",
    "to_dict",
]


def knob(default: Any, doc: str, *, unit: str = "", **bounds: Any) -> Any:
    """Declares a field of a configuration, with its default, its bounds and what it means.

    Bounds are worth their line: a search space or a person may ask for anything, and a value that
    passes here is one that the family promises to train.

    Args:
        default: the value where nothing is said; it is checked like any other.
        doc: what the field is, and the paper or log that it comes from. `leadline train NAME
            --help` shows it.
        unit: the unit of the value, empty for pure numbers and names.
        bounds: `ge`, `gt`, `le` and `lt`, as pydantic takes them.

    Returns:
        A pydantic field. The return type is `Any`, so that it can stand as the default of any
        field.
    """
    return pydantic.Field(default, description=doc, json_schema_extra={"unit": unit}, **bounds)


def _split(value: Any) -> Any:
    """Splits text at its commas; whatever is no text is left as it is."""
    if not isinstance(value, str):
        return value
    return () if value.strip() == "linear" else tuple(value.split(","))


Ints = Annotated[tuple[pydantic.PositiveInt, ...], pydantic.BeforeValidator(_split)]
"""The type of a field that is a tuple of positive integers, written `128,64`.

`linear` is the empty tuple, as a network without hidden layers is linear.
"""

Floats = Annotated[tuple[pydantic.PositiveFloat, ...], pydantic.BeforeValidator(_split)]
"""The type of a field that is a tuple of positive numbers, written `1e-3,1e-2`."""

Texts = Annotated[tuple[str, ...], pydantic.BeforeValidator(_split)]
"""The type of a field that is a tuple of words, written `one,other`."""

Share = Annotated[str, pydantic.StringConstraints(pattern=r"^1/[1-9][0-9]*$")]
"""The type of a field that is one part of several, written `1/4`."""

_T = TypeVar("_T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def configuration(cls: type[_T]) -> type[_T]:
    """Makes a class a frozen, keyword-only dataclass that validates its fields when it is made.

    Text is converted to the type of the field. Unknown fields, NaN and infinity are refused.
    """
    config = pydantic.ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)
    return cast(type[_T], pydantic_dataclass(config=config, frozen=True, kw_only=True)(cls))


@configuration
class TrialConfig:
    """The fields that every family's configuration has; a family's own class extends it."""

    steps: int = knob(
        2000, "budget; curricula and schedules are fractions of it", unit="optimizer steps", ge=1, le=10**9
    )
    eval_every: int = knob(
        250, "interval between evaluations on validation, which are the reports", unit="optimizer steps", ge=1
    )
    micro_batch: pydantic.NonNegativeInt | Literal["auto"] | Share = knob(
        0,
        "rows of one forward and backward pass, whose gradients are added up; "
        "0: the whole batch; 1/4: a quarter; auto: the fastest here",
        unit="rows",
    )
    validation_share: float = knob(
        0.25,
        "seconds of scoring validation for one of training; where all of it takes more, most reports score a part",
        gt=0,
    )
    seed: int = knob(0, "seed of initialisation, sampling and shuffling", ge=0, lt=2**63)


BUDGET_FIELDS = ("steps", "eval_every")
"""The fields that a sweep's budget sets: configurations that differ in them alone are one."""

C = TypeVar("C", bound=TrialConfig)


def make(cls: type[C], values: Mapping[str, Any], owner: str = "") -> C:
    """Makes a configuration of type `cls` from plain or textual values.

    Args:
        cls: the family's configuration.
        values: values by field, as from a command line or a ledger; fields that are left out have
            their defaults.
        owner: the name of the family, for the message about an unknown field.

    Raises:
        ConfigError: for an unknown field, a value of the wrong type or one out of bounds.
    """
    known = [f.name for f in dataclasses.fields(cls)]
    for name in values:
        if name not in known:
            hint = did_you_mean(str(name), known) or f"known: {', '.join(known)}"
            raise ConfigError(f"{name}: unknown field{f' of {owner}' if owner else ''}; {hint}")
    with calling("configuration"):  # whose own validators may raise anything
        try:
            return cls(**values)
        except pydantic.ValidationError as error:
            raise ConfigError(refused(error)) from None


def refused(error: pydantic.ValidationError) -> str:
    """The first thing that pydantic refuses, on one line that begins with the field's name."""
    first = error.errors()[0]
    message = " ".join(first["msg"].removeprefix("Value error, ").split())
    message = message[:1].lower() + message[1:]
    # A validator of the whole class begins its message with the field itself.
    if first["type"] == "value_error" and not first["loc"]:
        return message
    field, *inside = first["loc"] or ("configuration",)
    # Of the parts below the field, numbers are places in a tuple; names are members of a union.
    place = ".".join([str(field), *(str(part) for part in inside if isinstance(part, int))])
    return f"{place}: {message} (got {first['input']!r})"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns `did you mean lookahead?` for a word close to a known one, else an empty text."""
    near = difflib.get_close_matches(word, list(known), 1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else ""


def parse_overrides(words: Iterable[str]) -> dict[str, str]:
    """Returns the words `["lr=3e-4", "layers=128,64"]` as a mapping from field to text.

    Raises:
        ConfigError: for a word without `=`, an empty name or value, or a field given twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise ConfigError(f"{word}: expected field=value, for example lr=3e-4")
        if not value.strip():
            raise ConfigError(
                f"{name}: nothing stands after the sign; give a value, or leave the field out "
                "(no layers at all are written linear)"
            )
        if name in found:
            raise ConfigError(f"{name}: given twice")
        found[name] = value
    return found


def to_dict(config: TrialConfig) -> dict[str, Any]:
    """Returns the configuration as plain JSON values; `make` accepts them back.

    Raises:
        ConfigError: naming a field whose value cannot be recorded, such as a date.
    """
    return {name: plain(value, name) for name, value in dataclasses.asdict(cast(Any, config)).items()}


def as_text(value: Any) -> str:
    """Returns a field's value as text, with all its digits, and with tuples as `128,64`."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def shown(value: Any, digits: int = 3) -> str:
    """Returns a value as text for people: a float with so many significant digits.

    A float that is not finite is a dash; anything else is as `as_text` has it.
    """
    if isinstance(value, float):
        return f"{value:.{digits}g}" if math.isfinite(value) else "–"
    return as_text(value)


def _type_name(annotation: Any) -> str:
    """The type of a field as help texts write it, such as `{sgd,adam}` or `int,int,...`."""
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
    """Lists every field as (field, type, default with unit, documentation), for help texts."""
    hints = typing.get_type_hints(cls, include_extras=True)
    rows = []
    for name, info in cast(Any, cls).__pydantic_fields__.items():
        unit = (info.json_schema_extra or {}).get("unit", "")
        default = f"{as_text(info.default)} {unit}".strip()
        rows.append((name, _type_name(hints[name]), default, info.description or ""))
    return rows
