"""The audit finds what is wrong: each violation is planted in the books of a sweep without any."""

from __future__ import annotations

import copy
import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leadline.ledger.events import parse
from leadline.ledger.format import Record
from leadline.ledger.layout import trial_folder
from leadline.ledger.segments import Ledger, read
from leadline.measure import Report
from leadline.storage import Folder
from leadline.testing import curve
from leadline.training.loop import Loop
from tests.leadline.engine.test_director import BASE
from tests.leadline.in_process_sweep import play
from tests.leadline.ledger_audit import audit, records, violations, without_clocks
from tests.leadline.toy import TOY

CHOSEN = dataclasses.replace(BASE, trials=6, grace=3, budget=9, concurrent=2)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep whose driver was lost twice, with trials in the middle."""
    folder = tmp_path_factory.mktemp("books") / "sweep"
    for order, limit in enumerate((4, 6, 10**6)):
        play(Folder.at(str(folder)), CHOSEN, order=order, limit=limit)
    return folder


@pytest.fixture(scope="module")
def events(sweep: Path) -> list[Record]:
    """They are as they are stored, so that they can be changed."""
    return records(read(Folder.at(str(sweep / "ledger"))))


def test_a_sweep_whose_driver_was_lost_has_no_violation(sweep: Path, events: list[Record]) -> None:
    assert audit(Folder.at(str(sweep))) == []
    assert sum(event["type"] == "opened" for event in events) == 3
    assert any(event["type"] == "started" and event["attempt"] > 1 for event in events)


def _places(events: list[Record], what: str, **wanted: Any) -> list[int]:
    return [
        i
        for i, event in enumerate(events)
        if event["type"] == what and all(event.get(k) == v for k, v in wanted.items())
    ]


def _skip_a_number(events: list[Record]) -> None:
    for event in events[_places(events, "proposed")[-1] :]:
        if event.get("trial") == len(_places(events, "proposed")) - 1:
            event["trial"] += 1


def _propose_twice(events: list[Record]) -> None:
    first = _places(events, "proposed")[0]
    events.insert(first + 1, copy.deepcopy(events[first]))


def _train_on_after_the_end(events: list[Record]) -> None:
    end = _places(events, "reported", action="finish")[0]
    again = copy.deepcopy(events[end])
    again["report"]["step"] += 3
    events.insert(end + 1, again)


def _start_again_after_the_end(events: list[Record]) -> None:
    end = _places(events, "reported", action="finish")[0]
    events.insert(end + 1, {"type": "started", "trial": events[end]["trial"], "attempt": 9, "time": 1.0})


def _report_twice(events: list[Record]) -> None:
    first = _places(events, "reported", action="continue")[0]
    events.insert(first + 1, copy.deepcopy(events[first]))


def _lose_a_report(events: list[Record]) -> None:
    del events[_places(events, "reported", action="continue")[0]]


def _let_a_bad_one_go_on(events: list[Record]) -> None:
    stop = next(i for i in _places(events, "reported", action="stop") if events[i]["reason"].startswith("rung"))
    events[stop]["action"] = "continue"


def _stop_a_good_one(events: list[Record]) -> None:
    events[_places(events, "reported", action="finish")[0]]["action"] = "stop"


def _propose_another(events: list[Record]) -> None:
    events[_places(events, "proposed")[3]]["params"]["lr"] = 0.1234


def _forget_a_replicate(events: list[Record]) -> None:
    number = events[_places(events, "proposed", kind="replicate")[-1]]["trial"]
    events[:] = [event for event in events if event.get("trial") != number]


def _leave_one_open(events: list[Record]) -> None:
    del events[_places(events, "reported")[-1]]


def _score_no_test(events: list[Record]) -> None:
    last = events[_places(events, "reported", action="finish")[-1]]
    last["report"]["metrics"] = {
        name: value for name, value in last["report"]["metrics"].items() if not name.startswith("test/")
    }


PLANTED = [
    (_skip_a_number, "comes next"),
    (_propose_twice, "is proposed where 1 comes next"),
    (_train_on_after_the_end, "reported when it is finished"),
    (_start_again_after_the_end, "started when it is finished"),
    (_report_twice, "step 3 follows step 3"),
    (_lose_a_report, "step 6 follows step 0"),
    (_let_a_bad_one_go_on, "where the order of arrivals says stop"),
    (_stop_a_good_one, "where the order of arrivals says finish"),
    (_propose_another, "where the history says"),
    (_forget_a_replicate, "of 2 replicates"),
    (_leave_one_open, "is left open by a sweep that is done"),
    (_score_no_test, "has no score on test"),
]


@pytest.mark.parametrize(("plant", "said"), PLANTED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_planted_violation_of_the_ledger_is_found(
    events: list[Record], plant: Callable[[list[Record]], None], said: str
) -> None:
    planted = copy.deepcopy(events)
    plant(planted)
    assert any(said in line for line in violations(planted)), violations(planted)


@pytest.fixture
def copied(sweep: Path, tmp_path: Path) -> Path:
    """With its times: the audit compares them."""
    return Path(shutil.copytree(sweep, tmp_path / "copied", copy_function=shutil.copy2))


def _last_checkpoint(folder: Path, events: list[Record]) -> Path:
    end = events[_places(events, "reported", action="finish")[0]]
    return folder / trial_folder(end["trial"]) / str(end["report"]["checkpoint"])


def test_a_damaged_last_checkpoint_is_found(copied: Path, events: list[Record]) -> None:
    (_last_checkpoint(copied, events) / "state.pt").write_bytes(b"")
    assert any("the checkpoint of its last report is not intact" in line for line in audit(Folder.at(str(copied))))


def test_a_value_that_is_not_the_first_one_is_found(copied: Path, events: list[Record]) -> None:
    """The ledger says otherwise than the checkpoint."""
    changed = copy.deepcopy(events)
    end = changed[_places(changed, "reported", action="finish")[0]]
    end["report"]["facts"]["loss"] = 17.0
    shutil.rmtree(copied / "ledger")
    ledger = Ledger(Folder.at(str(copied / "ledger")))
    for event in changed:
        ledger.append(parse(event))
    ledger.close()
    assert [line.partition(" holds ")[2] for line in audit(Folder.at(str(copied)))] == [
        "another report history than the ledger"
    ]


def test_work_done_again_is_found(copied: Path, events: list[Record]) -> None:
    """An attempt that passed over the newest checkpoint, by its log; where that came later, nothing is wrong."""
    again = next(event for event in events if event["type"] == "started" and event["attempt"] == 2)
    folder = copied / trial_folder(again["trial"])
    log = folder / "attempt-02" / "log.txt"
    assert "resumed from attempt-01/step-" in log.read_text()
    log.write_text("10:00:00 trial\n10:00:01 step 3/9  error 1\n")
    (found,) = audit(Folder.at(str(copied)))
    assert f"trial {again['trial']}: attempt 2 trained to step 3 again, and there was a checkpoint of step " in found
    for manifest in folder.glob("attempt-01/*/manifest.json"):
        os.utime(manifest, (again["time"] + 9, again["time"] + 9))
    assert audit(Folder.at(str(copied))) == []


def test_what_is_a_clock_is_left_out_and_nothing_else(events: list[Record]) -> None:
    later = copy.deepcopy(events)
    for event in later:
        event["time"] += 5.0
        if event["type"] == "reported":
            event["report"]["seconds"] *= 2
            event["report"]["facts"]["guards_share"] = 0.5
        if event["type"] == "opened":
            event["manifest"] = {"pid": 7}
    assert without_clocks(later) == without_clocks(events)
    for name, value in (("loss", 1.5), ("learning_rate", 0.5)):
        other = copy.deepcopy(events)
        other[_places(other, "reported")[0]]["report"]["facts"][name] = value
        assert without_clocks(other) != without_clocks(events)


def test_several_at_a_time_each_curve_is_that_of_the_trial_alone(events: list[Record]) -> None:
    """Whatever trained beside it, whatever trained in its process before, however often it was cut off."""
    proposed = {event["trial"]: event["config"] for event in events if event["type"] == "proposed"}
    for number, config in proposed.items():
        told = [event["report"] for event in events if event["type"] == "reported" and event["trial"] == number]
        loop = Loop(TOY, TOY.config(config), None, test=config["seed"] != proposed[0]["seed"])
        alone = curve(report for report in loop.run(told[-1]["step"]))
        assert alone == curve(map(Report.from_dict, told))


def test_one_at_a_time_two_runs_keep_the_same_books(tmp_path: Path) -> None:
    books = []
    for name in "ab":
        play(Folder.at(str(tmp_path / name)), dataclasses.replace(CHOSEN, concurrent=1, trials=4))
        books.append(read(Folder.at(str(tmp_path / name / "ledger"))))
    assert without_clocks(books[0]) == without_clocks(books[1])
    play(Folder.at(str(tmp_path / "c")), dataclasses.replace(CHOSEN, concurrent=1, trials=4, seed=6))
    assert without_clocks(read(Folder.at(str(tmp_path / "c" / "ledger")))) != without_clocks(books[0])
