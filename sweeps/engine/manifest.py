"""The run manifest: what would be needed to run this again, and to explain a difference."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

__all__ = ["is_running", "manifest"]

_PACKAGES = ("leadline", "numpy", "optuna", "pyarrow", "ray", "torch")


def _git(*arguments: str) -> str | None:
    try:
        run = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()


def manifest() -> dict[str, Any]:
    """Command, commit and whether the tree differs from it, versions, machine, process."""
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "versions": {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in _PACKAGES}},
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "cpus": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        },
        "pid": os.getpid(),
        "process_started": psutil.Process().create_time(),
    }


def is_running(recorded: dict[str, Any]) -> bool:
    """Whether the process of a manifest runs on this machine. One of another machine cannot be asked."""
    if recorded.get("machine", {}).get("host") != platform.node():
        return False
    try:
        return bool(abs(psutil.Process(recorded["pid"]).create_time() - recorded["process_started"]) < 2)
    except (psutil.Error, KeyError):
        return False
