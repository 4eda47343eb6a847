"""The Collatz family, in a process that writes down what durability costs it, for `benchmarks.durability`.

Whoever imports this finds checkpoints and the loop timed: a line of JSON per report goes to a file of the process in the folder that
the environment names in `LEADLINE_TIMES`, with the seconds of training, evaluating (guards included), saving (publishing a checkpoint
and removing others) and waiting (from a report to the step after it: the decision, and the ledger behind it).
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._common import TIMES
from trainables.checkpoint import CheckpointStore
from trainables.collatz.family import CollatzFamily
from trainables.loop import Loop

__all__ = ["TIMED"]

_SPENT: defaultdict[str, float] = defaultdict(float)
_REPORTED: dict[int, float] = {}
"""When each loop gave its last report."""


def _timed(owner: type, name: str, word: str) -> None:
    action: Callable[..., Any] = getattr(owner, name)

    def run(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return action(*arguments, **options)
        finally:
            _SPENT[word] += time.perf_counter() - began

    setattr(owner, name, run)


def _told() -> None:
    """A loop's intervals: what is between them is waiting, and what is in them beyond training and saving is evaluating."""
    train, report = Loop._train_until, Loop._report

    def trained(loop: Loop, stop: int) -> dict[str, float]:
        began = time.perf_counter()
        if id(loop) in _REPORTED:
            _SPENT["waiting"] += began - _REPORTED.pop(id(loop))
        facts = train(loop, stop)
        _SPENT["training"] += time.perf_counter() - began
        return facts

    def reported(loop: Loop, *arguments: Any) -> Any:
        began, saved = time.perf_counter(), _SPENT["saving"]
        found = report(loop, *arguments)
        ended = time.perf_counter()
        _SPENT["evaluating"] += ended - began - (_SPENT["saving"] - saved)
        if loop.step < loop.config.steps:
            _REPORTED[id(loop)] = ended
        with (Path(os.environ[TIMES]) / f"{os.getpid()}.jsonl").open("a") as lines:
            lines.write(json.dumps(_SPENT) + "\n")
        _SPENT.clear()
        return found

    for name, timed in (("_train_until", trained), ("_report", reported)):
        setattr(Loop, name, timed)


_timed(CheckpointStore, "publish", "saving")
_timed(CheckpointStore, "retain", "saving")
_told()

TIMED = CollatzFamily()
