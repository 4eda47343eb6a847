"""The manifest of a run: what is needed to run it again, and to explain a difference.

Which code it ran is in `leadline.engine.provenance`; here are process, machine and versions.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

import psutil

from leadline import cpus
from leadline.engine import provenance
from leadline.engine.provenance import Code
from leadline.storage import Folder

__all__ = ["changes", "differences", "manifest", "versions"]

_PACKAGES = ("leadline", "numpy", "optuna", "pyarrow", "ray", "torch")


def versions() -> dict[str, str]:
    """The versions of Python and of the packages on which results depend."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in _PACKAGES}}


def manifest(code: Code) -> dict[str, Any]:
    """The manifest of this process: command, code, versions, machine, process.

    Args:
        code: the code of the sweep, of which the archive is named.
    """
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "code": code.parts,
        "code_file": code.file,
        "versions": versions(),
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "cpus": os.cpu_count(),
            "usable_cpus": cpus.usable(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        },
        "pid": os.getpid(),
        "parent": os.getppid(),
        "process_started": psutil.Process().create_time(),
    }


def changes(before: dict[str, Any], code: Code, folder: Folder) -> list[str]:
    """Why a sweep cannot go on bit for bit as under its last driver, in words.

    Args:
        before: the manifest of its last driver.
        code: the code as it is now.
        folder: the sweep's folder, which keeps the code as it was.
    """
    now = manifest(code)
    same = before.get("code_file") == now["code_file"]
    was = code.archive if same else provenance.kept(folder, before)
    found = differences(before, now, was, code.archive)
    return [f"resumed, and no longer bit for bit what it was: {words}" for words in found]


def differences(
    before: dict[str, Any],
    now: dict[str, Any],
    was: dict[str, Any] | None = None,
    is_now: dict[str, Any] | None = None,
) -> list[str]:
    """Why two runs may not be equal bit for bit: other code, other versions, another machine.

    Args:
        before: the manifest of the earlier run.
        now: the manifest of the later run.
        was: the archive of the earlier run's code; None if it is not known.
        is_now: the archive of the later run's code; None if it is not known.

    Returns:
        the differences in words, one an entry.
    """
    found = provenance.differences(before, now, was or {}, is_now or {})
    old = before.get("versions", {})
    new = now.get("versions", {})
    found += [
        f"{name} was {old.get(name, 'not recorded')}, now {new[name]}" for name in new if old.get(name) != new[name]
    ]
    for part in ("system", "cpus", "usable_cpus"):
        was_there = before.get("machine", {}).get(part)
        is_there = now.get("machine", {}).get(part)
        # Older ledgers do not say how many could be used.
        if was_there != is_there and not (part == "usable_cpus" and was_there is None):
            found.append(f"the machine's {part.replace('_', ' ')} was {was_there}, now {is_there}")
    return found
