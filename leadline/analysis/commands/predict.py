"""Asks a trained model for its answer to one input.

    leadline predict results/NAME 7 27                   trial 7 of a sweep, here of Collatz numbers
    leadline predict results/NAME/trials/0007 27         the newest intact checkpoint of a trial
    leadline predict FOLDER 'jump around left twice'     what `leadline train --save` has kept
    leadline predict FOLDER --input board.txt            an input from a file; `-` is standard input
    leadline predict FOLDER --example > input.json       an input to begin with, as JSON

Several words are the lines of one input. What begins with `{`, `[` or `"` is read as JSON, and so
are numbers where the family's example is one. The answer is what `trial.predict(input)` returns in
Python, with its fields by name.

Exit code 0, 2 for bad input.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.command_line import Command, local_path, trial_number
from leadline.config import ConfigError
from leadline.errors import calling

if TYPE_CHECKING:
    from leadline.analysis.validation import Subject
    from leadline.family import Family

__all__ = ["PREDICT"]

STANDARD_INPUT = Path("-")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "place", metavar="SWEEP NUMBER | CHECKPOINT", help="a sweep and a trial, or the folder of a checkpoint or trial"
    )
    parser.add_argument("words", nargs="*", metavar="INPUT", help="the input, a line for each word")
    parser.add_argument("--input", type=local_path, metavar="FILE", help="read the input there; - for standard input")
    parser.add_argument("--json", action="store_true", help="the answer as one JSON document")
    parser.add_argument("--example", action="store_true", help="print an input that the model answers, as JSON")
    parser.add_argument(
        "--family", default="", metavar="NAME", help="the checkpoint's, as package.module:FAMILY [by its name]"
    )


def _predict(given: argparse.Namespace) -> None:
    from leadline.family import Family

    words = list(given.words)
    subject = _opened(given.place, words, given.family)
    family = subject.family
    if type(family).predict is Family.predict:
        raise ConfigError(f"family: {family.name} has no predict")
    with calling("example"):
        example = family.example(subject.config)
    if given.example:
        if words or given.input:
            raise ConfigError("example: prints an input, and takes none")
        with calling("example"):
            print(json.dumps(example))
        return
    try:
        inputs = _read(_text(words, given.input), isinstance(example, int | float))
        with calling("predict"):
            answer = family.predict(subject.model, inputs, subject.config)
    except ConfigError as error:
        takes = f"; {family.name} takes {family.input_help}" if family.input_help else ""
        raise ConfigError(f"{error}{takes if str(error).startswith('input') else ''}") from None
    checkpoint = str(subject.place / subject.checkpoint.name)
    if given.json:
        said = {"checkpoint": checkpoint, "family": family.name, "answer": _plain(answer)}
        with calling("predict"):
            print(json.dumps(said, indent=2, allow_nan=False))
    else:
        print(f"{checkpoint} of {family.name}")
        print("\n".join(f"{name}: {_words(value)}" for name, value in _fields(answer).items()))


def _opened(where: str, words: list[str], family: str) -> Subject:
    """Opens the checkpoint that is asked; of a sweep, the first word is taken as the trial."""
    from leadline.analysis.sweep import Sweep, place
    from leadline.analysis.validation import Subject, opened

    folder = place(where)
    if not folder.exists("ledger"):
        return opened(folder, family)
    if family:
        raise ConfigError(f"family: {where} is a sweep, which says its own; leave it out")
    if not words:
        raise ConfigError(f"number: {where} is a sweep; say which trial, as in: leadline predict {where} 7 INPUT")
    try:
        number = trial_number(words.pop(0))
    except argparse.ArgumentTypeError as error:
        raise ConfigError(f"number: {error}, as {where} is a sweep") from None
    view = Sweep.open(folder).trial(number)
    loaded = view.sweep.settings.model_family()
    return Subject(view.store.folder, view.checkpoint(), loaded, loaded.config(view.config))


def _text(words: Sequence[str], file: Path | None) -> str:
    """The input as it was given: words, a file's content, or standard input."""
    if words and file:
        raise ConfigError("input: give either words or a file")
    if not words and not file:
        raise ConfigError("input: is missing; --example prints one")
    if file is None:
        return "\n".join(words)
    try:
        return sys.stdin.read() if file == STANDARD_INPUT else file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"input: cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"input: {file} is no text in UTF-8") from None


def _read(text: str, number: bool) -> Any:
    """The input that a text stands for; `number` says whether the family takes numbers."""
    text = text.strip()
    structure = text.startswith(("{", "[", '"'))
    try:
        return json.loads(text) if structure or number else text
    except (ValueError, RecursionError) as error:
        if structure:
            raise ConfigError(f"input: it begins as JSON does, and is none: {error}") from None
        return text


def _fields(answer: Any) -> dict[str, Any]:
    """An answer's fields and properties by name; one without any is `answer` itself."""
    if not dataclasses.is_dataclass(answer):
        return {"answer": answer}
    names = [field.name for field in dataclasses.fields(answer)]
    names += [name for name, member in vars(type(answer)).items() if isinstance(member, property)]
    return {name: getattr(answer, name) for name in names}


def _plain(value: Any) -> Any:
    """A value as JSON holds it; a number that is not finite is null, as in the ledger."""
    if dataclasses.is_dataclass(value):
        return {name: _plain(part) for name, part in _fields(value).items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _words(value: Any) -> str:
    """A value for a person: lines of text and rows of numbers stand below each other."""
    if isinstance(value, list | tuple):
        below = any(isinstance(part, str | list | tuple) for part in value)
        return "".join(f"\n  {_row(part)}" for part in value) if below else _row(value)
    return _row(value)


def _row(value: Any) -> str:
    if names := getattr(value, "_fields", ()):  # of a named tuple
        return " ".join(f"{name} {_row(part)}" for name, part in zip(names, value, strict=True))
    if isinstance(value, list | tuple):
        nested = any(isinstance(part, list | tuple) for part in value)
        return ("   " if nested else ", ").join(map(_row, value))
    if value is None or isinstance(value, bool):
        return {None: "not known", True: "yes", False: "no"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _details(words: Sequence[str]) -> str:
    """What each installed family takes, for the help."""
    from leadline import registry

    families: list[Family[Any]] = []
    for name in registry.names():
        with contextlib.suppress(ConfigError):  # one that cannot be loaded costs no help of the others
            families.append(registry.family(name))
    return "\ninputs by family:\n" + "".join(
        f"  {family.name:<10} {family.input_help or 'see its predict'}\n" for family in families
    )


PREDICT = Command("a trained model's answer to one input", _arguments, _predict, __doc__ or "", _details)
