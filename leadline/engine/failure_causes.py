"""Why an attempt failed, read from the text that Ray Tune leaves of it, and what the next one changes. Pure."""

from __future__ import annotations

import re
from typing import Literal

from leadline.ledger.wording import last_line

__all__ = ["Cause", "blameless", "bystander", "cause_of", "halved", "killed", "named", "rows_tried"]

Cause = Literal["error", "memory", "storage", "stuck", "lost", "preempted"]
"""An exception; memory that did not suffice; a store that refused until its deadline; no step for too long; a process or its machine that
went away; a machine that was announced to go away."""

_NO_GROUP = ("The worker group startup timed out", "At least one of the worker actors failed to initialize")
_FOUND: dict[Cause, str] = {
    "storage": r"^(\w+\.)*StorageError\b",
    "memory": r"^out of memory|killed due to the node running low on memory|^(\w+\.)*(\w*MemoryError|OutOfMemoryError)\b"
    r"|^\w*Error: .*([Cc]an(no|')t allocate memory|not enough memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED)",
    "lost": r"The actor died unexpectedly before finishing this task|^ray\.exceptions\.(ActorUnavailable|NodeDied|WorkerCrashed)Error"
    rf"|^({'|'.join(_NO_GROUP)})",
}
"""In order: lines of a traceback, or of what Ray says of a process. torch's allocator for the host raises a plain RuntimeError."""

_NOTE = re.compile(r"^out of memory with micro-batches of (\d+) rows?\b", re.MULTILINE)
_KILLED = "killed due to the node running low on memory"
_WORKER = re.compile(r"Actor\(RayTrainWorker, (\w+)\)")
_HELD = re.compile(r"Actor\((\w+)\).*?actual memory used=([\d.]+)GB")
_USERS = re.compile(r"^\d+\t([\d.]+)\t", re.MULTILINE)
_NODE = re.compile(r"was (\S+ used / \S+ limit)")
_OTHER = ", while another held "
BYSTANDER = 0.5
"""A process that held less than half of what the largest one did was not the one that needed too much."""


def cause_of(error: str) -> Cause:
    """The cause of a failure, from its text: a traceback, Ray's words, or our own last line, such as `stuck: ...`."""
    last = last_line(error)
    own: tuple[Cause, ...] = ("stuck", "lost", "preempted")
    if said := next((cause for cause in own if last.startswith(f"{cause}: ")), None):
        return said
    return next((cause for cause, pattern in _FOUND.items() if re.search(pattern, error, re.MULTILINE)), "error")


def blameless(error: str) -> bool:
    """Whether a process was lost with its node, or a worker group did not get its places, by Ray's words."""
    return any(words in error for words in ("its node has died", *_NO_GROUP))


def killed(message: str, actor: str = "") -> str:
    """What Ray's memory monitor says of a process that it ended, with a last line in short. Other messages as they are.

    It ends the youngest processes until enough is free, so a small one may go for what a large one holds.

    Args:
        actor: Ray's identity of the process, in hexadecimal digits; where it is not known, that of the first worker that is named.
    """
    if _KILLED not in message:
        return message
    worker = _WORKER.search(message)
    own = dict(_HELD.findall(message)).get(actor or (worker[1] if worker else ""))
    most = max(map(float, _USERS.findall(message)), default=0.0)
    held = f", which held {own} GB" if own else ""
    other = f"{_OTHER}{most:g} GB" if own and float(own) < BYSTANDER * most else ""
    node = _NODE.search(message)
    return f"{message}\nout of memory: Ray's memory monitor ended the process{held}{other}; node: {node[1] if node else 'unknown'}"


def bystander(error: str) -> bool:
    """Whether the memory was another's: this process was small, so that its configuration is not to blame."""
    return _OTHER in last_line(error)


def rows_tried(error: str) -> int:
    """Rows of the micro-batch that did not fit, where the process has lived to say it; 0 where not."""
    found = _NOTE.findall(error)
    return int(found[-1]) if found else 0


def halved(micro_batch: int | str) -> int | str | None:
    """The micro-batch to try after one that did not fit; None where it was one row.

    Args:
        micro_batch: as `TrialConfig.micro_batch` gives it; half of the whole batch, of a size that only the family knows, is `1/2`.
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
        return f"micro-batches of {micro_batch} row{'s' if micro_batch > 1 else ''}"
    return "the whole batch"
