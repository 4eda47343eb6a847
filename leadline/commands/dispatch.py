"""Runs the command `leadline`: general commands, and those that families bring."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from leadline.command_line import Command, columns, reflowed
from leadline.config import ConfigError, did_you_mean
from leadline.dotted import load
from leadline.errors import in_one_line
from leadline.plain import type_of
from leadline.standard_streams import flush

if TYPE_CHECKING:
    from leadline.family import Family

__all__ = ["COMMANDS", "main"]

OK = 0
BAD_INPUT = 2
INTERRUPTED = 130


COMMANDS: Mapping[str, str] = {
    "train": "leadline.commands.train:TRAIN",
    "list": "leadline.analysis.commands.show:LIST",
    "leaderboard": "leadline.analysis.commands.show:LEADERBOARD",
    "report": "leadline.analysis.commands.show:REPORT",
    "compare": "leadline.analysis.commands.compare:COMPARE",
    "trial": "leadline.analysis.commands.show:TRIAL",
    "log": "leadline.analysis.commands.log:LOG",
    "validate": "leadline.analysis.commands.validate:VALIDATE",
    "predict": "leadline.analysis.commands.predict:PREDICT",
    "rehearse": "leadline.commands.rehearse:REHEARSE",
    "note": "leadline.analysis.commands.note:NOTE",
    "export": "leadline.analysis.commands.export:EXPORT",
    "dashboard": "leadline.analysis.commands.optuna_dashboard:DASHBOARD",
    "stop": "leadline.analysis.commands.stop:STOP",
    "doctor": "leadline.analysis.upkeep.doctor:DOCTOR",
    "gc": "leadline.analysis.upkeep.gc:GC",
    "families": "leadline.commands.families:FAMILIES",
    "new": "leadline.commands.new_family:NEW",
}
"""Dotted names of the general commands by name, in the order in which the help shows them.

They are loaded when they are asked for, so that a command imports only what it needs.
"""


def _family_of(sweep: str) -> Family[Any]:
    """The family of a sweep, by its name or by the dotted name that the sweep has recorded."""
    from leadline.analysis.sweep import Sweep

    return Sweep.open(sweep).settings.model_family()


def _found(name: str, rest: Sequence[str]) -> Command:
    """Finds the command called `name`: a general one, or that of the family of the sweep.

    Args:
        name: the first word of the command line.
        rest: the words after it; of a family's command, the first is a sweep of that family.

    Raises:
        ConfigError: if there is none.
    """
    if name in COMMANDS:
        return _loaded(COMMANDS[name])
    hint = did_you_mean(name, COMMANDS)
    if name.startswith("-") or not rest or rest[0].startswith("-"):
        if owners := _brought(name):
            raise ConfigError(
                f"command: {name}, of {', '.join(owners)}, is followed by a sweep: leadline {name} SWEEP ..."
            )
        follows = f"a command of a family is followed by a sweep: leadline {name} SWEEP ..."
        raise ConfigError(f"command: no {name!r}; {hint or f'see leadline --help; {follows}'}")
    try:
        family = _family_of(rest[0])
    except ValueError:
        if hint and not _brought(name):
            raise ConfigError(f"command: no {name!r}; {hint}") from None
        raise
    if name not in family.commands:
        brought = f"{family.name}, the family of {rest[0]}, brings {', '.join(family.commands) or 'none'}"
        close = did_you_mean(name, {*family.commands, *COMMANDS})
        raise ConfigError("; ".join([f"command: no {name!r}", brought, *([close] if close else [])]))
    return _loaded(family.commands[name])


def _brought(name: str) -> dict[str, str]:
    """Returns the dotted name of a command of each installed family that brings it."""
    return {family.name: family.commands[name] for family in _families() if name in family.commands}


def _families() -> list[Family[Any]]:
    """Returns the installed families; one that cannot be loaded costs nothing of the others."""
    from leadline import registry

    found = []
    for one in registry.names():
        with contextlib.suppress(ConfigError):
            found.append(registry.family(one))
    return found


def _loaded(place: str) -> Command:
    """Loads a command by its dotted name.

    Raises:
        ConfigError: if it cannot be loaded, or is no command.
    """
    found = load(place, "command")
    if not isinstance(found, Command):
        raise ConfigError(f"command: {place} is {type_of(found)}, not a leadline.Command")
    return found


def _help(name: str, words: Sequence[str]) -> str:
    """The help of a command.

    Of a family's command no sweep is needed: the help is that of each installed family that has it.

    Raises:
        ConfigError: if there is no such command, in any family.
    """
    if name in COMMANDS:
        return _loaded(COMMANDS[name]).page(name, words)
    if not (brought := _brought(name)):
        hint = did_you_mean(name, {*COMMANDS, *(word for family in _families() for word in family.commands)})
        raise ConfigError(f"command: no {name!r}; {hint or 'see leadline --help'}")
    return "\n".join(f"{family}: {_loaded(place).page(name, words)}" for family, place in brought.items())


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """Prints a warning in one line, without the place in the code."""
    print(f"warning: {message}", file=sys.stderr)


def main(arguments: Sequence[str], manual: str = "") -> int:
    """Runs one command and returns the exit code.

    It is what the command says, 2 after one line about bad input, 130 when interrupted, or 0.

    Args:
        arguments: the command line, without the program's name.
        manual: what is printed without arguments or by `--help`.
    """
    from leadline.ledger.reader import LedgerError

    with warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            if not arguments or arguments[0] in ("-h", "--help"):
                print(reflowed(manual, columns()))
                return OK
            name, *rest = arguments
            if {"-h", "--help"} & set(rest):
                print(_help(name, [word for word in rest if word not in ("-h", "--help")]).rstrip())
                return OK
            command = _found(name, rest)
            code = int(command.run(command.parser(name).parse_intermixed_args(rest)) or OK)
            sys.stdout.flush()
            return code
        except BrokenPipeError:  # whoever read the output, such as `head`, has enough
            flush()
        except (ValueError, LedgerError, OSError) as error:
            print(f"error: {in_one_line(error)}", file=sys.stderr)
            return BAD_INPUT
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return INTERRUPTED
    return OK
