"""The code of a study and a family of one's own, in a git repository of one's own."""

from __future__ import annotations

import dataclasses
import gzip
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leadline.engine import options
from leadline.engine.address import Address
from leadline.engine.driver import Driver
from leadline.engine.manifest import changes, manifest
from leadline.engine.provenance import LARGEST, Code, code_of, kept
from leadline.engine.run import drive
from leadline.engine.study import Study
from leadline.engine.supervisor import DONE, Parent
from leadline.engine.working_tree import HANDED_ON, handed_on
from leadline.ledger import leaderboard
from leadline.ledger.history import History
from leadline.ledger.lease import Lease
from leadline.ledger.segments import read
from leadline.ledger.settings import Settings
from leadline.storage import Folder
from tests.conftest import ROOT, command
from tests.leadline.in_process_sweep import play

ASK = """
from leadline import Scale, Study, main
from ranges import HIGHEST


def space(trial, scale):
    return {"lr": trial.suggest_float("lr", 1e-3, HIGHEST, log=True)}


laptop = Scale(trials=2, budget=8, grace=4, reduction=2, confirm=0, replicates=1, strata=("all",), startup=1)
STUDY = Study(name="own", family="own.family:LINE", space=space, stratify=None, scales={"laptop": laptop})

if __name__ == "__main__":
    main(STUDY, "")
"""
SHOW = """
import json
from ask import STUDY
from leadline.engine import options, provenance

code = provenance.code_of(STUDY.space, options.settings(STUDY, options.parse(STUDY, [], "")))
print(json.dumps({"parts": code.parts, "archive": code.archive}))
"""
FAMILY = (ROOT / "tests/plugin/line/family.py").read_text()
FACTOR = 'x, y = self.data[split]\n        return {"mse": mean_over_units('


