"""What an attempt's log keeps, and that what is printed gets there."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from leadline.engine import attempt_log
from leadline.engine.attempt_log import AttemptLog
from leadline.storage import Folder


class Counted(Folder):
    """A folder that counts how often each file is written, and says when it was."""

    writes = 0
    written = threading.Event()

    def write(self, name: str, content: bytes, *, exclusive: bool = False) -> None:
        super().write(name, content, exclusive=exclusive)
        type(self).writes += 1
        self.written.set()


def untimed(text: str) -> str:
    """A log without the times of day."""
    return re.sub(r"^\d\d:\d\d:\d\d ", "", text, flags=re.MULTILINE)


def stored(folder: Path, name: str = "log.txt") -> str:
    return untimed((folder / name).read_text())


def test_what_is_printed_is_in_the_log_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = AttemptLog(Folder.at(str(tmp_path)), "log.txt")
    log.line("begins")
    with log.captured():
        print("one", 2)
        print("an error", file=sys.stderr)
        sys.stdout.write("in\ntwo and a")
        sys.stdout.write(" half")
    with log.captured():
        sys.stdout.buffer.write("bytes: \u00fc\n".encode())
    print("not the trial's")
    log.close()
    assert stored(tmp_path) == "begins\none 2\nan error\nin\ntwo and a half\nbytes: \u00fc\n"
    assert capsys.readouterr().out == "not the trial's\n"


def test_of_a_progress_bar_its_last_state_is_kept(tmp_path: Path) -> None:
    log = AttemptLog(Folder.at(str(tmp_path)), "log.txt")
    with log.captured():
        for percent in range(101):
            print(f"\r{percent:3d} %", end="", file=sys.stderr)
        print(file=sys.stderr)
        for percent in range(101):
            print(f"{percent:3d} %", end="\r")
    log.close()
    assert stored(tmp_path) == "100 %\n100 %\n"


def test_a_handler_of_logging_made_in_one_attempt_writes_to_the_log_of_the_next(tmp_path: Path) -> None:
    """One process trains many attempts."""
    logger = logging.getLogger("attempts")
    logger.propagate = False
    for name in ("one.txt", "two.txt"):
        log = AttemptLog(Folder.at(str(tmp_path)), name)
        with log.captured():
            if not logger.handlers:
                logger.addHandler(logging.StreamHandler())
            logger.warning(name)
        log.close()
    logger.handlers.clear()
    assert [stored(tmp_path, name) for name in ("one.txt", "two.txt")] == ["one.txt\n", "two.txt\n"]


def test_thousands_of_prints_are_stored_without_waiting_and_not_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_log, "PRINT_SECONDS", 600.0)
    log = AttemptLog(Counted(str(tmp_path), str(tmp_path)), "log.txt")
    with log.captured():
        print("first")
        assert Counted.written.wait(60), "nobody stores it"
        for step in range(5000):
            print("step", step)
    log.close()
    assert Counted.writes == 2
    assert stored(tmp_path).splitlines() == ["first", *(f"step {step}" for step in range(5000))]


def test_a_closed_log_leaves_no_thread(tmp_path: Path) -> None:
    """The thread may be storing, waiting for the next time, or for something that is printed."""
    before = set(threading.enumerate())
    for number in range(20):
        log = AttemptLog(Folder.at(str(tmp_path)), f"{number}.txt")
        log.printed("one")
        if number % 2:
            log.line("two")
        log.close()
    left = [thread for thread in threading.enumerate() if thread.name == "attempt-log" and thread not in before]
    for thread in left:
        thread.join(60)
    assert not any(thread.is_alive() for thread in left)


def test_a_log_keeps_its_beginning_and_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_log, "KEPT", 1000)
    log = AttemptLog(Folder.at(str(tmp_path)), "log.txt")
    for number in range(1000):
        log.printed(f"{number:040d}")
    log.line("the end")
    log.close()
    lines = stored(tmp_path).splitlines()
    assert lines[:20] == [f"{number:040d}" for number in range(20)]
    assert lines[20] == "... 961 lines are left out here ..."
    assert lines[21:] == [*(f"{number:040d}" for number in range(981, 1000)), "the end"]
    assert (tmp_path / "log.txt").stat().st_size < 2100


def test_a_forked_process_prints_to_the_stream_itself(tmp_path: Path) -> None:
    """As the workers of a DataLoader are; a lock of the log may be held for ever there."""
    program = f"""
import os
from leadline.engine.attempt_log import AttemptLog
from leadline.storage import Folder
log = AttemptLog(Folder.at({str(tmp_path)!r}), "log.txt")
with log.captured():
    print("parent")
    if not os.fork():
        print("child")
        log.printed("dropped")
        os._exit(0)
    os.wait()
log.close()
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ}, timeout=60
    )
    assert (run.returncode, run.stdout) == (0, "child\n"), run.stderr
    assert stored(tmp_path) == "parent\n"
