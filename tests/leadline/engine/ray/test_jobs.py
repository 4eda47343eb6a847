"""What a job sends to a cluster, without one; tests/cluster/test_job.py submits real ones."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from leadline.config import ConfigError
from leadline.engine import options
from leadline.engine.address import Address
from leadline.engine.ray import jobs
from leadline.storage import Folder
from tests.conftest import ROOT
from tests.leadline.toy_study import STUDY


def left_out(names: list[str], folder: Path) -> list[str]:
    """Which of the paths Ray leaves out: it reads the patterns as git reads an ignore file."""
    patterns = folder / "patterns"
    patterns.write_text("\n".join(jobs.LEFT_OUT))
    command = ["git", "-c", f"core.excludesFile={patterns}", "check-ignore", "--no-index", "--stdin"]
    run = subprocess.run(command, cwd=ROOT, input="\n".join(names), capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stderr
    return run.stdout.split()


def test_every_module_of_this_project_is_sent(tmp_path: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert left_out(tracked.stdout.split(), tmp_path) == []


def test_a_package_may_be_called_as_what_is_left_out_at_the_root(tmp_path: Path) -> None:
    sent = ["own/results/tables.py", "own/docs/__init__.py", "own/tests/golden/data.py"]
    kept = ["results/a/ledger/1.jsonl", "docs/report.png", ".venv/bin/python", "own/__pycache__/x.pyc"]
    assert left_out([*sent, *kept], tmp_path) == kept


def test_the_project_of_the_script_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "project" / "studies" / "mine.py"
    script.parent.mkdir(parents=True)
    script.touch()
    monkeypatch.setattr("sys.argv", [str(script)])
    assert jobs._code() == (script.parent, "mine.py"), "its folder, where there is no project"
    (tmp_path / "project" / "pyproject.toml").touch()
    assert jobs._code() == (tmp_path / "project", "studies/mine.py")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "project")
    assert jobs._code() == (script.parent, "mine.py"), "a home folder is no project, whatever lies in it"
    monkeypatch.setattr(Path, "home", lambda: script.parent)
    with pytest.raises(ConfigError, match=r"^script: put mine\.py into a folder of its own"):
        jobs._code()


def test_the_storage_is_not_sent_wherever_it_lies(tmp_path: Path) -> None:
    storage = Folder.at(str(tmp_path / "studies" / "results"))
    assert jobs._left_out(tmp_path, storage) == [*jobs.LEFT_OUT, "/studies/results"]
    assert jobs._left_out(tmp_path / "studies" / "results", storage) == [*jobs.LEFT_OUT]
    assert jobs._left_out(tmp_path / "other", storage) == [*jobs.LEFT_OUT]


class Cluster:
    """Takes a submission id once, and says so in Ray's words."""

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}

    def get_address(self) -> str:
        return "http://head:8265"

    def submit_job(self, *, entrypoint: str, submission_id: str, **given: Any) -> None:
        if submission_id in self.jobs:
            words = f"Job with submission_id {submission_id} already exists. Please use a different submission_id."
            raise RuntimeError(f"Request failed with status code 400: Traceback ...\nValueError: {words}\n.")
        self.jobs[submission_id] = entrypoint


def test_two_sweeps_that_are_submitted_in_one_second_get_two_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster()
    monkeypatch.setenv("RAY_ADDRESS", "")  # which is changed, and put back after the test
    monkeypatch.setattr("time.strftime", lambda form, *moment: "20260101-120000")
    monkeypatch.setattr(jobs, "_client", lambda address: cluster)
    monkeypatch.setattr(jobs, "_follow", lambda *given: 0)
    monkeypatch.setattr("sys.argv", [str(tmp_path / "study.py")])
    arguments = ["--storage", str(tmp_path / "results")]
    for _ in range(2):
        request = options.parse(STUDY, arguments, "")
        assert jobs.as_job(STUDY, request, arguments, Address("submit", "http://head:8265", "--address")) == 0
    names = ["toy-20260101-120000", "toy-20260101-120000-2"]
    assert list(cluster.jobs) == names
    assert [words.split("--name ")[1].split()[0] for words in cluster.jobs.values()] == names
    assert f"--resume {names[1]}" in capsys.readouterr().out


def test_a_name_that_a_sweep_of_another_cluster_has_is_not_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken" / "ledger").mkdir(parents=True)
    assert not jobs._may_be_free(Folder.at(str(tmp_path)) / "taken")
    assert jobs._may_be_free(Folder.at(str(tmp_path)) / "free")
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.1)
    (tmp_path / "file").touch()
    assert jobs._may_be_free(Folder.at(str(tmp_path / "file")) / "unreachable")
