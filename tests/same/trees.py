"""The two trees that are compared: this one, and the base commit's with an environment of its own."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["BadInput", "Pair", "Run", "Tree", "base_run", "base_tree", "this_tree"]

ROOT = Path(__file__).resolve().parents[2]
CACHE = ".same"
"""Folder at the root, ignored by git, with each base's tree, environment and ledgers, by commit."""
SWEEP = "same"
"""Name of every sweep that is run."""

_ASK = """
import importlib, importlib.metadata, json, pathlib, sys

root, studies = pathlib.Path.cwd(), {}
for path in sorted(pathlib.Path("sweeps").glob("*.py")):
    if "STUDY" not in path.read_text():
        continue
    study = getattr(importlib.import_module(f"sweeps.{path.stem}"), "STUDY", None)
    if study is not None:
        studies[path.stem] = {}
        for family in study.families:
            scale = study.of(family).scales.get("smoke")
            fields = dict(scale.fields) if scale else {}
            studies[path.stem][family] = sorted(name for name, value in fields.items() if value == "auto")
strangers = set()
for name, module in list(sys.modules.items()):
    top, file = name.partition(".")[0], getattr(module, "__file__", None)
    if file and (root / top).is_dir() and root not in pathlib.Path(file).resolve().parents:
        strangers.add(f"{name} from {file}")
packages = sorted(f"{one.name} {one.version}" for one in importlib.metadata.distributions())
print(json.dumps({"studies": studies, "strangers": sorted(strangers), "packages": packages}))
"""
"""Run in a tree by its own Python: prints its studies, their families, and what they measure by the clock."""

_NOT_PASSED_ON = ("RAY_ADDRESS", "RAY_JOB", "LEADLINE_")
"""How the names of environment variables begin that would send a sweep elsewhere."""


class BadInput(ValueError):
    """What makes a comparison impossible, in a line that begins with the option."""


@dataclass(frozen=True, order=True)
class Pair:
    """A study and a family that it takes."""

    study: str
    family: str

    def __str__(self) -> str:
        return f"{self.study}:{self.family}"


