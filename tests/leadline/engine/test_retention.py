"""What is kept of trials that have ended, and how the driver removes the rest."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from leadline.checkpoint import CheckpointStore
from leadline.engine import plan
from leadline.engine.director import Assignment, Director
from leadline.engine.retention import Retention
from leadline.ledger.events import Event
from leadline.ledger.history import History
from leadline.ledger.layout import trial_folder
from leadline.ledger.retention import needed, superseded
from leadline.measure import Measure, Report
from leadline.storage import Folder
from tests.leadline.engine.test_director import BASE
from tests.leadline.toy_study import STUDY

VALUES = (0.5, 0.1, 0.4, 0.3, 0.2)
SETTINGS = dataclasses.replace(BASE, trials=2, grace=5, budget=5, confirm=0, strata=(1,))


class Swept:
    """A sweep of two trials: the first has trained to its end in two attempts, without its process
    removing anything.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder, self.events = folder, list[Event]()
        self.director = Director(SETTINGS, STUDY.space, self.events.append)
        self.director.opened({})
        for attempt, steps in ((1, (1, 2, 3)), (2, (4, 5))):
            found = self.director.next()
            assert isinstance(found, Assignment)
            self.director.started(found.trial, found.attempt)
            store = CheckpointStore(folder / trial_folder(found.trial), attempt)
            for step in steps:
                name = store.publish(step, {"step": step}, {})
                metrics = {"validation/error": Measure.exact(VALUES[step - 1], 4)}
                self.director.reported(found.trial, Report(step, step, 0.0, 0.0, metrics, {}, name))
            if attempt == 1:
                self.director.failed(found.trial, "lost: the process or its machine went away")

    @property
    def store(self) -> CheckpointStore:
        return CheckpointStore(self.folder / "trials" / "0000")


@pytest.fixture
def swept(tmp_path: Path) -> Swept:
    return Swept(Folder.at(str(tmp_path)))


LAST, BEFORE, BEST = "attempt-02/step-000000005", "attempt-02/step-000000004", "attempt-01/step-000000002"


def test_the_best_the_last_and_the_one_before_it_are_kept(swept: Swept) -> None:
    history = swept.director.history
    trial = history.trials[0]
    assert trial.status == "finished"
    assert needed(history, trial) == {LAST, BEST}
    assert superseded(history, trial, swept.store.names()) == ["attempt-01/step-000000003", "attempt-01/step-000000001"]
    assert superseded(history, trial, [name for name in swept.store.names() if name != LAST]) == [], (
        "the last is not there: all stay"
    )


def test_a_trial_that_goes_on_keeps_all(swept: Swept) -> None:
    trial = swept.director.history.trials[0]
    trial.status = "waiting"
    assert superseded(swept.director.history, trial, swept.store.names()) == []


def test_what_ended_trials_do_not_need_is_removed_and_recorded(swept: Swept) -> None:
    retention = Retention(swept.director, swept.folder)
    retention.ended(0)
    retention.close(60)
    assert swept.store.names() == [LAST, BEFORE, BEST]
    assert {key: value for key, value in swept.events[-1].to_dict().items() if key != "time"} == {
        "type": "retired", "trial": 0, "checkpoints": ["attempt-01/step-000000001", "attempt-01/step-000000003"],
    }  # fmt: skip
    replayed = Director(SETTINGS, STUDY.space)
    replayed.replay(swept.events)
    assert replayed.history.trials[0].retired == {"attempt-01/step-000000001", "attempt-01/step-000000003"}
    assert History.of(swept.events).trials[0].status == "finished"


def test_what_cannot_be_removed_stays_and_the_sweep_goes_on(swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(folder: Folder) -> None:
        raise PermissionError(folder.path)

    monkeypatch.setattr(Folder, "delete", refuses)
    retention, before = Retention(swept.director, swept.folder), len(swept.events)
    retention.ended(0)
    retention.close(60)
    assert len(swept.events) == before
    assert len(swept.store.names()) == 5


def test_the_room_on_a_disk_is_looked_at_while_trials_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 2 * 50 * 2**20 + plan.SPARE})())
    assert plan.short_of_room(Folder.at(str(tmp_path)), 50 * 2**20) == ""
    assert (
        plan.short_of_room(Folder.at(str(tmp_path)), 51 * 2**20)
        == "116 MiB free, the running trials need 118 MiB; make room"
    )
