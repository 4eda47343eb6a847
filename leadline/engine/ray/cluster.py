"""The nodes of a running cluster: which may be used, which go away, and what the user is told."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import psutil
import ray

from leadline.config import ConfigError
from leadline.engine.manifest import versions
from leadline.engine.ray.autoscaler import MOST_ASKED, Autoscaler
from leadline.engine.ray.nodes import selector
from leadline.engine.ray.private import draining_nodes
from leadline.engine.ray.probing import PROBE_SECONDS, Probes, unlike_here
from leadline.engine.ray.room import Node, Request, lacking, may_be_added, room, workers_on, workers_on_one
from leadline.ledger.wording import last_line
from leadline.storage import Folder

__all__ = ["Cluster"]

LOOK_SECONDS = 1.0
"""Seconds between two looks at the cluster's nodes."""
PATIENCE_SECONDS = 5.0
"""How long no node may have room before the user is told."""
CLOCK_SECONDS = 30.0
"""The difference from the driver's clock above which the user is told, in seconds."""


class Cluster:
    """A running cluster, which this process has joined as the driver of a job.

    A node is used once it has passed a probe: it must have the driver's Python and packages, and
    see the sweep's folder. Nodes that join later are probed when they join. Where an autoscaler
    runs, it is asked for as many places as the sweep can use.

    Args:
        address: the cluster's address, as `ray.init` takes it.
        request: what a trial asks for.
        most: the largest number of trials at a time; None for as many as fit.
        folder: the sweep's folder.
        wanted: returns how many trials the sweep could train at a time.
        fresh: whether this is a command's first driver. A driver that replaces another one waits
            for nodes rather than give up.

    Raises:
        ConfigError: if the cluster cannot be joined, the folder is not shared between the nodes, or
            no trial can ever be placed.
    """

    def __init__(
        self,
        address: str,
        request: Request,
        most: int | None,
        folder: Folder,
        wanted: Callable[[], int] = lambda: 1,
        fresh: bool = True,
    ) -> None:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=True)
        except Exception as error:
            raise ConfigError(
                f"address: cannot join the cluster at {address}: {last_line(str(error), type(error).__name__)}"
            ) from None
        self.request = request
        self.most = most
        self.folder = folder
        self.wanted = wanted
        self.processes = dict[str, psutil.Process]()
        self._nodes: dict[str, Node] = {}
        self._leaving: set[str] = set()
        self._refused: dict[str, str] = {}
        self._news: list[str] = []
        self._blocked = False
        """Whether nodes that would have room are refused, so that more of them would not help."""
        self._empty_since: float | None = None
        self._told = ""
        self._first = True
        """Whether the nodes that were there at the start are still being probed."""
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="nodes", daemon=True)
        self._autoscaler = Autoscaler(request)
        self._probes = Probes(folder)
        try:
            self._first_look(fresh)
        except BaseException:
            self.close()
            raise
        there = "; ".join(map(str, self._nodes.values()))
        self.title = f"on the Ray cluster at {ray.get_runtime_context().gcs_address}: {there}"
        self._thread.start()

    def _first_look(self, fresh: bool) -> None:
        until = time.monotonic() + PROBE_SECONDS
        self._look()
        while self._probes.running() and time.monotonic() < until:
            time.sleep(0.05)
            self._look()
        self._first = False
        if not fresh:
            return
        unseen = [reason for reason in self._refused.values() if reason.startswith("storage: ")]
        if unseen:
            raise ConfigError(unseen[0])
        if self._refused and not self._nodes:
            raise ConfigError(f"cluster: no node can be used: {'; '.join(self._refused.values())}")
        if (
            not self._places()
            and not self._probes.may_pass(self.request)
            and not may_be_added(self._autoscaler.types, self.request)
        ):
            raise ConfigError(f"cluster: {lacking(list(self._nodes.values()), self._autoscaler.types, self.request)}")

    def slots(self) -> int:
        """The number of trials that fit on the usable nodes, and no more than were asked for."""
        with self._lock:
            return self._places()

    def workers(self) -> int:
        """The number of workers that fit on the usable nodes."""
        with self._lock:
            return workers_on(list(self._nodes.values()), self.request)

    def _places(self) -> int:
        places = room(list(self._nodes.values()), self.request)
        return places if self.most is None else min(places, self.most)

    def placed_on(self) -> dict[str, str]:
        """A selector of the nodes that have passed their probe, and of the labels asked for."""
        with self._lock:
            return {**selector(self._nodes), **self.request.where}

    def leaving(self) -> set[str]:
        """The nodes that are announced to go away, such as a spot machine that is reclaimed."""
        with self._lock:
            return set(self._leaving)

    def look(self) -> None:
        """Refreshes the node list now, as it is also refreshed each second."""
        with contextlib.suppress(Exception):  # while the head is away there is nothing to learn
            self._look()

    def news(self) -> list[str]:
        """The nodes that came, went or were refused since the last call, a line each."""
        with self._lock:
            found, self._news = self._news, []
        return found

    def close(self) -> None:
        """Takes the request to the autoscaler back."""
        self._over.set()
        # The thread may be asking for nodes just now, and must not do so after the request is taken
        # back.
        if self._thread.is_alive():
            self._thread.join(2 * LOOK_SECONDS)
        self._autoscaler.close()
        self._probes.close()

    def _follow(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                self._look()
                if not self._over.is_set():
                    self._ask()
            except Exception as error:  # the head is away, which the driver learns by itself
                if self._over.wait(LOOK_SECONDS):
                    return
                self._say(f"the cluster's nodes could not be looked at: {error}")

    def _say(self, line: str) -> None:
        if line != self._told:
            self._told = line
            self._news.append(line)

    def _look(self) -> None:
        # Two threads look; one at a time, so that an older answer of Ray's never replaces a newer
        # one.
        with self._looking:
            self._look_once()

    def _look_once(self) -> None:
        alive = {entry["NodeID"]: _node(entry) for entry in _entries() if entry["Alive"]}
        notices = {id_: deadline for id_, deadline in draining_nodes().items() if id_ in alive}
        there = {id_: node for id_, node in alive.items() if id_ not in notices}
        with self._lock:
            for gone in [id_ for id_ in self._nodes if id_ not in alive]:
                self._news.append(f"node {self._nodes.pop(gone).name} is gone")
            for warned in self._nodes.keys() & notices.keys():
                left = f" in {max(0.0, notices[warned] - time.time()):.0f} s" if notices[warned] else ""
                self._news.append(
                    f"node {self._nodes.pop(warned).name} goes away{left}: no trial is placed there any more"
                )
            self._leaving = set(notices)
            self._probes.forget_all_but(there)
            for id_ in [id_ for id_ in self._refused if id_ not in there]:
                del self._refused[id_]
            for id_, node in there.items():
                if id_ not in self._nodes and id_ not in self._refused:
                    self._probe(node)
            self._tell_emptiness(list(there.values()))

    def _probe(self, node: Node) -> None:
        facts = self._probes.facts(node, self._news.append)
        if facts is None:
            return
        if other := unlike_here(versions(), facts["versions"]):
            self._refuse(node, f"node {node.name} is not used: it has {other}")
        elif not facts["sees"]:
            self._refuse(
                node,
                f"storage: {self.folder} is not shared: node {node.name} does not see it; "
                "give a shared folder or s3://bucket/path",
            )
        else:
            self._nodes[node.id] = node
            if not self._first:  # the nodes of the start are in the title
                self._news.append(f"node {node} has joined")
            if abs(ahead := facts["time"] - time.time()) > CLOCK_SECONDS:
                word = "ahead" if ahead > 0 else "behind"
                self._news.append(
                    f"the clock of node {node.name} is {abs(ahead):.0f} s {word}; "
                    "times are by the clocks of their nodes"
                )

    def _refuse(self, node: Node, reason: str) -> None:
        self._refused[node.id] = reason
        self._news.append(reason)

    def _tell_emptiness(self, there: list[Node]) -> None:
        if self._places() or self._probes.may_pass(self.request):
            self._empty_since = None
            self._blocked = False
            self._told = ""
            return
        now = time.monotonic()
        self._empty_since = self._empty_since or now
        refused = [
            self._refused[node.id] for node in there if node.id in self._refused and workers_on_one(node, self.request)
        ]
        self._blocked = bool(refused)
        if now - self._empty_since > PATIENCE_SECONDS:
            self._say("; ".join(refused) if refused else lacking(there, self._autoscaler.types, self.request))

    def _ask(self) -> None:
        """Asks the autoscaler for as many places as the sweep could use.

        It asks for none where nodes that would have room are refused: new ones would be refused
        too.
        """
        wanted = 0
        if not self._blocked:
            wanted = min(self.wanted(), MOST_ASKED)
            if self.most is not None:
                wanted = min(wanted, self.most)
        self._autoscaler.ask(wanted, short=self.slots() < wanted)


def _entries() -> list[dict[str, Any]]:
    return ray.nodes()  # type: ignore[no-any-return, no-untyped-call]


def _node(entry: Mapping[str, Any]) -> Node:
    return Node(entry["NodeID"], entry["NodeManagerHostname"], entry["Resources"], entry.get("Labels") or {})
