"""What a command line refuses, in one line that begins with the option, and what its words become."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from leadline.command_line import CommandLine, count, duration, finite, labels, positive, price, trial_number, whole
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


def refused(parser: CommandLine, *words: str) -> str:
    with pytest.raises(ConfigError) as found:
        parser.parse_intermixed_args(words) if parser.prog == "mixed" else parser.parse_args(words)
    return str(found.value)


def test_a_command_refuses_what_only_another_knows() -> None:
    parser = CommandLine(prog="tool")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("list").add_argument("--top", type=count)
    commands.add_parser("show").add_argument("sweep", metavar="SWEEP")
    assert refused(parser) == "command: is missing; usage: tool [-h] command ..."
    assert refused(parser, "show") == "SWEEP: is missing; usage: tool show [-h] SWEEP"
    assert refused(parser, "show", "x", "--top=1") == "--top: is not understood; usage: tool show [-h] SWEEP"
    assert refused(parser, "list", "--tip", "1") == "--tip: is not understood; did you mean --top?"
    assert refused(parser, "list", "--top", "0") == "top: must be a whole number of at least 1 (got '0')"


def test_options_and_words_in_any_order() -> None:
    parser = CommandLine(intermixed=True, prog="mixed", add_help=False)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seed", type=whole)
    assert vars(parser.parse_intermixed_args(["a=1", "--seed", "3", "b=2"])) == {"words": ["a=1", "b=2"], "seed": 3}
    assert refused(parser, "a=1", "--sed=3") == "--sed: unknown option; did you mean --seed?"
    assert refused(parser, "--xyz", "3") == "--xyz: unknown option; see --help"
    assert refused(parser, "--see", "3").startswith("--see: unknown option"), (
        "no abbreviations, which a later option could change"
    )
