"""What `doctor` finds in sweeps that were really damaged, and that it changes nothing."""

from __future__ import annotations

import dataclasses
import json
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from leadline import Sweep
from leadline.analysis.upkeep import doctor, sweep_files
from leadline.analysis.upkeep.doctor import Check, diagnose
from leadline.analysis.upkeep.ledger_check import examine
from leadline.checkpoint import attempt_folder
from leadline.commands.dispatch import main
from leadline.ledger.events import Noted, Reported
from leadline.ledger.format import Span, encode
from leadline.ledger.layout import trial_folder
from leadline.ledger.lease import Lease
from leadline.ledger.segments import Ledger, LedgerError, read
from leadline.storage import Folder
from tests.leadline.analysis.stored_sweep import copied, flip, publish, publish_one, train

Build = Any
HARM: dict[str, Callable[[Path], None]] = {"flip": flip, "cut": lambda path: cut(path, 3), "unlink": Path.unlink}
NAMES = ["storage", "lease", "ledger", "trials", "uploads", "temporary"]


@pytest.fixture
def folder(build: Build) -> Path:
    """A closed sweep whose three trials have their latest two checkpoints."""
    made = build()
    train(made)
    folder: Path = made.close()
    publish(folder, steps=2)
    return folder


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Six segments, the same in each run."""
    made = Ledger(Folder.at(str(tmp_path / "ledger")))
    for number in range(6):
        made.append(Noted(text=f"note {number}", time=1000.5 + number))
        made.commit()
    made.close()
    return tmp_path / "ledger"


def checks(folder: Path) -> dict[str, Check]:
    return {check.name: check for check in diagnose(Folder.at(str(folder)))}


def states(folder: Path) -> dict[str, str]:
    """The checks that are not ok."""
    return {name: check.state for name, check in checks(folder).items() if check.state != "ok"}


def segments(folder: Path) -> list[Path]:
    return sorted((folder / "ledger").glob("*.jsonl"))


def cut(path: Path, by: int) -> None:
    path.write_bytes(path.read_bytes()[:-by])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_sweep(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(folder)
    assert main(["doctor", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [[name, "ok"] for name in NAMES]
    assert f"{len(before)} files, {sum(map(len, before.values())):,} bytes" in lines[0]
    assert (
        f"{len(segments(folder))} intact segments with {len(read(Folder.at(str(folder / 'ledger'))))} events"
        in lines[2]
    )
    assert "closed: done" in lines[2]
    assert "3 of 3 that finished or were stopped" in lines[3]
    assert contents(folder) == before


def test_a_sweep_on_s3(folder: Path, s3_options: str, capsys: pytest.CaptureFixture[str]) -> None:
    flip(folder / "trials/0001/attempt-01/step-000000400/state.pt")
    (folder / "trials/0002/attempt-01/step-000000300/manifest.json").unlink()
    there = copied(folder, Folder.at(f"s3://bucket/{uuid.uuid4().hex}/demo?{s3_options}"))
    before = there.sizes(recursive=True)
    assert main(["doctor", there.uri, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["sweep"] == "demo"
    assert {check["name"]: check["state"] for check in found["checks"]} == {
        **dict.fromkeys([*NAMES, "multipart"], "ok"),
        "trials": "damaged",
        "uploads": "warning",
    }
    assert there.sizes(recursive=True) == before
    assert "secret" not in json.dumps(found)


def test_json_says_what_the_lines_say(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(folder / "trials/0000/attempt-01/step-000000400/state.pt")
    assert main(["doctor", str(folder), "--json"]) == 1
    plain = json.loads(capsys.readouterr().out)
    assert main(["doctor", str(folder)]) == 1
    out = capsys.readouterr().out
    assert [check["name"] for check in plain["checks"]] == NAMES
    for check in plain["checks"]:
        for words in (check["state"], check["found"], check["remedy"], *check["details"]):
            assert words in out


def test_a_torn_tail_costs_its_group_and_the_next_driver_sets_it_aside(folder: Path) -> None:
    *_, last = segments(folder)
    lines = last.read_bytes().count(b"\n")
    cut(last, 5)
    found = checks(folder)["ledger"]
    assert (found.state, f"{last.name}, line {lines} is cut off after " in found.found) == ("damaged", True)
    assert "sets this last segment aside" in found.remedy
    assert f"before it {len(segments(folder)) - 1} intact segments" in found.found
    with pytest.warns(UserWarning, match="set aside"):
        Ledger(Folder.at(str(folder / "ledger"))).close()
    mended = checks(folder)["ledger"]
    assert (mended.state, len(mended.details)) == ("ok", 1)
    assert mended.details[0].startswith(f"{last.name}.damaged-")


def test_a_flipped_bit_is_found_in_its_own_segment(folder: Path) -> None:
    third = segments(folder)[2]
    words = third.read_text()
    third.write_text(words.replace('"time": 1', '"time": 2', 1))
    assert third.read_text() != words
    found = checks(folder)["ledger"]
    assert found.found.startswith("00000003.jsonl has changed since it was written")
    assert "before it 2 intact segments" in found.found
    assert found.remedy == "no driver mends this; restore the file from a copy"
    with pytest.raises(LedgerError, match="damaged in its middle"):
        read(Folder.at(str(folder / "ledger")))
    assert ", by the ledger before its damage" in checks(folder)["trials"].found


def test_a_line_that_cannot_be_read_is_named(folder: Path) -> None:
    third = segments(folder)[2]
    lines = third.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b'"type"', b'"type', 1)
    third.write_bytes(b"\n".join(lines))
    assert checks(folder)["ledger"].found.startswith("00000003.jsonl, line 2 is no JSON: ")


def test_between_the_last_two_it_is_known_which_has_changed(folder: Path) -> None:
    *_, before, _ = segments(folder)
    before.write_text(before.read_text().replace('"time": 1', '"time": 2', 1))
    damage = examine(Folder.at(str(folder / "ledger"))).damage
    assert damage is not None
    assert damage.where == before.name
    assert damage.what.startswith("has changed since it was written")
    assert not damage.tail, "an intact last segment is not set aside for another's damage"
    with pytest.raises(LedgerError, match=f"{before.name} has changed"):
        read(Folder.at(str(folder / "ledger")))


def test_a_segment_that_names_another_one(folder: Path) -> None:
    """Whole and unchanged, but not of this chain."""
    *_, last = segments(folder)
    span = Span.of(last.name)
    assert span is not None
    last.write_bytes(encode(span, "0" * 64, 0, b""))
    damage = examine(Folder.at(str(folder / "ledger"))).damage
    assert damage is not None
    assert (damage.where, damage.tail) == (f"{last.name}, line 1", False)
    assert damage.what.endswith("has another content than it names: one of the two has changed")
    with pytest.raises(LedgerError, match=f"{last.name} does not follow .*: one of the two has changed"):
        read(Folder.at(str(folder / "ledger")))


@pytest.mark.parametrize(
    ("header", "what", "tail"),
    [
        ({"schema": 99}, "has schema 99, and this version reads 1 to 2", False),
        ({"first": 7, "last": 7}, "says that it is segment 7", True),
        ({"previous": "0" * 64}, "has changed since it was written", True),
        ({"events": 99}, "of 99 events", True),
        ({"events": None}, "of None events", True),
    ],
)
def test_headers_that_do_not_fit(folder: Path, header: dict[str, Any], what: str, tail: bool) -> None:
    *_, last = segments(folder)
    first, rest = last.read_text().split("\n", 1)
    last.write_text(json.dumps({**json.loads(first), **header}) + "\n" + rest)
    damage = examine(Folder.at(str(folder / "ledger"))).damage
    assert damage is not None
    assert what in damage.what
    assert damage.tail is tail
    ledger = Folder.at(str(folder / "ledger"))
    if tail:
        with pytest.warns(UserWarning, match="left out"):
            read(ledger)
    else:
        with pytest.raises(LedgerError):
            read(ledger)


@pytest.mark.parametrize("seed", range(40))
def test_it_agrees_with_the_drivers_reader(ledger: Path, seed: int) -> None:
    """Wherever a bit flips or a file ends early: what no driver reads is damage in the middle, what
    it sets aside is a tail.
    """
    place, random = Folder.at(str(ledger)), Random(seed)
    path = random.choice(sorted(ledger.iterdir())[-3:] if seed % 2 else sorted(ledger.iterdir()))
    content = bytearray(path.read_bytes())
    at = random.randrange(len(content))
    if seed % 3:
        content[at] ^= 1 << random.randrange(8)
    else:
        del content[at:]
    path.write_bytes(bytes(content))
    damage = examine(place).damage
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            read(place)
        except LedgerError:
            assert damage is not None
            assert not damage.tail
        else:
            assert (damage is not None and damage.tail) if caught else damage is None


def test_missing_segments(folder: Path) -> None:
    segments(folder)[1].unlink()
    assert checks(folder)["ledger"].found.startswith(
        "00000002.jsonl is missing, and 00000003.jsonl is there; before it 1 intact segment "
    )
    (folder / "ledger" / "copy.jsonl").write_text("{}\n")
    segments(folder)[0].unlink()
    assert checks(folder)["ledger"].found.startswith(
        "00000001.jsonl is missing, and 00000003.jsonl is there; before it 0 intact segments"
    )


def test_a_file_that_is_no_segment(folder: Path) -> None:
    (folder / "ledger" / "copy.jsonl").write_bytes(segments(folder)[-1].read_bytes())
    damage = examine(Folder.at(str(folder / "ledger"))).damage
    assert damage is not None
    assert (damage.where, damage.tail) == ("copy.jsonl", False)


def test_an_event_of_another_version(folder: Path) -> None:
    ledger = Ledger(Folder.at(str(folder / "ledger")))
    later = cast(Noted, SimpleNamespace(to_dict=lambda: {"type": "dreamt", "time": 1.0}))
    ledger.append(later)
    ledger.close()
    found = checks(folder)["ledger"].found
    assert found.startswith(
        f"{segments(folder)[-1].name}, line 2 is no event that this version understands: ValueError: "
    )


def test_without_a_ledger(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in segments(folder):
        path.unlink()
    (folder / "ledger").rmdir()
    assert main(["doctor", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "ledger     damaged  there is no segment" in out
    assert "trial 2: has checkpoints, and the ledger does not know it" in out


def test_a_ledger_that_lost_its_end_does_not_know_its_trials(folder: Path) -> None:
    for path in segments(folder)[2:]:
        path.unlink()
    assert states(folder) == {"trials": "warning"}
    assert checks(folder)["trials"].details[0] == "trial 1: has checkpoints, and the ledger does not know it"


@pytest.mark.parametrize(
    ("file", "harm", "words"),
    [
        ("state.pt", "flip", "bytes that are not those of its manifest"),
        ("record.json", "cut", "bytes that are not those of its manifest"),
        ("state.pt", "unlink", "state.pt: "),
        ("manifest.json", "cut", "manifest.json: "),
    ],
)
def test_a_damaged_checkpoint_and_what_is_used_instead(folder: Path, file: str, harm: str, words: str) -> None:
    path = folder / "trials/0001/attempt-01/step-000000400" / file
    HARM[harm](path)
    assert states(folder) == {"trials": "damaged"}
    found = checks(folder)["trials"]
    assert found.found.startswith("2 of 3 ")
    (detail,) = found.details
    assert detail.startswith("trial 1: ")
    assert words in detail
    assert detail.endswith("; attempt-01/step-000000300 is used instead")
    with pytest.warns(UserWarning, match="damaged checkpoint|using attempt-01/step-000000300"):
        assert Sweep.open(folder).trial(1).checkpoint().step == 300


def test_missing_checkpoints(folder: Path) -> None:
    for step in (300, 400):
        for path in (folder / f"trials/0001/attempt-01/step-000000{step}").iterdir():
            path.unlink()
        (folder / f"trials/0001/attempt-01/step-000000{step}").rmdir()
    assert checks(folder)["trials"].details == [
        "trial 1: attempt-01/step-000000400 is missing; no other is intact: its weights are lost"
    ]


def test_a_lost_manifest_is_told_twice(folder: Path) -> None:
    (folder / "trials/0001/attempt-01/step-000000400/manifest.json").unlink()
    assert states(folder) == {"trials": "damaged", "uploads": "warning"}
    assert "a last or best report names it, so that `gc` leaves it" in checks(folder)["uploads"].details[0]


def test_uploads_that_were_cut_off_and_temporary_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = folder / "trials/0001/attempt-02"
    for step in range(25):
        (place / f"step-{step:09d}").mkdir(parents=True)
        (place / f"step-{step:09d}" / "state.pt").write_bytes(b"12345")
    (place / ".log.txt.0123abcd").write_bytes(b"123")
    assert main(["doctor", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "uploads    warning  25 cut off, without a manifest: 125 bytes; " in out
    assert "and 5 more; --json names all" in out
    assert "temporary  warning  1 temporary file: 3 bytes; " in out
    assert main(["gc", str(folder)]) == 0
    assert states(folder) == {}


def test_while_it_runs_what_is_being_written_is_no_fault(build: Build) -> None:
    made = build()
    train(made)
    running = made.director.next()
    made.director.started(running.trial, 2)
    publish(made.folder, steps=1)
    place = made.folder / trial_folder(running.trial)
    lease = Lease.take(Folder.at(f"{made.folder}/lease"), pytest.fail)
    for attempt in (1, 2):
        (place / f"{attempt_folder(attempt)}/step-000000100").mkdir(parents=True)
        (place / f"{attempt_folder(attempt)}/step-000000100/state.pt").write_bytes(b"123")
    (place / ".log.txt.0123abcd").write_bytes(b"123")
    assert states(made.folder) == {"uploads": "warning"}
    found = checks(made.folder)
    assert found["uploads"].details == [f"{trial_folder(running.trial)}/attempt-01/step-000000100: 3 bytes"]
    assert found["temporary"].found == "1 temporary file: 3 bytes; they may be in use"
    assert found["lease"].found.endswith(", which runs")
    lease.release()
    assert states(made.folder) == {"uploads": "warning", "temporary": "warning"}
    assert len(checks(made.folder)["uploads"].details) == 2
    made.close("interrupted")


def test_a_checkpoint_that_is_published_while_the_doctor_looks(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    made = build()
    train(made)
    made.ledger.commit()
    publish(made.folder, steps=1)
    manifest = made.folder / "trials/0000/attempt-01/step-000000400/manifest.json"
    content = manifest.read_bytes()
    manifest.unlink()

    def listed_before(folder: Folder) -> sweep_files.Contents:
        found = sweep_files.contents(folder)
        manifest.write_bytes(content)
        return found

    assert set(states(made.folder)) == {"trials", "uploads"}
    monkeypatch.setattr(doctor, "contents", listed_before)
    assert states(made.folder) == {}
    made.close()


@pytest.mark.parametrize("closed", ["", "done"])
def test_holders_that_ended_and_holders_elsewhere(build: Build, closed: str) -> None:
    folder = build().close(closed)
    place = Folder.at(f"{folder}/lease")
    assert checks(folder)["lease"].found == "none was taken"
    lease = Lease.take(place, pytest.fail)
    lease.release()
    assert checks(folder)["lease"].found.startswith("nobody holds it; the last was process ")
    holder = {**lease.holder, "pid": 2**22 + 1}
    place.write("00000002.json", json.dumps(holder).encode())
    dead = checks(folder)["lease"]
    assert (dead.state, "has ended without giving it back" in dead.found) == ("warning", True)
    assert dead.remedy == ("" if closed else "`--resume` takes over at once")
    place.write("00000003.json", json.dumps({**holder, "processes": "another table"}).encode())
    assert checks(folder)["lease"].found.endswith("; whether it runs cannot be known from here")
    place.write("00000004.json", b'{"since": "yesterday"}')
    assert checks(folder)["lease"].found.startswith("cannot be understood: ")
    assert all(state == "warning" for state in states(folder).values())


def test_an_attempt_of_a_trial_that_ended_may_have_later_checkpoints(folder: Path) -> None:
    publish_one(folder, 0, 500)
    assert states(folder) == {}


def test_storage_that_refuses(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(folder: Folder) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor, "contents", refuse)
    assert main(["doctor", str(folder)]) == 1
    assert capsys.readouterr().out.startswith(
        f"storage    damaged  {folder} cannot be read: [Errno 13] Permission denied; "
    )


def test_no_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path)]) == 2
    assert "is not a sweep: it has no ledger" in capsys.readouterr().err


@pytest.mark.parametrize(("steps", "said"), [(2, "attempt-01/step-000000300 is before it"), (1, "it begins anew")])
def test_a_damaged_checkpoint_of_a_trial_that_goes_on(build: Build, tmp_path: Path, steps: int, said: str) -> None:
    made = build()
    train(made)
    folder: Path = made.close()
    publish(folder, steps=steps)
    events = read(Folder.at(str(folder / "ledger")))
    at, last = [(at, event) for at, event in enumerate(events) if isinstance(event, Reported) and event.trial == 1][-1]
    events[at] = dataclasses.replace(last, action="continue")
    (folder / "ledger").rename(tmp_path / "whole")
    ledger = Ledger(Folder.at(str(folder / "ledger")))
    for event in events:
        ledger.append(event)
    ledger.close()
    assert "trials" not in states(folder)
    cut(folder / "trials/0001/attempt-01/step-000000400/state.pt", 3)
    found = checks(folder)["trials"]
    assert (found.state, found.remedy) == ("warning", "`--resume` goes back one checkpoint in these")
    assert len(found.details) == 1
    assert found.details[0].startswith("trial 1: ")
    assert found.details[0].endswith(said)
