"""Compaction and failing storage: whatever happens at whatever instant, the ledger reads back what
had been confirmed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from leadline.ledger import segments as writing
from leadline.ledger.compaction import Compaction
from leadline.ledger.events import Event, Noted
from leadline.ledger.format import Span, in_order
from leadline.ledger.reader import LedgerError, read
from leadline.ledger.segments import Ledger
from leadline.storage import Folder
from tests.conftest import ROOT


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Folder]:
    """Makes new folders for ledgers."""
    if request.param == "local":
        return lambda: Folder.at(f"{tmp_path}/{uuid.uuid4().hex}/ledger")
    options = request.getfixturevalue("s3_options")
    return lambda: Folder.at(f"s3://bucket/{uuid.uuid4().hex}/ledger?{options}")


def note(number: int) -> Noted:
    return Noted(text=str(number), time=0.0)


def events(count: int, first: int = 0) -> list[Event]:
    return [note(number) for number in range(first, first + count)]


def write(folder: Folder, count: int, **options: Any) -> None:
    """Adds so many groups of one event each."""
    ledger = Ledger(folder, **options)
    for event in events(count, len(ledger.past)):
        ledger.append(event)
        ledger.commit()
    ledger.close()


def names(folder: Folder) -> list[str]:
    return sorted(folder.sizes())


def test_many_groups_are_few_files(place: Callable[[], Folder]) -> None:
    folder = place()
    write(folder, 26, compact=8)
    compacted = ["00000001-00000008.jsonl", "00000009-00000016.jsonl", "00000017-00000024.jsonl"]
    assert names(folder) == [*compacted, "00000025.jsonl", "00000026.jsonl"]
    assert read(folder) == events(26)
    write(folder, 7, compact=8)  # goes on with the two that were left
    assert names(folder) == [*compacted, "00000025-00000032.jsonl", "00000033.jsonl"]
    assert read(folder) == events(33)


def test_large_events_are_compacted_sooner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadline.ledger.compaction.BYTES", 150)
    folder = Folder.at(str(tmp_path / "ledger"))
    write(folder, 4)
    assert names(folder)[0] == "00000001-00000004.jsonl"
    assert read(folder) == events(4)


class Killed(Exception):
    """Takes the place of a SIGKILL: from here on nothing reaches the storage."""


class Changes:
    """Counts what changes the storage; after `allowed` changes there are no more."""

    def __init__(self, patch: pytest.MonkeyPatch, allowed: int) -> None:
        self.made, self.allowed = 0, allowed
        for owner, name in ((Folder, "write"), (Compaction, "_delete")):
            patch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, action: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: Any, **options: Any) -> None:
            if self.made >= self.allowed:
                raise Killed
            self.made += 1
            action(*arguments, **options)

        return run


def until_killed(folder: Folder, groups: int) -> int:
    """Writes groups of one event, compacted by threes; how many were confirmed."""
    confirmed = 0
    try:
        ledger = Ledger(folder, compact=3, say=lambda text: None)
        for event in events(groups, len(ledger.past)):
            ledger.append(event)
            ledger.commit()
            confirmed += 1
        ledger.close()
    except LedgerError:
        pass
    return confirmed


def test_killed_at_every_step_of_a_compaction(place: Callable[[], Folder]) -> None:
    groups = 7
    with pytest.MonkeyPatch.context() as patch:
        whole = Changes(patch, 1000)
        assert until_killed(place(), groups) == groups
    assert whole.made == groups + 2 + 6  # segments, two compacted ones, and the parts of both
    for step in range(0, whole.made, 1 if place().local else 2):
        folder = place()
        with pytest.MonkeyPatch.context() as patch:
            Changes(patch, step)
            confirmed = until_killed(folder, groups)
        found = read(folder) if folder.exists() else []
        assert found == events(len(found))
        assert len(found) >= confirmed
        write(folder, 3, compact=3)
        assert read(folder) == events(len(found) + 3)
        counting, covered = in_order(names(folder))
        assert covered == [], "what a compaction has left is removed by the next writer"
        assert len(counting) <= len(found) // 3 + 3


WRITER = """
import sys
from leadline.ledger.events import Noted
from leadline.ledger.segments import Ledger
from leadline.storage import Folder
ledger = Ledger(Folder.at(sys.argv[1]), compact=4)
for number in range(len(ledger.past), 10**6):
    ledger.append(Noted(text=str(number), time=0.0))
    ledger.commit()
    print(number + 1, flush=True)
