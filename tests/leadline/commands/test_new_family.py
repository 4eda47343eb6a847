"""`leadline new family NAME`: what it writes works, and nothing of the user's is overwritten."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from leadline.commands.dispatch import main

LIST = '''"""Families."""

FAMILIES = {
    "collatz": "trainables.collatz.family:COLLATZ",
}
"""By name."""
'''


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line of a refused command."""
    assert main(["new", "family", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err.removeprefix("error: ").rstrip()


@pytest.mark.timeout(600)
def test_a_family_outside_a_checkout_passes_the_contract_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "family", "double_pendulum"]) == 0
    folder = tmp_path / "double_pendulum"
    names = {"double_pendulum.py", "double_pendulum_study.py", "test_double_pendulum.py"}
    assert {path.name for path in folder.iterdir()} == names
    assert "python -m leadline train double_pendulum:DOUBLE_PENDULUM" in capsys.readouterr().out
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_double_pendulum.py"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, check=False)
    assert run.returncode == 0, run.stdout
    assert "passed" in run.stdout


def test_a_family_of_a_checkout_gets_its_folders_and_a_line_of_the_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trainables").mkdir()
    (tmp_path / "trainables" / "__init__.py").write_text(LIST)
    assert main(["new", "family", "pendulum", "--to", str(tmp_path)]) == 0
    line = '    "pendulum": "trainables.pendulum.family:PENDULUM",\n'
    assert (tmp_path / "trainables" / "__init__.py").read_text() == LIST.replace("}\n", f"{line}}}\n")
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.py"))
    assert written == [
        "search_spaces/batch_size/pendulum.py",
        "tests/trainables/pendulum/__init__.py",
        "tests/trainables/pendulum/test_pendulum.py",
        "trainables/__init__.py",
        "trainables/pendulum/__init__.py",
        "trainables/pendulum/family.py",
    ]
    for path in written:
        ast.parse((tmp_path / path).read_text())
    assert "python sweeps/batch_size.py --family pendulum --scale smoke" in capsys.readouterr().out
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.py")}
    assert refused(capsys, "pendulum", "--to", str(tmp_path)).startswith(f"name: {tmp_path}/")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.py")} == before


@pytest.mark.parametrize("name", ["Pendulum", "7up", "a-b", "class", ""])
def test_a_name_that_is_none_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, name, "--to", str(tmp_path / "x"))
    assert said == f"name: must be small letters, digits and underscores, such as pendulum (got {name!r})"
    assert not list(tmp_path.iterdir())


def test_a_name_that_would_hide_a_module_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "torch", "--to", str(tmp_path / "x"))
    assert said == "name: torch is a module that is installed, which the file torch.py would hide"
    assert not list(tmp_path.iterdir())


def test_a_list_that_cannot_be_added_to_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "trainables").mkdir()
    (tmp_path / "trainables" / "__init__.py").write_text("FAMILIES = {}\n")
    assert "no FAMILIES whose last line is a brace" in refused(capsys, "pendulum", "--to", str(tmp_path))
    assert [path.name for path in tmp_path.rglob("*.py")] == ["__init__.py"]
