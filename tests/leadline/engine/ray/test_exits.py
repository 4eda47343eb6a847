"""A trial whose family leaves the process, in a sweep of this process."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from leadline.engine.ray.private import exits_by_ray
from leadline.ledger.history import History
from leadline.ledger.segments import read
from leadline.storage import Folder
from tests.leadline.engine.test_director import BASE
from tests.leadline.in_process_sweep import play
from tests.leadline.toy import Toy, ToyTask

SETTINGS = dataclasses.replace(
    BASE, family="tests.leadline.engine.ray.test_exits:LEAVING", trials=2, confirm=0, concurrent=1, max_failures=0
)


class Leaving(Toy):
    """The toy in whose second stratum the data is missing."""

    def task(self, config: Any, data: Any, device: Any) -> ToyTask:
        if config.level == 2:
            sys.exit("my data went missing")
        return super().task(config, data, device)


LEAVING = Leaving()


def test_an_exit_fails_its_trial_with_its_words_and_costs_no_other(tmp_path: Path) -> None:
    play(Folder.at(str(tmp_path)), SETTINGS)
    trials = History.of(read(Folder.at(str(tmp_path / "ledger")))).trials
    assert [trials[number].status for number in (0, 1)] == ["finished", "failed"]
    assert "sys.exit was called: my data went missing" in trials[1].reason
    [log] = (tmp_path / "trials" / "0001").rglob("log.txt")
    assert "SystemExit: my data went missing" in log.read_text()
    assert 'sys.exit("my data went missing")' in log.read_text()


def test_rays_own_exit_is_not_the_familys() -> None:
    raylet = pytest.importorskip("ray._raylet")
    with pytest.raises(SystemExit) as ended:
        raylet.raise_sys_exit_with_custom_error_message("The process receives a SIGTERM.", exit_code=1)
    assert exits_by_ray(ended.value)
    assert not exits_by_ray(SystemExit(1))
