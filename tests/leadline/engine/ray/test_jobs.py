"""What a job sends to a cluster, without one; tests/cluster/test_job.py submits real ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from leadline.config import ConfigError
from leadline.engine.ray import jobs
from leadline.storage import Folder
from tests.conftest import ROOT


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
