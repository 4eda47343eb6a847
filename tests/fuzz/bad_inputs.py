"""Bad inputs of every kind, and what each gets: `python -m tests.fuzz.bad_inputs` writes the list anew.

The rule for all of them: exit code 2 and one line before anything starts, or a failed trial with
its words; never a hang, a lost sweep, or exit code 0 with a result that cannot be read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from leadline import Sweep
from leadline.config import ConfigError
from leadline.engine import options, plan
from leadline.engine.run import drive
from leadline.engine.study import Study
from leadline.engine.supervisor import Parent
from leadline.ledger.wording import last_line
from leadline.storage import Folder
from tests.fuzz.odd import CALLBACKS, MAPPINGS, VALUES, family_place, study
from tests.leadline.in_process_sweep import play

__all__ = ["LISTED", "Case", "callbacks", "cases", "commands", "outcome", "spaces"]

LISTED = Path(__file__).with_suffix(".txt")
"""The list of all bad inputs with what each gets, which the test compares."""

WORDS = ("", "x", "-1", "nan", "1e400", "1.5", "½", "--")
"""Odd words for an option or a field that takes a number."""


LISTED_VALUES = (
    *("None", "-1", "2**70", "nan", "text", "list", "mapping", "set", "object"),
    *("date", "np.int64", "array", "tensor [2]", "lock"),
)
"""The values that the list has for every callback; the random test takes all of `odd.VALUES`."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One bad input: what it is in words, and how it is given."""

    name: str
    arguments: tuple[str, ...] = ()
    callback: str = ""
    value: str = ""
    file: str = ""
    """The content of a file for `--enqueue`."""


def commands() -> Iterator[Case]:
    """Odd words for every option and every field."""
    for option in options_of(study()):
        for word in WORDS:
            yield Case(f"--{option}={word}", (f"--{option}={word}",))
    for field in dataclasses.fields(study().of(None) and _config()):
        for word in WORDS:
            yield Case(f"{field.name}={word}", (f"{field.name}={word}",))
    for words in (
        ("=1",), ("lr",), ("lr=1", "lr=2"), ("Lr=1",), ("lr =1",), ("--lr", "1"), ("-n", "1"), ("--",), ("--trials",),
        ("--resume", "none", "--name", "a"), ("--resume", "../x"), ("--name", "x" * 200), ("--name", "CON/.."),
        ("--family", "none"), ("--family", "os:path"), ("--family", "__main__:LINE"), ("--family", ":"),
        ("--family", "tests.plugin.line.family:NONE"), ("--scale", "Laptop"), ("--storage", "ftp://a/b"),
        ("--storage", "s3://"), ("--storage", "/dev/null/x"), ("--enqueue", "/"), ("--enqueue", "/dev/null"),
        ("--workers-per-trial", "3", "--cpus-per-trial", "0.1"),
        ("--most-workers-per-trial", "1", "--workers-per-trial", "2"),
        ("--grace", "9"), ("--steps", "3"), ("--where", "gpu=a100"), ("--address", "nowhere"), ("--address", "http://"),
    ):  # fmt: skip
        yield Case(" ".join(words), words)
    for content in (
        "", "{}", "1", "[1]", "- {1: 2}", "- {lr: {a: 1}}", "- {lr: 2020-01-02}", "- {lr: !!set {a}}", "- {lr: .nan}",
        "- {lr: yes}", "- {lr: '0.1', lr: 0.2}", "- {rate: 0.1}", "- {lr: 99}", "- {steps: 3}", "- {seed: 1}", "- [lr]",
        "- {lr: 0.1}\n- {lr: 0.2}", "{", "\t", "- !!python/object/apply:os.getcwd []", "- &a {lr: *a}",
    ):  # fmt: skip
        yield Case(f"--enqueue of {content!r}", file=content)


def options_of(asked: Study) -> list[str]:
    """The options of a study that take a value, without dashes."""
    actions = options._parser(asked, "")._actions
    return [
        action.option_strings[0].removeprefix("--") for action in actions if action.option_strings and action.nargs != 0
    ]


def _config() -> Any:
    from leadline import registry

    return registry.family(study().family).Config


