"""No two modules need each other: an import graph without circles, also where an import is for
types alone or within a function.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("leadline", "analysis", "search_spaces", "sweeps", "trainables")


def modules(root: Path, packages: tuple[str, ...]) -> dict[str, Path]:
    """Every module of the packages by its dotted name; a package is its `__init__`."""
    found = {}
    for path in (path for package in packages for path in (root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What a module imports anywhere in it: a module, and a name that may be a module in it; empty
    where there is none.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports here are absolute"
            yield from ((node.module or "", alias.name) for alias in node.names)


def graph(known: Mapping[str, Path]) -> dict[str, set[str]]:
    """For each module the others that it imports."""
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        targets = {
            inner if (inner := f"{module}.{word}") in known else module
            for module, word in imported(ast.parse(path.read_text()))
        }
        found[name] = {target for target in targets if target in known and target != name}
    return found


def circle(edges: Mapping[str, set[str]]) -> list[str]:
    """The modules of a circle in order, the first one again at its end; empty where there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_needs_itself() -> None:
    known = modules(ROOT, PACKAGES)
    assert {"leadline.training.loop", "leadline.engine", "leadline.analysis.sweep"} <= known.keys()
    edges = graph(known)
    assert "leadline.training.step" in edges["leadline.training.loop"]
    assert circle(edges) == []


@pytest.mark.parametrize(
    "line",
    [
        "from laboratory import b",
        "import laboratory.b",
        "if TYPE_CHECKING:\n    from laboratory.b import B",
        "def f():\n    import laboratory.b",
    ],
)
def test_a_circle_is_found_wherever_the_import_stands(line: str, tmp_path: Path) -> None:
    (tmp_path / "laboratory").mkdir()
    (tmp_path / "laboratory" / "__init__.py").touch()
    (tmp_path / "laboratory" / "a.py").write_text(line)
    (tmp_path / "laboratory" / "b.py").write_text("from laboratory.a import f")
    assert set(circle(graph(modules(tmp_path, ("laboratory",))))) == {"laboratory.a", "laboratory.b"}
