"""The harness of the chaos runs: its plan, how it catches a writer, and that it would notice a loss."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest

from leadline.checkpoint import CheckpointStore
from leadline.engine import options
from leadline.engine.director import Assignment, Director
from leadline.ledger.events import parse
from leadline.ledger.layout import trial_folder
from leadline.ledger.segments import Ledger, read
from leadline.storage import Folder
from leadline.training.loop import Loop
from tests.chaos.attack import Struck
from tests.chaos.found import Found, examine
from tests.chaos.plan import SHORT, Kill, dealt, plan
from tests.chaos.seen import Seen
from tests.chaos.stores import Disk, unfinished, waiting
from tests.chaos.table import Scene, page
from tests.leadline.ledger_audit import records
from tests.leadline.toy import TOY
from tests.leadline.toy_study import STUDY

WRITER = """
import sys
from leadline.storage import Folder
place = Folder.at(sys.argv[1])
for number in range(10**6):
    {body}
"""


def test_the_plan_is_a_function_of_the_seed() -> None:
    one, same, other = (
        plan(np.random.default_rng(seed), dealt(np.random.default_rng(seed), 50, server=True)) for seed in (1, 1, 2)
    )
    assert one == same != other
    assert len(one) == 50


def test_all_kinds_are_dealt_by_their_weights() -> None:
    hundred = Counter(victim for victims, _ in dealt(np.random.default_rng(0), 100, server=True) for victim in victims)
    assert hundred.keys() == {"trial", "driver", "machine", "parent", "raylet", "gcs_server", "store", "frozen store"}
    assert hundred["trial"] > hundred["raylet"] > 3
    local = {victim for victims, _ in dealt(np.random.default_rng(0), 100, server=False) for victim in victims}
    assert local == hundred.keys() - {"store", "frozen store"}
    assert {aim for _, aim in SHORT} == {"", "upload", "ledger"}


@pytest.mark.parametrize(
    ("aim", "body"),
    [
        ("ledger", "place.write(f'{number:08d}.jsonl', b'x' * 10000)"),
        (
            "upload",
            "[place.write(f'step-{number:09d}/{file}', b'x' * 10000) for file in ('state.pt', 'record.json', 'manifest.json')]",  # noqa: E501
        ),
    ],
)
def test_a_writer_is_caught_and_dies_in_the_middle(aim: str, body: str, tmp_path: Path) -> None:
    (tmp_path / ".left.json.0123abcd").touch()
    store = Disk(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", WRITER.format(body=body), str(tmp_path)])
    writer = psutil.Process(process.pid)
    with store.caught("ledger" if aim == "ledger" else "upload", writer, Folder.at(str(tmp_path)), 60) as within:
        assert within()
        assert writer.status() == psutil.STATUS_STOPPED
        process.kill()
        process.wait()
        assert within(), "what it has left shows it"
    assert (aim == "upload") == bool(unfinished(tmp_path))


def test_a_writer_that_does_not_write_is_not_caught(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with Disk(tmp_path).caught("ledger", psutil.Process(process.pid), Folder.at(str(tmp_path)), 0.2) as within:
        assert not within()
    process.kill()
    process.wait()


def test_bytes_that_a_frozen_server_has_not_read_are_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        port, own = server.getsockname()[1], client.getsockname()[1]
        taken, _ = server.accept()
        client.sendall(b"x" * 5000)
        deadline = time.monotonic() + 10
        while waiting(port).get(own) != 5000:
            assert time.monotonic() < deadline
        taken.recv(5000)
        assert waiting(port).get(own) == 0
        taken.close()


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sweep of the toy family, without Ray."""
    place = tmp_path_factory.mktemp("sweep")
    request = options.parse(STUDY, ["--scale", "smoke", "--storage", str(place)], "")
    settings = options.settings(STUDY, request)
    ledger = Ledger(Folder.at(str(place / "ledger")))
    director = Director(settings, STUDY.space, ledger.append)
    director.opened({})
    while isinstance(assignment := director.next(), Assignment):
        director.started(assignment.trial, assignment.attempt)
        store = CheckpointStore(Folder.at(str(place / trial_folder(assignment.trial))))
        loop = Loop(TOY, TOY.config(assignment.config), None, store=store, test=assignment.test)
        assert any(director.reported(assignment.trial, report).action != "continue" for report in loop.run())
    ledger.commit()  # so that the last segment holds the end alone
    director.closed("done")
    ledger.close()
    return place


