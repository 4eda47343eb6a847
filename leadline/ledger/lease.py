"""The lease of a sweep, by which only one driver at a time runs it.

    <sweep>/lease/00000003.json    the third lease: its holder, and its seconds of silence
    <sweep>/lease/00000003.beat    a count that its living holder raises again and again
    <sweep>/lease/00000003.stop    its holder has been asked to end the sweep, resumable
    <sweep>/lease/00000003.end     it was given back

A lease may be taken over once its holder has been silent for the seconds that it names.

A lease is taken by creating the next number, which only one driver can do: on local disks and NFS
by a hard link, which fails where the file exists. Stores that only promise that the last write
stands (most S3 servers, through pyarrow) leave a race: two drivers may take the same number within
one round trip. Each therefore reads its lease back after a pause, and the driver that finds another
one's content withdraws. A driver that stalls between that reading and its first segment can still
meet another one; the ledger's segments, numbered and chained, then stop the later of the two with
an error, and lose nothing.
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
"""Seconds of silence after which a lease may be taken over.

A driver that is alive shows it three times as often.
"""
_NAME = re.compile(r"\d{8}\.json")
RELEASE_SECONDS = 5.0
"""Seconds for which giving a lease back waits for the storage; the lease runs out by itself."""
PAUSE = 1.0
"""Seconds between writing a lease and reading it back, where creating is not exclusive."""


class Held(RuntimeError):
    """Raised where another driver holds the lease; the message says which."""


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
    """Returns a name for the process table that this process is in.

    A table belongs to a machine since its start, or to a container on it. Process ids can be
    compared only within one table.
    """
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def _alive(holder: dict[str, Any]) -> bool | None:
    """Returns whether the holder's process runs.

    It is None where the process cannot be seen from here: on another machine or in another
    container.
    """
    if holder.get("processes") != _processes():
        return None
    try:
        process = psutil.Process(holder["pid"])
        # An id is used again after a while, so that the time of the start must be the same as well.
        return abs(process.create_time() - holder["process_started"]) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, TypeError):
        return False


class Lease:
    """The right to write a sweep's ledger.

    A thread keeps it, by showing that its process lives.

    Args:
        folder: the sweep's `lease` folder.
        number: the number of this lease.
        holder: the content of its file.
        seconds: the silence after which it may be taken over; see `SECONDS`.
        lost: called once, from the thread, when another driver has taken over, or the storage has
            refused for `patience`.
        patience: seconds for which a storage that refuses is waited for. A lease that could not be
            shown for longer than `seconds` may have been taken over. The holder looks before it
            shows it again, and the ledger would refuse what it wrote meanwhile.
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
        self.folder = folder
        self.number = number
        self.holder = holder
        self.seconds = seconds
        self.asked: Callable[[], None] = lambda: None
        """Called when somebody has asked the holder to stop; whoever takes the lease sets it.

        The call comes from the thread, perhaps more than once.
        """
        self._lost = lost
        # Nobody can take over within `seconds`, so there is no reason to give up earlier.
        self._patience = max(patience, seconds)
        self._count = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    @staticmethod
    def take(
        folder: Folder, lost: Callable[[str], None], seconds: float = SECONDS, patience: float = PATIENCE
    ) -> Lease:
        """Takes the lease.

        It does so at once where nobody holds it, and after `seconds` of watching where its holder
        may be gone.

        Raises:
            Held: if another driver holds it; the message says which.
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
        """Gives the lease back; nothing happens where it was lost."""
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join(RELEASE_SECONDS)
        patiently(lambda: self.folder.write(f"{self.number:08d}.end", b"{}"), self.folder, seconds=RELEASE_SECONDS)

    def stop_was_asked(self) -> bool:
        """Returns whether the holder before this one was asked to stop.

        That holder may have ended before it looked.
        """
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
    """Returns the highest lease's number; 0 where there is none."""
    return _last(folder.sizes())


def _last(files: Iterable[str]) -> int:
    return max((int(name[:8]) for name in files if _NAME.fullmatch(name)), default=0)


def ask_to_stop(folder: Folder) -> str:
    """Asks the holder to end the sweep, resumable, and returns in words who that is.

    The holder looks every few seconds.

    Raises:
        LookupError: if nobody holds the lease, as far as can be known from here.
        OSError: if the storage refuses.
    """
    if not last(folder) or gone(folder):
        raise LookupError("nobody runs it")
    folder.write(f"{last(folder):08d}.stop", b"{}")
    return holder(folder)


def gone(folder: Folder) -> bool | None:
    """Returns whether no driver holds the lease.

    It is None where that cannot be known from here without waiting.
    """
    number = last(folder)
    if not number or folder.exists(f"{number:08d}.end"):
        return True if number else None
    alive = _alive(_read(folder, number))
    return None if alive is None else not alive


def holder(folder: Folder) -> str:
    """Returns in words who took the last lease; empty where none was taken."""
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
    """Waits until the holder is known to be gone.

    It is gone when its process has ended here, or when it was silent for its whole lease.

    Raises:
        Held: if the holder lives.
    """
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
