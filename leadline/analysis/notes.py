"""Notes on trials: `leadline note SWEEP NUMBER "text"`.

They are stored in the sweep's folder beside the ledger, never in it, since the ledger has one
writer:

    <sweep>/notes/20260131T120000.123456Z-0007.json    {"trial", "time", "author", "text"}

A file is written once and neither changed nor replaced. A file that is no note is named in a
warning and ignored.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from leadline.analysis import progress
from leadline.analysis.sweep import Sweep
from leadline.config import ConfigError
from leadline.errors import told
from leadline.storage import Folder

__all__ = ["Note", "add", "every", "read"]

FOLDER = "notes"
LONGEST = 10_000
"""The most characters of a note."""


@dataclass(frozen=True)
class Note:
    """A remark by somebody on a trial; `time` is in seconds since the epoch."""

    trial: int
    time: float
    author: str
    text: str


def add(sweep: Sweep, number: int, text: str, author: str = "", now: float | None = None) -> Note:
    """Writes a note on a trial, and returns it.

    Args:
        sweep: the sweep that the trial belongs to.
        number: the trial's number.
        text: the remark.
        author: who says so; empty for $USER.
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
    """Returns the notes of a sweep's folder, oldest first; with a number, those of that trial.

    It warns of files that are no notes.
    """
    return [note for note in every(folder)[0] if number is None or note.trial == number]


def every(folder: Folder) -> tuple[list[Note], list[str]]:
    """Returns the notes of a sweep's folder, oldest first, and a sentence for each bad file there.

    It warns of files that are no notes, too.
    """
    place = folder / FOLDER
    names = sorted(name for name in place.sizes() if name.endswith(".json")) if folder.exists(FOLDER) else []
    found: list[Note] = []
    problems: list[str] = []
    for name in names:
        try:
            found.append(_parsed(place.read(name)))
        except (ArithmeticError, LookupError, OSError, RecursionError, TypeError, ValueError) as error:
            problems.append(f"notes: {place / name} is no note and was left out: {told(error)}")
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
    return found, problems


def _parsed(content: bytes) -> Note:
    """Returns a note that every page can show.

    Its time is a date, and its author and text can be encoded.
    """
    plain = json.loads(content)
    note = Note(int(plain["trial"]), float(plain["time"]), str(plain["author"]), str(plain["text"]))
    # Both raise where a page could not show the note.
    progress.clock(note.time)
    f"{note.author}{note.text}".encode()
    return note
