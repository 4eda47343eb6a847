"""Shared by all tests: real parts, small."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from leadline.storage import Folder

pytest_plugins = ("tests.browser",)
Found = TypeVar("Found")
ROOT = Path(__file__).parent.parent
STARTS_RAY = (
    "tests/leadline/engine/test_sweep.py",
    "tests/sweeps/test_lookahead_sweep.py",
    "tests/test_wheel.py",
    "tests/leadline/engine/test_memory.py",
    "tests/leadline/engine/ray/test_live_leaderboard.py",
    "tests/fuzz/test_habits.py",
    "tests/chaos/test_chaos.py",
)
"""Files in which tests are marked `sweep`."""

# A shell starts what runs in its background with SIGINT ignored, and children inherit that: tests send it to theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")
# Asking Ray something where none runs would start one, with its dashboard, in a process of pytest's. It fails instead.
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
for name in (
    "COLUMNS",
    "LINES",
):  # which workers of pytest-xdist are given: a table is as wide as where nobody says how wide
    os.environ.pop(name, None)


class Lanes(LoadFileScheduling):
    """For pytest-xdist: all that starts Ray is one lane, any other file, whose fixtures are shared, is one of its own.

    By file and not by `xdist_group`, which pytest 9.2 takes for nothing: https://github.com/pytest-dev/pytest-xdist/issues/1386.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "ray" if file in STARTS_RAY else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    """However many workers there are, one Ray has the machine's CPUs."""
    return Lanes(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest lane begins at once."""
    for item in items:
        if item.get_closest_marker("sweep") and _file(item) not in STARTS_RAY:
            raise pytest.UsageError(f"{_file(item)} starts Ray and is not named in STARTS_RAY of tests/conftest.py")
    items.sort(key=lambda item: _file(item) not in STARTS_RAY)


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of boards of a module's own, empty at first; by `pytestmark`, before any board is built."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("LEADLINE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """Numbers recorded from the public reference implementation."""
    return ROOT / "tests" / "golden"


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed after the test: sweeps leave checkpoints behind."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody listens on it."""
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


class S3Server:
    """moto's server as a process of its own, which can be killed, frozen and started again. It
    keeps everything in memory.

    Args:
        log: the file for its log, a line per request.
        host: the address on which it listens.
    """

    def __init__(self, log: Path, host: str = "127.0.0.1") -> None:
        self.log, self.host, self.port = log, host, free_port()
        self.start()

    def start(self) -> None:
        """Starts it on the same port, with an empty bucket."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "moto.server", "-H", self.host, "-p", str(self.port)]
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        while not answers(self.port, self.host):
            assert self._process.poll() is None, "the S3 server did not start"
            time.sleep(0.05)
        self.at("").files.create_dir("bucket")

    @property
    def options(self) -> str:
        """Of a URI on this server."""
        return f"scheme=http&endpoint_override={self.host}:{self.port}&region=us-east-1&allow_bucket_creation=true"

    def at(self, path: str) -> Folder:
        """A folder in the bucket."""
        return Folder.at(f"s3://bucket/{path}?{self.options}")

    def kill(self) -> None:
        """By SIGKILL."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """By SIGSTOP: the kernel still takes connections and data, and nobody answers."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """By SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def requests(self, method: str = "") -> list[str]:
        """Requests that were answered: method, path and query."""
        return re.findall(rf"({method or '[A-Z]+'} /\S*) HTTP/", self.log.read_text())


@pytest.fixture(scope="session")
def s3_credentials() -> Iterator[None]:
    """Any will do for moto."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "id")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield


@pytest.fixture(scope="session")
def s3_options(s3_credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Options of a URI on an S3 server that all tests share; its bucket is called `bucket`."""
    server = S3Server(tmp_path_factory.mktemp("s3") / "log")
    yield server.options
    server.kill()


@pytest.fixture
def s3_server(s3_credentials: None, tmp_path: Path) -> Iterator[S3Server]:
    """An S3 server for one test, which may do to it what it likes."""
    server = S3Server(tmp_path / "s3.log")
    yield server
    server.kill()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def remount(disk: Path, options: str) -> Callable[[], None]:
    """Gives `disk` other options, once it is called."""

    def action() -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)

    return action


class Clock:
    """Stands still in this process, but for what is told to take time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("time.perf_counter", lambda: self.now)

    def passes(self, seconds: float, found: Found) -> Found:
        """What took the seconds to find."""
        self.now += seconds
        return found


def processes() -> ForkServerContext:
    """Processes that have imported torch when they begin, also what it imports with the first optimizer."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["leadline.testing", "torch._dynamo"])
    return made


def two_workers(work: Callable[..., None], *arguments: Any) -> None:
    """Runs `work(rank, *arguments)` in two processes at a time; if one fails, the other is ended."""
    from torch.multiprocessing.spawn import start_processes

    processes()
    start_processes(work, args=arguments, nprocs=2, start_method="forkserver")  # type: ignore[no-untyped-call]


def command(
    *arguments: str, timeout: float = 240, cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs Python on the arguments as a user would."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environment},
    )
