"""The second place of a sweep: what is copied, in which order, and what becomes of it when a part fails."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from leadline import Sweep
from leadline.analysis.upkeep.doctor import diagnose
from leadline.checkpoint import CheckpointStore
from leadline.config import ConfigError
from leadline.engine import mirror
from leadline.engine.director import Director
from leadline.engine.mirror import Mirror
from leadline.ledger.history import History
from leadline.ledger.layout import trial_folder
from leadline.ledger.mirrored import MARKER
from leadline.ledger.reader import scan
from leadline.ledger.retention import needed
from leadline.ledger.segments import Ledger, read
from leadline.storage import Folder
from tests.conftest import S3Server, processes
from tests.leadline.engine.test_bad_input import main
from tests.leadline.engine.test_director import BASE
from tests.leadline.in_process_sweep import play
from tests.leadline.toy_study import STUDY

SETTINGS = dataclasses.replace(BASE, trials=4, budget=4, grace=2, confirm=1, replicates=1, concurrent=2)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow each other at once; nothing below depends on how many there are."""
    monkeypatch.setattr(mirror, "ROUND_SECONDS", 0.05)
    monkeypatch.setattr(mirror, "PAUSES", (0.05, 0.2))
    monkeypatch.setattr(mirror, "QUIET_SECONDS", 240.0)


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A second place in which nothing is yet."""
    if request.param == "local":
        return str(tmp_path / "second")
    return f"s3://bucket/{uuid.uuid4().hex}?{request.getfixturevalue('s3_options')}"


@pytest.fixture
def source(tmp_path: Path) -> Folder:
    return Folder.at(str(tmp_path / "first" / "a"))


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Waits for a state; the limit only ends a hang."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Copied:
    """A driver's life over a sweep that has been played: what it copies, and what it says."""

    def __init__(self, source: Folder, place: str, compact: int = 256) -> None:
        self.said = list[str]()
        self.ledger = Ledger(source / "ledger", compact=compact)
        self.director = Director(SETTINGS, STUDY.space, self.ledger.append)
        self.director.replay(self.ledger.past)
        self.mirror = Mirror(self.ledger, self.director, source, place, self.said.append)

    def end(self, patience: float = 60.0) -> str:
        self.ledger.close()
        return self.mirror.close(patience)


def ended(folder: Folder) -> Iterator[tuple[int, str]]:
    """The checkpoints that trials need which have ended by a folder's own ledger."""
    history = History.of(read(folder / "ledger"))
    for trial in history.trials.values():
        if not trial.open:
            yield from ((trial.number, name) for name in needed(history, trial))


def held(folder: Folder) -> dict[str, bytes]:
    return {name: folder.read(name) for name in folder.sizes(recursive=True)}


def states(folder: Folder) -> dict[str, str]:
    return {check.name: check.state for check in diagnose(folder)}


def test_a_mirror_is_the_sweep_as_it_is(source: Folder, place: str) -> None:
    """Training, segments and compactions go on while it is copied."""
    director = play(source, SETTINGS, mirror=place, compact=8)
    source.write("report.html", b"a report")
    source.write("tensorboard/0001/events", b"a curve")
    again = Copied(source, place)
    said = again.end()
    target = Folder.at(place) / "a"
    last = scan(source / "ledger").segments[-1].span.last
    assert said == f"mirror       {target}: complete, up to segment {last}"
    assert again.said == []
    assert read(target / "ledger") == read(source / "ledger")
    assert History.of(read(target / "ledger")) == History.of(read(source / "ledger"))
    replayed = Director(SETTINGS, STUDY.space)
    replayed.replay(read(target / "ledger"))
    assert replayed.next() == "done"
    wanted = {
        f"trials/{number:04d}/{name}/{file}"
        for number, name in ended(source)
        for file in ("manifest.json", "record.json", "state.pt")
    }
    assert len(wanted) >= 3 * len(director.history.trials) - 3
    there = held(target)
    assert {name for name in there if name.startswith("trials/")} == wanted
    assert all(there[name] == source.read(name) for name in wanted)
    assert (there["report.html"], there["tensorboard/0001/events"]) == (b"a report", b"a curve")
    assert json.loads(there[MARKER])["complete"] == last
    assert not any(name.startswith("lease") for name in there)
    assert set(states(target).values()) == {"ok"}
    assert Sweep.open(target).leaderboard() == Sweep.open(source).leaderboard()
    best, original = (Sweep.open(folder).best(level=1) for folder in (target, source))
    assert all(
        (one == other).all() for one, other in zip(best.load().parameters(), original.load().parameters(), strict=True)
    )