def git(repository: Path, *arguments: str) -> str:
    names = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    run = subprocess.run(["git", *names, *arguments], cwd=repository, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def commit(repository: Path) -> str:
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "what is there")
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project that is committed, its study imported as if it were the script."""
    root = tmp_path / "project"
    (root / "own").mkdir(parents=True)
    (root / "own/__init__.py").write_text("")
    (root / "own/family.py").write_text(
        FAMILY.replace("LINE = Line()", "LINE = Line()\n\n\ndef late():\n    import own.helper\n")
    )
    (root / "own/helper.py").write_text("FACTOR = 1\n")
    (root / "ask.py").write_text(ASK)
    (root / "ranges.py").write_text("HIGHEST = 1.0\n")
    (root / "show.py").write_text(SHOW)
    (root / ".gitignore").write_text("__pycache__/\nignored.py\n")
    git(root, "init", "-q")
    commit(root)
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(root / "ask.py"), raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    before = {*sys.modules}
    yield root
    for name in {*sys.modules} - before:
        del sys.modules[name]


def asked() -> tuple[Study, Settings]:
    study: Study = importlib.import_module("ask").STUDY
    return study, options.settings(study, options.parse(study, ["--concurrent", "1"], ""))


def code() -> Code:
    study, settings = asked()
    return code_of(study.space, settings)


def files(found: Code, part: str) -> dict[str, Any]:
    entries: dict[str, Any] = found.archive["parts"][part]
    return entries


def test_the_commit_is_that_of_the_repository_in_which_the_files_lie(project: Path) -> None:
    found = code()
    for part in ("study", "family"):
        assert (found.parts[part]["commit"], found.parts[part]["dirty"]) == (git(project, "rev-parse", "HEAD"), False)
    assert sorted(files(found, "study")) == ["ask.py", "ranges.py"]
    assert sorted(files(found, "family")) == ["own/__init__.py", "own/family.py", "own/helper.py"]
    assert "leadline/engine/provenance.py" in files(found, "framework")
    assert not any("difference" in entry for part in ("study", "family") for entry in files(found, part).values())
    assert {"torch", "pytest", "pyyaml"} <= found.archive["packages"].keys()


def test_a_file_that_git_does_not_know_is_kept_whole_without_its_secrets(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "correct-horse")
    family = project / "own/family.py"
    (project / "own/fresh.py").write_text('API_KEY = "hunter2"\nurl = "https://correct-horse@host"\nrows = 8\n')
    (project / "own/ignored.py").write_text("rows = 9\n")
    family.write_text(f"{family.read_text()}    import own.fresh, own.ignored\n")
    commit_before = git(project, "rev-parse", "HEAD")
    git(project, "add", "own/family.py")
    git(project, "commit", "-qm", "one file")
    found = code()
    assert (found.parts["family"]["dirty"], found.parts["study"]["dirty"]) == (True, False)
    assert found.parts["family"]["commit"] == git(project, "rev-parse", "HEAD") != commit_before
    fresh = files(found, "family")["own/fresh.py"]["difference"].splitlines()
    assert fresh[:2] == ["--- /dev/null", "+++ b/own/fresh.py"]
    assert fresh[3:] == ['+API_KEY = "(removed)"', '+url = "https://(removed)@host"', "+rows = 8"]
    assert files(found, "family")["own/ignored.py"]["difference"].endswith("+rows = 9")
    assert "difference" not in files(found, "family")["own/family.py"]
    assert "hunter2" not in json.dumps(found.archive)
    assert "correct-horse" not in json.dumps(found.archive)


def test_a_file_that_differs_from_its_commit_is_kept_as_the_difference(project: Path) -> None:
    (project / "own/helper.py").write_text("FACTOR = 1000\n")
    found = code()
    difference = "--- a/own/helper.py\n+++ b/own/helper.py\n@@ -1 +1 @@\n-FACTOR = 1\n+FACTOR = 1000"
    assert files(found, "family")["own/helper.py"]["difference"] == difference
    assert found.parts["family"]["dirty"]


def test_a_large_file_and_one_that_is_not_python_are_left_out_with_a_word(project: Path) -> None:
    (project / "own/helper.py").write_text(f"TEXT = {'x' * LARGEST!r}\n")
    (project / "own/__init__.py").write_text("def late():\n    import own.broken\n")
    (project / "own/broken.py").write_text("API_KEY = 'hunter2' (\n")
    found = files(code(), "family")
    assert found["own/helper.py"]["left_out"] == "larger than 1048576 bytes"
    assert found["own/broken.py"]["left_out"] == "not Python that can be searched for secrets"


def test_without_git_the_fingerprint_is_the_same_and_all_text_is_kept(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code()
    for without in ("no program", "no repository"):
        if without == "no program":
            monkeypatch.setenv("PATH", str(project))
        else:
            shutil.rmtree(project / ".git")
        found = code()
        for part in ("study", "family"):
            assert found.parts[part] == {**before.parts[part], "commit": None, "dirty": None}
        assert files(found, "family")["own/helper.py"]["difference"].endswith("+FACTOR = 1")


def test_a_repository_without_a_commit_has_none(project: Path) -> None:
    shutil.rmtree(project / ".git")
    git(project, "init", "-q")
    found = code()
    assert (found.parts["family"]["commit"], found.parts["family"]["dirty"]) == (None, None)
    assert files(found, "family")["own/helper.py"]["difference"].endswith("+FACTOR = 1")


def test_a_hook_of_git_does_not_lead_to_another_repository(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(project / "nowhere"))
    assert code().parts["family"]["commit"]


def test_each_file_has_the_commit_of_its_own_repository(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    (other / "shared_parts").mkdir(parents=True)
    (other / "shared_parts/__init__.py").write_text("")
    git(other, "init", "-q")
    theirs = commit(other)
    monkeypatch.syspath_prepend(str(other))
    (project / "own/helper.py").write_text("import shared_parts\n")
    ours = commit(project)
    found = code()
    assert (found.parts["family"]["commit"], found.parts["family"]["dirty"]) == (ours, False)
    assert files(found, "family")["own/helper.py"]["commit"] == ours
    assert files(found, "family")["shared_parts/__init__.py"]["commit"] == theirs
    (other / "shared_parts/__init__.py").write_text("changed = True\n")
    assert code().parts["family"]["dirty"]


def test_the_archive_is_written_once_and_read_again(project: Path, tmp_path: Path) -> None:
    folder, found = Folder.at(str(tmp_path / "sweep")), code()
    found.keep(folder, 1.0, pytest.fail)
    path = tmp_path / "sweep" / manifest(found)["code_file"]
    written = path.stat()
    found.keep(folder, 1.0, pytest.fail)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert kept(folder, manifest(found)) == found.archive == json.loads(gzip.decompress(path.read_bytes()))
    (project / "own/helper.py").write_text("FACTOR = 2\n")
    code().keep(folder, 1.0, pytest.fail)
    assert len(list(path.parent.iterdir())) == 2


@pytest.mark.parametrize(
    "harm",
    [b"", b"no gzip", gzip.compress(b"no json", mtime=0), gzip.compress(b"[1]", mtime=0), None],
    ids=["empty", "no gzip", "no json", "a list", "missing"],
)
def test_without_the_archive_the_difference_is_said_and_names_no_file(
    project: Path, tmp_path: Path, harm: bytes | None
) -> None:
    folder, before = Folder.at(str(tmp_path / "sweep")), code()
    if harm is not None:
        folder.write(before.file, harm)
    (project / "own/helper.py").write_text("FACTOR = 2\n")
    (said,) = changes(manifest(before), code(), folder)
    assert said.startswith("resumed, and no longer bit for bit what it was: the family's code differs (was commit ")


def test_trials_of_other_family_code_are_marked_and_named(project: Path, tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "sweep"))
    study, settings = asked()
    first = code()
    play(folder, settings, study.space, manifest=manifest(first))
    family = project / "own/family.py"
    family.write_text(family.read_text().replace(FACTOR, FACTOR + "1000 * "))
    assert "1000 * " in family.read_text()
    commit(project)
    longer = options.settings(study, options.parse(study, ["--concurrent", "1", "--trials", "4"], ""))
    again = play(folder, longer, study.space, manifest=manifest(code()))
    marked = {
        trial.number: "other family code" in leaderboard.marks(again.history, trial)
        for trial in again.history.search_trials()
    }
    assert marked == {0: True, 1: True, 2: False, 3: False}
    said = "trained by other code of the family than it has now, and marked on the leaderboard: trials 0 to 1"
    assert again.remarks == [said]
    assert again.history.notes.count(said) == 1
    assert play(folder, longer, study.space, manifest=manifest(code())).remarks == [], "it is said once"
    back = play(folder, longer, study.space, manifest=manifest(first)).history
    assert [leaderboard.other_code(back, trial) for trial in back.search_trials()] == [False, False, True, True]


def test_a_ledger_that_records_no_code_has_no_marks(project: Path, tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "sweep"))
    study, settings = asked()
    for recorded in ({"commit": "a" * 40, "dirty": False}, manifest(code()), {}):
        history = play(folder, settings, study.space, manifest=recorded).history
        assert not any("other family code" in leaderboard.marks(history, trial) for trial in history.search_trials())


def test_a_resume_says_what_differs_before_anything_starts(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run writes nothing; a driver keeps the code, and then says and records the same."""
    folder = Folder.at(str(tmp_path / "sweeps" / "mine"))
    study, settings = asked()
    before = code()
    before.keep(folder, 1.0, pytest.fail)
    play(folder, settings, study.space, manifest=manifest(before))
    was = git(project, "rev-parse", "HEAD")[:12]
    (project / "own/helper.py").write_text("FACTOR = 1000\n")
    now = commit(project)[:12]
    there = {path: path.read_bytes() for path in (tmp_path / "sweeps").rglob("*") if path.is_file()}
    storage = Folder.at(str(tmp_path / "sweeps"))
    words = ["--storage", storage.path, "--resume", "mine", "--trials", "4", "--concurrent", "1"]
    parent = Parent(0.0, str(tmp_path))
    assert drive(study, "", [*words, "--dry-run"], parent) == DONE
    said = [
        "resumed, and no longer bit for bit what it was: the family's code differs: own/helper.py "
        f"(was commit {was}, now commit {now})",
        "trained by other code of the family than it has now, and marked on the leaderboard: trials 0 to 1",
    ]
    lines = capsys.readouterr().out.splitlines()
    assert [line.removeprefix("note        ") for line in lines if line.startswith("note")] == said
    assert {path: path.read_bytes() for path in (tmp_path / "sweeps").rglob("*") if path.is_file()} == there
    longer, after = dataclasses.replace(settings, trials=4), code()
    lease = Lease.take(folder / "lease", pytest.fail)
    changed = changes(manifest(before), after, folder)
    driver = Driver(
        study.space,
        longer,
        folder,
        "mine",
        storage.path,
        lease,
        parent,
        Address("alone"),
        parent.scratch,
        after,
        changed,
    )
    driver._open()
    driver.ledger.close()
    lease.release()
    history = History.of(read(folder / "ledger"))
    assert [note for note in history.notes if note in said] == [said[1], said[0]]
    assert kept(folder, history.manifests[-1]) == after.archive


