"""Ray: where trials may be placed: this machine alone, or the nodes of a running cluster that have passed a probe."""

from __future__ import annotations

import contextlib
import logging
import math
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil
import ray
import yaml
from ray import tune
from ray._private.state import state
from ray.autoscaler.sdk import request_resources
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from leadline.config import ConfigError
from leadline.engine.manifest import versions
from leadline.ledger.wording import last_line
from leadline.storage import Folder, patiently

__all__ = ["Cluster", "Machine", "Node", "Nodes", "Request", "lacking", "nodes_of", "placement", "room", "unlike_here"]

LOOK_SECONDS = 1.0
"""How often the cluster's nodes are looked at."""
PROBE_SECONDS = 60.0
"""How long the nodes that are there at first may take to answer their probe."""
PATIENCE_SECONDS = 5.0
"""How long no node may have room before that is said."""
AGAIN_SECONDS = 30.0
"""Pause before what failed, or was not enough, is tried or asked for again."""
MOST_ASKED = 1000
"""Places for which an autoscaler is asked at a time."""
CLOCK_SECONDS = 30.0
"""Difference from the driver's clock that is said."""
_ID = "ray.io/node-id"
_BOOTSTRAP = "ray_bootstrap_config.yaml"
"""What `ray up` leaves in the head's home folder."""


