"""The command `leadline log`: what a trial has logged, and what is added while it is followed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from leadline.analysis.commands import log
from leadline.analysis.commands.log import added
from leadline.commands.dispatch import main
from leadline.engine.director import Assignment
from leadline.ledger.layout import log_name, trial_folder
from tests.leadline.analysis.conftest import report

Build = Any


def write(folder: Path, text: str, attempt: int = 1, rank: int = 0, trial: int = 0) -> None:
    """Stores the log of a worker."""
    place = folder / trial_folder(trial) / f"attempt-{attempt:02d}" / log_name(rank)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def begun(build: Build) -> tuple[Any, Assignment]:
    """A sweep that runs, and the first attempt at its first trial."""
    made = build()
    assignment = made.director.next()
    assert isinstance(assignment, Assignment)
    made.director.started(0, 1)
    made.ledger.commit()
    return made, assignment


def test_one_log_is_printed_as_it_is(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    made = build()
    made.train(1)
    folder = made.close()
    write(folder, "12:00:00 begins\n")
    assert main(["log", str(folder), "0"]) == 0
    assert capsys.readouterr().out == "12:00:00 begins\n"


def test_all_attempts_and_workers_are_printed_in_order(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    made, _ = begun(build)
    made.director.failed(0, "lost: it went away")
    made.director.next()
    made.director.started(0, 2)
    folder = made.close("")
    for attempt, rank in ((2, 0), (1, 10), (1, 0), (1, 2)):
        write(folder, f"{attempt} {rank}\n", attempt, rank)
    assert main(["log", str(folder), "0"]) == 0
    names = ["attempt-01/log.txt", "attempt-01/log-2.txt", "attempt-01/log-10.txt", "attempt-02/log.txt"]
    texts = ["1 0", "1 2", "1 10", "2 0"]
    whole = "".join(f"==> {name} <==\n{text}\n" for name, text in zip(names, texts, strict=True))
    assert capsys.readouterr().out == whole
    assert main(["log", str(folder), "0", "--attempt", "2"]) == 0
    assert capsys.readouterr().out == "2 0\n"
    assert main(["log", str(folder), "0", "--attempt", "3"]) == 2
    assert capsys.readouterr().err == "error: attempt: trial 0 has no attempt 3; it has had 2\n"


def test_a_trial_without_a_log_says_why(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    made = build()
    made.director.next()
    folder = made.close("")
    assert main(["log", str(folder), "0"]) == 0
    assert capsys.readouterr() == ("", "trial 0 has no log: waiting\n")
    assert main(["log", str(folder), "99"]) == 2
    assert "trial: " in capsys.readouterr().err


@pytest.fixture
def lives(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterator[None]], None]:
    """Lets a sweep go on, step by step, each time that the command waits."""

    def begin(life: Iterator[None]) -> None:
        monkeypatch.setattr(log, "LEDGER_SECONDS", -1.0)
        monkeypatch.setattr("time.sleep", lambda seconds: next(life, None))

    return begin


def test_a_trial_is_followed_until_it_has_ended(
    build: Build,
    lives: Callable[[Iterator[None]], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, assignment = begun(build)
    folder = made.folder
    monkeypatch.setattr("leadline.analysis.sweep.lease.gone", lambda leases: False)

    def life() -> Iterator[None]:
        write(folder, "one\n")
        yield
        write(folder, "one\ntwo\n")
        yield
        made.director.failed(0, "lost: it went away")
        made.ledger.commit()
        yield
        made.director.next()
        made.director.started(0, 2)
        write(folder, "three\n", 2)
        yield
        made.director.reported(0, report(assignment, 100, float("nan")))
        made.ledger.commit()
        yield
        write(folder, "three\nfour\n", 2)
        yield

    lives(life())
    assert main(["log", str(folder), "0", "--follow"]) == 0
    made.close("")
    assert capsys.readouterr().out == "one\ntwo\n==> attempt-02/log.txt <==\nthree\nfour\n"


def test_a_trial_that_nobody_trains_is_not_waited_for(
    build: Build, lives: Callable[[Iterator[None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    made, _ = begun(build)
    folder = made.close("interrupted")
    write(folder, "one\n")
    lives(iter([None]))
    assert main(["log", str(folder), "0", "--follow"]) == 0
    assert capsys.readouterr().out == "one\n"


@pytest.mark.parametrize(
    ("before", "now", "news"),
    [
        ("", "a\n", "a\n"),
        ("a\n", "a\n", ""),
        ("a\n", "a\nb\n", "b\n"),
        ("a\nb\nc\nd\n", "a\n... 1 lines\nc\nd\ne\n", "... 1 lines\nc\nd\ne\n"),
        ("a\nxb\n", "a\nxc\n", "xc\n"),
    ],
)
def test_what_was_added_to_a_log(before: str, now: str, news: str) -> None:
    assert added(before, now) == news


def test_what_was_added_to_a_log_that_has_lost_its_middle() -> None:
    lines = [f"{number:040d}\n" for number in range(1000)]
    before = "".join(lines[:900])
    now = "".join([*lines[:20], "... 860 lines are left out here ...\n", *lines[500:]])
    assert added(before, now) == "".join(lines[900:])
