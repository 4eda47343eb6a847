"""Which command a word means: a general one, or one of the family of the sweep that follows."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from leadline import Command, __main__
from leadline.commands.dispatch import COMMANDS, main
from leadline.dotted import load
from leadline.ledger.events import Opened
from leadline.ledger.segments import Ledger
from leadline.storage import Folder
from tests.leadline.engine.test_director import BASE
from tests.leadline.toy import Toy


def shout(given: object) -> int:
    print("the family's own")
    return 3


class Loud(Toy):
    """A family with a command."""

    commands: ClassVar[Mapping[str, str]] = {"shout": f"{__name__}:SHOUT", "lost": f"{__name__}:LOST"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep")


SHOUT = Command("says something loud", arguments, shout)
LOUD = Loud()


@pytest.fixture
def sweep(tmp_path: Path) -> str:
    """The folder of a sweep of that family, which has begun."""
    ledger = Ledger(Folder.at(str(tmp_path / "sweep")) / "ledger")
    settings = {**BASE.to_dict(), "family": f"{__name__}:LOUD"}
    ledger.append(Opened.from_dict({"type": "opened", "settings": settings, "manifest": {}, "time": 0.0}))
    ledger.close()
    return str(tmp_path / "sweep")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_general_command_has_a_help_and_stands_in_the_manual(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = load(COMMANDS[name], "command")
    assert isinstance(command, Command)
    assert main([name, "--help"]) == 0
    assert f"usage: leadline {name}" in capsys.readouterr().out
    assert f"    leadline {name} " in (__main__.__doc__ or "")


def test_without_words_it_shows_its_manual(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"]):
        assert main(words, "the manual") == 0
        assert capsys.readouterr().out == "the manual\n"


def test_a_command_of_the_family_of_the_sweep(sweep: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shout", sweep]) == 3
    assert capsys.readouterr().out == "the family's own\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shuot", "{}"], "command: no 'shuot'; toy, the family of {}, brings shout, lost; did you mean shout?"),
        (["lost", "{}"], "command: cannot load tests.leadline.commands.test_dispatch:LOST: "),
        (["leaderbord", "{}x"], "command: no 'leaderbord'; did you mean leaderboard?"),
        (["whisper", "{}x"], "{}x: there is no such folder"),
        (["whisper"], "command: no 'whisper'; see leadline --help; a command of a family is followed by a sweep: "),
        (["whisper", "--help"], "command: no 'whisper'; see leadline --help"),
    ],
)
def test_another_word_is_refused_in_a_line(
    sweep: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(sweep) for word in words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"error: {said.format(sweep)}")


def test_the_shell_completes_commands_and_their_options() -> None:
    """Bash itself asks, as the line in the manual sets it up."""
    script = """
    eval "$(python -m argcomplete.scripts.register_python_argcomplete leadline 2> /dev/null || \
        register-python-argcomplete leadline)"
    ask() {
        COMP_LINE="$1"; COMP_POINT=${#1}; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_TYPE=9
        COMPREPLY=(); _python_argcomplete leadline; echo "${COMPREPLY[@]}"
    }
    ask "leadline com"
    ask "leadline compare --ma"
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-c", script], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert [line.strip() for line in run.stdout.splitlines()] == ["compare", "--margin"], run.stderr
