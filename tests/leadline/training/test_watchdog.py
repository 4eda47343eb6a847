"""A process that stands still is ended with its stacks; one that goes on, or is merely slow, is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import command

STILL = """
import ctypes, sys, time
from leadline.training.watchdog import Watchdog

def standing_still():
    {how}

with Watchdog(0.5, sys.argv[1]) as watchdog:
    for _ in range(20):
        time.sleep(0.05)
        watchdog.alive()
    print("went on", flush=True)
    standing_still()
print("never")
"""


@pytest.mark.parametrize("how", ["time.sleep(60)", "ctypes.PyDLL(None).sleep(60)"], ids=["waiting", "holding the GIL"])
def test_a_process_that_stands_still_ends_with_its_stacks(how: str, tmp_path: Path) -> None:
    run = command("-c", STILL.format(how=how), str(tmp_path / "stacks" / "0001"))
    assert (run.returncode, run.stdout) == (1, "went on\n"), "20 steps of 0.05 s are longer than the limit together"
    stacks = (tmp_path / "stacks" / "0001").read_text()
    assert "in standing_still" in stacks


def test_one_that_ends_leaves_no_file_and_no_timer(tmp_path: Path) -> None:
    run = command("-c", STILL.format(how="return") + "time.sleep(1)", str(tmp_path / "stacks"))
    assert (run.returncode, run.stdout) == (0, "went on\nnever\n")
    assert list(tmp_path.iterdir()) == []
