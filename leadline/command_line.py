"""The command line that all commands share: a parser whose refusals are one line, and its types.

A word that is no such value raises `argparse.ArgumentTypeError`, which the parser turns into a
ConfigError that begins with the option's name.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from leadline.config import ConfigError, did_you_mean

if TYPE_CHECKING:
    import torch

__all__ = [
    "Command",
    "Parser",
    "count",
    "device",
    "duration",
    "finite",
    "labels",
    "local_path",
    "positive",
    "price",
    "some",
    "trial_number",
    "whole",
]

# How argparse begins two of its messages, which say what is wrong before they say with which word.
_MISSING = "the following arguments are required: "
_UNKNOWN = "unrecognized arguments: "


class _Wrapped(argparse.RawDescriptionHelpFormatter):
    """Formats help as wide as the terminal; a manual's own line breaks stay."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=shutil.get_terminal_size().columns)


class Parser(argparse.ArgumentParser):
    """A parser that raises `ConfigError` where argparse would print its usage and exit."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": _Wrapped, **given})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Reads the words, as argparse does, which calls this from its other methods too.

        Raises:
            ConfigError: for words that cannot be accepted.
        """
        for word in args or ():
            # argparse of Python 3.11 takes such a value for an empty list.
            if word.startswith("--") and word.endswith("=--"):
                raise ConfigError(f"{word[2:-3]}: expected a value (got '--')")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raises the message as a ConfigError that begins with the option or word in question."""
        usage = self.format_usage().strip()
        if message.startswith(_MISSING):
            raise ConfigError(f"{message.removeprefix(_MISSING).split(',')[0]}: is missing; {usage}")
        if message.startswith(_UNKNOWN):
            word = message.removeprefix(_UNKNOWN).split()[0].split("=")[0]
            if word.startswith("-"):
                hint = did_you_mean(word, self._option_string_actions) or "see --help"
                raise ConfigError(f"{word}: unknown option; {hint}")
            raise ConfigError(f"{word}: is not understood; {usage}")
        raise ConfigError(message.removeprefix("argument ").removeprefix("--"))


@dataclass(frozen=True)
class Command:
    """One command of `leadline`, general or brought by a family.

    Args:
        help: what it does, in a line.
        arguments: adds its arguments to the parser it is given.
        run: does it with the parsed arguments and returns the exit code, or None for 0. A mistake
            of the user is raised as `ConfigError`; interrupted, it exits with 130.
        manual: the text above the arguments in `leadline NAME --help`; empty for `help`.
        details: what the help says further of the words that were given, such as the fields of a
            family.
    """

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]
    manual: str = ""
    details: Callable[[Sequence[str]], str] = lambda words: ""

    def parser(self, name: str) -> Parser:
        """The parser of `leadline NAME`."""
        made = Parser(prog=f"leadline {name}", description=self.manual or self.help)
        self.arguments(made)
        return made

    def page(self, name: str, words: Sequence[str]) -> str:
        """The text that `leadline NAME WORDS --help` prints."""
        return self.parser(name).format_help() + self.details(words)


def count(word: str) -> int:
    """Reads a whole number of at least 1.

    Raises:
        ArgumentTypeError: for any other word.
    """
    if not word.isascii() or not word.isdigit() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1 (got {word!r})")
    return int(word)


def device(word: str) -> torch.device:
    """Finds a device of this machine by torch's name, such as `cpu` or `cuda`.

    Raises:
        ConfigError: if torch cannot use it.
    """
    import torch

    try:
        found = torch.device(word)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: cannot use {word}: {str(error).splitlines()[0]}") from None
    return found


def trial_number(word: str) -> int:
    """Reads the number of a trial.

    Raises:
        ArgumentTypeError: for any other word.
    """
    if not word.isascii() or not word.isdigit():
        raise argparse.ArgumentTypeError(f"must be a trial's number (got {word!r})")
    return int(word)


def some(word: str) -> str:
    """Reads a word that is not empty, as `--storage=$PLACE` gives where PLACE is not set.

    Raises:
        ArgumentTypeError: for an empty one.
    """
    if not word.strip():
        raise argparse.ArgumentTypeError("must not be empty; leave the option out for its default")
    return word


def local_path(word: str) -> Path:
    """Reads the path of a local file or folder; `~` at its start is the home folder.

    A shell expands it too, but not in `--option=~/file`.

    Raises:
        ArgumentTypeError: for the home folder of a user that there is not.
    """
    try:
        return Path(word).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"expected a path in the home folder of a user here (got {word!r})") from None


def _number(word: str) -> float:
    """Reads a number; NaN, which every bound refuses, where the word is none."""
    try:
        return float(word)
    except ValueError:
        return math.nan


def price(word: str) -> float:
    """Reads an amount of money that is not negative.

    Raises:
        ArgumentTypeError: for any other word.
    """
    amount = _number(word)
    if not (math.isfinite(amount) and amount >= 0):
        raise argparse.ArgumentTypeError(f"must be the price of a machine hour, as in 1.2 (got {word!r})")
    return amount


def positive(word: str) -> float:
    """Reads a finite number above 0.

    Raises:
        ArgumentTypeError: for any other word.
    """
    value = _number(word)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"must be a number above 0 (got {word!r})")
    return value


def finite(word: str) -> float:
    """Reads a number that is neither infinite nor NaN.

    Raises:
        ArgumentTypeError: for any other word.
    """
    number = _number(word)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"expected a finite number (got {word!r})")
    return number


def whole(word: str) -> int:
    """Reads a whole number, also a negative one.

    Raises:
        ArgumentTypeError: for any other word.
    """
    if not re.fullmatch(r"[+-]?[0-9]{1,30}", word):
        raise argparse.ArgumentTypeError(f"expected a whole number (got {word!r})")
    return int(word)


def duration(word: str) -> float:
    """Reads a time such as 90s, 30m, 2h or 1d in seconds; a bare number is one of seconds.

    Raises:
        ArgumentTypeError: for any other word.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h|d)?", word)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 30m or 2h (got {word!r})")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2] or "s"]


def labels(word: str) -> dict[str, str]:
    """Reads labels by name, as in gpu=a100,spot=yes.

    Raises:
        ArgumentTypeError: for any other word.
    """
    pairs = [part.split("=") for part in word.split(",")]
    if not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise argparse.ArgumentTypeError(f"expected labels such as gpu=a100 (got {word!r})")
    return {name.strip(): value.strip() for name, value in pairs}