def spaces() -> Iterator[Case]:
    """Search spaces that return, ask for or raise something odd."""
    for value in VALUES:
        yield Case(f"space returns {value}", callback="space", value=value)
        yield Case(f"space returns lr={value}", callback="space", value=f"name: {value}")


def callbacks() -> Iterator[Case]:
    """Every callback of a family, returning something odd."""
    for callback in CALLBACKS:
        for value in LISTED_VALUES:
            yield Case(f"{callback} is {value}", callback=callback, value=value)
            if callback in MAPPINGS:
                yield Case(f"{callback} holds {value}", callback=callback, value=f"name: {value}")


def cases() -> Iterator[Case]:
    """All of them."""
    yield from commands()
    yield from spaces()
    yield from callbacks()


def outcome(case: Case) -> str:
    """What a case gets, in one line."""
    with tempfile.TemporaryDirectory(prefix="leadline-fuzz-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        storage = Path(folder) / "results"
        if case.callback and case.callback != "space":
            found = _trained(study(family_place(case.callback, case.value)), storage)
        else:
            arguments = list(case.arguments)
            if case.file:
                (Path(folder) / "first.yaml").write_text(case.file)
                arguments = ["--enqueue", str(Path(folder) / "first.yaml")]
            found = _commanded(_asked(case), arguments, storage)
        return found.replace(folder, "FOLDER")


def _asked(case: Case) -> Study:
    if not case.callback:
        return study()
    inside = case.value.removeprefix("name: ")
    value = VALUES[inside]
    return study(space=lambda trial, scale: value if inside == case.value else {"lr": value})


def _commanded(asked: Study, arguments: list[str], storage: Path) -> str:
    """What a command line gets: refused in one line, or accepted."""
    out, err = io.StringIO(), io.StringIO()
    where = [] if any("storage" in word for word in arguments) else ["--storage", str(storage)]
    begun = os.getcwd()
    os.chdir(storage.parent)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = drive(asked, "", [*arguments, *where, "--dry-run"], Parent(time.time(), "/nowhere"))
            except SystemExit as end:
                code = int(end.code or 0)
        written = [path for path in storage.parent.rglob("*") if path.is_file() and path.name != "first.yaml"]
    finally:
        os.chdir(begun)
    if written:
        return f"WROTE {', '.join(path.name for path in written)}"
    if code == 0:
        return "accepted"
    lines = err.getvalue().splitlines()
    if code != 2 or len(lines) != 1 or out.getvalue():
        return f"CODE {code}: {out.getvalue()}{err.getvalue()}"
    return f"2: {lines[0]}"


def _trained(asked: Study, storage: Path) -> str:
    """What a family gets: refused before the start, a failed trial, or a result that can be read."""
    place = Folder.at(str(storage))
    err = io.StringIO()
    try:
        request = options.parse(asked, ["--steps", "4", "--grace", "2", "--concurrent", "1", "--confirm", "0"], "")
        settings = options.settings(asked, request)
        plan.check_fits(settings, asked.space, place)
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            director = play(place / "a", settings, asked.space)
    except ConfigError as error:
        return f"2: error: {error}" if "\n" not in str(error) else f"LINES {error}"
    except AssertionError:
        return f"1: {'; '.join(err.getvalue().splitlines())}"
    trial = director.history.trials[0]
    if trial.status == "failed":
        return f"failed: {last_line(trial.reason)}"
    return _read(storage / "a")


def _read(folder: Path) -> str:
    """Reads a result as its user would; what it says is a promise of the list."""
    sweep = Sweep.open(str(folder))
    table = sweep.table()
    assert len(table) == 1
    trial = sweep.trial(0)
    trial.load()
    for path in (folder / "ledger").iterdir():
        for line in path.read_text().splitlines():
            json.loads(line, parse_constant=lambda word: (_ for _ in ()).throw(ValueError(word)))
    return f"{trial.status}, can be read"


def listing() -> str:
    """The list as it is kept: a line for each case."""
    with mock.patch("leadline.cpus.usable", return_value=2):
        return "".join(f"{case.name}  ->  {outcome(case)}\n" for case in cases())


if __name__ == "__main__":
    LISTED.write_text(listing())
    sys.stdout.write(f"{LISTED}\n")
