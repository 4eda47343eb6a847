"""The command line that all commands share: a parser whose refusals are one line, and the words that it turns into values.

A word that is no such value raises `argparse.ArgumentTypeError`, which the parser turns into a ConfigError that begins with the
option's name.
"""

from __future__ import annotations

import argparse
import math
import re
from typing import Any, NoReturn

from leadline.config import ConfigError, did_you_mean

__all__ = ["CommandLine", "count", "duration", "finite", "labels", "positive", "price", "trial_number", "whole"]

_MISSING = "the following arguments are required: "
_UNKNOWN = "unrecognized arguments: "


class CommandLine(argparse.ArgumentParser):
    """A parser that raises ConfigError, in one line that begins with the option's name, instead of ending the process.

    Args:
        intermixed: whether options and other words may come in any order, for `parse_intermixed_args`. Otherwise a command
            refuses what it does not know by itself, rather than leave that to the parser of all commands, since it alone knows
            its options; and a refusal shows its usage, which names its arguments.
    """

    def __init__(self, *, intermixed: bool = False, **given: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **given})
        self._intermixed = intermixed

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Does what argparse's does; but what a command does not know, it refuses.

        Raises:
            ConfigError: for anything that cannot be accepted.
        """
        found, unknown = super().parse_known_args(args, namespace)
        if unknown and not self._intermixed:
            self.error(f"{_UNKNOWN}{' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Called by argparse.

        Raises:
            ConfigError: always.
        """
        if message.startswith(_MISSING):
            raise ConfigError(
                f"{message.removeprefix(_MISSING).split(',')[0]}: is missing; {self.format_usage().strip()}"
            )
        if message.startswith(_UNKNOWN):
            word = message.removeprefix(_UNKNOWN).split()[0].split("=")[0]
            hint = did_you_mean(word, self._option_string_actions) if word.startswith("-") else ""
            if self._intermixed:
                raise ConfigError(f"{word}: unknown option; {hint or 'see --help'}")
            raise ConfigError(f"{word}: is not understood; {hint or self.format_usage().strip()}")
        raise ConfigError(message.removeprefix("argument ").removeprefix("--"))


def count(word: str) -> int:
    """A whole number of at least 1.

    Raises:
        ArgumentTypeError: for any other word.
    """
    if not word.isascii() or not word.isdigit() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1 (got {word!r})")
    return int(word)


def trial_number(word: str) -> int:
    """The number of a trial.

    Raises:
        ArgumentTypeError: for any other word.
    """
    if not word.isascii() or not word.isdigit():
        raise argparse.ArgumentTypeError(f"must be a trial's number (got {word!r})")
    return int(word)


def price(word: str) -> float:
    """An amount of money that is not negative.

    Raises:
        ArgumentTypeError: for any other word.
    """
    try:
        amount = float(word)
    except ValueError:
        amount = math.nan
    if not (math.isfinite(amount) and amount >= 0):
        raise argparse.ArgumentTypeError(f"must be the price of a machine hour, as in 1.2 (got {word!r})")
    return amount


def positive(word: str) -> float:
    """A finite number above 0.

    Raises:
        ArgumentTypeError: for any other word.
    """
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"must be a number above 0 (got {word!r})")
    return value


def finite(word: str) -> float:
    """A number that is neither infinite nor NaN.

    Raises:
        ArgumentTypeError: for any other word.
    """
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"expected a finite number (got {word!r})")
    return number


def whole(word: str) -> int:
    """A whole number, also a negative one.

    Raises:
        ArgumentTypeError: for any other word.
    """
    try:
        return int(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number (got {word!r})") from None


def duration(word: str) -> float:
    """Seconds of a time such as 90s, 30m, 2h or 1d; a bare number is one of seconds.

    Raises:
        ArgumentTypeError: for any other word.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h|d)?", word)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 30m or 2h (got {word!r})")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2] or "s"]


def labels(word: str) -> dict[str, str]:
    """Labels by name, as in gpu=a100,spot=yes.

    Raises:
        ArgumentTypeError: for any other word.
    """
    pairs = [part.split("=") for part in word.split(",")]
    if not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise argparse.ArgumentTypeError(f"expected labels such as gpu=a100 (got {word!r})")
    return {name.strip(): value.strip() for name, value in pairs}