def test_trials_under_way_have_their_latest_checkpoints_there(source: Folder, tmp_path: Path) -> None:
    """A driver that goes on with the mirror trains what was left, and nothing from the start."""
    director = play(source, SETTINGS, limit=3, mirror=str(tmp_path / "second"))
    under_way = [trial for trial in director.history.trials.values() if trial.open and trial.reports]
    assert under_way
    target = Folder.at(str(tmp_path / "second" / "a"))
    for trial in under_way:
        found = CheckpointStore(target / trial_folder(trial.number)).newest()
        assert found is not None
        assert found.name == trial.reports[-1].checkpoint
    target.files.delete_file(f"{target.path}/{MARKER}")
    history = play(target, SETTINGS).history
    for trial in under_way:
        steps = [report.step for report in history.trials[trial.number].reports]
        assert steps[: len(trial.reports)] == [report.step for report in trial.reports]
        assert steps == sorted(set(steps))
    assert History.of(read(target / "ledger")).closed == "done"


def test_segments_count_together_and_after_the_checkpoints_that_they_name(
    source: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each single write to the mirror, all that its ledger says has ended is there."""
    seen, missing = list[int](), list[tuple[int, str]]()
    put = Mirror._put

    def watched(self: Mirror, name: str, content: bytes) -> None:
        put(self, name, content)
        if name.startswith("ledger/"):
            target = Folder.at(str(tmp_path / "second" / "a"))
            seen.append(len(read(target / "ledger")))
            for number, checkpoint in ended(target):
                if checkpoint not in CheckpointStore(target / trial_folder(number)).names():
                    missing.append((number, checkpoint))

    monkeypatch.setattr(Mirror, "_put", watched)
    monkeypatch.setattr(mirror, "ROUND_SECONDS", 0.0)
    play(source, SETTINGS, mirror=str(tmp_path / "second"))
    assert missing == []
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == len(read(source / "ledger"))


def test_files_of_the_mirrored_ledger_grow_to_a_size_and_follow_each_other(
    source: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One round copies what is there, and the last one what has come since."""
    monkeypatch.setattr(mirror, "ROUND_SECONDS", 3600.0)
    play(source, SETTINGS)
    ledger = Folder.at(str(tmp_path / "second" / "a" / "ledger"))
    for limit, files in ((1_000_000, 1), (1, 2), (1_000_000, 2), (1, 3)):
        monkeypatch.setattr(mirror, "FILE_BYTES", limit)
        copied = Copied(source, str(tmp_path / "second"))
        wait_for(partial(getattr, copied.mirror, "_there"))
        for text in ("something", "something more"):
            copied.director.noted(text)
            copied.ledger.commit()
        assert ": complete, " in copied.end()
        found = scan(ledger)
        assert (len(found.segments), found.covered) == (files, [])
        assert found.events == read(source / "ledger")


def test_a_second_place_that_fails_for_a_while(
    source: Folder, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is killed with all that it had, and comes back empty: all is copied again."""
    monkeypatch.setattr(mirror, "PATIENCE", 3.0)
    play(source, SETTINGS)
    place = f"s3://bucket/second?{s3_server.options}"
    target = Folder.at(place) / "a"
    copied = Copied(source, place)
    wait_for(lambda: (target / "ledger").sizes())
    s3_server.kill()
    copied.director.noted("while it is away")
    wait_for(lambda: copied.mirror._failures >= 2)
    copied.ledger.commit()
    s3_server.start()
    said = copied.end()
    assert said.startswith(f"mirror       {target}: complete, up to segment ")
    assert "tries failed, the last: " in said
    assert read(target / "ledger") == read(source / "ledger")
    told = [line for line in copied.said if "copying the rest" not in line]
    assert len(told) == 2
    assert told[0].startswith("mirror: tried again while the sweep goes on: s3://bucket/second/a")
    assert told[1] == f"mirror: {target} is up to date again"
    assert "secret" not in "".join([*copied.said, said])
    assert states(target)["trials"] == "ok"


def test_a_second_place_that_fails_to_the_end(source: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was copied before is a sweep, and the next driver goes on from there."""
    play(source, SETTINGS, limit=4)
    place = str(tmp_path / "second")
    target = Folder.at(place) / "a"
    first = Copied(source, place)
    assert "complete" in first.end()
    play(source, SETTINGS)
    write = Folder.write

    def refuses(self: Folder, name: str, content: bytes, *, exclusive: bool = False) -> None:
        if self.path.startswith(place):
            raise PermissionError("read-only")
        write(self, name, content, exclusive=exclusive)

    before = read(target / "ledger")
    monkeypatch.setattr(mirror, "PATIENCE", 0.1)
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write", refuses)
        second = Copied(source, place)
        said = second.end(patience=0.5)
    last = scan(target / "ledger").segments[-1].span.last
    assert f": INCOMPLETE: --resume goes on with it, up to segment {last}; " in said
    assert "read-only" in said
    assert len(second.said) == 1
    assert read(target / "ledger") == before
    assert states(target)["ledger"] == "ok"
    monkeypatch.setattr(mirror, "PATIENCE", 30.0)
    assert ": complete, " in Copied(source, place).end()
    assert read(target / "ledger") == read(source / "ledger")


def sweep(source: str, place: str) -> None:
    """What the process does that is killed."""
    os.environ["OMP_NUM_THREADS"] = "1"
    mirror.ROUND_SECONDS = 0.0
    play(Folder.at(source), SETTINGS, mirror=place)


@pytest.mark.parametrize("files", [2, 6, 12])
def test_killed_in_the_middle_and_continued(source: Folder, place: str, files: int) -> None:
    """A process that sweeps is killed once the mirror has so many files, then another goes on."""
    target = Folder.at(place) / "a"
    process = processes().Process(target=sweep, args=(source.uri, place))
    process.start()
    wait_for(lambda: not process.is_alive() or len(target.sizes(recursive=True)) >= files, 240)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    if target.exists("ledger"):
        there, here = read(target / "ledger"), read(source / "ledger")
        assert there == here[: len(there)], "a prefix"
        for number, name in ended(target):
            CheckpointStore(target / trial_folder(number)).load(name)
    play(source, SETTINGS, mirror=place)
    assert read(target / "ledger") == read(source / "ledger")
    assert set(ended(target)) == set(ended(source))
    assert states(target)["trials"] == states(target)["ledger"] == "ok"


def test_a_damaged_copy_is_found_and_mended(source: Folder, place: str) -> None:
    play(source, SETTINGS, mirror=place)
    target = Folder.at(place) / "a"
    number, name = next(ended(target))
    checkpoint, segment = f"trials/{number:04d}/{name}/state.pt", min((target / "ledger").sizes())
    whole = target.read(checkpoint)
    target.write(checkpoint, whole[:-1])
    target.write(f"ledger/{segment}", target.read(f"ledger/{segment}").replace(b"toy", b"boy", 1))
    assert states(target)["ledger"] == "damaged"
    again = Copied(source, place)
    assert ": complete, " in again.end()
    assert len(again.said) == 1
    assert f"ledger/{segment}" in again.said[0]
    assert again.said[0].endswith("written anew from the sweep")
    assert target.read(checkpoint) == whole
    assert read(target / "ledger") == read(source / "ledger")
    assert states(target)["ledger"] == "ok"


def test_bytes_that_change_on_their_way_are_noticed(
    source: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second place loses the last byte of the first file of weights that it is given."""
    play(source, SETTINGS)
    write, spoiled = Folder.write, list[str]()

    def spoils(self: Folder, name: str, content: bytes, *, exclusive: bool = False) -> None:
        if "second" in self.path and name == "state.pt" and not spoiled:
            spoiled.append(name)
            content = content[:-1]
        write(self, name, content, exclusive=exclusive)

    monkeypatch.setattr(Folder, "write", spoils)
    assert ": complete, " in Copied(source, str(tmp_path / "second")).end()
    assert spoiled
    assert states(Folder.at(str(tmp_path / "second" / "a")))["trials"] == "ok"


def test_what_the_sweep_itself_has_not_intact_is_named(source: Folder, tmp_path: Path) -> None:
    play(source, SETTINGS)
    number, name = next(ended(source))
    (source / f"trials/{number:04d}/{name}").write("state.pt", b"something else")
    said = Copied(source, str(tmp_path / "second")).end()
    assert ": complete, " in said
    assert f"; not intact in the sweep itself: {source}/trials/{number:04d}/{name}/state.pt: 14 bytes" in said


def test_a_mirror_with_other_events_is_left_as_it_is(source: Folder, tmp_path: Path) -> None:
    """The sweep has lost its last segment after it was copied, and has gone on without it."""
    play(source, SETTINGS, limit=4, mirror=str(tmp_path / "second"))
    target = Folder.at(str(tmp_path / "second" / "a"))
    end = max((source / "ledger").sizes())
    source.files.delete_file(f"{source.path}/ledger/{end}")
    play(source, SETTINGS)
    before = held(target)
    copied = Copied(source, str(tmp_path / "second"))
    said = copied.end()
    assert "INCOMPLETE" in said
    assert f"{target} has events that {source} has not, from event " in said
    assert len(copied.said) == 1
    assert held(target) == before


def test_nothing_is_written_once_a_mirror_is_a_sweep_of_its_own(source: Folder, tmp_path: Path) -> None:
    play(source, SETTINGS, limit=4)
    copied = Copied(source, str(tmp_path / "second"))
    target = Folder.at(str(tmp_path / "second" / "a"))
    wait_for(lambda: copied.mirror._there and MARKER in target.sizes())
    target.files.delete_file(f"{target.path}/{MARKER}")
    before = held(target)
    copied.director.noted("something new")
    said = copied.end()
    assert f": INCOMPLETE, up to segment {copied.mirror._there}; 1 tries failed, the last: " in said
    assert f"{target} is no mirror (any more)" in said
    assert held(target) == before
    play(target, SETTINGS)
    assert History.of(read(target / "ledger")).closed == "done"
    assert states(target)["ledger"] == "ok"


def test_a_second_place_whose_mount_is_gone_is_not_begun_anew_below_it(source: Folder, tmp_path: Path) -> None:
    """Once it is back, copying goes on."""
    second, away = tmp_path / "second", tmp_path / "away"
    play(source, SETTINGS, limit=4)
    copied = Copied(source, str(second))
    wait_for(lambda: copied.mirror._there)
    second.rename(away)
    second.mkdir()
    copied.director.noted("something new")
    wait_for(lambda: copied.mirror._failures >= 2)
    assert list(second.iterdir()) == []
    second.rmdir()
    away.rename(second)
    assert ": complete, " in copied.end()
    assert "is not there any more" in copied.said[0]
    assert read(Folder.at(str(second / "a" / "ledger"))) == read(source / "ledger")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", [*words])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    return said.err


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ("results", "are one, or one lies in the other"),
        ("results/", "are one, or one lies in the other"),
        ("results/a/copy", "are one, or one lies in the other"),
        ("./x/../results/a", "are one, or one lies in the other"),
        ("", "must not be empty"),
        ("s3:/bucket/x", "has one slash; write s3://bucket/x"),
        ("s3://key:secret@bucket/x", "credentials belong in the environment"),
        ("/proc/nowhere", "cannot write to /proc/nowhere: "),
        ("s3://bucket/x?scheme=http&endpoint_override=127.0.0.1:9&region=us-east-1", "cannot write to s3://bucket/x: "),
    ],
)
def test_a_place_that_cannot_be_one_is_refused_before_anything_starts(
    second: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    s3_credentials: None,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mirror, "READING_PATIENCE", 2.0)
    (tmp_path / "x").mkdir()
    said = refused(capsys, "--storage", "results", "--name", "a", "--concurrent", "1", "--mirror", second)
    assert said.startswith("error: mirror: ")
    assert words in said
    assert list(tmp_path.rglob("*")) in (
        [tmp_path / "x"],
        [tmp_path / "results", tmp_path / "x"],
        [tmp_path / "x", tmp_path / "results"],
    )
    assert "secret" not in said


def test_a_link_to_the_storage_is_no_second_place(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "results")
    settings = dataclasses.replace(SETTINGS, mirror=str(tmp_path / "link"))
    with pytest.raises(ConfigError, match=r"^mirror: "):
        mirror.placed(settings, Folder.at(str(tmp_path / "results")), asked=True)


def test_a_mirror_of_something_else_is_refused(
    source: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = str(tmp_path / "second")
    play(source, SETTINGS, mirror=second)
    play(Folder.at(str(tmp_path / "third" / "a")), SETTINGS)
    first, third = str(tmp_path / "first"), str(tmp_path / "third")
    given = ["--resume", "a", "--concurrent", "1", "--mirror", second, "--trials", "8"]
    assert refused(capsys, "--storage", third, *given) == (
        f"error: mirror: {second}/a is the mirror of another sweep, {source}; name another place\n"
    )
    shutil.rmtree(f"{second}/a")
    shutil.copytree(f"{first}/a", f"{second}/a")
    assert refused(capsys, "--storage", third, *given) == (
        f"error: mirror: {second}/a is no mirror (any more): it has no {MARKER}; name another place\n"
    )


def test_a_sweep_does_not_go_on_in_its_mirror(
    source: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = str(tmp_path / "second")
    play(source, SETTINGS, mirror=second)
    said = refused(capsys, "--storage", second, "--resume", "a", "--concurrent", "1", "--trials", "8")
    assert said == (
        f"error: resume: {second}/a is a mirror of {source}; resume that, or, where it is lost for good, "
        f"remove {second}/a/mirror.json, and this is the sweep\n"
    )
    checks = {check.name: check.found for check in diagnose(Folder.at(f"{second}/a"))}
    assert checks["lease"] == f"none was taken: it is a mirror of {source}"


def plan_of(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", [*words, "--dry-run", "--concurrent", "1"])
    assert ended.value.code == 0
    return capsys.readouterr().out.splitlines()


def test_the_plan_names_the_mirror_and_a_resume_remembers_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = (str(tmp_path / name) for name in ("first", "second", "third"))
    assert f"mirror      {second}" in plan_of(capsys, "--storage", first, "--mirror", second)
    assert not Path(second).exists()
    assert not any(line.startswith("mirror") for line in plan_of(capsys, "--storage", first))
    play(Folder.at(f"{first}/a"), dataclasses.replace(SETTINGS, mirror=second), mirror=second)
    more = ("--storage", first, "--resume", "a", "--trials", "8")
    assert f"mirror      {second}" in plan_of(capsys, *more)
    assert f"mirror      {third}" in plan_of(capsys, *more, "--mirror", third)
    assert not any(line.startswith("mirror") for line in plan_of(capsys, *more, "--mirror", "none"))
    Path(f"{second}/a/{MARKER}").unlink()
    promoted = plan_of(capsys, "--storage", second, "--resume", "a", "--trials", "8")
    assert not any(line.startswith("mirror") for line in promoted)
    assert f"note        the mirror {second} is the storage now; --mirror names another" in promoted


def test_a_finished_sweep_gets_a_mirror_without_training(
    source: Folder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is left to do but the copying, which needs no Ray."""
    settings: dict[str, Any] = {"concurrent": 1, "trials": 4}
    play(source, dataclasses.replace(SETTINGS, **settings))
    words = ["--storage", str(tmp_path / "first"), "--resume", "a", "--mirror", str(tmp_path / "second")]
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", words)
    assert ended.value.code == 0
    assert f"mirror       {tmp_path}/second/a: complete, up to segment " in capfd.readouterr().out
    target = Folder.at(str(tmp_path / "second" / "a"))
    assert read(target / "ledger") == read(source / "ledger")
    assert target.exists("report.html")
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", words)
    assert ended.value.code == 0
    assert "nothing that was asked for is left to do" in capfd.readouterr().out


def test_a_remembered_place_that_cannot_be_reached_keeps_nothing_from_going_on(
    source: Folder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    play(source, dataclasses.replace(SETTINGS, concurrent=1, mirror="/proc/nowhere", storage_patience=0.5))
    with pytest.raises(SystemExit) as ended:
        main(STUDY, "", ["--storage", str(tmp_path / "first"), "--resume", "a"])
    assert ended.value.code == 0
    said = capfd.readouterr().out
    assert "mirror: tried again while the sweep goes on: " in said
    assert "mirror       /proc/nowhere/a: INCOMPLETE: --resume goes on with it, up to segment 0; " in said
