"""Who may run a sweep: one driver at a time.

    <sweep>/lease/00000003.json    the third lease: who holds it, and after how many silent seconds it may be taken over
    <sweep>/lease/00000003.beat    a count that its holder raises; where it stands still, the holder is gone
    <sweep>/lease/00000003.stop    its holder has been asked to end the sweep, resumable
    <sweep>/lease/00000003.end     it was given back

A lease is taken by creating the next number, which at most one driver can do: on local disks and NFS by a hard link, which
fails where the file is there. Stores that only promise that the last write stands (most S3 servers, through pyarrow) leave a
race: two drivers that take the same number within one round trip. Each therefore reads its lease back after a pause, and the
one whose words are not there withdraws. A driver that stalls between that reading and its first segment can still meet
another; the ledger's segments, numbered and chained, then stop the later of the two with an error, and lose nothing.
"""

from __future__ import annotations

import json
import os
import platform
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil

from leadline.ledger.wording import utc
from leadline.storage import PATIENCE, Folder, patiently, reconnect_where_refused

__all__ = ["SECONDS", "Held", "Lease", "ask_to_stop", "gone", "holder", "last"]

SECONDS = 15.0
"""Silence after which a lease may be taken over. A driver that is alive shows it three times as often."""
_NAME = re.compile(r"\d{8}\.json")
RELEASE_SECONDS = 5.0
"""For which giving a lease back waits for the storage; it runs out by itself."""
PAUSE = 1.0
"""Between writing a lease and reading it back, where creating is not exclusive."""


class Held(RuntimeError):
    """Another driver holds the lease; the message says who."""


def _holder() -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "host": platform.node(),
        "processes": _processes(),
        "pid": os.getpid(),
        "process_started": psutil.Process().create_time(),
        "since": time.time(),
    }


def _processes() -> str:
    """Names the table of processes that this one is in: that of a machine since it was started, or of a container on it."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def _alive(holder: dict[str, Any]) -> bool | None:
    """Whether the holder's process runs; None where it cannot be seen from here, on another machine or in another container."""
    if holder.get("processes") != _processes():
        return None
    try:
        process = psutil.Process(holder["pid"])
        return abs(process.create_time() - holder["process_started"]) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, TypeError):
        return False


