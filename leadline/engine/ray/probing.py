"""Checks that a node has the driver's Python and packages, and sees the sweep's folder.

No trial is placed on a node before it has passed this probe.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from leadline.engine.manifest import versions
from leadline.engine.ray.room import Node, Request, workers_on_one
from leadline.ledger.wording import last_line
from leadline.storage import Folder, patiently

__all__ = ["PROBE_SECONDS", "Probes", "unlike_here"]

PROBE_SECONDS = 60.0
"""How long the nodes that are there at first may take to answer their probe."""
AGAIN_SECONDS = 30.0
"""Seconds before a node whose probe failed is probed again."""


class Probes:
    """The probes that run on nodes.

    They look for a marker file to find out whether their node sees the sweep's folder.

    Args:
        folder: the sweep's folder.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._running: dict[str, Any] = {}
        """References to the results of the probes that run, by node id."""
        self._again: dict[str, tuple[float, Node]] = {}
        """Nodes whose probe failed: id -> (monotonic time of the next probe, node)."""
        self._marker = f".seen-{uuid.uuid4().hex[:8]}"
        self._task = ray.remote(num_cpus=0, max_retries=0)(_facts)
        folder.write(self._marker, b"")

    def running(self) -> bool:
        """Whether some node has not answered its probe yet."""
        return bool(self._running)

    def may_pass(self, request: Request) -> bool:
        """Whether a node is being probed, or one with room for a worker will be probed again."""
        return self.running() or any(workers_on_one(node, request) for _, node in self._again.values())

    def facts(self, node: Node, say: Callable[[str], None]) -> dict[str, Any] | None:
        """What the probe found on a node; None until the node has answered.

        The node's probe is begun if none is running.

        Args:
            node: the node.
            say: called with a line when a probe has failed for the first time in a row.
        """
        if node.id in self._again and time.monotonic() < self._again[node.id][0]:
            return None
        if node.id not in self._running:
            here = NodeAffinitySchedulingStrategy(node.id, soft=False)
            self._running[node.id] = self._task.options(scheduling_strategy=here).remote(self._folder.uri, self._marker)
        ready, _ = ray.wait([self._running[node.id]], timeout=0)
        if not ready:
            return None
        reference = self._running.pop(node.id)
        try:
            facts: dict[str, Any] = ray.get(reference)
        except Exception as error:
            if node.id not in self._again:
                said = last_line(str(error), type(error).__name__)
                say(f"node {node.name} is not used for now, as its probe failed: {said}")
            self._again[node.id] = time.monotonic() + AGAIN_SECONDS, node
            return None
        self._again.pop(node.id, None)
        return facts

    def forget_all_but(self, nodes: Collection[str]) -> None:
        """Forgets the nodes whose ids are not among these."""
        for known in (self._running, self._again):
            for id_ in [id_ for id_ in known if id_ not in nodes]:
                del known[id_]

    def close(self) -> None:
        """Removes the marker."""
        with contextlib.suppress(Exception):
            self._folder.files.delete_file(f"{self._folder.path}/{self._marker}")


def _facts(uri: str, marker: str) -> dict[str, Any]:
    """The probe, which runs on a node: its versions, its clock, and whether it sees the marker."""
    folder = Folder.at(uri)
    return {
        "versions": versions(),
        "sees": patiently(lambda: folder.exists(marker), folder, seconds=PROBE_SECONDS),
        "time": time.time(),
    }


def unlike_here(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """The packages whose versions differ, in words; empty if none does."""
    return ", ".join(
        f"{name} {there.get(name, 'missing')} (the driver has {version})"
        for name, version in here.items()
        if there.get(name) != version
    )
