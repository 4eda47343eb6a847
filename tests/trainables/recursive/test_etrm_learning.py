"""Real learning: a small ETRM learns rules from demonstrations, and a cache starves its encoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from leadline.training.loop import Loop
from trainables.recursive.family import ETRM_FAMILY

STEPS = 150
RULES: dict[str, Any] = {
    "task": "rules",
    "size": 5,
    "train_rules": 3,
    "train_boards": 3000,
    "validation_boards": 120,
    "test_boards": 24,
    "demonstrations": 2,
    "paired": True,
    "encoder_layers": 1,
    "context_tokens": 8,
    "loss": "softmax",
    "hidden": 32,
    "heads": 2,
    "round_to": 32,
    "h_cycles": 1,
    "l_cycles": 1,
    "halt_max_steps": 1,
    "explore": 0,
    "batch": 32,
    "lr": 6e-3,
    "schedule": "cosine",
    "lr_min": 0.0,
    "steps": STEPS,
    "eval_every": STEPS,
}


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_learns_rules_from_demonstrations() -> None:
    """Three rules, 150 steps of 32 boards: 0.41 of 120 new instances, 0.17 with another's demonstrations.

    What learns nothing has none right.
    """
    config = ETRM_FAMILY.config(RULES)
    data = ETRM_FAMILY.build_data(config)
    (report,) = Loop(ETRM_FAMILY, config, data).run()
    found = {name: report.metrics[f"validation/{name}"] for name in ("exact", "exact_exchanged")}
    trivial = ETRM_FAMILY.baselines(config, data, "validation")
    best = max(scores["exact"].value for name, scores in trivial.items() if not name.startswith("oracle"))
    assert found["exact"].n == 120
    assert found["exact"].value >= best + 0.2
    assert found["exact"].value >= found["exact_exchanged"].value + 0.1, "the demonstrations are used"
    assert report.facts["encoder/coverage"] == 1.0


@pytest.mark.parametrize("limit", [2, 4])
def test_a_cache_covers_one_row_in_as_many_as_there_are_segments(limit: int) -> None:
    """Q halts nothing in the first steps, so that every board is given them all."""
    config = ETRM_FAMILY.config({**RULES, "encoding": "cached", "halt_max_steps": limit, "steps": 8, "eval_every": 8})
    (report,) = Loop(ETRM_FAMILY, config, ETRM_FAMILY.build_data(config)).run()
    assert report.facts["train/steps"] == limit
    assert report.facts["encoder/coverage"] == pytest.approx(1 / limit)
