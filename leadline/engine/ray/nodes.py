"""The interface by which the driver and the placement see the nodes that trials may be placed on.

`leadline.engine.ray.machine` implements it for this machine alone, and
`leadline.engine.ray.cluster` for the nodes of a cluster.
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
    """The nodes on which the driver and the placement can place trials."""

    title: str
    """Where the sweep runs, in words."""

    @property
    def processes(self) -> Mapping[str, psutil.Process]:
        """Ray's own processes by name, which it needs; none if Ray is not this driver's."""

    def slots(self) -> int:
        """How many trials fit at a time now."""

    def workers(self) -> int:
        """How many workers of trials fit at a time now."""

    def placed_on(self) -> dict[str, str]:
        """A label selector of the nodes that may be used; empty if all may."""

    def leaving(self) -> set[str]:
        """The ids of the nodes that are announced to go away, but are still there."""

    def look(self) -> None:
        """Refreshes the node list now.

        Ray may report a lost process before we have noticed that its node is gone.
        """

    def news(self) -> list[str]:
        """What has happened to the nodes since the last call, a line each."""

    def close(self) -> None:
        """Lets go of the nodes."""


def selector(nodes: Iterable[str]) -> dict[str, str]:
    """The label selector that names the nodes of these ids."""
    # The text is interned because each attempt keeps it, and a node's id has 56 characters.
    return {_ID: sys.intern(f"in({','.join(sorted(nodes))})")}


def nodes_of(labels: Mapping[str, str]) -> set[str]:
    """The ids of the nodes that a selector names; empty where it names none."""
    return set(labels[_ID].removeprefix("in(").removesuffix(")").split(",")) - {""} if _ID in labels else set()
