"""Names of new sweeps: drivers that begin in one second, and names that are taken."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

from leadline.config import ConfigError
from leadline.engine import options, run
from leadline.engine.supervisor import Parent
from leadline.engine.sweep_name import candidates, is_free
from leadline.ledger.lease import Lease
from leadline.storage import Folder
from tests.leadline.toy_study import STUDY

DRIVERS = 4


@pytest.fixture(autouse=True)
def one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """All sweeps of a test begin in the same second."""
    monkeypatch.setattr("time.strftime", lambda form, *moment: "20260101-120000")


def take(storage: Path, *arguments: str) -> tuple[str, Lease]:
    """What a driver with this command line does before it writes anything else."""
    request = options.parse(STUDY, arguments, "")
    parent = Parent(time.time(), str(storage))
    return run._take_lease(Folder.at(str(storage)), request, STUDY, 10.0, parent)


def test_names_of_one_second_have_a_count() -> None:
    assert list(islice(candidates("toy"), 3)) == [f"toy-20260101-120000{count}" for count in ("", "-2", "-3")]


def test_a_name_of_which_only_a_refused_begin_is_left_is_free(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path)) / "x"
    (folder / "lease").write("00000001.json", b"{}")
    (folder / "code").write("0123.json.gz", b"")
    assert is_free(folder)
    with pytest.raises(ConfigError, match=r"holds no event yet; begin it anew by --name x or under another name$"):
        run._recorded(Folder.at(str(tmp_path)), "x", 1.0)
    folder.write("report.html", b"")
    assert not is_free(folder)


def test_drivers_that_begin_at_once_each_get_a_name_of_their_own(tmp_path: Path) -> None:
    together = threading.Barrier(DRIVERS)

    def begin(number: int) -> tuple[str, Lease]:
        together.wait()
        return take(tmp_path)

    with ThreadPoolExecutor(DRIVERS) as drivers:
        taken = list(drivers.map(begin, range(DRIVERS)))
    for _, lease in taken:
        lease.release()
    assert sorted(name for name, _ in taken) == sorted(islice(candidates("toy"), DRIVERS))


def test_the_name_of_a_sweep_that_has_ended_is_not_taken_again(tmp_path: Path) -> None:
    name, lease = take(tmp_path)
    (Folder.at(str(tmp_path)) / name).write("report.html", b"")
    lease.release()
    again, lease = take(tmp_path)
    lease.release()
    assert (name, again) == tuple(islice(candidates("toy"), 2))


def test_a_name_that_was_asked_for_is_taken_or_refused(tmp_path: Path) -> None:
    name, lease = take(tmp_path, "--name", "mine")
    assert name == "mine"
    with pytest.raises(ConfigError, match=r"^name: mine is run by process \d+ on .*; choose another name$"):
        take(tmp_path, "--name", "mine")
    with pytest.raises(ConfigError, match=r"^resume: mine is still run by process \d+ on .*; end that one first$"):
        take(tmp_path, "--resume", "mine")
    (Folder.at(str(tmp_path)) / name).write("report.html", b"")
    lease.release()
    with pytest.raises(ConfigError, match=r"^name: mine exists in .*; go on with it by --resume mine, or choose"):
        take(tmp_path, "--name", "mine")