def test_a_job_has_the_commit_and_the_changed_files_of_its_submitter(project: Path, tmp_path: Path) -> None:
    """The folder is sent without its repository, and lies elsewhere."""
    (project / "own/helper.py").write_text("FACTOR = 2\n")
    (project / "own/__init__.py").write_text("def late():\n    import own.fresh\n")
    (project / "own/fresh.py").write_text("rows = 8\n")
    here = code()
    sent = tmp_path / "elsewhere"
    shutil.copytree(project, sent, ignore=shutil.ignore_patterns(".*"))
    words: dict[str, Any] = {HANDED_ON: handed_on(project, "show.py")}
    run = command("show.py", cwd=sent, PYTHONPATH=f"{sent}{os.pathsep}{ROOT}", **words)
    assert run.returncode == 0, run.stderr
    there = json.loads(run.stdout)
    assert there["parts"]["family"] == here.parts["family"]
    assert there["parts"]["study"]["commit"] == here.parts["study"]["commit"]
    differences = {name: entry.get("difference", "") for name, entry in there["archive"]["parts"]["family"].items()}
    assert differences["own/family.py"] == ""
    assert differences["own/helper.py"].endswith("--- /dev/null\n+++ b/own/helper.py\n@@ -0,0 +1 @@\n+FACTOR = 2")
    assert differences["own/fresh.py"].endswith("+rows = 8")


def test_what_is_handed_on_names_changed_python_files_below_the_folder_that_is_sent(project: Path) -> None:
    (project / "notes.py").write_text("")
    (project / "own/helper.py").write_text("")
    (project / "own/data.csv").write_text("")
    (project / "own/ignored.py").write_text("")
    (project / "own/nested").mkdir()
    git(project / "own/nested", "init", "-q")
    (project / "own/nested/part.py").write_text("")
    found = json.loads(handed_on(project / "own", "helper.py"))
    head = git(project, "rev-parse", "HEAD")
    assert found == {"script": "helper.py", "commit": head, "changed": ["helper.py", "nested"]}
    assert json.loads(handed_on(project.parent, "ask.py")) == {"script": "ask.py", "commit": None, "changed": []}
