"""Completion of the command `leadline` in a shell, by argcomplete."""

from __future__ import annotations

import argcomplete

from leadline.command_line import Command, Parser
from leadline.commands.dispatch import COMMANDS
from leadline.dotted import load

__all__ = ["complete"]


def complete() -> None:
    """Answers the shell, which has put its question into the environment, and ends the process."""
    whole = Parser(prog="leadline")
    words = whole.add_subparsers(parser_class=Parser)
    for name, place in COMMANDS.items():
        command: Command = load(place, "command")
        command.arguments(words.add_parser(name))
    argcomplete.autocomplete(whole)
