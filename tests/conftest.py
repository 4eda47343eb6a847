"""Shared by all tests: real parts, small."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from trainables.storage import Folder

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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def s3_options() -> Iterator[str]:
    """Options of a URI on an S3 server of our own."""
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with pytest.MonkeyPatch.context() as patch, subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        patch.setenv("AWS_ACCESS_KEY_ID", "id")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        try:
            while not _answers(port):
                assert server.poll() is None, "the S3 server did not start"
                time.sleep(0.05)
            options = f"scheme=http&endpoint_override=127.0.0.1:{port}&region=us-east-1&allow_bucket_creation=true"
            Folder.at(f"s3://bucket?{options}").files.create_dir("bucket")
            yield options
        finally:
            server.terminate()


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
