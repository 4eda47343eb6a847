"""Finds the Ray that a command runs on: a named cluster, the cluster of this host, or this machine.

This module reads files that Ray leaves, and does not import Ray.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leadline.config import ConfigError
from leadline.engine.ray.private import CURRENT_CLUSTER

__all__ = ["JOB", "Address", "find"]

JOB = "LEADLINE_JOB"
"""The environment variable that holds a submitted job's submission id."""
_GIVEN = ("--address", "RAY_ADDRESS")
"""The two ways in which a user can name a cluster: an option and an environment variable."""
CONNECT_SECONDS = 2.0
"""How long the cluster of this host may take to accept a connection."""


@dataclass(frozen=True)
class Address:
    """Where a command runs.

    `kind` is "alone" where Ray is started on this machine, "submit" where the command is to be
    submitted to a cluster as a job, and "join" where this process is that job's driver, on the
    cluster. `text` is the dashboard's URL or HOST:PORT of the cluster's head; `found` says where
    the address comes from.
    """

    kind: Literal["alone", "submit", "join"]
    text: str = ""
    found: str = ""

    @property
    def given(self) -> bool:
        """Whether the user named the cluster, so that another shell may not know it."""
        return self.found in _GIVEN


def find(given: str | None) -> Address:
    """Finds where a command runs.

    The first of these wins: `--address`, RAY_ADDRESS, a cluster that runs on this host, this
    machine alone.

    Args:
        given: what `--address` says; None where it was not given.

    Raises:
        ConfigError: if it is no address, or there is no cluster where one was asked for.
    """
    if os.environ.get(JOB):
        return Address("join", os.environ.get("RAY_ADDRESS", "auto"), "as a job")
    source = _GIVEN[0] if given else _GIVEN[1]
    word = given or os.environ.get("RAY_ADDRESS", "")
    if word == "local":
        return Address("alone", found=source)
    if word in ("", "auto"):
        here = _of_this_host()
        if not here and word:
            raise ConfigError(
                "address: no Ray cluster runs on this host; give the dashboard's URL, such as http://127.0.0.1:8265"
            )
        if not here:
            return Address("alone")
        return Address("submit", here, "it runs on this host; --address local would not use it")
    if not re.fullmatch(r"https?://[^/\s@]+/?|[^/\s:@]+:\d{1,5}", word):
        raise ConfigError(
            f"address: must be http://HOST:PORT of a dashboard, HOST:PORT of a head, auto or local (got {word!r})"
        )
    return Address("submit", word.rstrip("/"), source)


def _of_this_host() -> str:
    """HOST:PORT of the cluster that `ray start` has left in a file, if it answers; else empty."""
    temporary = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    try:
        word = (Path(temporary) / "ray" / CURRENT_CLUSTER).read_text().strip()
        host, _, port = word.rpartition(":")
        with socket.create_connection((host, int(port)), CONNECT_SECONDS):
            return word
    except (OSError, ValueError):
        return ""