def copied(sweep: Path, to: Path) -> Path:
    for path in sweep.rglob("*"):
        if path.is_file():
            (to / path.relative_to(sweep)).parent.mkdir(parents=True, exist_ok=True)
            (to / path.relative_to(sweep)).write_bytes(path.read_bytes())
    return to


def losses(sweep: Path, tmp_path: Path, trained: Path | None = None) -> list[str]:
    return examine(Folder.at(str(sweep)), STUDY.space, tmp_path / "alone", trained).losses


def test_what_was_left_in_peace_has_lost_nothing(sweep: Path, tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    trained.write_text("".join(f"{step}\n" for step in [*range(16), 4]))
    found = examine(Folder.at(str(sweep)), STUDY.space, tmp_path / "alone", trained)
    assert found == Found(trials=2, attempts=2, steps=16, repeated=1)
    seen = Seen(Folder.at(str(sweep)))
    assert (seen.look().trials[0].status, seen.reports, seen.retries) == ("finished", 4, 0)
    assert seen.running() == []


def test_a_loss_is_noticed(sweep: Path, tmp_path: Path) -> None:
    last = "trials/0000/attempt-01/step-000000008"
    cut = copied(sweep, tmp_path / "cut")
    (cut / last / "manifest.json").unlink()
    assert f"trial 0: {last.partition('0000/')[2][:11]}step-000000004 is another training state than alone" in losses(
        cut, tmp_path / "1"
    )
    damaged = copied(sweep, tmp_path / "damaged")
    (damaged / last / "state.pt").write_bytes(b"x")
    assert [loss for loss in losses(damaged, tmp_path / "2") if loss.startswith("damaged checkpoint")]
    missing = copied(sweep, tmp_path / "missing")
    max((missing / "ledger").iterdir()).unlink()
    assert "the books are closed as killed, not as done" in losses(missing, tmp_path / "3")
    skipped = tmp_path / "trained"
    skipped.write_text("0\n")
    assert losses(sweep, tmp_path / "4", skipped) == ["16 steps are reported, 1 were trained"]


def test_another_curve_and_broken_rules_are_noticed(sweep: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    copied(sweep / "trials", other / "trials")
    ledger = Ledger(Folder.at(str(other / "ledger")))
    for event in records(read(Folder.at(str(sweep / "ledger")))):
        if event["type"] == "reported" and event["trial"] == 1:
            event["report"]["metrics"]["validation/error"]["value"] -= 0.001
        ledger.append(parse(event))
        if event["type"] == "started":
            ledger.append(parse(event))
    ledger.close()
    found = losses(other, tmp_path)
    assert any(loss.startswith("trial 1: the report of step 4 is {") for loss in found)
    assert any("started" in loss and loss.startswith("trial 0") for loss in found), "the audit's rules"


def test_the_page_counts() -> None:
    kills = [Struck(Kill(("trial",), "upload", False, 0, 0, 0), hit, retries=1, failures=1) for hit in (True, False)]
    kills.append(Struck(Kill(("driver", "store"), "", False, 0, 0, 0), None, restarts=1, resumes=1))
    text = page([Scene("toy", "local disk", 1, kills, Found(3, 5, 1, 0, 60, 4))], 7, "abc", 120)
    assert "| a trial's process | 2 | 1 of 2 | - | 0 | 0 | 2 | 2 |" in text
    assert "| driver and S3 gateway, killed and started again | 1 | - | - | 1 | 1 | 0 | 0 |" in text
    assert "| sum | 3 | 1 of 2 | - | 1 | 1 | 2 | 2 |" in text
    assert "| toy | local disk | 1 | 3 | 3 | 5 | 1 | 0 | 60 | 4 | 0 |" in text
    tables = text[text.index("| victim") :].split("\n\n")[:2]
    assert all(len({line.count("|") for line in table.splitlines()}) == 1 for table in tables)
    assert "CHAOS_SEED=7 CHAOS_KILLS=3` at commit abc, 2 minutes" in text
