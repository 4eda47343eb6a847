"""The files of a user's own modules, found by their imports and without importing them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadline.engine.source_files import closure

FAMILY = """
import collections, numpy, torch.nn, leadline.family
import helpers.inner.leaf as leaf
from . import sibling
from .sibling import NAME
from helpers import *
from spread.part import VALUE


def lazily():
    try:
        from mine_below.deep import late
    except ImportError:
        import fallback
    match late:
        case 1:
            import matched
"""
FILES = {
    "mine_below/__init__.py": "",
    "mine_below/family.py": FAMILY,
    "mine_below/sibling.py": "NAME = 1",
    "mine_below/unused.py": "raise SystemExit",
    "mine_below/deep/__init__.py": "",
    "mine_below/deep/late.py": "from ..sibling import NAME\nfrom ... import too_far",
    "helpers/__init__.py": "",
    "helpers/inner/__init__.py": "",
    "helpers/inner/leaf.py": "def broken(:",
    "spread/part.py": "VALUE = 1",  # below a folder that is no package
    "fallback.py": "raise RuntimeError('was imported')",
    "matched.py": "",
}


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that is loaded as far as its first lines; nothing that it needs is."""
    write(tmp_path, FILES)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine_below/family.py").write_text("")
    before = {*sys.modules}
    importlib.import_module("mine_below.family")
    (tmp_path / "mine_below/family.py").write_text(FAMILY)
    yield "mine_below.family"
    for name in {*sys.modules} - before:
        del sys.modules[name]


def test_imports_are_followed_wherever_they_stand(loaded: str, tmp_path: Path) -> None:
    before = {*sys.modules}
    found = closure([loaded])
    assert found == {name: (tmp_path / name).resolve() for name in FILES if name != "mine_below/unused.py"}
    assert {*sys.modules} == before


def test_a_file_that_is_left_out_is_not_followed(loaded: str, tmp_path: Path) -> None:
    assert closure([loaded], without=[(tmp_path / "mine_below/family.py").resolve()]) == {}


def test_of_installed_packages_only_the_familys_own_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site-packages"
    write(site, {"sold/__init__.py": "", "sold/family.py": "import sold.task, bought", "sold/task.py": ""})
    write(site, {"bought/__init__.py": ""})
    monkeypatch.syspath_prepend(str(site))
    importlib.import_module("sold.family")
    assert sorted(closure(["sold.family"])) == ["sold/__init__.py", "sold/family.py", "sold/task.py"]


def test_the_script_has_one_name_however_it_is_started(loaded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path(sys.modules[loaded].__file__ or "")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    for spec in (None, sys.modules[loaded].__spec__):  # `python family.py`, `python -m mine_below.family`
        monkeypatch.setattr(sys.modules["__main__"], "__spec__", spec)
        assert next(iter(closure(["__main__"]).items())) == ("family.py", script.resolve())


def test_a_program_that_is_installed_is_nobodys_script() -> None:
    """Such as pytest, which runs this."""
    assert closure(["__main__"]) == {}
