"""Objects by dotted name, `package.module:NAME`, loaded when they are asked for."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from leadline.errors import ConfigError, told

__all__ = ["load", "split"]


def split(target: str, field: str) -> tuple[str, str]:
    """Splits `package.module:NAME` into the module and the attribute.

    Args:
        target: the dotted name.
        field: what the name is asked for, with which the error begins.

    Raises:
        ConfigError: if it is no dotted name, or its module is the program that runs: in every other
            process, `__main__` is another program.
    """
    module, _, attribute = target.partition(":")
    if not module or not attribute or module.startswith("."):
        raise ConfigError(f"{field}: {target!r} is neither a name nor package.module:NAME")
    if module == "__main__":
        raise ConfigError(
            f"{field}: {target} is found in no other process, and trials run in processes of their own; put it into "
            f"a module of its own beside the script, such as my_{field}.py, and name it my_{field}:{attribute}"
        )
    return module, attribute


def load(target: str, field: str) -> Any:
    """Imports the module of `package.module:NAME` and returns its object.

    Args:
        target: the dotted name.
        field: what the object is asked for, such as `family`; the error begins with it.

    Raises:
        ConfigError: if the module cannot be imported or has no such name. Where a folder hides the
            package that was meant, the line says which folder was found instead of which.
    """
    module, attribute = split(target, field)
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{field}: cannot load {target}: {_reason(module, error)}") from None
    except (Exception, SystemExit) as error:  # the module is somebody's, and may raise anything when it is imported
        raise ConfigError(f"{field}: cannot load {target}: {told(error)}") from error


def _reason(module: str, error: Exception) -> str:
    """The reason, in words, why a module or its attribute is not there."""
    top = module.partition(".")[0]
    missing = str(getattr(error, "name", None) or "")
    if isinstance(error, ModuleNotFoundError) and missing == top:
        return f"the package {top} is missing here: go to its folder and run `python -m leadline`, or install it"
    # An import error about another package is that package's; only ours may be hidden by a folder.
    ours = isinstance(error, AttributeError) or missing.partition(".")[0] == top
    places = _places(top) if ours else []
    if len(places) > 1:
        return f"{top} was found at {places[0]}, which hides {', '.join(map(str, places[1:]))}"
    return f"{error} ({top} was found at {places[0]})" if places else str(error)


def _places(package: str) -> list[Path]:
    """The folder in which a package is found, then those that it hides: later ones on the path."""
    used = getattr(sys.modules.get(package), "__file__", None)
    first = [Path(used).parent] if used else []
    there = [Path(entry or ".").resolve() / package for entry in sys.path]
    rest = [place for place in there if (place / "__init__.py").is_file() and place not in first]
    return [*first, *dict.fromkeys(rest)]