@dataclass(frozen=True)
class Request:
    """What a trial asks for: CPUs and GPUs of each of its workers, and labels that a node must have."""

    cpus: float
    gpus: float
    workers: int = 1
    where: Mapping[str, str] = field(default_factory=dict)
    most_workers: int = 1
    """Workers of a trial at most: where there is room for more than `workers`."""

    @property
    def worker(self) -> dict[str, float]:
        """Resources of one worker, as Ray names them."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}

    def __str__(self) -> str:
        each = " and ".join(f"{name} {amount:g}" for name, amount in self.worker.items())
        labels = ", ".join(f"{name}={value}" for name, value in self.where.items())
        return f"{each}{f' for each of {self.workers} workers' if self.workers > 1 else ''}{f' where {labels}' if labels else ''}"


@dataclass(frozen=True)
class Node:
    """A node of a cluster, or a type of node that an autoscaler may add."""

    id: str
    name: str
    resources: Mapping[str, float]
    labels: Mapping[str, str]

    @property
    def own_labels(self) -> str:
        """Its labels in words, without those that Ray gives."""
        return " with " + (
            ", ".join(f"{name}={value}" for name, value in self.labels.items() if "/" not in name) or "no labels"
        )

    def __str__(self) -> str:
        has = (
            ", ".join(f"{name} {self.resources[name]:g}" for name in ("CPU", "GPU") if name in self.resources)
            or "no CPU"
        )
        return f"{self.name} {has}"


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


def room(nodes: Sequence[Node], request: Request) -> int:
    """How many trials fit on the nodes at a time; the workers of one may be on several."""
    return workers_on(nodes, request) // request.workers


def workers_on(nodes: Sequence[Node], request: Request) -> int:
    """How many workers of trials fit on the nodes at a time."""
    return sum(_workers(node, request) for node in nodes)


def _workers(node: Node, request: Request) -> int:
    if not _labelled(node, request):
        return 0
    counts = [
        node.resources.get(name, 0.0) / amount
        for name, amount in request.worker.items()
        if name != "GPU" or amount >= 1
    ]
    if 0 < request.gpus < 1:  # a share lies on one GPU
        counts.append(node.resources.get("GPU", 0.0) * math.floor(1 / request.gpus + 1e-9))
    return int(min(counts) + 1e-9)


def _labelled(node: Node, request: Request) -> bool:
    return all(node.labels.get(name) == value for name, value in request.where.items())


def _may_be_added(types: Sequence[Node], request: Request) -> bool:
    """Whether enough nodes of one type would have room for a trial."""
    return any(room([one] * request.workers, request) for one in types)


def lacking(nodes: Sequence[Node], types: Sequence[Node], request: Request) -> str:
    """Why not one trial fits, in a line: which resource no node has, and whether a type of node that may be added has it."""
    if _may_be_added(types, request):
        return (
            f"no node has room for a trial, which needs {request}; waiting for the autoscaler, whose node types have it"
        )
    labelled = [node for node in nodes if _labelled(node, request)]
    missing = [
        name
        for name, amount in request.worker.items()
        if not any(node.resources.get(name, 0.0) >= amount for node in labelled)
    ]
    what = ", ".join(missing) if labelled else "a node with these labels"
    there = "; ".join(f"{node}{'' if labelled else node.own_labels}" for node in nodes) or "none"
    further = (
        f"no node type has it either ({'; '.join(map(str, types))})" if types else "the cluster adds none by itself"
    )
    return f"a trial needs {request}: {what or 'more at a time'} is missing; nodes: {there}; {further}"


def unlike_here(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """Which packages differ, in words; empty where none does."""
    return ", ".join(
        f"{name} {there.get(name, 'missing')} (the driver has {version})"
        for name, version in here.items()
        if there.get(name) != version
    )


class Machine:
    """This machine alone. Ray is started for one driver: on loopback, without dashboard.

    Args:
        trials: at a time.
        temporary: folder for Ray's files.

    Raises:
        RuntimeError: if Ray cannot start.
    """

    def __init__(self, request: Request, trials: int, temporary: str) -> None:
        cpus, gpus = trials * request.workers * request.cpus, trials * request.workers * request.gpus
        ray.init(
            address="local",
            num_cpus=max(1, math.ceil(cpus)),
            num_gpus=math.ceil(gpus),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
            _node_ip_address="127.0.0.1",
            _temp_dir=temporary,
        )
        self.title = "on this machine alone"
        started: dict[str, psutil.Process] = {}
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                started[process.name()] = process
        self.processes = {name: started[name] for name in ("gcs_server", "raylet")}
        self._trials, self._request = trials, request

    def slots(self) -> int:
        """As many as were asked for."""
        return self._trials

    def workers(self) -> int:
        """Those of as many trials as were asked for."""
        return self._trials * self._request.workers

    def placed_on(self) -> dict[str, str]:
        """There is no choice."""
        return {}

    def leaving(self) -> set[str]:
        """None."""
        return set()

    def look(self) -> None:
        """It is there."""

    def news(self) -> list[str]:
        """None."""
        return []

    def close(self) -> None:
        """Ray is stopped by the driver."""


class Cluster:
    """A running cluster, of which this process is a job's driver. A node is used once it has passed a probe.

    The probe: the same Python and packages as the driver's, and the sweep's folder seen from there. Nodes that come later are probed as
    they come. Where an autoscaler runs it is asked for as many places as the sweep can use.

    Args:
        most: trials at a time, at most; None for as many as fit.
        wanted: how many trials the sweep could still use.
        fresh: whether a command begins here; a driver that goes on for another waits for nodes rather than give up.

    Raises:
        ConfigError: if the cluster cannot be joined, the folder is not shared between the nodes, or no trial can ever be placed.
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
            raise ConfigError(f"address: cannot join the cluster at {address}: {_last(error)}") from None
        self.request, self.most, self.folder, self.wanted = request, most, folder, wanted
        self.processes = dict[str, psutil.Process]()
        self._nodes: dict[str, Node] = {}
        self._leaving: set[str] = set()
        self._refused: dict[str, str] = {}
        self._probes: dict[str, Any] = {}
        self._news: list[str] = []
        self._again: dict[str, tuple[float, Node]] = {}
        """Nodes whose probe could not be carried out, and when they are probed again."""
        self._asked, self._asked_at = 0, 0.0
        self._blocked = False
        """Whether nodes that would have room are refused: more of them would be no use."""
        self._empty_since: float | None = None
        self._told = ""
        self._first = True
        """Whether the nodes that are there at first are being probed."""
        self._lock, self._looking = threading.Lock(), threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="nodes", daemon=True)
        self._marker = f".seen-{uuid.uuid4().hex[:8]}"
        self._task = ray.remote(num_cpus=0, max_retries=0)(_facts)
        self.types = node_types()
        folder.write(self._marker, b"")
        try:
            self._first_look(fresh)
        except BaseException:
            self.close()
            raise
        self.title = f"on the Ray cluster at {ray.get_runtime_context().gcs_address}: {'; '.join(map(str, self._nodes.values()))}"
        self._thread.start()

    def _first_look(self, fresh: bool) -> None:
        until = time.monotonic() + PROBE_SECONDS
        self._look()
        while self._probes and time.monotonic() < until:
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
        if not self._places() and not self._may_come() and not _may_be_added(self.types, self.request):
            raise ConfigError(f"cluster: {lacking(list(self._nodes.values()), self.types, self.request)}")

    def slots(self) -> int:
        """As many as fit the nodes that may be used, and no more than were asked for."""
        with self._lock:
            return self._places()

    def workers(self) -> int:
        """As many as fit the nodes that may be used."""
        with self._lock:
            return workers_on(list(self._nodes.values()), self.request)

    def _places(self) -> int:
        places = room(list(self._nodes.values()), self.request)
        return places if self.most is None else min(places, self.most)

    def _may_come(self) -> bool:
        """Whether nodes are being probed, or are to be probed again, on which a trial would fit."""
        return bool(self._probes) or any(_workers(node, self.request) for _, node in self._again.values())

    def placed_on(self) -> dict[str, str]:
        """Nodes that have passed their probe, and the labels that were asked for."""
        with self._lock:
            # Interned: each attempt keeps it, and a name has 57 characters.
            return {_ID: sys.intern(f"in({','.join(sorted(self._nodes))})"), **self.request.where}

    def leaving(self) -> set[str]:
        """Nodes for which there was a notice, as of a spot machine that is taken back."""
        with self._lock:
            return set(self._leaving)

    def look(self) -> None:
        """As it is done each second."""
        with contextlib.suppress(Exception):  # where the head is away there is nothing to learn
            self._look()

    def news(self) -> list[str]:
        """Nodes that came, went or were refused."""
        with self._lock:
            found, self._news = self._news, []
        return found

    def close(self) -> None:
        """Takes the request to the autoscaler back."""
        self._over.set()
        if self._thread.is_alive():  # it may be asking for nodes
            self._thread.join(2 * LOOK_SECONDS)
        with contextlib.suppress(Exception):
            if self.types:  # one that a driver before this one has made stands too
                request_resources(bundles=[])
        with contextlib.suppress(Exception):
            self.folder.files.delete_file(f"{self.folder.path}/{self._marker}")

    def _follow(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                self._look()
                if not self._over.is_set():
                    self._ask()
            except Exception as error:  # the head is away; the driver learns that by itself
                if self._over.wait(LOOK_SECONDS):
                    return
                self._say(f"the cluster's nodes could not be looked at: {error}")

    def _say(self, line: str) -> None:
        if line != self._told:
            self._told = line
            self._news.append(line)

    def _look(self) -> None:
        with self._looking:  # of two threads, so that nobody goes by what was so before
            self._look_once()

    def _look_once(self) -> None:
        alive = {entry["NodeID"]: _node(entry) for entry in _entries() if entry["Alive"]}
        notices = {id_: deadline for id_, deadline in _draining().items() if id_ in alive}
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
            for known in (self._probes, self._refused, self._again):
                for id_ in [id_ for id_ in known if id_ not in there]:
                    del known[id_]
            for id_, node in there.items():
                if id_ not in self._nodes and id_ not in self._refused:
                    self._probe(node)
            self._tell_emptiness(list(there.values()))

    def _probe(self, node: Node) -> None:
        if node.id in self._again and time.monotonic() < self._again[node.id][0]:
            return
        if node.id not in self._probes:
            here = NodeAffinitySchedulingStrategy(node.id, soft=False)
            self._probes[node.id] = self._task.options(scheduling_strategy=here).remote(self.folder.uri, self._marker)
        ready, _ = ray.wait([self._probes[node.id]], timeout=0)
        if not ready:
            return
        reference = self._probes.pop(node.id)
        try:
            facts = ray.get(reference)
        except Exception as error:
            if node.id not in self._again:
                self._news.append(f"node {node.name} is not used for now, as its probe failed: {_last(error)}")
            self._again[node.id] = time.monotonic() + AGAIN_SECONDS, node
            return
        self._again.pop(node.id, None)
        if other := unlike_here(versions(), facts["versions"]):
            self._refuse(node, f"node {node.name} is not used: it has {other}")
        elif not facts["sees"]:
            self._refuse(
                node,
                f"storage: {self.folder} is not shared: node {node.name} does not see it; give a shared folder or s3://bucket/path",
            )
        else:
            self._nodes[node.id] = node
            if not self._first:  # those are in the title
                self._news.append(f"node {node} has joined")
            if abs(ahead := facts["time"] - time.time()) > CLOCK_SECONDS:
                word = "ahead" if ahead > 0 else "behind"
                self._news.append(
                    f"the clock of node {node.name} is {abs(ahead):.0f} s {word}; times are by the clocks of their nodes"
                )

    def _refuse(self, node: Node, reason: str) -> None:
        self._refused[node.id] = reason
        self._news.append(reason)

    def _tell_emptiness(self, there: list[Node]) -> None:
        if self._places() or self._may_come():
            self._empty_since, self._blocked, self._told = None, False, ""
            return
        now = time.monotonic()
        self._empty_since = self._empty_since or now
        refused = [
            self._refused[node.id] for node in there if node.id in self._refused and _workers(node, self.request)
        ]
        self._blocked = bool(refused)
        if now - self._empty_since > PATIENCE_SECONDS:
            self._say("; ".join(refused) if refused else lacking(there, self.types, self.request))

    def _ask(self) -> None:
        """The autoscaler, for as many places as the sweep could use; anew where that has changed, and now and then while they are short.

        What is asked for is the cluster's: another sweep may have asked for something else.
        """
        wanted = 0 if self._blocked else min(self.wanted(), MOST_ASKED, *([] if self.most is None else [self.most]))
        short, now = self.slots() < wanted, time.monotonic()
        if not self.types or (wanted == self._asked and not (short and now - self._asked_at > AGAIN_SECONDS)):
            return
        self._asked, self._asked_at = wanted, now
        bundles = [self.request.worker] * (wanted * max(self.request.workers, self.request.most_workers))
        request_resources(bundles=bundles, bundle_label_selectors=[dict(self.request.where)] * len(bundles))


def _entries() -> list[dict[str, Any]]:
    return ray.nodes()  # type: ignore[no-any-return, no-untyped-call]


def _draining() -> dict[str, float]:
    """Nodes with a notice, and when they go, in seconds since the epoch; 0 where that is not known. Ray 2.60 has no public word for it."""
    return {id_: milliseconds / 1000 for id_, milliseconds in state.get_draining_nodes().items()}


def _node(entry: Mapping[str, Any]) -> Node:
    return Node(entry["NodeID"], entry["NodeManagerHostname"], entry["Resources"], entry.get("Labels") or {})


def node_types(home: Path | None = None) -> list[Node]:
    """The types of node that the cluster's autoscaler may add, as `ray up` has left them on the head; none on a cluster without."""
    try:
        found = yaml.safe_load(((home or Path.home()) / _BOOTSTRAP).read_text())
        types = found["available_node_types"] if found["provider"]["type"] != "local" else {}
        return [
            Node("", name, one.get("resources", {}), one.get("labels", {}))
            for name, one in types.items()
            if one.get("max_workers", 1)
        ]
    except (OSError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return []


def _facts(uri: str, marker: str) -> dict[str, Any]:
    """Run on a node: what it has, and whether it sees the sweep's folder."""
    folder = Folder.at(uri)
    return {
        "versions": versions(),
        "sees": patiently(lambda: folder.exists(marker), folder, seconds=PROBE_SECONDS),
        "time": time.time(),
    }


def _last(error: Exception) -> str:
    return last_line(str(error), type(error).__name__)


def nodes_of(labels: Mapping[str, str]) -> set[str]:
    """The ids of the nodes that a selector names; empty where it names none."""
    return set(labels[_ID].removeprefix("in(").removesuffix(")").split(",")) - {""} if _ID in labels else set()


def placement(request: Request, chosen: Mapping[str, str]) -> tune.PlacementGroupFactory:
    """What Tune reserves for the next trial: its one worker's place, or a crumb for whoever leads its worker group.

    Args:
        chosen: labels of the nodes that may be used, as `Nodes.placed_on` gives them.
    """
    grouped = request.workers > 1
    bundle = (
        {"CPU": 0.01 * request.cpus} if grouped else request.worker
    )  # k workers on a node leave room for it: they take 0.99 each
    if request.most_workers > 1 and not grouped:
        bundle = {**bundle, "CPU": 0.99 * request.cpus}
    further: dict[str, Any] = {"bundle_label_selector": [dict(chosen)]} if chosen else {}
    return tune.PlacementGroupFactory([bundle], **further)
