"""Why an attempt failed, read from Ray Tune's text, and what the next attempt changes.

All functions here are pure.
"""

from __future__ import annotations

import re
from typing import Literal

from leadline.ledger.wording import last_line
from leadline.plain import plural

__all__ = ["Cause", "blameless", "bystander", "cause_of", "halved", "killed", "named", "rows_tried"]

Cause = Literal["error", "memory", "storage", "stuck", "lost", "preempted"]
"""The causes of a failure.

In order: an exception; memory that did not suffice; a store that refused until its deadline; no
step for too long; a process or machine that went away; a machine that was announced to go away.
"""

_NO_GROUP = ("The worker group startup timed out", "At least one of the worker actors failed to initialize")
_FOUND: dict[Cause, str] = {
    "storage": r"^(\w+\.)*StorageError\b",
    "memory": r"^out of memory|killed due to the node running low on memory"
    r"|^(\w+\.)*(\w*MemoryError|OutOfMemoryError)\b"
    r"|^\w*Error: .*([Cc]an(no|')t allocate memory|not enough memory|CUDA error: out of memory"
    r"|CUBLAS_STATUS_ALLOC_FAILED)",
    "lost": r"The actor died unexpectedly before finishing this task"
    r"|^ray\.exceptions\.(ActorUnavailable|NodeDied|WorkerCrashed)Error"
    rf"|^({'|'.join(_NO_GROUP)})",
}
"""Patterns by which a cause is found in a failure's text; the first that matches decides.

They match lines of a traceback, or of what Ray says of a process. torch's allocator for the host
raises a plain RuntimeError, so its messages are matched too.
"""

_NOTE = re.compile(r"^out of memory with micro-batches of (\d+) rows?\b", re.MULTILINE)
_KILLED = "killed due to the node running low on memory"
_WORKER = re.compile(r"Actor\(RayTrainWorker, (\w+)\)")
_HELD = re.compile(r"Actor\((\w+)\).*?actual memory used=([\d.]+)GB")
_USERS = re.compile(r"^\d+\t([\d.]+)\t", re.MULTILINE)
_NODE = re.compile(r"was (\S+ used / \S+ limit)")
_OTHER = ", while another held "
BYSTANDER = 0.5
"""A process that held less than this part of what the largest one held is not to blame."""


def cause_of(error: str) -> Cause:
    """The cause of a failure, from its text.

    The text is a traceback, Ray's words, or ends in a line of our own such as `stuck: ...`.
    """
    last = last_line(error)
    own: tuple[Cause, ...] = ("stuck", "lost", "preempted")
    if said := next((cause for cause in own if last.startswith(f"{cause}: ")), None):
        return said
    return next((cause for cause, pattern in _FOUND.items() if re.search(pattern, error, re.MULTILINE)), "error")


def blameless(error: str) -> bool:
    """Whether Ray says that a process was lost with its node, or a worker group got no places."""
    return any(words in error for words in ("its node has died", *_NO_GROUP))


def killed(message: str, actor: str = "") -> str:
    """Adds a short last line to what Ray's memory monitor says of a process that it ended.

    The monitor ends the youngest processes until enough memory is free, so a small one may be ended
    for what a large one holds. Other messages are returned as they are.

    Args:
        message: what Ray says.
        actor: Ray's identity of the process, in hexadecimal digits; where it is empty, the first
            worker that the message names is taken.
    """
    if _KILLED not in message:
        return message
    worker = _WORKER.search(message)
    own = dict(_HELD.findall(message)).get(actor or (worker[1] if worker else ""))
    most = max(map(float, _USERS.findall(message)), default=0.0)
    held = f", which held {own} GB" if own else ""
    other = f"{_OTHER}{most:g} GB" if own and float(own) < BYSTANDER * most else ""
    node = _NODE.search(message)
    where = node[1] if node else "unknown"
    return f"{message}\nout of memory: Ray's memory monitor ended the process{held}{other}; node: {where}"


def bystander(error: str) -> bool:
    """Whether another process held the memory, so that this one's configuration is not to blame."""
    return _OTHER in last_line(error)


def rows_tried(error: str) -> int:
    """The rows of the micro-batch that did not fit; 0 where the process did not live to say it."""
    found = _NOTE.findall(error)
    return int(found[-1]) if found else 0


def halved(micro_batch: int | str) -> int | str | None:
    """The micro-batch to try after one that did not fit; None where it was one row.

    Args:
        micro_batch: as `TrialConfig.micro_batch` gives it; `1/2` is half of the whole batch, whose
            size only the family knows.
    """
    if isinstance(micro_batch, int) and micro_batch:
        return micro_batch // 2 or None
    share = str(micro_batch)
    return f"1/{2 * int(share.removeprefix('1/'))}" if share.startswith("1/") else "1/2"


def named(micro_batch: int | str) -> str:
    """A micro-batch in words."""
    if isinstance(micro_batch, str) and micro_batch != "auto":
        return f"micro-batches of {micro_batch} of the batch"
    if isinstance(micro_batch, int) and micro_batch:
        return f"micro-batches of {plural(micro_batch, 'row')}"
    return "the whole batch"