"""


def test_a_writer_that_is_killed_again_and_again(tmp_path: Path) -> None:
    folder, random = Folder.at(str(tmp_path / "ledger")), Random(4)
    confirmed = 0
    for _ in range(3):
        command = [sys.executable, "-c", WRITER, folder.path]
        with subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(random.randrange(20, 60)):
                confirmed = int(writer.stdout.readline())
            writer.kill()
            confirmed = int((writer.stdout.read().split("\n")[:-1] or [str(confirmed)])[-1])
        found = read(folder)
        assert found == events(len(found))
        assert len(found) in (confirmed, confirmed + 1)


def test_what_is_compacted_between_listing_and_reading(
    place: Callable[[], Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the listing, which takes several requests, has seen only a part: a shorter ledger would look whole."""
    sizes = Folder.sizes
    for seen in (5, 2):
        folder, first = place(), iter([True])
        write(folder, 5)

        def stale(self: Folder, seen: int = seen, first: Iterator[bool] = first, **options: Any) -> dict[str, int]:
            found: dict[str, int] = sizes(self, **options)
            if next(first, False):
                write(self, 1, compact=5)
                return dict(sorted(found.items())[:seen])
            return found

        monkeypatch.setattr(Folder, "sizes", stale)
        assert read(folder) == events(6)
        assert names(folder) == ["00000001-00000005.jsonl", "00000006.jsonl"]


def test_a_reader_beside_a_writer(place: Callable[[], Folder]) -> None:
    folder = place()
    ledger = Ledger(folder, compact=3)
    ledger.append(note(0))
    ledger.commit()
    for number in range(1, 40):
        ledger.append(note(number))
        if number % 2:
            ledger.commit()
        found = read(folder)
        assert found == events(len(found))
        assert len(found) >= number + number % 2
    ledger.close()
    assert read(folder) == events(40)


def damaged(content: bytes, how: str) -> bytes:
    if how == "flip":
        at = len(content) // 2
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    return content[:-5] if how == "cut" else b""


@pytest.mark.parametrize("how", ["flip", "cut", "empty"])
def test_damage_in_each_file_of_a_compacted_ledger(tmp_path: Path, how: str) -> None:
    folder = Folder.at(str(tmp_path / "ledger"))
    write(folder, 8, compact=3)
    files = sorted(Path(folder.path).iterdir())
    assert [file.name for file in files] == [
        "00000001-00000003.jsonl",
        "00000004-00000006.jsonl",
        "00000007.jsonl",
        "00000008.jsonl",
    ]
    for file in files[:-1]:
        intact = file.read_bytes()
        file.write_bytes(damaged(intact, how))
        with pytest.raises(LedgerError, match=f"damaged in its middle: .*{file.name}"):
            read(folder)
        with pytest.raises(LedgerError, match=f"damaged in its middle: .*{file.name}"):
            Ledger(folder)
        file.write_bytes(intact)
    files[-1].write_bytes(damaged(files[-1].read_bytes(), how))
    with pytest.warns(UserWarning, match=f"tail left out: .*{files[-1].name}"):
        assert read(folder) == events(7)


