"""Programs that are started without standard input, output or error, by a real shell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILES = """
import os, sys
from leadline.standard_streams import open_closed
open_closed()
with open(sys.argv[1], "w") as file:
    print("printed")
    print("an error", file=sys.stderr)
    os.system("echo by a child; echo an error of a child >&2")
    file.write(f"{file.fileno() > 2} {sys.stdin.read()!r}")
"""


def shell(line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of the shell, in which "$@" is Python on the arguments."""
    words = ["sh", "-c", line, "sh", sys.executable, *arguments]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_other_file_gets_the_place_of_a_closed_stream(closed: str, tmp_path: Path) -> None:
    run = shell(f'"$@" {closed}', "-c", FILES, str(tmp_path / "file"))
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "file").read_text() == "True ''"


@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "leadline", "--help"),
        ("-m", "trainables", "--threads", "none"),
        ("-m", "tests.leadline.toy_study", "--trials", "none"),
    ],
)
def test_a_command_works_without_any_stream(arguments: tuple[str, ...]) -> None:
    assert shell('"$@" <&- >&- 2>&-', *arguments).returncode == (0 if "--help" in arguments else 2)


@pytest.mark.parametrize("option", ["--help", "--dry-run"])
@pytest.mark.parametrize("reader", ["true", "head -1 > /dev/null"])
def test_a_reader_that_has_enough_is_no_error(option: str, reader: str, tmp_path: Path) -> None:
    line = f'{{ "$@"; echo $? >&2; }} | {reader}'
    run = shell(line, "-m", "tests.leadline.toy_study", option, "--storage", str(tmp_path))
    assert run.stderr == "0\n"


LIVE = """
import os, sys
from leadline.engine.display import console
live = console()
before = os.listdir("/dev/fd")
for line in range(3):
    live.print("a line that nobody reads")
    live.file.flush()
    sys.stderr.write(f"{live.quiet} {len(os.listdir('/dev/fd')) - len(before)}\\n")
"""


def test_a_sweep_goes_on_in_silence_where_nobody_reads_its_lines(tmp_path: Path) -> None:
    """No descriptor is left open for it, and the end of the process has nothing to complain of."""
    run = shell('{ sleep 1; "$@"; echo $? >&2; } | true', "-c", LIVE)
    assert run.stderr.splitlines() == ["True 0", "True 0", "True 0", "0"]
