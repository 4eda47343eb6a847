"""How many trials fit on which nodes, and what is missing if none does.

Nothing of Ray is used but the names that it gives to resources.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Node", "Request", "lacking", "may_be_added", "room", "workers_on", "workers_on_one"]


@dataclass(frozen=True)
class Request:
    """What a trial asks for: CPUs and GPUs of each worker, and labels that a node must have.

    `gpus` may be a fraction, and `workers` is the least number of workers.
    """

    cpus: float
    gpus: float
    workers: int = 1
    where: Mapping[str, str] = field(default_factory=dict)
    most_workers: int = 1
    """The largest number of workers of a trial, if there is room for more than `workers`."""

    @property
    def worker(self) -> dict[str, float]:
        """The resources of one worker, by Ray's names."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}

    def __str__(self) -> str:
        each = " and ".join(f"{name} {amount:g}" for name, amount in self.worker.items())
        labels = ", ".join(f"{name}={value}" for name, value in self.where.items())
        group = f" for each of {self.workers} workers" if self.workers > 1 else ""
        return f"{each}{group}{f' where {labels}' if labels else ''}"


@dataclass(frozen=True)
class Node:
    """A node of a cluster, or a type of node that an autoscaler may add."""

    id: str
    name: str
    resources: Mapping[str, float]
    labels: Mapping[str, str]

    @property
    def own_labels(self) -> str:
        """The node's labels in words, without those that Ray gives, whose names have a slash."""
        own = ", ".join(f"{name}={value}" for name, value in self.labels.items() if "/" not in name)
        return f" with {own or 'no labels'}"

    def __str__(self) -> str:
        has = ", ".join(f"{name} {self.resources[name]:g}" for name in ("CPU", "GPU") if name in self.resources)
        return f"{self.name} {has or 'no CPU'}"


def room(nodes: Sequence[Node], request: Request) -> int:
    """How many trials fit on the nodes at a time; the workers of one may be on several."""
    return workers_on(nodes, request) // request.workers


def workers_on(nodes: Sequence[Node], request: Request) -> int:
    """How many workers of trials fit on the nodes at a time."""
    return sum(workers_on_one(node, request) for node in nodes)


def workers_on_one(node: Node, request: Request) -> int:
    """How many workers of trials fit on one node at a time."""
    if not _labelled(node, request):
        return 0
    counts = [
        node.resources.get(name, 0.0) / amount
        for name, amount in request.worker.items()
        if name != "GPU" or amount >= 1
    ]
    # A share of a GPU lies on a single one, so the shares are counted for each GPU. The small
    # number makes up for a share such as 0.1 whose inverse falls short of a whole number by
    # rounding.
    if 0 < request.gpus < 1:
        counts.append(node.resources.get("GPU", 0.0) * math.floor(1 / request.gpus + 1e-9))
    return int(min(counts) + 1e-9)


def _labelled(node: Node, request: Request) -> bool:
    """Whether a node has the labels that are asked for."""
    return all(node.labels.get(name) == value for name, value in request.where.items())


def may_be_added(types: Sequence[Node], request: Request) -> bool:
    """Whether enough nodes of one type would have room for a trial."""
    return any(room([one] * request.workers, request) for one in types)


def lacking(nodes: Sequence[Node], types: Sequence[Node], request: Request) -> str:
    """Why not a single trial fits, on one line.

    It says which resource no node has, and whether a type of node that may be added has it.
    """
    if may_be_added(types, request):
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