class Lease:
    """The right to write a sweep's ledger, kept by a thread that shows that its process lives.

    Args:
        folder: the sweep's `lease` folder.
        number: of this lease.
        holder: what its file says.
        seconds: see `SECONDS`.
        lost: called once, from the thread, when another driver has taken over, or the storage has refused for `patience`.
        patience: seconds. A lease that could not be shown for longer than `seconds` may have been taken over; the holder looks before it
            shows it again, and what it wrote into the ledger meanwhile would be refused there.
    """

    def __init__(
        self,
        folder: Folder,
        number: int,
        holder: dict[str, Any],
        seconds: float,
        lost: Callable[[str], None],
        patience: float = PATIENCE,
    ) -> None:
        self.folder, self.number, self.holder, self.seconds = folder, number, holder, seconds
        self.asked: Callable[[], None] = lambda: None
        """To be set: called, from the thread and perhaps more than once, when somebody has asked the holder to stop."""
        self._lost, self._patience, self._count = lost, max(patience, seconds), 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    @staticmethod
    def take(
        folder: Folder, lost: Callable[[str], None], seconds: float = SECONDS, patience: float = PATIENCE
    ) -> Lease:
        """Takes the lease, at once where nobody holds it, after `seconds` of watching where its holder may be gone.

        Raises:
            Held: by whom.
            OSError: if the storage refuses.
        """
        number = last(folder)
        if number and not folder.exists(f"{number:08d}.end"):
            _wait_until_silent(folder, number)
        holder = {**_holder(), "seconds": seconds}
        name = f"{number + 1:08d}.json"
        try:
            folder.write(name, json.dumps(holder).encode(), exclusive=True)
        except FileExistsError:
            raise Held(_words(_read(folder, number + 1))) from None
        if not folder.local:
            time.sleep(PAUSE)
            if _read(folder, number + 1).get("id") != holder["id"]:
                raise Held(_words(_read(folder, number + 1)))
        return Lease(folder, number + 1, holder, seconds, lost, patience)

    def release(self) -> None:
        """Gives it back; nothing happens where it is lost."""
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join(RELEASE_SECONDS)
        patiently(lambda: self.folder.write(f"{self.number:08d}.end", b"{}"), self.folder, seconds=RELEASE_SECONDS)

    def stop_was_asked(self) -> bool:
        """Whether the holder before this one was asked to stop: it may have ended before it looked."""
        return patiently(lambda: self.folder.exists(f"{self.number - 1:08d}.stop"), self.folder, seconds=self._patience)

    def _keep(self) -> None:
        shown = time.monotonic()
        while not self._over.wait(self.seconds / 3):
            try:
                files = self.folder.sizes()
                if (newest := _last(files)) > self.number:
                    self._give_up(f"taken over by {_words(_read(self.folder, newest))}")
                    return
                if f"{self.number:08d}.json" not in files:
                    raise OSError("the lease is not there any more")
                if f"{self.number:08d}.stop" in files:
                    self.asked()
                self._count += 1
                self.folder.write(f"{self.number:08d}.beat", json.dumps({"count": self._count}).encode())
                shown = time.monotonic()
            except OSError as error:
                reconnect_where_refused(error)
                if time.monotonic() - shown > self._patience:
                    self._give_up(f"the storage has refused for {self._patience:g} s: {error}")
                    return

    def _give_up(self, reason: str) -> None:
        self._over.set()
        self._lost(reason)


def last(folder: Folder) -> int:
    """The highest lease's number; 0 where there is none."""
    return _last(folder.sizes())


def _last(files: Iterable[str]) -> int:
    return max((int(name[:8]) for name in files if _NAME.fullmatch(name)), default=0)


def ask_to_stop(folder: Folder) -> str:
    """Asks whoever holds the lease to end the sweep, resumable; he looks every few seconds. Returns who that is, in words.

    Raises:
        LookupError: if nobody holds it, as far as can be known from here.
        OSError: if the storage refuses.
    """
    if not last(folder) or gone(folder):
        raise LookupError("nobody runs it")
    folder.write(f"{last(folder):08d}.stop", b"{}")
    return holder(folder)


def gone(folder: Folder) -> bool | None:
    """Whether no driver holds the lease; None where that cannot be known from here without waiting."""
    number = last(folder)
    if not number or folder.exists(f"{number:08d}.end"):
        return True if number else None
    alive = _alive(_read(folder, number))
    return None if alive is None else not alive


def holder(folder: Folder) -> str:
    """Who took the last lease, in words; empty where none was taken."""
    number = last(folder)
    return _words(_read(folder, number)) if number else ""


def _read(folder: Folder, number: int) -> dict[str, Any]:
    try:
        found = json.loads(folder.read(f"{number:08d}.json"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _count(folder: Folder, number: int) -> str:
    try:
        return folder.read(f"{number:08d}.beat").decode()
    except OSError:
        return ""


def _wait_until_silent(folder: Folder, number: int) -> None:
    """Returns when the holder is known to be gone: its process has ended here, or it was silent for its whole lease."""
    holder = _read(folder, number)
    alive = _alive(holder)
    if alive is False:
        return
    if alive:
        raise Held(_words(holder))
    count, deadline = _count(folder, number), time.monotonic() + float(holder.get("seconds", SECONDS))
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if folder.exists(f"{number:08d}.end"):
            return
        if _count(folder, number) != count:
            raise Held(_words(holder))


def _words(holder: dict[str, Any]) -> str:
    since = utc(float(holder.get("since", 0)))
    return f"process {holder.get('pid', '?')} on {holder.get('host', 'an unknown machine')}, since {since}"
