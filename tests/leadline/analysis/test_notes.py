from __future__ import annotations

from typing import Any

import pytest

from leadline import Sweep
from leadline.analysis import notes
from leadline.commands.dispatch import main
from leadline.config import ConfigError
from leadline.ledger.segments import read as events
from leadline.storage import Folder

Build = Any


@pytest.fixture
def sweep(build: Build) -> Sweep:
    made = build()
    made.train(3)
    return Sweep.open(made.close())


def test_a_note_is_written_beside_the_ledger(sweep: Sweep) -> None:
    before = list(events(sweep.folder / "ledger"))
    added = notes.add(sweep, 1, " look again ", "ada", now=1_770_000_000.25)
    assert added == notes.Note(1, 1_770_000_000.25, "ada", "look again")
    assert list((sweep.folder / "notes").sizes()) == ["20260202T024000.250000Z-0001.json"]
    assert notes.read(sweep.folder) == [added]
    assert list(events(sweep.folder / "ledger")) == before


def test_notes_come_in_order_and_by_trial(sweep: Sweep) -> None:
    late = notes.add(sweep, 1, "second", "ada", now=200.0)
    early = notes.add(sweep, 2, "first", "bob", now=100.0)
    assert notes.read(sweep.folder) == [early, late]
    assert notes.read(sweep.folder, 1) == [late]
    assert notes.read(sweep.folder, 0) == []


def test_a_note_is_never_replaced(sweep: Sweep) -> None:
    notes.add(sweep, 1, "first", "ada", now=100.0)
    with pytest.raises(FileExistsError):
        notes.add(sweep, 1, "second", "bob", now=100.0)
    assert [note.text for note in notes.read(sweep.folder)] == ["first"]


def test_the_author_is_the_user(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "grace")
    assert notes.add(sweep, 0, "x").author == "grace"
    monkeypatch.delenv("USER")
    assert notes.add(sweep, 0, "y").author == "unknown"


@pytest.mark.parametrize("text", ["", "  \n", "x" * 10_001])
def test_no_text_and_too_much_are_refused(sweep: Sweep, text: str) -> None:
    with pytest.raises(ConfigError, match=r"^text: must have 1 to 10000 characters"):
        notes.add(sweep, 0, text)
    assert notes.read(sweep.folder) == []


BAD = {
    "no field": b"{}",
    "no object": b"[1]",
    "no JSON": b"\xff",
    "no date": b'{"trial": 1, "time": NaN, "author": "ada", "text": "x"}',
    "no trial": b'{"trial": Infinity, "time": 1, "author": "ada", "text": "x"}',
    "no text": b'{"trial": 1, "time": 1, "author": "ada", "text": "\\ud800"}',
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_a_file_that_is_no_note_is_named_and_passed_over(sweep: Sweep, content: bytes) -> None:
    good = notes.add(sweep, 1, "look again", "ada", now=100.0)
    Folder.at(f"{sweep.folder}/notes").write("bad.json", content)
    with pytest.warns(UserWarning, match=r"notes/bad\.json is no note and was left out: \w+"):
        assert notes.read(sweep.folder, 1) == [good]


def test_pages_go_on_without_a_bad_note(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    notes.add(sweep, 1, "look again", "ada", now=100.0)
    Folder.at(f"{sweep.folder}/notes").write("<b>.json", b"{}")
    folder = str(sweep.folder)
    for words in (["trial", folder, "1"], ["note", folder, "1"], ["report", folder]):
        assert main(words) == 0
        out, err = capsys.readouterr()
        assert err.startswith(f"warning: notes: {folder}/notes/<b>.json is no note")
        assert err.count("\n") == 1
        assert "look again" in out or words[0] == "report"
    page = sweep.folder.read("report.html").decode()
    assert "notes/&lt;b&gt;.json is no note and was left out: KeyError: &#39;trial&#39;" in page
    assert "look again" in page


def test_command(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(sweep.folder)
    assert main(["note", folder, "1", "look <again>", "--author", "ada"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("ada: look <again>\n")
    assert main(["note", folder, "1"]) == 0
    assert capsys.readouterr().out == said
    assert main(["note", folder, "0"]) == 0
    assert capsys.readouterr().out == "no note on trial 0\n"
    assert main(["trial", folder, "1"]) == 0
    assert "ada: look <again>" in capsys.readouterr().out
    assert main(["note", folder, "99", "x"]) == 2
    assert "no trial 99" in capsys.readouterr().err
    assert [note.trial for note in notes.read(sweep.folder)] == [1], "the refused note was not written"
