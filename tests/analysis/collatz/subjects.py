"""Networks with known weights, and a sweep of one trial with a real ledger and a real checkpoint."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from analysis.collatz.subject import Subject
from leadline.config import make
from leadline.training.loop import Loop
from tests.analysis.trained_sweep import trained_sweep
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
    return trained_sweep(
        folder,
        COLLATZ,
        [chosen],
        data(),
        study="lookahead",
        stratify="lookahead",
        stratum=chosen.lookahead,
        called=family,
    )
