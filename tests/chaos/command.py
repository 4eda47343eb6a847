"""A sweep's command and its processes, as one sees them from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.conftest import ROOT

__all__ = ["Command", "gone"]


class Command:
    """A sweep as a user begins it, and resumes it where the command has ended too early.

    Args:
        script: what Python runs.
        storage: its `--storage`.
        name: the sweep's.
        options: of the first command alone.
        log: takes what all of them say.
        environment: variables beside those of this process.
    """

    def __init__(
        self,
        script: Sequence[str],
        storage: str,
        name: str,
        options: Sequence[str],
        log: Path,
        environment: dict[str, str],
    ) -> None:
        self.script, self.storage, self.name, self.log = script, storage, name, log
        self.resumes = 0
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self._drivers: dict[int, psutil.Process] = {}
        self._start("--name", name, *options)

    def _start(self, *arguments: str) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.script, "--storage", self.storage, *arguments],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def resume(self) -> None:
        """Gives the command that goes on."""
        self.resumes += 1
        self._start("--resume", self.name)

    @property
    def code(self) -> int | None:
        """Exit code; None while the command or its driver, which may outlive it for a moment, still runs."""
        return (
            None if self.process.poll() is None or any(map(_lives, self._drivers.values())) else self.process.returncode
        )

    @property
    def said(self) -> str:
        """All that it has said."""
        return self.log.read_text(errors="replace")

    @property
    def restarts(self) -> int:
        """How often the parent has started a driver again."""
        return self.said.count("; started again by replay (")

    def driver(self) -> psutil.Process | None:
        """The driver of the moment."""
        try:
            found: list[psutil.Process] = psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return None
        living = [process for process in found if _lives(process)]
        self._drivers.update((process.pid, process) for process in living)
        return living[0] if living else None

    def ray(self, name: str) -> psutil.Process | None:
        """Ray's process of that name."""
        return next((process for process in self.below() if _named(process, name)), None)

    def below(self) -> list[psutil.Process]:
        """The driver and all that it has started."""
        driver = self.driver()
        try:
            return [driver, *driver.children(recursive=True)] if driver else []
        except psutil.NoSuchProcess:
            return []

    def everything(self) -> list[psutil.Process]:
        """All processes on the command's machine, the parent first, so that it starts nothing again."""
        below = self.below()
        return [psutil.Process(self.process.pid), *below] if below else []

    def end(self) -> None:
        """Ends what is left of it."""
        for process in self.everything():
            _signal(process, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def gone(processes: Sequence[psutil.Process], seconds: float = 10.0) -> None:
    """Waits until none of them lives; one that nobody has waited for counts as gone."""
    deadline = time.monotonic() + seconds
    while any(map(_lives, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _named(process: psutil.Process, name: str) -> bool:
    try:
        return bool(process.name() == name and _lives(process))
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
