"""The ledger on storage that fails for real: a frozen server, one that is gone, a full disk, a read-only one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from leadline.ledger import segments as writing
from leadline.ledger.events import Noted
from leadline.ledger.reader import LedgerError, read
from leadline.ledger.segments import Ledger
from leadline.storage import Folder
from tests.conftest import S3Server, remount


def note(number: int) -> Noted:
    return Noted(text=str(number), time=0.0)


def events(count: int) -> list[Noted]:
    return [note(number) for number in range(count)]


def fill(ledger: Ledger, numbers: range) -> None:
    for number in numbers:
        ledger.append(note(number))


def of_segment(number: int, said: list[str]) -> list[str]:
    """What was said of a segment."""
    return [line for line in said if f"/{number:08d}.jsonl: " in line]


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Waits for a state; the limit only ends a hang."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_that_is_frozen_for_a_while(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is stored while it stands still, nobody is told otherwise, and nothing is stored twice."""
    folder, said = s3_server.at("frozen/ledger"), list[str]()
    ledger = Ledger(folder, patience=120, compact=4, say=said.append)
    fill(ledger, range(2))
    ledger.commit()
    s3_server.freeze()
    with monkeypatch.context() as patch:
        patch.setattr(writing, "TRY_SECONDS", 0.5)
        fill(ledger, range(2, 5))
        wait_for(lambda: of_segment(2, said))
    assert not ledger.stored(5)
    assert ledger.stored(2)
    fill(ledger, range(5, 7))
    s3_server.thaw()
    ledger.close()
    assert read(folder) == events(7)
    begun, done = of_segment(2, said)
    assert "frozen/ledger/00000002.jsonl: refused or not answered, tried again for 120 s: no answer" in begun
    assert "done after" in done
    assert "secret" not in "".join(said)


def test_a_server_that_is_gone(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, said = s3_server.at("gone/ledger"), list[str]()
    before = Ledger(folder)
    fill(before, range(1))
    before.close()
    monkeypatch.setattr(writing, "TRY_SECONDS", 0.5)
    ledger = Ledger(folder, patience=3, say=said.append)
    s3_server.kill()
    fill(ledger, range(1, 2))
    with pytest.raises(LedgerError, match=r"cannot write to .*gone/ledger: 00000002\.jsonl: given up after"):
        ledger.commit()
    with pytest.raises(LedgerError):
        fill(ledger, range(2, 3))
    assert len(said) == len(of_segment(2, said)) == 1


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
    before = Ledger(folder)
    fill(before, range(1))
    before.close()
    ledger = Ledger(folder, patience=2, say=lambda text: None)
    if harm == "full":
        with pytest.raises(OSError, match="No space left"):
            (disk / "ballast").write_bytes(bytes(100_000))
    else:
        remount(disk, "ro")()
    fill(ledger, range(1, 2))
    with pytest.raises(LedgerError, match="No space left" if harm == "full" else "Read-only file system"):
        ledger.commit()
    assert read(folder) == events(1)
    remount(disk, "rw,size=1m")()
    later = Ledger(folder)
    fill(later, range(1, 3))
    later.close()
    assert read(folder) == events(3)
