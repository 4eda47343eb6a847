"""A short run beats the best predictor that learns nothing, by a margin."""

from __future__ import annotations

from leadline.training.loop import Loop
from tests.trainables.physics.conftest import one_thread
from trainables.physics.data import ORACLE
from trainables.physics.family import PHYSICS

__all__ = ["one_thread"]


def test_300_steps_beat_flight_reflected_at_the_walls() -> None:
    """The schedule ends with them."""
    config = PHYSICS.config({"steps": 300, "eval_every": 300, "episodes": 1200, "scored": 128, "each": 1})
    data = PHYSICS.build_data(config)
    (report,) = Loop(PHYSICS, config, data).run()
    assert report.metrics["validation/skill"].low > 0
    assert report.value("validation/skill") >= 0.25
    trivial = PHYSICS.baselines(config, data, "validation")
    assert max(found["skill"].value for name, found in trivial.items() if not name.startswith(ORACLE)) == 0
