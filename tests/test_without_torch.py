"""Commands that train nothing import nothing that trains: torch alone takes a second."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAM = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__") if sys.argv[0].endswith(".py") else \
        runpy.run_module(sys.argv[0], run_name="__main__")
except SystemExit as end:
    print("ended with", end.code or 0)
print("loaded:", *sorted({"torch", "ray", "pandas", "plotly"} & sys.modules.keys()))
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("sweeps/lookahead.py --help", 0),
        ("sweeps/plateau.py --help", 0),
        ("sweeps/lookahead.py --family trm lookahead=x", 2),
        ("sweeps/sigma_bands.py --trials 0", 2),
        ("leadline --help", 0),
        ("leadline list .", 0),
        ("leadline train etrm --help", 0),
    ],
)
def test_it_is_not_imported(words: str, code: int) -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, *words.split()], cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-2:] == [f"ended with {code}", "loaded:"], ended.stdout + ended.stderr
