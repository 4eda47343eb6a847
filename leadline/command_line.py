"""The command line that all commands share: a parser whose refusals are one line, and its types.

A word that is no such value raises `argparse.ArgumentTypeError`, which the parser turns into a
ConfigError that begins with the option's name.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from leadline.config import ConfigError, TrialConfig, describe, did_you_mean

if TYPE_CHECKING:
    import torch

__all__ = [
    "Command",
    "Parser",
    "columns",
    "count",
    "device",
    "duration",
    "fields_text",
    "finite",
    "labels",
    "listed",
    "local_path",
    "positive",
    "price",
    "reflowed",
    "some",
    "trial_number",
    "whole",
]

# How argparse begins two of its messages, which say what is wrong before they say with which word.
_MISSING = "the following arguments are required: "
_UNKNOWN = "unrecognized arguments: "
_CHOICE = re.compile(r"invalid choice: '(.*)' \(choose from (.*)\)")
"""How argparse refuses a word that is not among a few."""


_NARROWEST = 40
"""The columns below which help is not made narrower."""
_SIDE = 24
"""The columns that a text beside another gets at least; with fewer it goes below."""
_ROW = re.compile(r"( +\S+(?: \S+)*)(?:( {2,})(\S.*))?")
"""An indented line: an example or a name, and after two spaces or more what it is."""


def columns() -> int:
    """The terminal's columns, as $COLUMNS says or the terminal; 80 where there is none."""
    return max(_NARROWEST, shutil.get_terminal_size().columns)


def listed(left: str, right: str, place: int, width: int) -> str:
    """A name, and beside it from column `place` on what it is, in lines of at most `width`."""
    if width - place < _SIDE:
        place = min(place, len(left) - len(left.lstrip()) + 4)
    indent = " " * place
    below = _filled(right, width, indent, indent)
    return f"{left:<{place}}{below[place:]}" if right and len(left) < place else f"{left}\n{below}".rstrip()


def _filled(text: str, width: int, first: str, further: str) -> str:
    """The text in lines that begin with these; no word is broken: it may be a value or a path."""
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=further,
        break_on_hyphens=False,
        break_long_words=False,
    )


def reflowed(manual: str, width: int) -> str:
    """A manual as wide as the terminal: its paragraphs, and its examples with what they are.

    A line that is indented is an example, which two spaces or more part from what it is; a line
    that is indented as far as that goes on with it. An example itself is never broken.
    """
    return "\n\n".join(_block(block.splitlines(), width) for block in re.split(r"\n[ \t]*\n", manual.strip("\n")))


def fields_text(cls: type[TrialConfig], width: int) -> str:
    """The fields of a configuration with type, meaning and default, a line each or a few."""
    rows = [(f"  {name}={kind}", f"{doc} [{default}]") for name, kind, default, doc in describe(cls)]
    return "\n".join(listed(left, right, min(46, width // 2), width) for left, right in rows)


def _block(lines: Sequence[str], width: int) -> str:
    """A part of a manual between two empty lines."""
    told: list[str] = []
    plain: list[str] = []
    row: tuple[str, str, int] | None = None
    for line in [*lines, ""]:
        indent = len(line) - len(line.lstrip())
        # Beside a long example nothing stands: what it is begins in the next line, far right.
        if row and line and indent >= (row[2] or len(row[0]) - len(row[0].lstrip()) + _SIDE // 2):
            row = (row[0], f"{row[1]} {line.strip()}".strip(), row[2] or indent)
            continue
        if row:
            told.append(listed(*row, width))
            row = None
        point = bool(plain) and plain[0].startswith(("* ", "- "))
        if plain and (not line or indent > (2 if point else 0) or line.startswith(("* ", "- "))):
            hanging = "  " if point else ""
            told.append(_filled(" ".join(plain), width, "", hanging))
            plain = []
        if found := _ROW.fullmatch(line.rstrip()) if indent and not plain else None:
            left, gap, right = found.groups(default="")
            row = (left, right, len(left + gap) if right else 0)
        elif line:
            plain.append(line.strip())
    return "\n".join(told)


class _Wrapped(argparse.HelpFormatter):
    """Formats help as wide as the terminal, and a manual so that its examples stay lines."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns())

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return textwrap.indent(reflowed(text, width - len(indent)), indent)


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
        if found := _CHOICE.search(message):
            close = did_you_mean(found[1], found[2].replace("'", "").split(", "))
            message += f"; {close}" if close else ""
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
