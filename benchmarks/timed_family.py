"""The Collatz family in a process that writes down what durability costs it.

Whoever imports this finds the loop timed: a line of JSON per report goes to a file of the process
in the folder that the environment names in `LEADLINE_TIMES`, with the seconds since the report
before, by what they went to:

training    optimizer steps, with what the guards look at meanwhile;
evaluating  from the last step to the report, without saving;
saving      the whole of storing a checkpoint: collecting state and record, writing, reading back,
            removing others; the log's lines; and the search for a checkpoint when a trial begins;
waiting     from a report to the step after it, where the trial goes on: the report's way to the
            driver, the decision, the way back;
between     from the last report of a trial to the first step of the process's next one, without the
            search for its checkpoint.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from benchmarks._common import TIMES
from leadline.checkpoint import CheckpointStore
from leadline.training.loop import Loop
from trainables.collatz.family import CollatzFamily

__all__ = ["TIMED"]

_SPENT: defaultdict[str, float] = defaultdict(float)
_REPORTED: WeakKeyDictionary[Loop, float] = WeakKeyDictionary()
"""The moment of each loop's last report."""
_LATEST: list[float] = []
"""The moment of the last report of this process, of any loop."""


def _timed(action: Callable[..., Any], word: str) -> Callable[..., Any]:
    """Returns the action with its seconds added to those of the word."""

    def run(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return action(*arguments, **options)
        finally:
            _SPENT[word] += time.perf_counter() - began

    return run


def _told() -> None:
    """Times a loop's intervals.

    What is between them is waiting, and what is in them beyond training and saving is evaluating.
    """
    train, report = Loop._train_until, Loop._report

    def trained(loop: Loop, stop: int) -> dict[str, float]:
        began = time.perf_counter()
        if loop in _REPORTED:
            _SPENT["waiting"] += began - _REPORTED[loop]
        else:
            loop.log = _timed(loop.log, "saving")
            if _LATEST:
                _SPENT["between"] += began - _LATEST[-1] - _SPENT["saving"]
        facts = train(loop, stop)
        _SPENT["training"] += time.perf_counter() - began
        return facts

    def reported(loop: Loop, *arguments: Any) -> Any:
        began, saved = time.perf_counter(), _SPENT["saving"]
        found = report(loop, *arguments)
        ended = time.perf_counter()
        _SPENT["evaluating"] += ended - began - (_SPENT["saving"] - saved)
        with (Path(os.environ[TIMES]) / f"process-{os.getpid()}.jsonl").open("a") as lines:
            lines.write(json.dumps(_SPENT) + "\n")
        _SPENT.clear()
        _REPORTED[loop] = ended
        _LATEST[:] = [ended]
        return found

    for owner, name, timed in (
        (Loop, "_train_until", trained),
        (Loop, "_report", reported),
        (Loop, "_save", _timed(Loop._save, "saving")),
        (CheckpointStore, "newest", _timed(CheckpointStore.newest, "saving")),
    ):
        setattr(owner, name, timed)


_told()

TIMED = CollatzFamily()
