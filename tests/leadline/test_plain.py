"""What a user's code may give, and what is refused by its name."""

from __future__ import annotations

import datetime
import enum
import json
import math
import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leadline.config import ConfigError
from leadline.plain import culprit, number, plain, plural, text, whole, without_nan


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.Enum):
    LARGE = 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(1024), 1024),
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(3), 3),
        (np.array([[1, 2]]), [[1, 2]]),
        (torch.tensor(2), 2),
        (torch.tensor(0.5, requires_grad=True), 0.5),
        (Colour.RED, "red"),
        (Size.LARGE, 3),
        ((1, (2, 3)), [1, [2, 3]]),
        ({"a": np.int8(1), np.str_("b"): None}, {"a": 1, "b": None}),
        ("half \udc80", "half \\udc80"),
    ],
)
def test_what_means_a_plain_value_becomes_one(value: Any, expected: Any) -> None:
    found = plain(value, "space: x")
    assert found == expected
    assert type(found) is type(expected)
    assert json.loads(json.dumps(found)) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1}, "space: x: a set cannot be recorded; give a number, text, a list or a mapping"),
        (datetime.date(2020, 1, 1), "space: x: a date cannot be recorded"),
        (np.datetime64("2020-01-01"), "space: x: a date cannot be recorded"),
        (b"", "space: x: a bytes cannot be recorded"),
        (1j, "space: x: a complex cannot be recorded"),
        (object(), "space: x: an object cannot be recorded"),
        (math.nan, "space: x: nan cannot be recorded; give a finite number"),
        (np.float32("inf"), "space: x: inf cannot be recorded"),
        (10**400, "space: x: a whole number beyond 1e308"),
        ({3: 1}, "space: x: the key 3 is an int; keys must be text"),
        ({"deep": [0, {"er": {1}}]}, "space: x.deep.1.er: a set cannot be recorded"),
    ],
)
def test_anything_else_is_refused_by_its_place(value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        plain(value, "space: x")
    assert str(refused.value).startswith(words)


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigError, match=r"^x: contains itself"):
        plain(endless, "x")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(st.characters(codec="utf-8")), parts),
)


@given(PLAIN)
def test_plain_values_are_left_as_they_are(value: Any) -> None:
    assert repr(plain(value, "x")) == repr(value)


def test_numbers_may_be_no_finite_ones() -> None:
    assert math.isnan(number(np.float32("nan"), "x"))
    assert [number(value, "x") for value in (3, True, np.int8(3), torch.tensor(0.5))] == [3, True, 3, 0.5]
    for value in ("3", None, [3], np.zeros(2), 1j, 10**400):
        with pytest.raises(ConfigError, match=r"^facts: x: "):
            number(value, "facts: x")


def test_whole_numbers_are_not_negative() -> None:
    assert [whole(value, "n") for value in (0, 4.0, np.int64(4), torch.tensor(4))] == [0, 4, 4, 4]
    for value in (-1, 4.5, math.nan, math.inf, "4", None):
        with pytest.raises(ConfigError, match=r"^n: expected a "):
            whole(value, "n")


def test_text_is_text() -> None:
    assert text(Colour.RED, "x") == "red"
    with pytest.raises(ConfigError, match=r"^x: expected text \(got None\)$"):
        text(None, "x")


def test_the_innermost_part_that_is_refused_is_named() -> None:
    class Held:
        def __init__(self) -> None:
            self.lock = threading.Lock()
            self.itself = self

    def refuses(value: Any) -> Exception | None:
        held = {id(lock) for lock in (found.lock,)}
        return TypeError("no") if id(value) in held or value is found or isinstance(value, list | dict) else None

    found = Held()
    named = culprit({"train": [1, found]}, refuses, "build_data")
    assert named is not None
    assert named[0] == "build_data: train.1.lock"
    assert culprit(3, refuses, "build_data") is None


def test_one_thing_is_not_several() -> None:
    assert [plural(count, "trial") for count in (0, 1, 2000)] == ["0 trials", "1 trial", "2000 trials"]
    assert [plural(count, "entry is", "entries are") for count in (1, 2)] == ["1 entry is", "2 entries are"]
    assert plural(2000, "byte", grouped=True) == "2,000 bytes"


def test_json_has_no_number_that_is_not_finite() -> None:
    given = {"a": [1, 2.5, math.nan, (math.inf, "nan")], "b": {"c": -math.inf}, "d": None, "e": True}
    assert without_nan(given) == {"a": [1, 2.5, None, [None, "nan"]], "b": {"c": None}, "d": None, "e": True}
