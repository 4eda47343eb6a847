"""The command `leadline note SWEEP NUMBER [TEXT]`: a note on a trial, or the notes that it has."""

from __future__ import annotations

import argparse

from leadline.analysis import progress
from leadline.analysis.notes import add, read
from leadline.analysis.sweep import Sweep
from leadline.command_line import Command, trial_number

__all__ = ["NOTE"]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="folder or URI of a sweep")
    parser.add_argument("number", type=trial_number, metavar="NUMBER", help="the trial's number")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what to note")
    parser.add_argument("--author", default="", metavar="NAME", help="who says so [$USER]")


def _note(given: argparse.Namespace) -> None:
    sweep = Sweep.open(given.sweep)
    if given.text is not None:
        add(sweep, given.number, given.text, given.author)
    found = read(sweep.folder, sweep.trial(given.number).number)
    if not found:
        print(f"no note on trial {given.number}")
    for note in found:
        print(f"{progress.clock(note.time)}  {note.author}: {note.text}")


NOTE = Command("a note on a trial, or without a text the notes that it has", _arguments, _note)
