"""Shared by all tests: real parts, small."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

Found = TypeVar("Found")
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def golden() -> Path:
    """Numbers recorded from the public reference implementation."""
    return ROOT / "tests" / "golden"


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed after the test: sweeps leave checkpoints behind."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


class Clock:
    """Stands still in this process, but for what is told to take time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("time.perf_counter", lambda: self.now)

    def passes(self, seconds: float, found: Found) -> Found:
        """What took the seconds to find."""
        self.now += seconds
        return found


def command(*arguments: str, timeout: float = 240, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python on the arguments as a user would."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=timeout, env={**os.environ, **environment}
    )