@pytest.mark.parametrize("how", ["flip", "cut", "empty"])
def test_a_compacted_segment_is_no_torn_tail(tmp_path: Path, how: str) -> None:
    """What it holds had been confirmed, also where it is the last file."""
    folder = Folder.at(str(tmp_path / "ledger"))
    write(folder, 6, compact=3)
    last = sorted(Path(folder.path).iterdir())[-1]
    assert last.name == "00000004-00000006.jsonl"
    last.write_bytes(damaged(last.read_bytes(), how))
    for attempt in (read, Ledger):
        with pytest.raises(LedgerError, match=f"damaged in its middle: .*{last.name}"):
            attempt(folder)


def test_the_parts_that_are_left_do_not_count(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "ledger"))
    write(folder, 3)
    parts = {name: folder.read(name) for name in names(folder)}
    write(folder, 1, compact=3)
    for name, content in parts.items():
        folder.write(name, damaged(content, "flip"))
    assert read(folder) == events(4)
    write(folder, 1, compact=3)
    assert names(folder) == ["00000001-00000003.jsonl", "00000004.jsonl", "00000005.jsonl"]


def test_a_writer_that_others_have_overtaken(place: Callable[[], Folder], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next segment is gone, compacted: it finds the place free, and must not believe that it
    has stored anything.
    """
    folder = place()
    stale = Ledger(folder)
    write(folder, 4, compact=4)
    monkeypatch.setattr(writing, "SILENCE", -1.0)
    stale.append(note(99))
    with pytest.raises(LedgerError, match=r"00000001-00000004\.jsonl is another writer's"):
        stale.commit()
    assert read(folder) == events(4)


def test_a_storage_that_refuses_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that was done, and yet refused, is not done twice; who waits is told when it begins
    and when it is over.
    """
    folder, said = Folder.at(str(tmp_path / "ledger")), list[str]()
    ledger = Ledger(folder, say=said.append)
    stored, refusals = Folder.write, iter([False, True])

    def refuse(self: Folder, name: str, content: bytes, *, exclusive: bool = False) -> None:
        done = next(refusals, None)
        if done is not False:
            stored(self, name, content, exclusive=exclusive)
        if done is not None:
            raise OSError("not now")

    monkeypatch.setattr(Folder, "write", refuse)
    ledger.append(note(0))
    ledger.commit()
    ledger.append(note(1))
    ledger.close()
    assert read(folder) == events(2)
    assert [line.partition(": refused")[0].partition(": done")[0] for line in said] == [
        f"ledger: {folder}/00000001.jsonl"
    ] * 2
    assert "not now" in said[0]
    assert names(folder) == ["00000001.jsonl", "00000002.jsonl"]


def test_a_storage_that_refuses_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(Folder.at(str(tmp_path / "ledger")), patience=2, say=lambda text: None)

    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Folder, "write", refuse)
    position = ledger.append(note(0))
    with pytest.raises(LedgerError, match=r"cannot write to .*ledger: 00000001\.jsonl: given up after .*no space left"):
        ledger.commit()
    with pytest.raises(LedgerError):
        ledger.stored(position)
    with pytest.raises(LedgerError):
        ledger.append(note(1))
    with pytest.raises(LedgerError):
        ledger.close()


def test_compaction_that_fails_costs_nothing_but_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, said, stored = Folder.at(str(tmp_path / "ledger")), list[str](), Folder.write

    def refuse(self: Folder, name: str, content: bytes, *, exclusive: bool = False) -> None:
        span = Span.of(name)
        if span is not None and span.compacted:
            raise ValueError("no")
        stored(self, name, content, exclusive=exclusive)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Folder, "write", refuse)
        write(folder, 6, compact=3, say=said.append)
    assert len(names(folder)) == 6
    assert read(folder) == events(6)
    assert said == ["ledger: segments were not compacted, and the next driver will do it: no"] * 2
    write(folder, 1, compact=3)
    assert names(folder) == ["00000001-00000003.jsonl", "00000004-00000006.jsonl", "00000007.jsonl"]
