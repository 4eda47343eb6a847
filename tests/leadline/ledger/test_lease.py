"""One driver at a time: who may take a lease, when, and who learns that it is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from leadline import storage
from leadline.ledger.lease import Held, Lease, ask_to_stop, gone, last
from leadline.storage import Folder
from tests.conftest import ROOT

HOLDER = """
import sys, time
from leadline.ledger.lease import Lease
from leadline.storage import Folder
Lease.take(Folder.at(sys.argv[1]), print)
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A sweep's lease folder that does not exist yet."""
    if request.param == "local":
        return Folder.at(str(tmp_path / "lease"))
    return Folder.at(f"s3://bucket/{uuid.uuid4().hex}?{request.getfixturevalue('s3_options')}")


def elsewhere(folder: Folder, seconds: float) -> None:
    """A lease of a process on another machine, which cannot be asked."""
    holder = {"id": "x", "host": "elsewhere", "pid": 7, "process_started": 0, "since": 0, "seconds": seconds}
    folder.write("00000001.json", json.dumps(holder).encode())


def test_a_lease_is_held_once_and_taken_again_when_it_is_given_back(folder: Folder) -> None:
    first = Lease.take(folder, pytest.fail)
    with pytest.raises(Held, match=rf"^process {os.getpid()} on .*, since 20\d\d-"):
        Lease.take(folder, pytest.fail)
    first.release()
    assert gone(folder) is True
    second = Lease.take(folder, pytest.fail)
    assert (first.number, second.number) == (1, 2)
    folder.write("notes.json", b"{}")
    assert last(folder) == 2
    second.release()


