"""One parser for every command line, whose errors are one line that begins with the field."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from leadline.config import ConfigError, did_you_mean

__all__ = ["Command", "Parser"]


class _Wrapped(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal; a manual's own line breaks stay."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=shutil.get_terminal_size().columns)


class Parser(argparse.ArgumentParser):
    """A parser that raises `ConfigError` where argparse would print its usage and exit."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": _Wrapped, **given})

    def error(self, message: str) -> NoReturn:
        """Raises the message as one that begins with the option or the word that it is about."""
        missing, unknown = "the following arguments are required: ", "unrecognized arguments: "
        if message.startswith(missing):
            raise ConfigError(
                f"{message.removeprefix(missing).split(',')[0]}: is missing; {self.format_usage().strip()}"
            )
        if message.startswith(unknown):
            word = message.removeprefix(unknown).split()[0].split("=")[0]
            hint = did_you_mean(word, self._option_string_actions) if word.startswith("-") else ""
            raise ConfigError(f"{word}: is not understood; {hint or self.format_usage().strip()}")
        raise ConfigError(message.removeprefix("argument ").removeprefix("--"))


@dataclass(frozen=True)
class Command:
    """One word of the command `leadline`.

    Args:
        help: what it does, in a line.
        arguments: adds its arguments to the parser it is given.
        run: does it with the parsed arguments and returns the exit code, or None for 0. A mistake of the user is
            raised as `ConfigError`; interrupted, it exits with 130.
        manual: the text above the arguments in `leadline NAME --help`; empty for `help`.
        details: what the help says further of the words that were given, such as the fields of a family.
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
        """What `leadline NAME WORDS --help` prints."""
        return self.parser(name).format_help() + self.details(words)
