"""Finds the Ray that a command runs on: a named cluster, the cluster of this host, or this machine.

This module reads files that Ray leaves, and does not import Ray.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from leadline.config import ConfigError
from leadline.engine.ray.private import CURRENT_CLUSTER

__all__ = ["JOB", "Address", "check_answers", "find", "no_answer"]

JOB = "LEADLINE_JOB"
"""The environment variable that holds a submitted job's submission id."""
_GIVEN = ("--address", "RAY_ADDRESS")
"""The two ways in which a user can name a cluster: an option and an environment variable."""
CONNECT_SECONDS = 2.0
"""How long the cluster of this host may take to accept a connection."""
ANSWER_SECONDS = 8.0
"""How long any cluster may take to answer at all."""
_HTTP = b"GET /api/version HTTP/1.0\r\n\r\n"
"""What is said to a dashboard."""
_GRPC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5)
"""What is said to a head: the preface of HTTP/2, with settings that say nothing (RFC 9113, 3.4)."""


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
    def named(self) -> str:
        """What to give as `--address` in another shell; empty where the user named nothing."""
        return ("local" if self.kind == "alone" else self.text) if self.found in _GIVEN else ""

    @property
    def origin(self) -> str:
        """What names the cluster, and how it is named no more."""
        if self.found == "RAY_ADDRESS":
            return "RAY_ADDRESS names it: unset RAY_ADDRESS, or give --address local, to use this machine alone"
        if self.found == "--address":
            return "--address names it: correct it, or give --address local to use this machine alone"
        return f"{_current()} names it, left by `ray start`: give --address local to use this machine alone"


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
    if not re.fullmatch(r"https?://[^/\s@]+/?|[^/\s:@]+:\d{1,5}", word) or not _has_host_and_port(word):
        raise ConfigError(
            f"address: must be http://HOST:PORT of a dashboard, HOST:PORT of a head, auto or local (got {word!r})"
        )
    return Address("submit", word.rstrip("/"), source)


def _split(text: str) -> SplitResult:
    return urlsplit(text if "://" in text else f"//{text}")


def _has_host_and_port(text: str) -> bool:
    """Whether there is a host, and the port, if one is named, is a number that a port can have."""
    try:
        url = _split(text)
        return bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def check_answers(address: Address) -> None:
    """Refuses a cluster that does not answer, before Ray waits for it, which may be without end.

    Raises:
        ConfigError: if nobody answers within `ANSWER_SECONDS`; whoever does may still be no Ray.
    """
    url = _split(address.text)
    if url.scheme in getproxies() and not proxy_bypass(url.hostname or ""):
        return  # only the proxy can tell
    port = url.port or (443 if url.scheme == "https" else 80)
    outcome: list[Exception | None] = []

    def ask() -> None:
        try:
            with socket.create_connection((url.hostname or "", port)) as connection:
                connection.sendall(_HTTP if url.scheme else _GRPC)
                connection.recv(1)  # hanging up is an answer too, as where TLS is spoken
            outcome.append(None)
        except ConnectionResetError:
            outcome.append(None)
        except (OSError, UnicodeError) as error:  # UnicodeError: no name of a host can be so long
            outcome.append(error)

    # In a thread, because nothing else limits the time of looking up a name.
    asking = threading.Thread(target=ask, name="address", daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    if not outcome:
        raise no_answer(address, f"silent for {ANSWER_SECONDS:g} s")
    if outcome[0]:
        raise no_answer(address, str(outcome[0]))


def no_answer(address: Address, reason: str) -> ConfigError:
    """The refusal of a cluster that does not answer, which says where its address comes from."""
    hint = "is it the dashboard's URL, such as http://127.0.0.1:8265, and does its tunnel stand (`ray dashboard`)?"
    return ConfigError(f"address: no Ray cluster answers at {address.text} ({reason}); {address.origin}; {hint}")


def _current() -> Path:
    """The file in which `ray start` leaves the address of the cluster of this host."""
    temporary = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    return Path(temporary) / "ray" / CURRENT_CLUSTER


def _of_this_host() -> str:
    """HOST:PORT of the cluster that `ray start` has left in a file, if it answers; else empty."""
    try:
        word = _current().read_text().strip()
        host, _, port = word.rpartition(":")
        with socket.create_connection((host, int(port)), CONNECT_SECONDS):
            return word
    except (OSError, ValueError):
        return ""
