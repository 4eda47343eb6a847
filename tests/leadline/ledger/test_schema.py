"""A ledger that was recorded with schema 1, of a sweep that was interrupted: it is read, and a
driver goes on with it.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from leadline.analysis.upkeep.ledger_check import examine
from leadline.engine.director import Director
from leadline.ledger.events import Event, Failed
from leadline.ledger.history import History
from leadline.ledger.reader import LedgerError, read
from leadline.ledger.segments import SCHEMA, Ledger
from leadline.storage import Folder
from tests.leadline.engine.test_director import Simulation
from tests.leadline.toy_study import STUDY


@pytest.fixture
def folder(golden: Path, tmp_path: Path) -> Folder:
    """A copy of the ledger: five segments."""
    shutil.copytree(golden / "ledger-schema-1" / "ledger", tmp_path / "ledger")
    return Folder.at(str(tmp_path / "ledger"))


@pytest.fixture
def expected(golden: Path) -> dict[str, Any]:
    """What the version that wrote it made of it."""
    found: dict[str, Any] = json.loads((golden / "ledger-schema-1" / "expected.json").read_text())
    return found


def described(history: History) -> dict[str, Any]:
    return {
        str(trial.number): {
            **{name: getattr(trial, name) for name in ("stratum", "status", "attempts", "failures", "params", "wall")},
            "steps": [report.step for report in trial.reports],
            "values": [report.to_dict()["metrics"]["validation/error"]["value"] for report in trial.reports],
        }
        for trial in history.trials.values()
    }


def director_of(events: list[Event]) -> Director:
    director = Director(History.of(events).settings, STUDY.space)
    director.replay(events)
    return director


def test_its_trials_values_and_rungs_are_what_they_were(folder: Folder, expected: dict[str, Any]) -> None:
    events = read(folder)
    assert len(events) == expected["events"]
    director = director_of(events)
    assert described(director.history) == expected["trials"]
    rungs = {
        stratum: {str(rung): {str(t): v for t, v in held.items()} for rung, held in a.table.items()}
        for stratum, a in director.asha.items()
    }
    assert rungs == expected["rungs"]


def test_events_come_in_todays_schema(folder: Folder) -> None:
    failed = [event for event in read(folder) if isinstance(event, Failed)]
    assert len(failed) == 3
    assert {event.cause for event in failed} == {"error"}
    assert '"cause"' not in (Path(folder.path) / "00000002.jsonl").read_text()


def test_the_doctor_finds_it_whole(folder: Folder, expected: dict[str, Any]) -> None:
    chain = examine(folder)
    assert (chain.segments, chain.events, chain.damage) == (5, expected["events"], None)


def test_a_driver_goes_on_with_it_and_writes_todays_schema(folder: Folder) -> None:
    past = read(folder)
    ledger = Ledger(folder, compact=4)
    assert ledger.past == past
    done = Simulation(History.of(past).settings, past=ledger.past).run()
    for event in done.events[len(past) :]:
        ledger.append(event)
    ledger.close()
    assert [event.to_dict() for event in read(folder)] == json.loads(
        json.dumps([event.to_dict() for event in done.events])
    )
    assert not any(trial.open for trial in done.director.history.trials.values())
    schemas = {name: json.loads(folder.read(name).split(b"\n", 1)[0])["schema"] for name in folder.sizes()}
    assert schemas["00000006.jsonl"] == SCHEMA
    assert schemas["00000001-00000004.jsonl"] == SCHEMA, "what is compacted is migrated"
    assert schemas["00000005.jsonl"] == 1
    assert dataclasses.asdict(director_of(read(folder)).history.trials[7]) == dataclasses.asdict(
        done.director.history.trials[7]
    )


@pytest.mark.parametrize("number", [1, 3])
def test_its_chain_still_tells_what_was_changed(folder: Folder, number: int) -> None:
    path = Path(folder.path) / f"{number:08d}.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"time": 17600000', b'"time": 17600001', 1))
    with pytest.raises(
        LedgerError, match=f"damaged in its middle: .*{number + 1:08d}.jsonl does not follow .*{path.name}"
    ):
        read(folder)
    damage = examine(folder).damage
    assert damage is not None
    assert not damage.tail
