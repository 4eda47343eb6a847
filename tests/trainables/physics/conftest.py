"""Data that is small enough to be simulated in a second, and fixtures on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from trainables.physics.data import Prepared
from trainables.physics.family import PHYSICS
from trainables.physics.task import PhysicsTask

SMALL: dict[str, Any] = {
    "episodes": 48,
    "randomised": 48,
    "scored": 6,
    "each": 2,
    "frames": 30,
    "width": 8,
    "layers": 1,
    "heads": 2,
    "batch": 16,
    "steps": 40,
    "eval_every": 20,
}

LOGGED: dict[str, Any] = {"layout": "logged", "target": "raw", "world_given": False}

MakeTask = Callable[..., PhysicsTask]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def made() -> dict[str, Prepared]:
    """Data by its key, made once."""
    return {}


@pytest.fixture
def prepared(made: dict[str, Prepared]) -> Callable[..., Prepared]:
    """The data of the small configuration with some fields changed."""

    def get(**fields: Any) -> Prepared:
        config = PHYSICS.config({**SMALL, **fields})
        key = PHYSICS.data_key(config)
        if key not in made:
            made[key] = PHYSICS.build_data(config)
        return made[key]

    return get


@pytest.fixture
def make_task(prepared: Callable[..., Prepared]) -> MakeTask:
    """A fresh task of the small configuration with some fields changed."""

    def get(**fields: Any) -> PhysicsTask:
        config = PHYSICS.config({**SMALL, **fields})
        return PHYSICS.task(config, prepared(**fields), torch.device("cpu"))

    return get
