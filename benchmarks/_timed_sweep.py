"""The sweep that `benchmarks.durability` looks into, over the family that keeps times.

    LEADLINE_TIMES=FOLDER python -m benchmarks._timed_sweep --storage FOLDER

It is the lookahead study and has the laptop's size. The driver keeps times too, in
`placement.jsonl` of that folder: `start`, for how long a start was held back until the ledger had
it, and `end`, for how long a trial that was to end kept its place until the ledger had that. Both
end when Tune's event loop comes to look.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._common import TIMES
from leadline import main
from leadline.engine.director import Director
from leadline.engine.ray import environment
from sweeps.lookahead import STUDY as LOOKAHEAD

if TYPE_CHECKING:
    from leadline.engine.ray.placement import Placement

STUDY = dataclasses.replace(LOOKAHEAD, name="timed", family="benchmarks.timed_family:TIMED")


def _held(word: str, since: float) -> None:
    """Writes down the seconds since a moment under a word."""
    with (Path(os.environ[TIMES]) / "placement.jsonl").open("a") as lines:
        lines.write(json.dumps({word: time.perf_counter() - since}) + "\n")


def _timed(placement: type[Placement]) -> None:
    """Times starts and ends, by wrapping the methods that make them."""
    since: dict[str, float] = {}
    suggest = placement.suggest
    reported = placement.reported
    ends = placement.recorded_ends
    started = Director.started

    def begun(director: Director, trial: int, attempt: int) -> None:
        since["start"] = time.perf_counter()
        started(director, trial, attempt)

    def suggested(self: Placement, trial_id: str) -> Any:
        found = suggest(self, trial_id)
        if isinstance(found, dict):
            _held("start", since.pop("start"))
        return found

    def judged(self: Placement, trial: Any, payload: str) -> bool:
        goes_on = reported(self, trial, payload)
        if not goes_on:
            since[trial.trial_id] = time.perf_counter()
        return goes_on

    def ended(self: Placement) -> list[Any]:
        found = ends(self)
        for trial in found:
            _held("end", since.pop(trial.trial_id))
        return found

    timed = ((Director, "started", begun), (placement, "suggest", suggested), (placement, "reported", judged))
    for owner, name, action in (*timed, (placement, "recorded_ends", ended)):
        setattr(owner, name, action)


def _time_placement() -> None:
    """Times the placement from the moment at which its module may be imported.

    That is once the environment stands that Ray reads when it is imported, and before the placement
    is made.
    """
    prepare = environment.prepare

    def prepared(cluster: bool = False) -> None:
        prepare(cluster)
        from leadline.engine.ray.placement import Placement

        _timed(Placement)

    environment.prepare = prepared


if __name__ == "__main__":
    _time_placement()
    main(STUDY, __doc__ or "")
