"""ETRM keeps the family contract, on a puzzle that these tests bring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from leadline.testing import FamilyContract
from tests.trainables.recursive.permuted import PERMUTED
from tests.trainables.recursive.test_recursive_contract import LEARNS, TINY


class TestETRM(FamilyContract):
    """Streaming with exploration, a carry for each of two trajectories, and an encoder that draws."""

    family = PERMUTED
    small: ClassVar[Mapping[str, Any]] = {
        **TINY,
        "mode": "multi_perturbed_ce",
        "k": 2,
        "explore": 0.5,
        "encoder": "variational",
        "encoder_layers": 1,
        "context_tokens": 4,
    }
    bad = (
        {"puzzle_emb": 8},
        {"encoding": "fct", "rollout": "serial_act"},
        {"encoding": "cached", "rollout": "parallel_fixed"},
        {"context_tokens": 0},
        {"encoder": "recurrent"},
    )
    learns = (
        {**LEARNS, "mode": "none", "encoder": "standard", "pooling": "none"},
        "accuracy",
        "per-cell most frequent label",
    )
    bad_inputs = (27, "", "123", ["112233441", "444332211"], ["112233441 221133445", "444332211"])
    kills = 1
