"""Faults of a user's code in one line, and `sys.exit` that ends nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from leadline.config import ConfigError
from leadline.errors import calling, in_one_line, raised, told


def _exits() -> None:
    sys.exit("my data went missing")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda: 1 / 0, "space: raised ZeroDivisionError: division by zero (test_errors.py, line "),
        (_exits, "space: raised sys.exit was called: my data went missing (test_errors.py, line "),
        (lambda: int("two\nlines"), "space: raised ValueError: "),
    ],
)
def test_an_exception_is_one_line_with_its_place(function: Callable[[], Any], words: str) -> None:
    with pytest.raises(ConfigError) as refused, calling("space"):
        function()
    assert str(refused.value).startswith(words)
    assert "\n" not in str(refused.value)


def test_a_mistake_of_the_user_passes_as_it_is() -> None:
    with pytest.raises(ConfigError, match=r"^lr: no$"), calling("space"):
        raise ConfigError("lr: no")


def test_an_exit_becomes_an_error_with_its_words() -> None:
    error = raised(SystemExit("my data went missing"))
    assert (type(error), str(error)) == (RuntimeError, "sys.exit was called: my data went missing")
    assert told(raised(SystemExit())) == "RuntimeError: sys.exit was called"
    kept = ValueError("x")
    assert raised(kept) is kept


def test_words_of_an_exception_are_one_line_of_characters_that_any_terminal_takes() -> None:
    error = RuntimeError("size mismatch:\n\tcopying [1] \x1b[31mred")
    assert in_one_line(error) == r"size mismatch: copying [1] \x1b[31mred"
    assert told(error) == "RuntimeError: size mismatch: copying [1] \x1b[31mred"
