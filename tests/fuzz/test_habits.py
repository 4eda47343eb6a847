"""A family of odd habits in a real sweep: what should train trains, what must fail says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline import Sweep
from leadline.ledger.history import History
from leadline.ledger.segments import read
from leadline.storage import Folder
from tests.conftest import ROOT, command
from tests.fuzz.habits import HABITS

pytestmark = pytest.mark.sweep
STUDY = ("-m", "tests.fuzz.habits")


def test_every_habit_trains_or_fails_with_its_words(scratch: Path) -> None:
    run = command(*STUDY, "--storage", str(scratch), "--name", "a", PYTHONPATH=str(ROOT))
    assert run.returncode == 0, run.stdout + run.stderr
    history = History.of(read(Folder.at(str(scratch / "a" / "ledger"))))
    trials = {trial.stratum: trial for trial in history.search_trials()}
    fates = {habit: trials[habit].status for habit in HABITS}
    assert fates == {habit: "failed" if habit in ("exits", "unreadable") else "finished" for habit in HABITS}, (
        run.stdout
    )
    assert trials["exits"].reason.splitlines()[-1] == "RuntimeError: sys.exit was called: my data went missing"
    assert 'sys.exit("my data went missing")' in trials["exits"].reason
    assert "seen" in trials["unreadable"].reason
    assert trials["exits"].cause == "error"
    warned = [note for note in history.notes if f"trial {trials['warns'].number}:" in note]
    assert len(warned) == 1
    assert warned[0].endswith("(40 times)")
    log = command("-m", "leadline", "log", str(scratch / "a"), str(trials["prints"].number))
    assert log.returncode == 0, log.stderr
    for step in (0, 39):
        assert f"at step {step}\n" in log.stdout
        assert f"logged at step {step}\n" in log.stdout
    sweep = Sweep.open(str(scratch / "a"))
    for habit in ("none", "warns", "prints", "numpy", "loader"):
        sweep.trial(trials[habit].number).load()
    numbers = history.trials[trials["numpy"].number].reports[-1].facts
    assert (numbers["size"], numbers["share"]) == (40.0, 0.5)