@dataclass(frozen=True)
class Run:
    """A sweep that has ended.

    Attributes:
        folder: the sweep's.
        code: exit code of the command.
        output: file with what the command printed.
        seconds: what it took; None where it was not run anew.
    """

    folder: Path
    code: int
    output: Path
    seconds: float | None

    @property
    def last_words(self) -> str:
        """The last line that the command printed."""
        lines = [line.strip() for line in self.output.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else "it printed nothing"


@dataclass(frozen=True)
class Tree:
    """A tree of the project and the Python that runs it; `name` is what error messages call it."""

    name: str
    root: Path
    python: str

    def ask(self) -> dict[str, Any]:
        """The tree's studies and what is installed for its Python.

        `studies` has, by study and family, the fields that a run would measure by the clock; `packages`
        are names with versions.

        Raises:
            BadInput: if it does not answer, or takes modules from another tree.
        """
        command = [self.python, "-c", _ASK]
        run = subprocess.run(command, cwd=self.root, env=self._environment(), capture_output=True, text=True)
        if run.returncode:
            reason = (run.stderr.strip() or "no reason given").splitlines()[-1]
            raise BadInput(f"{self.name}: cannot list its studies: {reason}")
        found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
        if found["strangers"]:
            raise BadInput(f"{self.name}: would run another tree's code: {found['strangers'][0]}")
        return found

    def run(self, pair: Pair, seed: int, overrides: Sequence[str], storage: Path) -> Run:
        """Runs a study as a user would, one trial at a time, and keeps the ledger of its folder alone."""
        shutil.rmtree(storage, ignore_errors=True)
        storage.mkdir(parents=True)
        options = ["--scale", "smoke", "--concurrent", "1", "--seed", str(seed), "--address", "local"]
        where = ["--storage", str(storage), "--name", SWEEP]
        command = [self.python, f"sweeps/{pair.study}.py", "--family", pair.family, *options, *where, *overrides]
        began = time.monotonic()
        output = storage / "output.txt"
        with output.open("w") as written:
            code = subprocess.run(
                command,
                cwd=self.root,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
            ).returncode
        for path in storage.glob(f"{SWEEP}/*"):
            if path.is_dir() and path.name != "ledger":
                shutil.rmtree(path)
        return Run(storage / SWEEP, code, output, time.monotonic() - began)

    def _environment(self) -> dict[str, str]:
        """This process's environment, but the tree comes first, no cluster is named, one thread computes.

        Git must not take the base's tree for a part of the repository around it: a commit that is made
        there meanwhile would be noted in the base's ledger.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)}
        alone = {"PYTHONPATH": str(self.root), "GIT_CEILING_DIRECTORIES": str(self.root.parent)}
        return {**kept, **alone, "OMP_NUM_THREADS": "1"}


def this_tree() -> Tree:
    """The working tree as it is, with the Python that runs this."""
    return Tree("this tree", ROOT, sys.executable)


def base_tree(commit: str, python: str | None) -> tuple[Tree, Path]:
    """The tree of a commit with its own environment, made where it is not there yet; and its folder.

    Args:
        commit: anything that names a commit to git.
        python: a Python that has the base's dependencies already; None: the commit's own are installed.

    Raises:
        BadInput: if there is no such commit, or its environment cannot be made.
    """
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    if not found:
        raise BadInput(f"base: git knows no commit {commit!r}")
    folder = ROOT / CACHE / found
    if not (folder / "exported").exists():
        shutil.rmtree(folder / "tree", ignore_errors=True)
        (folder / "tree").mkdir(parents=True)
        with subprocess.Popen(["git", "archive", found], cwd=ROOT, stdout=subprocess.PIPE) as archive:
            unpacked = subprocess.run(["tar", "-x", "-C", str(folder / "tree")], stdin=archive.stdout)
        if unpacked.returncode or archive.returncode:
            raise BadInput(f"base: cannot unpack {found}")
        (folder / "exported").touch()
    return Tree("base", folder / "tree", python or _installed(folder)), folder


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return run.stdout.strip() if not run.returncode else ""


def _installed(folder: Path) -> str:
    """The Python of the base's own environment, with the versions that it pins."""
    python = folder / "venv" / "bin" / "python"
    if (folder / "installed").exists():
        return str(python)
    print(f"installing the base's environment into {folder / 'venv'}; this takes minutes, once", flush=True)
    shutil.rmtree(folder / "venv", ignore_errors=True)
    pinned = ["--constraint", "constraints.txt"] if (folder / "tree" / "constraints.txt").exists() else []
    for command in (
        [sys.executable, "-m", "venv", str(folder / "venv")],
        [str(python), "-m", "pip", "install", "--quiet", *pinned, "--editable", "."],
    ):
        if subprocess.run(command, cwd=folder / "tree").returncode:
            raise BadInput("base: its environment could not be installed; --base-python PATH takes another")
    (folder / "installed").touch()
    return str(python)


def base_run(
    base: Tree,
    pair: Pair,
    seed: int,
    overrides: Sequence[str],
    *,
    folder: Path,
    packages: Sequence[str],
    again: bool,
) -> Run:
    """A run of the base, or what is kept of the same command on this machine with the same packages.

    Args:
        folder: what `base_tree` gave.
        packages: what is installed for the base's Python.
        again: whether to run it whatever was kept.
    """
    about = [base.python, list(packages), platform.node(), platform.platform(), _processor(), seed, list(overrides)]
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
    storage = folder / "runs" / key / f"{pair.study}-{pair.family}"
    if (storage / "done").exists() and not again:
        return Run(storage / SWEEP, 0, storage / "output.txt", None)
    run = base.run(pair, seed, overrides, storage)
    if run.code == 0:
        (storage / "done").touch()
    return run


def _processor() -> str:
    """The processor's name, by which libraries choose their arithmetic."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), platform.processor())
