"""What a command line refuses, in one line that begins with the option, and what its words become."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leadline.command_line import (
    Command,
    Parser,
    columns,
    count,
    duration,
    finite,
    labels,
    local_path,
    positive,
    price,
    reflowed,
    trial_number,
    whole,
)
from leadline.config import ConfigError


@pytest.mark.parametrize(
    ("parse", "word", "value"),
    [
        (count, "3", 3),
        (trial_number, "0", 0),
        (price, "0", 0.0),
        (positive, "0.5", 0.5),
        (finite, "-1e3", -1000.0),
        (whole, "-2", -2),
        (duration, "90", 90.0),
        (duration, "1.5h", 5400.0),
        (duration, "2d", 172800.0),
        (labels, "gpu=a100, spot=yes", {"gpu": "a100", "spot": "yes"}),
        (local_path, "~/file", Path.home() / "file"),
        (local_path, "~", Path.home()),
        (local_path, "a/~", Path("a/~")),
    ],
)
def test_words_become_values(parse: Callable[[str], Any], word: str, value: object) -> None:
    assert parse(word) == value


@pytest.mark.parametrize(
    ("parse", "words"),
    [
        (count, ["0", "-1", "1.5", "٣", ""]),
        (trial_number, ["-1", "one"]),
        (price, ["-0.1", "nan", "inf", "much"]),
        (positive, ["0", "-1", "nan", "inf"]),
        (local_path, ["~nobody-of-this-name/x"]),
        (finite, ["nan", "inf", "x"]),
        (whole, ["1.0", "x"]),
        (duration, ["3w", "-1s", "", "1 h"]),
        (labels, ["a", "a=", "=b", "a=b=c", "a=b,"]),
    ],
)
def test_other_words_are_refused(parse: Callable[[str], Any], words: list[str]) -> None:
    for word in words:
        with pytest.raises(argparse.ArgumentTypeError, match=r"must be|expected"):
            parse(word)


def refused(parser: Parser, *words: str) -> str:
    with pytest.raises(ConfigError) as found:
        parser.parse_intermixed_args(words)
    return str(found.value)


def test_what_is_missing_or_unknown_is_named_first() -> None:
    parser = Parser(prog="show")
    parser.add_argument("sweep", metavar="SWEEP")
    parser.add_argument("--top", type=count)
    assert refused(parser) == "SWEEP: is missing; usage: show [-h] [--top TOP] SWEEP"
    assert refused(parser, "x", "y") == "y: is not understood; usage: show [-h] [--top TOP] SWEEP"
    assert refused(parser, "x", "--tip", "1") == "--tip: unknown option; did you mean --top?"
    assert refused(parser, "x", "--xyz=1") == "--xyz: unknown option; see --help"
    assert refused(parser, "x", "--top", "0") == "top: must be a whole number of at least 1 (got '0')"
    assert refused(parser, "x", "--to", "1").startswith("--to: unknown option"), (
        "an abbreviation could change its meaning"
    )


def test_options_and_words_in_any_order() -> None:
    parser = Parser(prog="mixed")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seed", type=whole)
    assert vars(parser.parse_intermixed_args(["a=1", "--seed", "3", "b=2"])) == {"words": ["a=1", "b=2"], "seed": 3}


def test_help_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--top", help="word " * 60)

    command = Command("shows a sweep", arguments, print)
    for width in (60, 150):
        monkeypatch.setenv("COLUMNS", str(width))
        longest = max(map(len, command.page("show", []).splitlines()))
        assert width - 20 < longest <= width


MANUAL = """Asks something, and says in a line that is longer than the terminal is wide what it asks.
It goes on here.

    tool list [RESULTS]          the sweeps of a folder,
                                 in order of their names
    tool with --many --words and --options
                                 what that does
    tool

* a point that is long enough to go on in a further line, where it is indented
* another,
  indented
"""


def test_a_manual_is_as_wide_as_the_terminal_and_keeps_its_examples() -> None:
    assert reflowed(MANUAL, 60).splitlines() == [
        "Asks something, and says in a line that is longer than the",
        "terminal is wide what it asks. It goes on here.",
        "",
        "    tool list [RESULTS]          the sweeps of a folder, in",
        "                                 order of their names",
        "    tool with --many --words and --options",
        "                                 what that does",
        "    tool",
        "",
        "* a point that is long enough to go on in a further line,",
        "  where it is indented",
        "* another, indented",
    ]
    assert "    tool list [RESULTS]\n        the sweeps of a folder, in order of\n" in reflowed(MANUAL, 45)
    wide = reflowed(MANUAL, 120)
    assert "    tool list [RESULTS]          the sweeps of a folder, in order of their names\n" in wide
    assert "what it asks. It goes on here.\n\n" in wide


def test_no_word_of_a_manual_is_lost_at_any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (1, 40, 60, 80, 120, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        assert reflowed(MANUAL, columns()).split() == MANUAL.split()
        assert max(map(len, reflowed(MANUAL, columns()).splitlines())) <= max(width, 43)


def test_a_choice_that_is_misspelt_is_guessed() -> None:
    parser = Parser()
    parser.add_argument("--stopping", choices=("auto", "always", "never"))
    with pytest.raises(ConfigError, match=r"^stopping: invalid choice: 'nevr' .*; did you mean never\?$"):
        parser.parse_args(["--stopping", "nevr"])
    with pytest.raises(ConfigError, match=r"^stopping: invalid choice: 'x' \(choose from [^;]*\)$"):
        parser.parse_args(["--stopping", "x"])
