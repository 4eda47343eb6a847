"""Mistakes of the user, and faults of the user's code, as one line of words."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ConfigError", "calling", "in_one_line", "raised", "told"]

_HERE = Path(__file__).parent
"""The folder of this package, whose own lines are of no use to a user."""


class ConfigError(ValueError):
    """A mistake of the user: a field, option or argument that cannot be accepted.

    The message is one line and begins with the name of what is wrong, as in "lr: ...". Commands and
    sweeps print it after `error:` and exit with code 2, without a traceback.
    """


def raised(error: BaseException) -> Exception:
    """The exception as one that ends no process.

    `sys.exit` in a user's code would end a process, or a thread, without a word; it becomes a
    RuntimeError with the words that it was given.
    """
    if isinstance(error, Exception):
        return error
    made = RuntimeError(told(error))
    made.__cause__ = error
    return made


def told(error: BaseException) -> str:
    """What an exception says, on one line: its type and its words."""
    kind = "sys.exit was called" if isinstance(error, SystemExit) else type(error).__name__
    words = " ".join(str(error).split())
    return f"{kind}: {words}" if words else kind


def in_one_line(error: BaseException) -> str:
    """The words of an exception on one line that any terminal takes, as a user's input may be."""
    words = " ".join(str(error).split())
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in words)


@contextlib.contextmanager
def calling(what: str) -> Iterator[None]:
    """Runs a function of the user's, and says in one line what it raised and where.

    Args:
        what: the function, with which the line begins, as in "space".

    Raises:
        ConfigError: for any exception but a ConfigError, which passes, and for `sys.exit`.
    """
    try:
        yield
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{what}: raised {told(error)}{_where(error)}") from error


def _where(error: BaseException) -> str:
    """The line of the user's file in which an exception was raised, in brackets."""
    frames = traceback.extract_tb(error.__traceback__)
    # Of libraries, such as pydantic around a validator, no line is the user's.
    theirs = [
        frame
        for frame in frames
        if not Path(frame.filename).is_relative_to(_HERE) and "site-packages" not in Path(frame.filename).parts
    ]
    lines = [frame.lineno for frame in theirs if frame.filename == theirs[0].filename]
    return f" ({Path(theirs[0].filename).name}, line {lines[-1]})" if theirs else ""
