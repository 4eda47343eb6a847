"""A Ray head of a test's own, with dashboard and token, on loopback; and a job on it that plays a
sweep under a watch.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leadline.ledger.events import Event, Reported
from tests.conftest import ROOT, free_port

__all__ = ["Head", "behind", "head", "until"]

START_SECONDS = 120.0


def until(found: Callable[[], Any], seconds: float = START_SECONDS) -> Any:
    """What `found` gives, once it is true."""
    limit = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < limit, "it did not come true in time"
        time.sleep(0.1)
    return value


class Head:
    """`ray start --head` in the foreground of a process group of its own, which `stop` ends.

    Args:
        folder: Ray's temporary folder; short, as sockets lie in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.token = folder, secrets.token_hex(16)
        ports = {
            name: free_port()
            for name in ("port", "dashboard-port", "dashboard-agent-listen-port", "metrics-export-port")
        }
        self.url = f"http://127.0.0.1:{ports['dashboard-port']}"
        self.environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}
        self.environment |= {"DASHBOARD_METRIC_PORT": str(free_port()), "AUTOSCALER_METRIC_PORT": str(free_port())}
        self.environment.pop("RAY_ADDRESS", None)
        options = [f"--{name}={port}" for name, port in ports.items()]
        options += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--num-cpus=2", f"--temp-dir={folder}"]
        command = [
            sys.executable,
            "-m",
            "ray.scripts.scripts",
            "start",
            "--head",
            "--block",
            "--disable-usage-stats",
            *options,
        ]
        with (folder / "head.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            until(self._answers)
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.folder / "head.log").read_text()
        try:
            return bool(self.get("/api/version"))
        except (urllib.error.URLError, ConnectionError):
            return False

    def get(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer of the dashboard's server, decoded where it is JSON; `body` is posted."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode() if body else None, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
            return json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text

    def viewed(self, link: str) -> str:
        """The file behind a link to the log viewer, as that gets it."""
        query = link.partition("viewer?")[2].replace("nodeId", "node_id").replace("fileName", "filename")
        return str(self.get(f"/api/v0/logs/file?{query}&lines=50000"))

    def play(self, name: str) -> str:
        """Submits a job that plays a sweep (see `tests.leadline.dashboard_job`) up to its middle,
        and waits for that. Returns its id.
        """
        command = f"cd {ROOT} && {sys.executable} -m tests.leadline.dashboard_job {name} {self.folder}"
        found = self.get("/api/jobs/", {"entrypoint": command})["submission_id"]
        until(lambda: self._stands(found, name))
        return str(found)

    def _stands(self, job: str, name: str) -> bool:
        status = self.job(job)["status"]
        assert status in ("PENDING", "RUNNING"), self.get(f"/api/jobs/{job}/logs")["logs"]
        return (self.folder / f"{name}.standing").exists()

    def go_on(self, name: str) -> None:
        """Lets a played sweep go on to its end."""
        (self.folder / f"{name}.go").touch()

    def job(self, job: str) -> dict[str, Any]:
        """What the dashboard knows of a job."""
        found: dict[str, Any] = self.get(f"/api/jobs/{job}")
        return found

    def stop(self) -> None:
        """Ends all of its processes."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def behind(board: Callable[[], str], events: Callable[[], list[Event]], seconds: float) -> list[float]:
    """Seconds from each report's event to the leaderboard that first shows it, of the reports that
    come while it is looked at.

    Args:
        board: the leaderboard's text, now.
        events: of the sweep, at the end.
        seconds: for which it is looked at, each tenth of one.
    """
    seen: dict[tuple[int, int], float] = {}
    began = time.time()
    while time.time() < began + seconds:
        for row in (line.split(" | ") for line in board().splitlines()):
            if len(row) == 8 and row[0].isdigit():
                seen.setdefault((int(row[1]), int(row[6])), time.time())
        time.sleep(0.1)
    reports = [(event.time, (event.trial, event.report.step)) for event in events() if isinstance(event, Reported)]
    return [seen[which] - at for at, which in reports if which in seen and at > began]


@contextmanager
def head() -> Iterator[Head]:
    """A head that ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="leadline-head-"))
    started = Head(folder)
    try:
        yield started
    finally:
        started.stop()
        shutil.rmtree(folder, ignore_errors=True)
