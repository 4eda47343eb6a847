"""The physics family keeps the contract, in both layouts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from leadline.testing import FamilyContract
from trainables.physics.family import PHYSICS

TINY: Mapping[str, Any] = {
    "episodes": 12,
    "scored": 4,
    "each": 1,
    "frames": 20,
    "seen": 3,
    "horizon": 3,
    "stride": 10,
    "balls": 2,
    "fewest": 1,
    "substeps": 1,
    "width": 8,
    "layers": 1,
    "heads": 2,
    "batch": 8,
    "steps": 35,
    "eval_every": 10,
}
"""35 is no multiple of 10: the last report comes early."""

EXAMPLE = PHYSICS.example(PHYSICS.config(TINY))


def _without(**changes: Any) -> dict[str, Any]:
    return {**EXAMPLE, **changes}


class TestPhysics(FamilyContract):
    """The small transformer through the stages of the log, balanced by ReLoBRaLo, which carries state."""

    family = PHYSICS
    small: ClassVar[Mapping[str, Any]] = {
        **TINY,
        "randomised": 12,
        "stages": "basic:1/4,physics:1/4:energy=0.5:momentum=0.5:ramp=0.5:rate=0.5,"
        "randomised:1/4:energy=0.5:randomise=0.5,extrapolation:1/4:energy=0.5:randomise=0.5:edge=0.25",
        "balance": "relobralo",
        "dropout": 0.1,
    }
    bad = (
        {"heads": 3},
        {"horizon": 18},
        {"balls": 4, "fewest": 5},
        {"fewest": 3},
        {"gravity": "12,3"},
        {"damping": "0.5,1.5"},
        {"elasticity": "0.5"},
        {"stages": "basic:1/2"},
        {"stages": "basic:0,physics:1"},
        {"stages": "basic:1:randomise=0.6:edge=0.6"},
        {"randomised": 0},
        {"stages": "basic:1:contacts=all+walls"},
        {"stages": "basic:1:energi=1"},
        {"layout": "logged"},
        {"units": "raw"},
        {"slices": "log"},
        {"lr": math.nan},
        {"seen": 1},
    )
    bad_inputs = (
        None,
        27,
        {},
        _without(frames=[]),
        _without(frames=[[[math.nan] * 4] * 2] * 3),
        _without(masses=[1.0] * 3),
        _without(masses=[1.0, -1.0]),
        _without(masses="heavy"),
        _without(radii=[0.1]),
        _without(world={"gravitation": 9.81}),
        _without(world={"gravity": "strong"}),
        _without(world=9.81),
    )
    learns = (
        {"stages": "joint:1", "dropout": 0, "episodes": 300, "scored": 32, "width": 32, "batch": 64, "steps": 200}
        | {"eval_every": 200},
        "skill",
        "ballistic",
    )
    kills = 1
    test_what_was_published_is_reported_after_a_kill = None  # type: ignore[assignment]  # once is enough: that of the last family


class TestPhysicsOfTheLog(FamilyContract):
    """The log's transformer in small, with every defect of its training."""

    family = PHYSICS
    small: ClassVar[Mapping[str, Any]] = {
        **{name: value for name, value in TINY.items() if name not in ("frames", "stride")},
        "balls": 3,
        "fewest": 3,
        "scene": "log",
        "layout": "logged",
        "target": "raw",
        "world_given": False,
        "units": "raw",
        "balance": "none",
        "slices": "log",
        "randomisation": "unused",
        "focus": "unread",
        "schedule": "constant",
        "stages": "basic:1/2,physics:1/2:energy=1:momentum=0.5:randomise=1",
    }
    bad = (
        {"horizon": 4},
        {"target": "reflected"},
        {"world_given": True},
        {"layout": "logged", "balls": 2, "fewest": 2},
        {"dt": 0.03},
        {"frames": 41},
        {"stride": 4},
    )
    learns = (
        {
            "scene": "box",
            "units": "normalised",
            "balance": "start",
            "slices": "velocities",
            "schedule": "cosine",
            "episodes": 200,
            "scored": 16,
            "width": 32,
            "batch": 64,
            "lr": 0.01,
            "steps": 200,
            "eval_every": 200,
        },
        "skill",
        "mean",
    )
    kills = 1
    test_what_was_published_is_reported_after_a_kill = None  # type: ignore[assignment]
