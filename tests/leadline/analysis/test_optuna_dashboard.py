from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna_dashboard import get_note

from leadline import Sweep
from leadline.analysis import notes
from leadline.analysis.commands.optuna_dashboard import journal
from leadline.commands.dispatch import main

Build = Any

PATIENCE = 120.0
INSTALL = "# the two programs are installed by: pip install optuna-dashboard tensorboard"


@pytest.fixture
def written(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "with space.log"
    assert main(["dashboard", str(finished), "--to", str(path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"optuna-dashboard '{path}'"
    assert said[1:] == [INSTALL], "the fixture has no tensorboard folder"
    return path


NAMES = [
    "demo",
    "demo, lookahead 10",
    "demo, lookahead 10, at 100 steps",
    "demo, lookahead 100",
    "demo, lookahead 100, at 100 steps",
]


def test_a_study_of_the_sweep_and_of_each_stratum(written: Path, finished: Path) -> None:
    history = Sweep.open(finished).history
    storage = JournalStorage(JournalFileBackend(str(written)))
    assert sorted(optuna.get_all_study_names(storage)) == NAMES
    assert optuna.get_all_study_names(storage)[-1] == "demo", "the newest is shown first"
    study = optuna.load_study(study_name="demo, lookahead 100", storage=storage)
    finite = [trial for trial in history.search_trials() if trial.stratum == "100" and trial.status == "finished"]
    assert study.best_value == min(trial.value("validation/hinge") for trial in finite)
    assert len(study.trials) == sum(trial.stratum == "100" for trial in history.search_trials())
    assert study.user_attrs["lookahead"] == "100"


def test_importances_of_a_stratum_rest_on_all_trials_that_have_a_value(written: Path, finished: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(written)))
    study = optuna.load_study(study_name="demo, lookahead 100, at 100 steps", storage=storage)
    valued = [
        trial
        for trial in Sweep.open(finished).history.search_trials()
        if trial.stratum == "100" and trial.reports and math.isfinite(trial.reports[0].value("validation/hinge"))
    ]
    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert [trial.user_attrs["trial"] for trial in complete] == [trial.number for trial in valued]
    assert len(valued) > sum(trial.status == "finished" for trial in valued)
    assert study.user_attrs["compared at"] == 100


def test_notes_are_the_dashboards_own(build: Build, tmp_path: Path) -> None:
    made = build()
    made.train(4)
    sweep = Sweep.open(made.close())
    notes.add(sweep, 1, "look at `lr`" + "!" * 5000, "Ada", 1.8e9)
    notes.add(sweep, 1, "seen", "Bob", 1.8e9 + 60)
    path = tmp_path / "journal.log"
    path.write_bytes(journal(sweep))
    storage = JournalStorage(JournalFileBackend(str(path)))
    for name in ("demo", f"demo, lookahead {sweep.trial(1).stratum}"):
        study = optuna.load_study(study_name=name, storage=storage)
        noted = {
            trial.user_attrs["trial"]: get_note(optuna.trial.Trial(study, trial._trial_id)) for trial in study.trials
        }
        assert {number for number, note in noted.items() if note} == {1}
        assert noted[1].startswith("look at `lr`!!")
        assert noted[1].endswith("!\n\n*Ada, 2027-01-15 08:00:00 UTC*\n\n---\n\nseen\n\n*Bob, 2027-01-15 08:01:00 UTC*")
        assert "whole trial has" in get_note(study)


def test_writing_again_replaces(finished: Path, written: Path) -> None:
    assert main(["dashboard", str(finished), "--to", str(written)]) == 0
    assert len(optuna.get_all_study_names(JournalStorage(JournalFileBackend(str(written))))) == len(NAMES)


def test_default_file_and_tensorboard(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    made = build()
    made.train(2)
    folder = made.close()
    (folder / "tensorboard").mkdir()
    assert main(["dashboard", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"optuna-dashboard {folder}/optuna-journal.log",
        f"tensorboard --logdir {folder}/tensorboard",
        INSTALL,
    ]
    assert (folder / "optuna-journal.log").exists()


def test_help_says_that_it_writes_and_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "writes what Optuna's dashboard reads" in said
    assert "pip install optuna-dashboard tensorboard" in said


def test_a_folder_is_refused(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", str(finished), "--to", str(tmp_path)]) == 2
    assert "to:" in capsys.readouterr().err
    assert main(["dashboard", str(finished), "--to", str(tmp_path / "none" / "x.log")]) == 2
    assert "to: cannot write" in capsys.readouterr().err


@contextmanager
def served(journal: Path) -> Iterator[str]:
    """The address of a running optuna-dashboard."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("optuna-dashboard")
    server = subprocess.Popen(
        [str(program), str(journal), "--host", "127.0.0.1", "--port", str(port)], stderr=subprocess.PIPE, text=True
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.communicate(timeout=30)


def asked(address: str) -> Any:
    """The JSON answer, as soon as the server gives one."""
    for _ in range(int(PATIENCE / 0.2)):
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return json.loads(answer.read())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise AssertionError(f"no answer from {address}")


def test_the_real_dashboard_shows_the_studies(written: Path, finished: Path) -> None:
    with served(written) as address:
        found = asked(f"{address}/api/studies")["study_summaries"]
        assert sorted(study["study_name"] for study in found) == NAMES
        number = next(study["study_id"] for study in found if study["study_name"] == "demo")
        shown = asked(f"{address}/api/studies/{number}?after=0")
    assert shown["objective_names"] == ["validation/hinge"]
    searched = Sweep.open(finished).history.search_trials()
    assert [trial["number"] for trial in shown["trials"]] == [trial.number for trial in searched]
    for trial, recorded in zip(shown["trials"], searched, strict=True):
        value = recorded.value("validation/hinge")
        assert trial.get("values") == ([value] if math.isfinite(value) and recorded.status != "failed" else None)
