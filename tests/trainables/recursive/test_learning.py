"""Real learning: a small TRM solves sudokus of which it has seen no image."""

from __future__ import annotations

import torch

from leadline.training.loop import Loop
from trainables.recursive.family import TRM_FAMILY
from trainables.recursive.model import RecursiveNet, puzzle_parameters

BAR = 0.3
STEPS = 500


def test_solves_sudokus_it_has_not_seen() -> None:
    """Side 4, 67,458 parameters, 500 steps of 64 boards: 0.46 of 512 held-out boards, of which no
    image was trained on.

    Copying the clues solves none of them, nor does filling in each cell's most frequent digit. 1,000
    steps reach 0.97, in twice the time.
    """
    config = TRM_FAMILY.config({"steps": STEPS, "eval_every": STEPS // 2})
    data = TRM_FAMILY.build_data(config)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        loop = Loop(TRM_FAMILY, config, data)
        middle, last = loop.run()
    finally:
        torch.set_num_threads(threads)
    assert isinstance(loop.task.model, RecursiveNet)
    assert sum(tensor.numel() for tensor in puzzle_parameters(loop.task.model)[1]) == 67_458
    trivial = TRM_FAMILY.baselines(config, data, "validation")
    assert max(trivial[name]["exact"].value for name in ("copy the clues", "per-cell most frequent digit")) < 0.05
    assert last.metrics["validation/exact"].n == 512
    assert last.metrics["validation/exact"].value >= BAR
    assert last.metrics["validation/exact"].value > middle.metrics["validation/exact"].value
    assert last.metrics["validation/success_1e-03"].value >= BAR - 0.1, "nor does a little noise at the start hurt"
    assert last.facts["train/steps"] < 3.9, "boards halt before the limit"
