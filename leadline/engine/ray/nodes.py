"""What the driver and the placement know of where trials may be: this machine alone, or the nodes of a cluster.

`leadline.engine.ray.machine` and `leadline.engine.ray.cluster` are the two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Protocol

import psutil

__all__ = ["Nodes", "nodes_of", "selector"]

_ID = "ray.io/node-id"
"""The label that Ray gives each node: its id."""


class Nodes(Protocol):
    """What the driver and the placement know of where they are."""

    title: str

    @property
    def processes(self) -> Mapping[str, psutil.Process]:
        """Ray's own, without which it is gone; none where Ray is not this driver's."""

    def slots(self) -> int:
        """How many trials fit at a time, now."""

    def workers(self) -> int:
        """How many workers of trials fit at a time, now."""

    def placed_on(self) -> dict[str, str]:
        """Labels of the nodes that may be used, as a selector; empty where all may."""

    def leaving(self) -> set[str]:
        """Ids of the nodes that have been told to go away, and still train."""

    def look(self) -> None:
        """Learns which are there, at once: Ray may say that a process was lost before it is known here that its node was."""

    def news(self) -> list[str]:
        """What has happened to the nodes since somebody asked, a line each."""

    def close(self) -> None:
        """Lets go of them."""


def selector(nodes: Iterable[str]) -> dict[str, str]:
    """The label selector that names the nodes of these ids."""
    # Interned: each attempt keeps it, and a name has 57 characters.
    return {_ID: sys.intern(f"in({','.join(sorted(nodes))})")}


def nodes_of(labels: Mapping[str, str]) -> set[str]:
    """The ids of the nodes that a selector names; empty where it names none."""
    return set(labels[_ID].removeprefix("in(").removesuffix(")").split(",")) - {""} if _ID in labels else set()
