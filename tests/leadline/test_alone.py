"""The framework and its tests need no laboratory: none imports it, and all are collected where it is not."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, command
from tests.test_architecture import imported

LABORATORY = ("analysis", "search_spaces", "sweeps", "trainables")
HIDE = f"import sys\n\nsys.modules.update(dict.fromkeys({LABORATORY}))\n"
"""A plugin of pytest: each import of the laboratory fails, also where a checkout of it is installed."""


def _of_the_laboratory(root: Path) -> Iterator[str]:
    """Each import of the laboratory below `leadline` and `tests/leadline`, with its file."""
    for folder in (root / "leadline", root / "tests" / "leadline"):
        for path in sorted(folder.rglob("*.py")):
            for module, _ in imported(ast.parse(path.read_text())):
                if module.partition(".")[0] in LABORATORY:
                    yield f"{path.relative_to(root)}: {module}"


def test_neither_the_framework_nor_its_tests_import_the_laboratory() -> None:
    assert list(_of_the_laboratory(ROOT)) == []


@pytest.mark.parametrize(
    "line",
    [
        "from trainables import b",
        "import sweeps.b as c",
        "if TYPE_CHECKING:\n    from analysis.b import B",
        "def f():\n    import search_spaces",
    ],
)
@pytest.mark.parametrize("place", ["leadline/engine/a.py", "tests/leadline/test_a.py"])
def test_an_import_of_the_laboratory_is_found_wherever_it_stands(line: str, place: str, tmp_path: Path) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(f"from leadline.analysis import sweep\n{line}\n")
    (found,) = _of_the_laboratory(tmp_path)
    assert found.startswith(f"{place}: ")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the framework and the tests, without the laboratory."""
    root = tmp_path_factory.mktemp("alone")
    for folder in ("leadline", "tests"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("golden"))
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "hide.py").write_text(HIDE)
    return root


def _collected(root: Path, place: str) -> subprocess.CompletedProcess[str]:
    """Collecting imports every module of tests, and runs none; their assertions stay as they are, which is quicker."""
    words = ("--collect-only", "-q", "--assert=plain", "-p", "hide", "-p", "no:cacheprovider", "-o", "addopts=", place)
    return command("-m", "pytest", *words, cwd=root, PYTHONPATH=str(root), PYTEST_ADDOPTS="")


def test_the_tests_of_the_framework_are_collected_without_the_laboratory(alone: Path) -> None:
    run = _collected(alone, "tests/leadline")
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "leadline").rglob("test_*.py")}
    assert {line.partition("::")[0] for line in run.stdout.splitlines() if "::" in line} == files


def test_a_test_that_needs_the_laboratory_is_not_collected_there(alone: Path) -> None:
    needy = alone / "tests" / "leadline" / "training" / "test_needy.py"
    needy.write_text("import importlib\n\nimportlib.import_module('trainables')\n\n\ndef test_nothing():\n    pass\n")
    run = _collected(alone, str(needy.relative_to(alone)))
    needy.unlink()
    assert run.returncode == 2
    assert "ModuleNotFoundError: import of trainables halted" in run.stdout
