"""Networks with known weights, and a sweep of one trial with a real ledger and a real checkpoint."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from analysis.collatz.subject import Subject
from leadline.checkpoint import CheckpointStore
from leadline.config import make, to_dict
from leadline.ledger.events import Action, Closed, Opened, Proposed, Reported, Started
from leadline.ledger.segments import Ledger
from leadline.ledger.settings import Settings
from leadline.storage import Folder
from leadline.training.loop import Loop
from trainables.collatz.config import CollatzConfig
from trainables.collatz.data import CollatzData
from trainables.collatz.family import COLLATZ

SMALL: dict[str, Any] = {"pool": 512, "lookahead": 20, "layers": (8,), "batch": 64, "steps": 40, "eval_every": 40}


def config(**values: Any) -> CollatzConfig:
    return make(CollatzConfig, {**SMALL, **values})


@cache
def data() -> CollatzData:
    """What every configuration here trains on and is scored on."""
    torch.set_num_threads(1)
    return COLLATZ.build_data(config())


def untrained(**values: Any) -> Subject:
    chosen = config(**values)
    return Subject("probe", chosen, data(), COLLATZ.model(chosen).eval())


def formula_network(**values: Any) -> Subject:
    """V = softplus of the zero-parameter formula, + 1e-6: the skip path alone, as it starts."""
    return untrained(layers=(), skip=True, **values)


def trained(chosen: CollatzConfig) -> Loop:
    loop = Loop(COLLATZ, chosen, data())
    for _ in loop.run():
        pass
    loop.task.model.eval()
    return loop


def sweep_of_one(folder: Path, family: str = "collatz", **values: Any) -> Path:
    """A finished sweep whose trial 0 was trained by the ordinary loop."""
    chosen = config(**values)
    place = Folder.at(str(folder))
    plain = to_dict(chosen)
    settings = Settings(
        study="lookahead",
        family=family,
        metric="hinge",
        mode="min",
        sampler="random",
        scale="smoke",
        stratify="lookahead",
        strata=(chosen.lookahead,),
        trials=1,
        budget=chosen.steps,
        grace=chosen.eval_every,
        reduction=2,
        startup=1,
        seed=0,
        confirm=0,
        replicates=1,
        fields={},
        overrides={},
    )
    stratum = str(chosen.lookahead)
    ledger = Ledger(place / "ledger")
    ledger.append(Opened(time=0.0, settings=settings, manifest={}))
    ledger.append(Proposed(time=0.0, trial=0, stratum=stratum, kind="search", of=None, params={}, config=plain))
    ledger.append(Started(time=0.0, trial=0, attempt=1))
    for report in Loop(COLLATZ, chosen, data(), store=CheckpointStore(place / "trials" / "0000")).run():
        action: Action = "finish" if report.step == chosen.steps else "continue"
        ledger.append(Reported(time=1.0, trial=0, report=report, action=action, reason=""))
    ledger.append(Closed(time=1.0, how="done"))
    ledger.close()
    return folder
