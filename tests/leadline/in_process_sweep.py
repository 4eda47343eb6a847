"""A sweep in this process: the director, the training and the ledger as they are, and nothing of Ray's between them.

One report after the other, in a seeded order of those that train at a time: what a sweep comes to,
in a fraction of the time.
"""

from __future__ import annotations

import contextlib
import os
import platform
import random
import tempfile
from collections.abc import Mapping
from typing import Any
from unittest import mock

import psutil

from leadline.engine.director import Assignment, Director
from leadline.engine.mirror import Mirror
from leadline.engine.ray import workers
from leadline.engine.ray.placement import Placement
from leadline.engine.ray.shared_data import SharedData
from leadline.engine.search import Space
from leadline.ledger.compaction import COMPACT
from leadline.ledger.leaderboard_text import Place
from leadline.ledger.segments import Ledger
from leadline.ledger.settings import Settings
from leadline.storage import Folder
from tests.leadline.toy_study import STUDY

__all__ = ["Places", "here", "play"]


class Places:
    """So many, on nodes that nobody needs to know."""

    title, processes = "nowhere", dict[str, psutil.Process]()

    def __init__(self, slots: int) -> None:
        self.free = self.most = slots
        self.going = set[str]()

    def slots(self) -> int:
        return min(self.free, self.most)

    def workers(self) -> int:
        return self.free

    def placed_on(self) -> dict[str, str]:
        return {}

    def leaving(self) -> set[str]:
        return self.going

    def look(self) -> None:
        pass

    def news(self) -> list[str]:
        return []

    def close(self) -> None:
        pass


def here() -> Place:
    """What `workers.this_process` says of this process; that asks Ray, which would be started for it."""
    return Place("", platform.node(), os.getpid(), ())


def play(
    folder: Folder,
    settings: Settings,
    space: Space = STUDY.space,
    order: int = 0,
    limit: int = 10**6,
    manifest: Mapping[str, Any] | None = None,
    mirror: str = "",
    compact: int = COMPACT,
) -> Director:
    """Runs a driver's life in `folder`: to the end, or for so many reports, after which everything
    is left as it stands. A mirror, where there is one, is brought up to date at the end.
    """
    ledger = Ledger(folder / "ledger", compact=compact)
    director = Director(settings, space, ledger.append)
    director.replay(ledger.past)
    director.opened(dict(manifest or {}))
    ledger.commit()
    second = Mirror(ledger, director, folder, mirror, lambda text: None) if mirror else None
    shared = SharedData(director)
    shared.prepare()
    assert shared.ready()
    placement = Placement(
        director,
        ledger.stored,
        Places(settings.concurrent or 1),
        folder,
        lambda config: ("played", b""),
        lambda *_: None,
        lambda: None,
    )
    scratch = tempfile.TemporaryDirectory(prefix="leadline-played-")
    placement._scratch = scratch.name  # as a run of it sets it; other tests play at the same time
    workers._DATA.clear()
    workers._DATA["played"] = settings.model_family().build_data(settings.configure({}, settings.strata[0], 0))
    draw, live = random.Random(order), dict[int, workers.Reports]()
    without_ray = mock.patch.object(workers, "this_process", here)
    without_ray.start()
    try:
        for _ in range(limit):
            while len(live) < (settings.concurrent or 1) and isinstance(found := director.next(), Assignment):
                director.started(found.trial, found.attempt)
                ledger.commit()
                live[found.trial] = workers.one_process(placement._spec(found, 1))
            if not live:
                director.closed("done")
                break
            number = draw.choice(sorted(live))
            _report(director, number, live)
    finally:
        for reports in live.values():
            with contextlib.suppress(RuntimeError):
                reports.close()  # type: ignore[attr-defined]
        without_ray.stop()
        ledger.close()
        scratch.cleanup()
        if second:
            second.close(patience=60)
    return director


def _report(director: Director, number: int, live: dict[int, Any]) -> None:
    try:
        report, warned, _ = next(live[number])
    except Exception as error:
        director.failed(number, f"Traceback: {error!r}")
        del live[number]
        return
    director.warned(number, warned)
    if director.reported(number, report).action != "continue":
        live.pop(number).close()
