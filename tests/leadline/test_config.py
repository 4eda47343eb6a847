"""What a person may write in a configuration, and what they are told when it cannot be accepted."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.config import (
    ConfigError,
    Ints,
    TrialConfig,
    configuration,
    describe,
    knob,
    make,
    parse_overrides,
    to_dict,
)


@configuration
class Sample(TrialConfig):
    """One field of each kind."""

    lr: float = knob(1e-3, "learning rate", gt=0, le=1)
    dropout: float | None = knob(None, "share of units left out", ge=0, lt=1)
    layers: Ints = knob((64, 64), "hidden widths", unit="units")
    mode: Literal["full", "k_only"] = knob("full", "columns")
    skip: bool = knob(False, "linear path")


def refusal(**values: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        make(Sample, values, "sample")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("128,64", (128, 64)), ("7", (7,)), ("128, 64", (128, 64)), ("linear", ()), ([3, 2], (3, 2)), ((), ())],
)
def test_widths(text: Any, value: tuple[int, ...]) -> None:
    assert make(Sample, {"layers": text}).layers == value


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("false", False), ("1", True), ("0", False), ("yes", True), (True, True)]
)
def test_switches(text: Any, value: bool) -> None:
    assert make(Sample, {"skip": text}).skip is value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lr", "nan"),
        ("lr", math.nan),
        ("lr", "inf"),
        ("lr", -math.inf),
        ("lr", 0),
        ("lr", 1.5),
        ("lr", "fast"),
        ("dropout", "nan"),
        ("dropout", math.inf),
        ("steps", 0),
        ("steps", "2.5"),
        ("steps", 10**9 + 1),
        ("seed", -1),
        ("seed", 2**63),
        ("layers", "128,0"),
        ("layers", "128,,64"),
        ("layers", "wide"),
        ("layers", 128),
        ("mode", "Full"),
        ("skip", "maybe"),
    ],
)
def test_a_refusal_begins_with_the_field_and_shows_the_value(field: str, value: Any) -> None:
    message = refusal(**{field: value})
    assert message.startswith((f"{field}: ", f"{field}."))
    assert "(got " in message


def test_a_refused_width_is_named_by_its_place() -> None:
    assert refusal(layers="128,-1").startswith("layers.1: ")


def test_a_misspelt_field_is_hinted_at() -> None:
    assert refusal(layer="8") == "layer: unknown field of sample; did you mean layers?"


def test_a_strange_field_lists_what_there_is() -> None:
    assert (
        refusal(zzz=1)
        == "zzz: unknown field of sample; known: steps, eval_every, micro_batch, validation_share, seed, "
        "lr, dropout, layers, mode, skip"
    )


def test_a_configuration_cannot_be_changed() -> None:
    config = make(Sample, {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.lr = 0.5  # type: ignore[misc]


def test_a_bad_default_is_refused_too() -> None:
    @configuration
    class Wrong(TrialConfig):
        lr: float = knob(2.0, "too large", le=1)

    with pytest.raises(ConfigError, match=r"^lr: "):
        make(Wrong, {})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lr"], "lr: expected field=value"),
        (["=3"], "=3: expected"),
        (["lr=1", "seed=2", "lr=1"], "lr: given twice"),
        (["layers="], "layers: nothing stands after the sign; give a value, .*written linear"),
        (["layers= "], "layers: nothing stands after the sign"),
    ],
)
def test_overrides_that_cannot_be_read(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        parse_overrides(words)


def test_overrides_are_split_at_the_first_sign() -> None:
    assert parse_overrides(["lr=3e-4", "mode=a=b"]) == {"lr": "3e-4", "mode": "a=b"}


def test_every_field_is_described() -> None:
    assert describe(Sample)[5:] == [
        ("lr", "float", "0.001", "learning rate"),
        ("dropout", "float or NoneType", "None", "share of units left out"),
        ("layers", "int,int,...", "64,64 units", "hidden widths"),
        ("mode", "{full,k_only}", "full", "columns"),
        ("skip", "bool", "False", "linear path"),
    ]
    assert [name for name, *_ in describe(Sample)[:5]] == [
        "steps",
        "eval_every",
        "micro_batch",
        "validation_share",
        "seed",
    ]
    assert describe(Sample)[0][2] == "2000 optimizer steps"


VALUES = st.fixed_dictionaries(
    {
        "steps": st.integers(1, 10**9),
        "eval_every": st.integers(1),
        "seed": st.integers(0, 2**63 - 1),
        "lr": st.floats(0, 1, exclude_min=True),
        "dropout": st.none() | st.floats(0, 1, exclude_max=True),
        "layers": st.lists(st.integers(1, 2**40)).map(tuple),
        "mode": st.sampled_from(["full", "k_only"]),
        "skip": st.booleans(),
    }
)


@given(VALUES)
def test_plain_values_come_back_through_json(values: dict[str, Any]) -> None:
    config = make(Sample, values)
    assert {name: getattr(config, name) for name in values} == values
    assert make(Sample, json.loads(json.dumps(to_dict(config)))) == config


@given(VALUES)
def test_text_means_what_the_values_mean(values: dict[str, Any]) -> None:
    values = {name: value for name, value in values.items() if value is not None}
    words = [
        f"{name}={','.join(map(str, value)) or 'linear' if isinstance(value, tuple) else value}"
        for name, value in values.items()
    ]
    assert make(Sample, parse_overrides(words)) == make(Sample, values)


@given(st.sampled_from(["steps", "eval_every", "lr"]), st.floats(max_value=0) | st.integers(max_value=0))
def test_nothing_below_its_bound_is_accepted(field: str, value: float) -> None:
    assert refusal(**{field: value}).startswith(f"{field}: ")
