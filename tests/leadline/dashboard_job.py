"""A sweep on the live leaderboard: a real director in a real Ray job, with reports that are made up. Run by tests.

    python -m tests.leadline.dashboard_job NAME FOLDER

It plays up to its middle, makes FOLDER/NAME.standing, and goes on once FOLDER/NAME.go is there.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path

from leadline.engine.director import Assignment, Director
from leadline.finding import Finding
from leadline.ledger.events import Event
from leadline.ledger.leaderboard_text import Place
from leadline.ledger.settings import Settings
from leadline.measure import Measure, Report
from tests.leadline.toy_study import STUDY

__all__ = ["AT_A_TIME", "MIDDLE", "SETTINGS", "STORAGE", "Played"]

AT_A_TIME = 4
SETTINGS = Settings(
    study="toy", family="tests.leadline.toy:TOY", metric="error", mode="min", sampler="tpe", scale="laptop", stratify="level", strata=(1, 2),  # noqa: E501
    trials=12, budget=9, grace=1, reduction=3, startup=2, seed=5, confirm=1, replicates=2, fields={}, overrides={}, concurrent=AT_A_TIME,  # noqa: E501
)  # fmt: skip
MIDDLE = 45
"""Events."""
STORAGE = "s3://bucket/sweeps/watched"
_DIVERGES = 2


def _report(assignment: Assignment, step: int) -> Report:
    """Scores depend on the configuration alone; one trial diverges at its first step, and each
    trial tells of GPU memory.
    """
    config, number = assignment.config, assignment.trial
    value = math.nan if number == _DIVERGES else config["offset"] + 1 / (step + 10 * config["lr"])
    metrics = {"validation/error": Measure(value, 4, value - 0.1, value + 0.1)}
    if assignment.test and step == config["steps"]:
        metrics["test/error"] = Measure(
            value + 0.01, 4, value - 0.1, value + 0.1, tuple(value + unit / 100 for unit in range(4))
        )
    found = (Finding("plateau", True, 1.0, "the loss has not moved", "body"),) if number % 3 == 0 else ()
    return Report(step, 8 * step, 2.0 * step, 0.0, metrics, {"gpu_memory": 1e9 + number}, findings=found)


class Played:
    """Places what the director assigns, and reports for one trial after the other, in turn."""

    def __init__(self, events: list[Event] | None = None) -> None:
        self.events: list[Event] = [] if events is None else events
        self.director = Director(SETTINGS, STUDY.space, self.events.append)
        self.director.opened({})
        for stratum in ("1", "2"):
            self.director.baseline(stratum, "zero", {"validation/error": Measure.exact(0.9, 4).to_dict()})
        self._live: dict[int, tuple[Assignment, int]] = {}

    def run(self, events: int = 10**9) -> None:
        """Up to so many events, or to the end, at which it is closed."""
        while len(self.events) < events:
            while len(self._live) < AT_A_TIME and isinstance(found := self.director.next(), Assignment):
                self.director.started(found.trial, found.attempt)
                self._live[found.trial] = found, found.known
            if not self._live:
                self.director.closed("done")
                return
            number = next(iter(self._live))
            assignment, step = self._live.pop(number)
            if self.director.reported(number, _report(assignment, step + 1)).action == "continue":
                self._live[number] = assignment, step + 1


def main(name: str, folder: Path) -> None:
    """Plays it as a driver on a cluster would."""
    from leadline.engine.ray.gauges import export_often

    export_often()
    import ray

    from leadline.engine.ray.live_leaderboard import LiveLeaderboard

    ray.init(address="auto", log_to_driver=False)
    played, node = Played(), ray.get_runtime_context().get_node_id()
    places = {number: [Place(node, "the-head", os.getpid(), ("0",))] for number in range(SETTINGS.trials)}
    shown = LiveLeaderboard(played.director, name, STORAGE, print, lambda: places)
    print(*shown.links(), sep="\n", flush=True)
    played.run(MIDDLE)
    (folder / f"{name}.events").write_text(json.dumps([event.to_dict() for event in played.events]))
    (folder / f"{name}.standing").touch()
    while not (folder / f"{name}.go").exists():
        shown.tick()
        time.sleep(0.05)
    played.run()
    shown.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
