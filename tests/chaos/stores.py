"""Where a sweep under attack is stored, and how its writers are caught in the middle of a write."""

from __future__ import annotations

import contextlib
import itertools
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from leadline.storage import TEMPORARY, Folder
from tests.ceph import Ceph
from tests.chaos.plan import Aim

__all__ = ["Disk", "Gateway", "Store", "unfinished", "waiting"]

LOOK = 0.0003
"""Seconds between two looks for a write."""
REQUEST: dict[Aim, int] = {"upload": 16_384, "ledger": 1_500}
"""Bytes from which on a request is a checkpoint's, or a segment's and no sign of life, by the
process that it comes from.
"""
QUESTION = 700
"""Bytes that any request has."""
GAPS = 0.001, 0.002, 0.003, 0.005, 0.008
"""Seconds within which a gateway answers a question and gets what comes next."""


class Disk:
    """A local folder: nobody there can be killed."""

    server = False
    label = "local disk"

    def __init__(self, path: Path) -> None:
        self.uri = str(path)

    def folder(self, name: str) -> Folder:
        """The sweep's."""
        return Folder.at(f"{self.uri}/{name}")

    @contextlib.contextmanager
    def caught(self, aim: Aim, writer: psutil.Process, place: Folder, seconds: float) -> Iterator[Callable[[], bool]]:
        """Stops the writer in the middle of a write, if one comes in time, and lets it go on.

        Yields:
            whether it is in the middle of one, or has died there.
        """
        path = Path(place.path)
        before = _temporary(path) if aim == "ledger" else set()
        within: Callable[[], bool] = (
            (lambda: bool(_temporary(path) - before)) if aim == "ledger" else (lambda: bool(unfinished(path)))
        )
        deadline, stopped = time.monotonic() + seconds, False
        with contextlib.suppress(psutil.NoSuchProcess):
            while not stopped and time.monotonic() < deadline:
                if within():
                    _stop(writer)
                    stopped = within()
                    if not stopped:
                        writer.send_signal(signal.SIGCONT)
                time.sleep(LOOK)
        try:
            yield within if stopped else lambda: False
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                writer.send_signal(signal.SIGCONT)


class Gateway:
    """An S3 gateway on this machine, whose data outlive it."""

    server = True
    label = "S3 (Ceph's gateway)"

    def __init__(self, ceph: Ceph, place: str) -> None:
        self.ceph, self.place = ceph, place
        self._gaps = itertools.cycle(GAPS)
        self.uri = ceph.at(place).uri

    def folder(self, name: str) -> Folder:
        """The sweep's."""
        return self.ceph.at(f"{self.place}/{name}")

    @contextlib.contextmanager
    def caught(self, aim: Aim, writer: psutil.Process, place: Folder, seconds: float) -> Iterator[Callable[[], bool]]:
        """Freezes the gateway, and waits for a request of the writer that lies there unread; thaws it at the end.

        A segment is written after it has been asked for: the gateway may answer that question, and
        is frozen before it has the segment.

        Yields:
            whether there is one.
        """
        self.ceph.freeze()
        try:
            if aim == "ledger" and self._arrives(writer, QUESTION, seconds):
                self.ceph.thaw()
                time.sleep(next(self._gaps))
                self.ceph.freeze()
            hit = self._arrives(writer, REQUEST[aim], seconds)
            yield lambda: hit
        finally:
            self.ceph.thaw()

    def _arrives(self, writer: psutil.Process, size: int, seconds: float) -> bool:
        """Whether a request of that size comes in time."""
        deadline = time.monotonic() + seconds
        while self._unread(writer) < size:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def _unread(self, writer: psutil.Process) -> int:
        """Most bytes that the process has sent on one connection, and the gateway has not taken yet."""
        try:
            connections = writer.net_connections("tcp")
        except psutil.NoSuchProcess:
            return 0
        ports = {end.laddr.port for end in connections if end.raddr and end.raddr.port == self.ceph.port}
        return max((unread for port, unread in waiting(self.ceph.port).items() if port in ports), default=0)

    def away(self, frozen: bool, seconds: float) -> None:
        """The gateway is killed or stopped, and comes back after that time."""
        if frozen:
            self.ceph.freeze()
            time.sleep(seconds)
            self.ceph.thaw()
            return
        self.ceph.kill()
        time.sleep(seconds)
        self.ceph.start()


Store = Disk | Gateway


def _stop(process: psutil.Process) -> None:
    """Returns when all threads stand still; one that is in a call to the kernel ends that first."""
    process.send_signal(signal.SIGSTOP)
    states = Path(f"/proc/{process.pid}/task").glob("*/stat")
    for path in states:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            while path.read_text().rpartition(")")[2].split()[0] not in "TZX":
                time.sleep(LOOK)


def unfinished(attempt: Path) -> list[str]:
    """The newest checkpoint of an attempt, where it has no manifest: older ones without one are being removed."""
    try:
        newest = max((step for step in attempt.iterdir() if step.name.startswith("step-")), default=None)
        return [newest.name] if newest and not (newest / "manifest.json").exists() else []
    except FileNotFoundError:
        return []


def _temporary(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if TEMPORARY.fullmatch(path.name)}


def waiting(port: int) -> dict[int, int]:
    """Bytes in the kernel that a server on this machine has not read, by the port of its client
    (proc(5), /proc/net/tcp).
    """
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = [
        (int(row[1].split(":")[1], 16), int(row[2].split(":")[1], 16), int(row[4].split(":")[1], 16)) for row in rows
    ]
    return {client: unread for server, client, unread in ends if server == port}
