"""The manifest of a run: what is needed to run it again, and to explain a difference."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

__all__ = ["COMMIT", "commit", "differences", "manifest", "versions"]

_PACKAGES = ("leadline", "numpy", "optuna", "pyarrow", "ray", "torch")
COMMIT = "LEADLINE_COMMIT"
"""The environment variable that tells a submitted job the commit of its code.

The code of a job comes without its repository.
"""
CHANGED = "+changes"
"""The suffix of a commit from which the working tree differs."""


def _git(*arguments: str) -> str | None:
    try:
        run = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()


def versions() -> dict[str, str]:
    """The versions of Python and of the packages on which results depend."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in _PACKAGES}}


def commit() -> str:
    """The commit of this code, with `CHANGED` if the tree differs from it; empty if not known."""
    found = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    if not found:
        return os.environ.get(COMMIT, "")
    return f"{found}{CHANGED if changes else ''}"


def manifest() -> dict[str, Any]:
    """The manifest of this process: command, commit, changes to it, versions, machine, process."""
    code = commit()
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": code.removesuffix(CHANGED) or None,
        "dirty": code.endswith(CHANGED) if code else None,
        "versions": versions(),
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "cpus": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        },
        "pid": os.getpid(),
        "parent": os.getppid(),
        "process_started": psutil.Process().create_time(),
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Why two runs may not be equal bit for bit: other code, other versions, another machine.

    Args:
        before: the manifest of the earlier run.
        now: the manifest of the later run.

    Returns:
        the differences in words, one an entry.
    """
    found = []
    if before.get("commit") != now.get("commit"):
        found.append(f"the code was at commit {_short(before)}, now at {_short(now)}")
    # Drivers of one command share the code that it loaded, so changes cannot come between them.
    same_command = before.get("parent") == now.get("parent")
    if now.get("dirty") and not same_command:
        found.append("the code has uncommitted changes")
    old = before.get("versions", {})
    new = now.get("versions", {})
    found += [
        f"{name} was {old.get(name, 'not recorded')}, now {new[name]}" for name in new if old.get(name) != new[name]
    ]
    for part in ("system", "cpus"):
        was = before.get("machine", {}).get(part)
        is_now = now.get("machine", {}).get(part)
        if was != is_now:
            found.append(f"the machine's {part} was {was}, now {is_now}")
    return found


def _short(recorded: dict[str, Any]) -> str:
    return str(recorded["commit"])[:12] if recorded.get("commit") else "none recorded"
