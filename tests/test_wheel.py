"""The wheel holds everything that the commands need."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT, command


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git tracks or would, unpacked where Python finds it first."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split():
        if (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("leadline-*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def test_the_four_packages_and_nothing_else(installed: Path) -> None:
    names = {path.name for path in installed.iterdir() if path.suffix != ".dist-info"}
    assert names == {"analysis", "search_spaces", "sweeps", "trainables"}
    assert (installed / "analysis" / "templates" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-m", "trainables", "collatz", "--help"), "lookahead=int"),
        (("-m", "analysis", "list", "nothing-here"), "nothing-here"),
        (("-m", "sweeps.lookahead", "--help"), "--trials"),
    ],
)
def test_commands_run_from_the_wheel(installed: Path, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    run = command(*arguments, cwd=tmp_path, PYTHONPATH=str(installed))
    assert said in run.stdout + run.stderr
    where = command("-c", "import sweeps; print(sweeps.__file__)", cwd=tmp_path, PYTHONPATH=str(installed))
    assert where.stdout.startswith(str(installed))
