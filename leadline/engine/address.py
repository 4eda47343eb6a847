"""Which Ray a command runs on: one that is named, the cluster of this host, or this machine alone. Knows Ray's files, not Ray."""

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
"""Environment variable that a submitted job has: its submission id."""
_GIVEN = ("--address", "RAY_ADDRESS")
CONNECT_SECONDS = 2.0


@dataclass(frozen=True)
class Address:
    """`alone`: Ray is started on this machine; `submit`: to be submitted as a job; `join`: this process is a job's driver, on the cluster.

    `text` is the dashboard's URL or HOST:PORT of the cluster's head; `found` says where it comes from.
    """

    kind: Literal["alone", "submit", "join"]
    text: str = ""
    found: str = ""

    @property
    def given(self) -> bool:
        """Whether another shell might not find it."""
        return self.found in _GIVEN


def find(given: str | None) -> Address:
    """What `--address` says, else RAY_ADDRESS, else the cluster that runs on this host, else this machine alone.

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
        return (
            Address("submit", here, "it runs on this host; --address local would not use it")
            if here
            else Address("alone")
        )
    if not re.fullmatch(r"https?://[^/\s@]+/?|[^/\s:@]+:\d{1,5}", word):
        raise ConfigError(
            f"address: must be http://HOST:PORT of a dashboard, HOST:PORT of a head, auto or local (got {word!r})"
        )
    return Address("submit", word.rstrip("/"), source)


def _of_this_host() -> str:
    """HOST:PORT of a cluster that `ray start` has left word of, and that answers; else empty."""
    try:
        word = (
            (Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp") / "ray" / CURRENT_CLUSTER)
            .read_text()
            .strip()
        )
        host, _, port = word.rpartition(":")
        with socket.create_connection((host, int(port)), CONNECT_SECONDS):
            return word
    except (OSError, ValueError):
        return ""
