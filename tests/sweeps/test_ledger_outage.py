"""The ledger on storage that fails for real: a frozen server, one that is gone, a full disk, a read-only one."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sweeps.ledger import segments as writing
from sweeps.ledger.reading import LedgerError, read
from sweeps.ledger.segments import Ledger
from tests.conftest import S3Server
from trainables.storage import Folder


def events(count: int) -> list[dict[str, int]]:
    return [{"number": number} for number in range(count)]


def fill(ledger: Ledger, numbers: range) -> None:
    for number in numbers:
        ledger.append({"number": number})


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Waits for a state; the limit only ends a hang."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_that_is_frozen_for_a_while(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is stored while it stands still, nobody is told otherwise, and nothing is stored twice."""
    monkeypatch.setattr(writing, "TRY_SECONDS", 0.5)
    folder, said = s3_server.at("frozen/ledger"), list[str]()
    ledger = Ledger(folder, patience=120, compact=4, say=said.append)
    fill(ledger, range(2))
    ledger.commit()
    s3_server.freeze()
    fill(ledger, range(2, 5))
    wait_for(lambda: said)
    assert not ledger.stored(5)
    assert ledger.stored(2)
    fill(ledger, range(5, 7))
    s3_server.thaw()
    ledger.close()
    assert read(folder) == events(7)
    assert "frozen/ledger/00000002.jsonl: the storage does not do it, trying for 120 s: no answer" in said[0]
    assert "done after" in said[1]
    assert len(said) == 2
    assert "secret" not in "".join(said)


def test_a_server_that_is_gone(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "TRY_SECONDS", 0.5)
    said = list[str]()
    ledger = Ledger(s3_server.at("gone/ledger"), patience=1.5, say=said.append)
    fill(ledger, range(1))
    ledger.commit()
    s3_server.kill()
    fill(ledger, range(1, 2))
    with pytest.raises(LedgerError, match=r"cannot write to .*gone/ledger: 00000002\.jsonl: given up after"):
        ledger.commit()
    with pytest.raises(LedgerError):
        fill(ledger, range(2, 3))
    assert len(said) == 1


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_that_is_given_room(disk: Path) -> None:
    folder, said = Folder.at(str(disk / "ledger")), list[str]()
    ledger = Ledger(folder, say=said.append)
    fill(ledger, range(1))
    ledger.commit()
    ballast = disk / "ballast"
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(bytes(100_000))
    fill(ledger, range(1, 3))
    wait_for(lambda: said)
    assert "No space left" in said[0]
    ballast.unlink()
    ledger.close()
    assert read(folder) == events(3)


@pytest.mark.parametrize("harm", ["full", "read-only"])
def test_a_disk_that_takes_no_more(disk: Path, harm: str) -> None:
    """What had been confirmed is there, and a later driver goes on with it."""
    folder = Folder.at(str(disk / "ledger"))
    ledger = Ledger(folder, patience=0.5, say=lambda text: None)
    fill(ledger, range(1))
    ledger.commit()
    if harm == "full":
        with pytest.raises(OSError, match="No space left"):
            (disk / "ballast").write_bytes(bytes(100_000))
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    fill(ledger, range(1, 2))
    with pytest.raises(LedgerError, match="No space left" if harm == "full" else "Read-only file system"):
        ledger.commit()
    assert read(folder) == events(1)
    subprocess.run(["mount", "-o", "remount,rw,size=1m", str(disk)], check=True)
    later = Ledger(folder)
    fill(later, range(1, 3))
    later.close()
    assert read(folder) == events(3)
