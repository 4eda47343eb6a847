"""Memory for real: Ray's monitor ends a trial that holds too much, and it goes on in smaller micro-batches.

The monitor looks at the whole machine's memory, so this is only run where other programs leave that alone.
"""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from ray._common.utils import get_system_memory

from leadline.checkpoint import attempt_folder
from leadline.ledger.events import Failed
from leadline.ledger.segments import read
from leadline.storage import Folder
from tests.conftest import ROOT, command
from tests.leadline.engine.test_sweep import TOY, history_of

pytestmark = [pytest.mark.sweep, pytest.mark.memory]

ROW = 1e9
"""Bytes that each of the toy's four rows holds: the whole batch 4 GB, its half 2 GB. The monitor
ends what is between.
"""
RAY = 0.6e9
"""Bytes of Ray's own processes and the driver."""


def test_what_the_monitor_ends_goes_on_in_halves(scratch: Path) -> None:
    """What other programs take or leave meanwhile, up to 1 GB, changes nothing; where they take
    more, a smaller half fits.
    """
    memory = psutil.virtual_memory()
    if get_system_memory() < memory.total:
        pytest.skip("this process has a memory limit of its own, which Ray's monitor looks at")
    if memory.available < 8 * ROW:
        pytest.skip("needs 8 GB of free memory")
    threshold = (memory.total - memory.available + RAY + 3 * ROW) / memory.total
    sizes = (
        "--scale",
        "smoke",
        "--trials",
        "1",
        "--concurrent",
        "1",
        "level=1",
        "lr=0.1",
        "offset=0",
        f"hold={ROW / 1e6}",
    )
    run = command(
        *(*TOY, "--storage", str(scratch), "--name", "m", *sizes),
        PYTHONPATH=str(ROOT),
        RAY_memory_usage_threshold=f"{threshold:.4f}",
        RAY_memory_monitor_refresh_ms="100",
    )
    assert run.returncode == 0, run.stdout + run.stderr
    trial = history_of(scratch, "m").trials[0]
    assert trial.status == "finished", trial.reason
    assert [report.step for report in trial.reports] == [4, 8]
    first = next(event for event in read(Folder.at(str(scratch / "m" / "ledger"))) if isinstance(event, Failed))
    assert (first.trial, first.attempt, first.cause, first.micro_batch) == (0, 1, "memory", "1/2")
    last = first.error.splitlines()[-1]
    assert last.startswith("out of memory: Ray's memory monitor ended the process, which held ")
    assert (
        f"failure: trial 0: attempt 1 failed (memory): {last}; tried again with micro-batches of 1/2 of the batch"
        in run.stdout
    )
    assert trial.reports[-1].facts["micro_batch"] in (2, 1)
    log = (scratch / "m" / "trials" / "0000" / attempt_folder(trial.attempts) / "log.txt").read_text()
    assert "resumed from attempt-01/step-000000004" in log
