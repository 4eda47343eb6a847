"""HRM and TRM keep the family contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from leadline.testing import FamilyContract
from trainables.recursive.family import HRM_FAMILY, TRM_FAMILY

TINY = {
    "train_boards": 48,
    "validation_boards": 24,
    "test_boards": 16,
    "hidden": 16,
    "heads": 2,
    "round_to": 16,
    "l_cycles": 1,
    "halt_max_steps": 3,
    "batch": 8,
    "steps": 11,
    "eval_every": 4,
}
"""11 is no multiple of 4: the last report comes early. Scoring the dynamics takes most of the time."""
LEARNS = {
    **TINY,
    "l_cycles": 2,
    "train_boards": 1000,
    "validation_boards": 128,
    "hidden": 32,
    "batch": 32,
    "lr": 3e-3,
    "ema": 0.9,
    "steps": 150,
    "eval_every": 75,
    "halt_max_steps": 2,
}
BAD: tuple[Mapping[str, Any], ...] = (
    {"sigma_min": 1e-3, "sigma_max": 1e-3},
    {"sigma_max": -1e-3},
    {"k": 1, "mode": "multi_perturbed_ce"},
    {"size": 5},
    {"size": 7},
    {"task": "maze", "size": 8},
    {"heads": 3},
    {"batch": 49},
    {"clues": 16},
    {"mode": "perturbed"},
    {"noise": "grid", "sigmas": ()},
)


class TestTRM(FamilyContract):
    """Streaming, one carry for each of three perturbed trajectories, with exploration and a puzzle embedding."""

    family = TRM_FAMILY
    small: ClassVar[Mapping[str, Any]] = {
        **TINY,
        "mode": "multi_perturbed_ce",
        "k": 3,
        "explore": 0.5,
        "puzzle_emb": 8,
        "p_clean": 0.2,
    }
    bad = (
        *BAD,
        {"mlp_t": True, "positions": "rope"},
        {"puzzle_tokens": 2, "puzzle_emb": 0},
        {"puzzle_tokens": 1, "puzzle_emb": 17},
    )
    learns = ({**LEARNS, "mode": "none", "k": 4, "puzzle_emb": 0}, "accuracy", "per-cell most frequent digit")
    bad_inputs = (27, "", "123", ["1..1", "....", "....", "...."], [[1, 2, 3, 5], [0] * 4, [0] * 4, [0] * 4])
    kills = 2


class TestTRMMixer(FamilyContract):
    """All trajectories at once, each until it halts; AdamW and a cosine."""

    family = TRM_FAMILY
    small: ClassVar[Mapping[str, Any]] = {
        **TINY,
        "mode": "single_perturbed_ce",
        "rollout": "act_mask",
        "mlp_t": True,
        "positions": "none",
        "optimizer": "adamw",
        "schedule": "cosine",
        "ema": 0.0,
        "noise": "grid",
        "micro_batch": 4,
    }
    bad = ({"positions": "rope"},)
    learns = (
        {**LEARNS, "mode": "none", "micro_batch": 0},
        "accuracy",
        "copy the clues",
    )
    kills = 1
    test_what_was_published_is_reported_after_a_kill = None  # type: ignore[assignment]  # once is enough


class TestHRM(FamilyContract):
    """A rollout of fixed length, and the value of going on learned."""

    family = HRM_FAMILY
    small: ClassVar[Mapping[str, Any]] = {
        **TINY,
        "mode": "multi_perturbed_ce",
        "rollout": "parallel_fixed",
        "l_cycles": 2,
        "k": 2,
        "location": "z_L",
    }
    bad = ({"h_layers": 0}, {"mlp_t": True})
    learns = ({**LEARNS, "mode": "none", "rollout": "serial_act"}, "accuracy", "per-cell most frequent digit")
    kills = 1
    test_what_was_published_is_reported_after_a_kill = None  # type: ignore[assignment]
