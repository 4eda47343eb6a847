"""Finds the files of a user's own code: modules and all that they import, without importing."""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

__all__ = ["closure", "installed", "script"]

_PLACES = tuple(f"{Path(sysconfig.get_path(name)).resolve()}{os.sep}" for name in ("stdlib", "platstdlib", "scripts"))
"""Where Python's own files and the scripts of installed packages lie."""
_BLOCKS = (ast.stmt, ast.excepthandler, ast.match_case)
"""The nodes of a syntax tree in which an import may stand."""


def script() -> Path | None:
    """The file that Python was started with; None where that is not the user's own."""
    path = Path(getattr(sys.modules["__main__"], "__file__", None) or sys.argv[0]).resolve()
    return path if path.is_file() and not installed(path) else None


def installed(path: Path) -> bool:
    """Whether a file is Python's own, or of an installed package."""
    return bool({"site-packages", "dist-packages"} & {*path.parts}) or str(path).startswith(_PLACES)


def closure(roots: Iterable[str], without: Iterable[Path] = ()) -> dict[str, Path]:
    """The files of modules that are loaded, and of all that they import, by name.

    Imports within functions count too. What is installed is not followed, but for the packages of
    the roots, and neither is the framework. A name is relative to the place from which its module
    is imported, so that it is the same on every machine.

    Args:
        roots: the names of the modules; `__main__` is the script.
        without: files that are left out, with what only they import.
    """
    started = script()
    search = _Search({root.partition(".")[0] for root in roots})
    done = {*without}
    found: dict[str, Path] = {}
    queue: list[tuple[str, Path]] = []
    for root in roots:
        file = getattr(sys.modules.get(root), "__file__", None)
        if file and (root != "__main__" or started):
            spec = getattr(sys.modules[root], "__spec__", None)  # None for a script
            queue.append((spec.name if spec else Path(file).stem, Path(file).resolve()))
    seen = {module for module, _ in queue}
    for module, path in queue:
        if path in done or (path.suffix != ".py" and path != started):
            continue
        done.add(path)
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        # The script has one name, however it is started.
        found[path.name if path == started else "/".join([*filter(None, package.split(".")), path.name])] = path
        for imported in [module, *_imports(path, package)]:
            names = imported.split(".")
            for one in (".".join(names[:count]) for count in range(1, len(names) + 1)):
                if one not in seen:
                    seen.add(one)
                    if file := search.find(one)[0]:
                        queue.append((one, file))
    return found


class _Search:
    """Finds the files of modules that are the user's own.

    Args:
        own: top-level packages that count even where they are installed.
    """

    def __init__(self, own: set[str]) -> None:
        self._own = own
        self._known: dict[str, tuple[Path | None, list[str]]] = {"": (None, []), "leadline": (None, [])}

    def find(self, module: str) -> tuple[Path | None, list[str]]:
        """The module's file, and the folders in which its submodules are looked for."""
        if module not in self._known:
            parent, _, name = module.rpartition(".")
            self._known[module] = self._below(self.find(parent)[1], name) if parent else self._top(name)
        return self._known[module]

    def _top(self, name: str) -> tuple[Path | None, list[str]]:
        try:
            spec = importlib.util.find_spec(name)  # which imports nothing, as the name has no parent
        except (ImportError, ValueError):
            spec = None
        if spec is None:
            return None, []
        places = list(spec.submodule_search_locations or ())
        file = Path(spec.origin).resolve() if spec.origin and spec.has_location else None
        if name not in self._own:
            places = [place for place in places if not installed(Path(place))]
            file = None if file and installed(file) else file
        return file, places

    def _below(self, places: list[str], name: str) -> tuple[Path | None, list[str]]:
        folders = [f"{place}/{name}" for place in places]
        for folder in folders:
            for file in (f"{folder}/__init__.py", f"{folder}.py"):
                if os.path.isfile(file):
                    return Path(file).resolve(), [folder]
        return None, [folder for folder in folders if os.path.isdir(folder)]


def _imports(path: Path, package: str) -> set[str]:
    """The modules that a file of a package imports, and the names that may be modules."""
    try:
        todo: list[ast.AST] = [ast.parse(path.read_bytes())]
    except (OSError, SyntaxError, ValueError):
        return set()
    found = set()
    for node in todo:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            above = parents[: len(parents) + 1 - node.level] if node.level else []
            module = ".".join(filter(None, [*above, node.module]))
            found |= {".".join(filter(None, [module, alias.name])) for alias in node.names}
        else:  # statements hold statements; an expression holds no import
            todo += [child for child in ast.iter_child_nodes(node) if isinstance(child, _BLOCKS)]
    return found