def test_credentials_that_are_refused_are_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal is made up; tests/cluster revokes a key of a real store."""
    lease = Lease.take(Folder.at(str(tmp_path)), pytest.fail, seconds=0.15)
    connected, refused = {"s3://bucket": (object(), "bucket")}, threading.Event()
    sizes = Folder.sizes

    def refuses(folder: Folder) -> dict[str, int]:
        if not refused.is_set():
            refused.set()
            raise OSError("When listing objects: AWS Error INVALID_ACCESS_KEY_ID during ListObjectsV2 operation")
        return sizes(folder)

    monkeypatch.setattr(storage, "_CONNECTED", connected)
    monkeypatch.setattr(Folder, "sizes", refuses)
    assert refused.wait(30)
    lease.release()
    assert not connected


def test_a_killed_driver_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Held, match=rf"^process {process.pid} on "):
            Lease.take(Folder.at(str(tmp_path)), pytest.fail)
        assert gone(Folder.at(str(tmp_path))) is False
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert gone(Folder.at(str(tmp_path))) is True
    lease = Lease.take(Folder.at(str(tmp_path)), pytest.fail)
    assert lease.number == 2
    lease.release()


def test_who_follows_learns_that_the_holder_before_was_asked_to_stop(folder: Folder) -> None:
    first = Lease.take(folder, pytest.fail)
    assert not first.stop_was_asked()
    ask_to_stop(folder)
    first.release()
    second = Lease.take(folder, pytest.fail)
    second.release()
    third = Lease.take(folder, pytest.fail)
    third.release()
    assert (second.stop_was_asked(), third.stop_was_asked()) == (True, False)


def test_a_process_of_another_container_is_not_taken_for_dead(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path))
    lease = Lease.take(folder, pytest.fail)
    folder.write(
        "00000001.json",
        json.dumps({**lease.holder, "processes": "another table", "pid": 2**22 + 1, "seconds": 60}).encode(),
    )
    over = threading.Timer(0.3, lambda: folder.write("00000001.beat", b"alive"))
    over.start()
    with pytest.raises(Held, match=rf"^process {2**22 + 1} on "):
        Lease.take(folder, pytest.fail)
    over.join()
    lease.release()


def test_a_silent_holder_elsewhere_is_waited_for_and_then_replaced(folder: Folder) -> None:
    assert gone(folder) is None
    elsewhere(folder, seconds=0.5)
    assert gone(folder) is None
    began = time.monotonic()
    lease = Lease.take(folder, pytest.fail)
    assert lease.number == 2
    assert time.monotonic() - began >= 0.5
    lease.release()


def test_a_holder_elsewhere_that_gives_signs_of_life_is_left_alone(folder: Folder) -> None:
    elsewhere(folder, seconds=60)
    over = threading.Event()

    def beat() -> None:
        count = 0
        while not over.wait(0.1):
            count += 1
            folder.write("00000001.beat", json.dumps({"count": count}).encode())

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(Held, match=r"^process 7 on elsewhere, since 1970-01-01 00:00:00 UTC$"):
            Lease.take(folder, pytest.fail)
    finally:
        over.set()
        thread.join()
    assert last(folder) == 1


def test_a_holder_elsewhere_that_ends_is_not_waited_for(folder: Folder) -> None:
    elsewhere(folder, seconds=600)
    threading.Timer(0.5, lambda: folder.write("00000001.end", b"{}")).start()
    lease = Lease.take(folder, pytest.fail)
    assert lease.number == 2
    lease.release()


@pytest.mark.parametrize("drivers", [2, 8])
def test_of_many_that_come_at_once_one_holds_it(folder: Folder, drivers: int) -> None:
    together, taken, refused = threading.Barrier(drivers), list[Lease](), list[str]()

    def come() -> None:
        together.wait()
        try:
            taken.append(Lease.take(folder, pytest.fail))
        except Held as error:
            refused.append(str(error))

    threads = [threading.Thread(target=come) for _ in range(drivers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (1, drivers - 1)
    taken[0].release()


def test_signs_of_life_are_given(folder: Folder) -> None:
    lease = Lease.take(folder, pytest.fail, seconds=0.3)
    while b'"count": 3' not in (folder.read("00000001.beat") if folder.exists("00000001.beat") else b""):
        time.sleep(0.05)
    lease.release()
    assert folder.exists("00000001.end")


def test_whoever_was_replaced_is_told_once_and_gives_nothing_back(folder: Folder) -> None:
    told = list[str]()
    lease = Lease.take(folder, told.append, seconds=0.3)
    folder.write("00000002.json", json.dumps({"host": "elsewhere", "pid": 9, "since": 0}).encode())
    while not told:
        time.sleep(0.05)
    assert told == ["taken over by process 9 on elsewhere, since 1970-01-01 00:00:00 UTC"]
    lease.release()
    assert not folder.exists("00000001.end")


def test_storage_that_refuses_until_the_patience_is_over_ends_it(tmp_path: Path) -> None:
    told = list[str]()
    folder = Folder.at(str(tmp_path / "lease"))
    Lease.take(folder, told.append, seconds=0.3, patience=0.6)
    (tmp_path / "lease").rename(tmp_path / "gone")
    (tmp_path / "lease").write_text("a file where the folder was")
    while not told:
        time.sleep(0.05)
    assert told[0].startswith("the storage has refused for 0.6 s: ")


@pytest.mark.parametrize("taken", [False, True])
def test_storage_that_is_back_after_a_whole_lease(taken: bool, tmp_path: Path) -> None:
    """Its holder goes on, unless another has taken over meanwhile."""
    told, place, away = list[str](), tmp_path / "lease", tmp_path / "away"
    lease = Lease.take(Folder.at(str(place)), told.append, seconds=0.3)
    place.rename(away)
    place.write_text("a file where the folder was")
    time.sleep(1)
    assert told == []
    if taken:
        (away / "00000002.json").write_text(json.dumps({"host": "elsewhere", "pid": 9, "since": 0}))
    place.unlink()
    away.rename(place)
    before = (place / "00000001.beat").read_bytes() if (place / "00000001.beat").exists() else b""
    while not told and (not (place / "00000001.beat").exists() or (place / "00000001.beat").read_bytes() == before):
        time.sleep(0.05)
    assert bool(told) is taken
    lease.release()
    assert (place / "00000001.end").exists() is not taken


def test_its_holder_learns_that_he_is_asked_to_stop(folder: Folder) -> None:
    with pytest.raises(LookupError, match="nobody runs it"):
        ask_to_stop(folder)
    lease, asked = Lease.take(folder, pytest.fail, seconds=0.3), threading.Event()
    lease.asked = asked.set
    assert not asked.wait(0.5)
    assert ask_to_stop(folder).startswith(f"process {os.getpid()} on ")
    assert asked.wait(30)
    lease.release()
    with pytest.raises(LookupError, match="nobody runs it"):
        ask_to_stop(folder)
    again, asked = Lease.take(folder, pytest.fail, seconds=0.3), threading.Event()
    again.asked = asked.set
    assert not asked.wait(0.5), "it was not this driver who was asked"
    again.release()
