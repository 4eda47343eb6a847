"""What `gc` removes, and above all what it leaves."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from leadline import Sweep
from leadline.analysis.upkeep.gc import plan
from leadline.checkpoint import CheckpointStore
from leadline.commands.dispatch import main
from leadline.ledger.layout import trial_folder
from leadline.ledger.lease import Lease
from leadline.storage import Folder
from tests.leadline.analysis.conftest import report
from tests.leadline.analysis.stored_sweep import copied, flip, publish, publish_one, train

Build = Any
UNTOUCHED = {
    "notes/20260131T120000.123456Z-0000.json": b"{}",
    "report.html": b"<html>",
    "trials/0000/attempt-01/log.txt": b"log",
    "trials/0000/attempt-01/step-000000100/plot.png": b"of a user",
    "trials/0000/attempt-01/step-000000050/plot.png": b"of a user",
    "trials/0000/.hidden": b"of a user",
    "mine.txt": b"of a user",
}


@pytest.fixture
def folder(build: Build) -> Path:
    """A closed sweep whose three trials have all their checkpoints, beside files of other kinds."""
    made = build()
    train(made)
    folder: Path = made.close()
    publish(folder)
    return folder


@pytest.fixture(params=["local", "s3"])
def sweep(request: pytest.FixtureRequest, folder: Path) -> Folder:
    """The sweep where it lies, and on an S3 server."""
    if request.param == "local":
        return Folder.at(str(folder))
    return copied(folder, Folder.at(f"s3://bucket/{uuid.uuid4().hex}/demo?{request.getfixturevalue('s3_options')}"))


def files(sweep: Folder) -> dict[str, bytes]:
    return {name: sweep.read(name) for name in sweep.sizes(recursive=True, hidden=True)}


def steps(sweep: Folder, trial: int) -> list[str]:
    return [
        name.removeprefix("attempt-01/step-000000") for name in CheckpointStore(sweep / trial_folder(trial)).names()
    ]


def test_the_last_the_best_and_one_before_the_last_stay(sweep: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(sweep)
    assert main(["gc", sweep.uri]) == 0
    assert steps(sweep, 0) == ["400", "300", "200"], "the best is at step 200"
    assert steps(sweep, 1) == ["400", "300"], "the best is the last"
    after = files(sweep)
    gone = before.keys() - after.keys()
    assert {name.rsplit("/", 1)[0].split("/", 1)[1] for name in gone if name.startswith("trials/0000")} == {
        "0000/attempt-01/step-000000100"
    }
    assert all(after[name] == before[name] for name in after)
    amount = sum(len(before[name]) for name in gone)
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == f"removed {amount:,} bytes in all"
    assert out[0].startswith("removed trials/0000/attempt-01/step-000000100, ")
    assert not sweep.exists("trials/0000/attempt-01/step-000000100")
    assert main(["gc", sweep.uri]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"


def test_a_removal_that_is_cut_off_leaves_no_damaged_checkpoint(folder: Path) -> None:
    place = Folder.at(str(folder))
    for removal in plan(place):
        assert [name.rsplit("/", 1)[1] for name in removal.files] == ["manifest.json", "record.json", "state.pt"]
        (folder / removal.files[0]).unlink()
    assert main(["gc", str(folder)]) == 0
    assert {name.rsplit("/", 1)[0] for name in place.sizes(recursive=True) if name.startswith("trials/0000")} == {
        f"trials/0000/attempt-01/step-000000{step}" for step in (200, 300, 400)
    }


def test_every_trial_loads_as_before(sweep: Folder) -> None:
    before = {view.number: view.checkpoint() for view in Sweep.open(sweep).trials}
    assert main(["gc", sweep.uri]) == 0
    for view in Sweep.open(sweep).trials:
        assert view.checkpoint().name == before[view.number].name
        assert view.checkpoint().state["model"]["w"].tolist() == before[view.number].state["model"]["w"].tolist()


def test_a_dry_run_says_the_same_and_changes_nothing(sweep: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    sweep.write("trials/0001/attempt-02/step-000000100/state.pt", b"cut off")
    before = files(sweep)
    assert main(["gc", sweep.uri, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert files(sweep) == before
    assert main(["gc", sweep.uri]) == 0
    assert capsys.readouterr().out == said.replace("would remove", "removed")
    assert files(sweep) != before


def test_uploads_without_a_manifest_and_temporary_files_go(sweep: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    rubbish = {
        "trials/0001/attempt-02/step-000000300/state.pt": b"cut",
        "trials/0001/attempt-02/step-000000300/.record.json.0123abcd": b"off",
        "trials/0009/attempt-01/step-000000100/record.json": b"of a trial that the ledger lost",
        ".report.html.89abcdef": b"<htm",
        "ledger/.00000099.jsonl.00000000": b"{",
    }
    for name, content in {**UNTOUCHED, **rubbish}.items():
        sweep.write(name, content)
    assert main(["gc", sweep.uri]) == 0
    assert not rubbish.keys() & files(sweep).keys()
    assert not sweep.exists("trials/0001/attempt-02/step-000000300")
    assert {name: files(sweep)[name] for name in UNTOUCHED} == UNTOUCHED
    out = capsys.readouterr().out
    assert "removed trials/0001/attempt-02/step-000000300, 3 bytes: cut off while it was written\n" in out
    assert "removed .report.html.89abcdef, 4 bytes: temporary\n" in out


@pytest.mark.parametrize("harm", ["flipped", "truncated", "no manifest", "gone"])
def test_nothing_goes_where_the_last_is_damaged(folder: Path, capsys: pytest.CaptureFixture[str], harm: str) -> None:
    last = folder / "trials/0000/attempt-01/step-000000400"
    if harm == "flipped":
        flip(last / "state.pt")
    elif harm == "truncated":
        (last / "record.json").write_bytes((last / "record.json").read_bytes()[:-1])
    else:
        for path in last.iterdir():
            if harm == "gone" or path.name == "manifest.json":
                path.unlink()
    before = files(Folder.at(f"{folder}/trials/0000"))
    assert main(["gc", str(folder)]) == 0
    assert files(Folder.at(f"{folder}/trials/0000")) == before
    assert steps(Folder.at(str(folder)), 1) == ["400", "300"], "other trials do not suffer"
    assert (
        "warning: trial 0: all its checkpoints stay, as that of its last report is damaged: " in capsys.readouterr().err
    )


def test_the_older_one_that_stays_is_intact(folder: Path) -> None:
    flip(folder / "trials/0001/attempt-01/step-000000300/state.pt", at=0.2)
    assert main(["gc", str(folder)]) == 0
    assert steps(Folder.at(str(folder)), 1) == ["400", "200"]


def test_what_a_trial_keeps_by_itself_is_neither_removed_nor_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gc", str(folder)]) == 0
    flip(folder / "trials/0000/attempt-01/step-000000400/state.pt")
    before = files(Folder.at(str(folder)))
    capsys.readouterr()
    assert main(["gc", str(folder)]) == 0
    assert (capsys.readouterr().err, files(Folder.at(str(folder)))) == ("", before)


def test_other_attempts_and_later_steps_of_a_trial_that_ended(folder: Path) -> None:
    publish_one(folder, 0, 500)
    publish_one(folder, 0, 300, attempt=2)
    assert main(["gc", str(folder)]) == 0
    assert CheckpointStore(Folder.at(f"{folder}/trials/0000")).names() == [
        "attempt-01/step-000000400",
        "attempt-02/step-000000300",
        "attempt-01/step-000000200",
    ]


def test_a_trial_that_goes_on_keeps_all(build: Build) -> None:
    made = build()
    train(made)
    assignment = made.director.next()
    made.director.started(assignment.trial, 1)
    for step in (100, 200, 300):
        made.director.reported(assignment.trial, report(assignment, step, 1e-6 / step))
    folder = made.close("interrupted")
    publish(folder)
    assert Sweep.open(folder).trial(assignment.trial).status == "waiting"
    assert main(["gc", str(folder)]) == 0
    assert steps(Folder.at(str(folder)), assignment.trial) == ["300", "200", "100"]
    assert steps(Folder.at(str(folder)), 0) == ["400", "300", "200"]


def test_the_best_is_the_highest_where_more_is_better(build: Build) -> None:
    made = build(mode="max")
    train(made, trials=1)
    folder = made.close()
    publish(folder)
    assert main(["gc", str(folder)]) == 0
    assert steps(Folder.at(str(folder)), 0) == ["400", "300", "100"]


def test_refused_while_a_driver_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lease = Lease.take(Folder.at(f"{folder}/lease"), pytest.fail)
    before = files(Folder.at(str(folder)))
    for words in ([], ["--dry-run"]):
        assert main(["gc", str(folder), *words]) == 2
        assert capsys.readouterr().err.startswith("error: sweep: demo is run by process ")
    assert files(Folder.at(str(folder))) == before
    lease.release()
    assert main(["gc", str(folder)]) == 0


@pytest.mark.parametrize("leased", [True, False])
def test_refused_where_a_driver_may_run(build: Build, capsys: pytest.CaptureFixture[str], leased: bool) -> None:
    made = build()
    train(made)
    made.ledger.commit()
    publish(made.folder)
    if leased:
        holder = {"id": "x", "host": "elsewhere", "pid": 7, "process_started": 0, "since": 0, "seconds": 60}
        Folder.at(f"{made.folder}/lease").write("00000001.json", json.dumps(holder).encode())
    before = files(Folder.at(str(made.folder)))
    assert main(["gc", str(made.folder)]) == 2
    who = "process 7 on elsewhere, since 1970-01-01 00:00:00 UTC" if leased else "a driver"
    err = capsys.readouterr().err
    assert err.startswith(f"error: sweep: demo is not closed, and may be run by {who}, which cannot be seen from here")
    assert err.count("\n") == 1
    assert files(Folder.at(str(made.folder))) == before
    made.close("interrupted")
    assert main(["gc", str(made.folder)]) == 0


def test_a_killed_sweep_is_cleaned(build: Build) -> None:
    made = build()
    train(made)
    folder = made.close("")
    publish(folder)
    lease = Lease.take(Folder.at(f"{folder}/lease"), pytest.fail)
    lease.release()
    assert main(["gc", str(folder)]) == 0
    assert steps(Folder.at(str(folder)), 0) == ["400", "300", "200"]


def test_a_folder_that_is_no_checkpoint_stays_when_it_is_empty(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / ".table.csv.0123abcd").write_text("x")
    assert main(["gc", str(folder)]) == 0
    assert list((folder / "mine").iterdir()) == []


def test_refused_where_the_ledger_is_damaged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(folder / "ledger" / "00000002.jsonl")
    before = files(Folder.at(str(folder)))
    assert main(["gc", str(folder)]) == 2
    assert capsys.readouterr().err.startswith("error: ledger: damaged in its middle: ")
    assert files(Folder.at(str(folder))) == before


def test_no_sweep_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".notes.0123abcd").write_text("mine")
    assert main(["gc", str(tmp_path)]) == 2
    assert "is not a sweep: it has no ledger" in capsys.readouterr().err
    assert (tmp_path / ".notes.0123abcd").exists()
