"""The wheel holds the framework alone; sweeps of any family can be looked at with it, and an
outside family has all it brings.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what git tracks or would."""
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
    (made,) = folder.glob("leadline-*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, the package `line` from outside, and nothing of this checkout.

    Other packages are those of the tests' environment: its folder is on the path, but `.pth` files in it, such as that
    of an editable installation, are not read.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    plugin = tmp_path_factory.mktemp("plugin")
    shutil.copytree(ROOT / "tests" / "plugin", plugin / "line", ignore=shutil.ignore_patterns("__pycache__"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*install, str(site), str(wheel), str(plugin / "line")], check=True, capture_output=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the user's own, whose packages have the names of the laboratory's."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("analysis", "sweeps", "trainables", "search_spaces"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text('"""A package of the user."""\n')
    (folder / "study.py").write_text("from line.study import STUDY\nfrom leadline import main\n\nmain(STUDY)\n")
    (folder / "batches.py").write_text(BATCHES)
    return folder


BATCHES = """
from leadline import Scale, Study, main

size = {"budget": 64, "grace": 32, "reduction": 2, "confirm": 0, "replicates": 1, "strata": (4,)}
scales = {"laptop": Scale(2, **size)}
main(Study("batch_size", "nobody", lambda trial, scale: {}, "batch", scales, budget="samples"))
"""


def run(python: Path, words: Sequence[str], folder: Path, code: int = 0) -> str:
    """What a command prints, in an environment that does not know this checkout."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LEADLINE", "RAY"))}
    done = subprocess.run(
        [python, *words], cwd=folder, env=clean, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_framework_and_nothing_else(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"leadline"}
    files = set(zipfile.ZipFile(wheel).namelist())
    assert {"leadline/py.typed", "leadline/templates/family.py.jinja"} <= files
    assert "leadline/analysis/report/templates/report.html" in files


def test_every_module_imports_without_the_laboratory(python: Path, tmp_path: Path) -> None:
    program = (
        "import importlib, pkgutil, sys, leadline\n"
        "for found in pkgutil.walk_packages(leadline.__path__, 'leadline.'):\n"
        "    if not found.name.endswith('__main__'): importlib.import_module(found.name)\n"
        "print(sorted({'analysis', 'sweeps', 'trainables', 'search_spaces'} & set(sys.modules)), leadline.__file__)"
    )
    said = run(python, ["-c", program], tmp_path)
    assert said.startswith("[] ")
    assert str(python.parent.parent) in said


def test_a_name_of_the_laboratory_says_what_is_missing(python: Path, tmp_path: Path) -> None:
    said = run(python, ["-m", "leadline", "train", "collatz"], tmp_path, 2)
    missing = "cannot load trainables:FAMILIES: the package trainables is missing here: "
    missing += "go to its folder and run `python -m leadline`, or install it"
    assert said == f"error: family: no 'collatz'; installed: line; {missing}\n"


def test_a_sweep_of_the_laboratory_can_be_looked_at_but_not_loaded(python: Path, tmp_path: Path) -> None:
    sweep = str(ROOT / "tests" / "golden" / "ledger-schema-1")
    shutil.copytree(sweep, tmp_path / "old")
    for words in (["list", "."], ["leaderboard", "old"], ["report", "old"], ["export", "old"]):
        run(python, ["-m", "leadline", *words], tmp_path)
    assert "leaderboard" in (tmp_path / "old" / "report.html").read_text().lower()
    load = "import leadline; leadline.Sweep.open('old').trial(0).load()"
    assert "ConfigError: family: " in run(python, ["-c", load], tmp_path, 1).splitlines()[-1]


@pytest.mark.sweep
def test_an_outside_family_with_all_it_brings_beside_packages_of_the_same_names(python: Path, project: Path) -> None:
    run(python, ["study.py", "--name", "a", "--concurrent", "1"], project)
    page = (project / "results" / "a" / "report.html").read_text()
    assert "A line fits a line." in page, "its claim"
    assert "Error against learning rate" in page, "its figure"
    assert "slope " in run(python, ["-m", "leadline", "slope", "results/a", "0"], project)
    assert "ablation: slope " not in run(python, ["-m", "leadline", "ablation", "results/a", "0"], project)
    said = run(python, ["batches.py", "--family", "line", "--scale", "smoke", "--dry-run"], project)
    assert "How large a batch" not in said
    assert "strata      batch = 4, 16" in said, "its answer to a study of another default"
    said = run(python, ["-m", "leadline", "train", "collatz"], project, 2)
    assert f"trainables was found at {project}/trainables" in said
