"""Notes on trials: `python -m analysis note SWEEP NUMBER "text"`.

They lie in the sweep's folder beside the ledger, never in it, since the ledger has one writer:

    <sweep>/notes/20260131T120000.123456Z-0007.json    {"trial", "time", "author", "text"}

A file is written once and neither changed nor replaced. One that is no note is named in a warning, and passed over.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from leadline.analysis import progress
from leadline.analysis.sweep import Sweep
from leadline.command_line import trial_number
from leadline.config import ConfigError
from leadline.storage import Folder

__all__ = ["Note", "add", "every", "read", "register"]

FOLDER = "notes"
LONGEST = 10_000


@dataclass(frozen=True)
class Note:
    """What somebody said about a trial; `time` in seconds since the epoch."""

    trial: int
    time: float
    author: str
    text: str


def add(sweep: Sweep, number: int, text: str, author: str = "", now: float | None = None) -> Note:
    """Writes a note on a trial.

    Args:
        author: empty for $USER.
        now: seconds since the epoch; None for the clock.

    Raises:
        ConfigError: if the text is empty or longer than 10,000 characters.
        ValueError: if there is no such trial.
        FileExistsError: if another note was written in the same microsecond.
    """
    if not text.strip() or len(text) > LONGEST:
        raise ConfigError(f"text: must have 1 to {LONGEST} characters (got {len(text.strip())})")
    moment = time.time() if now is None else now
    note = Note(sweep.trial(number).number, moment, author or os.environ.get("USER", "") or "unknown", text.strip())
    stamp = datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    content = json.dumps(asdict(note), ensure_ascii=False).encode()
    (sweep.folder / FOLDER).write(f"{stamp}-{number:04d}.json", content, exclusive=True)
    return note


def read(folder: Folder, number: int | None = None) -> list[Note]:
    """The notes of a sweep's folder, oldest first; those of one trial where a number is given. Warns of files that are no notes."""
    return [note for note in every(folder)[0] if number is None or note.trial == number]


def every(folder: Folder) -> tuple[list[Note], list[str]]:
    """The notes of a sweep's folder, oldest first, and a sentence about each file there that is no note, which is warned of too."""
    place = folder / FOLDER
    names = sorted(name for name in place.sizes() if name.endswith(".json")) if folder.exists(FOLDER) else []
    found: list[Note] = []
    problems: list[str] = []
    for name in names:
        try:
            found.append(_parsed(place.read(name)))
        except (ArithmeticError, LookupError, OSError, RecursionError, TypeError, ValueError) as error:
            problems.append(f"notes: {place / name} is no note and was left out: {type(error).__name__}: {error}")
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
    return found, problems


def _parsed(content: bytes) -> Note:
    """A note that every page can show: its time is a date, and its words are text that can be written."""
    plain = json.loads(content)
    note = Note(int(plain["trial"]), float(plain["time"]), str(plain["author"]), str(plain["text"]))
    progress.clock(note.time)
    f"{note.author}{note.text}".encode()
    return note


def register(commands: Any) -> None:
    """Adds `note`."""
    parser = commands.add_parser("note", help="a note on a trial, or without a text the notes that it has")
    parser.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep")
    parser.add_argument("number", type=trial_number, metavar="NUMBER", help="the trial's number")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what to note")
    parser.add_argument("--author", default="", metavar="NAME", help="who says so [$USER]")
    parser.set_defaults(run=_note)


def _note(given: argparse.Namespace) -> None:
    sweep = Sweep.open(given.sweep)
    if given.text is not None:
        add(sweep, given.number, given.text, given.author)
    found = read(sweep.folder, sweep.trial(given.number).number)
    if not found:
        print(f"no note on trial {given.number}")
    for note in found:
        print(f"{progress.clock(note.time)}  {note.author}: {note.text}")
