"""The log's defects, planted: each is named by a guard, and a sound run is told nothing."""

from __future__ import annotations

from typing import Any

import pytest

from leadline.config import ConfigError
from leadline.finding import Finding
from leadline.training.loop import Loop
from tests.trainables.physics.conftest import SMALL
from trainables.physics.config import PhysicsConfig
from trainables.physics.family import PHYSICS
from trainables.physics.presets import DEFECTS, PRESETS, SOUND_STAGES, logged

STEPS = {"steps": 320, "eval_every": 40, "stages": SOUND_STAGES}
"""Two reports in each stage, as the guard on stages compares at most four steps for each."""

_told: dict[str, list[Finding]] = {}


def _findings(name: str, **fields: Any) -> list[Finding]:
    """What guards find in a short run with one of the defects; machine-dependent ones left out."""
    if name not in _told:
        wanted = {**SMALL, **STEPS, **DEFECTS.get(name, {}), **fields}
        if wanted.get("scene") == "log":
            del wanted["frames"]  # which that scene decides
        config = PHYSICS.config(wanted)
        reports = list(Loop(PHYSICS, config, PHYSICS.build_data(config)).run())
        found = [finding for report in reports for finding in report.findings]
        _told[name] = [one for one in found if one.failed and one.guard not in ("throughput", "memory")]
    return _told[name]


@pytest.mark.parametrize(
    ("defect", "guard", "subject", "words"),
    [
        (
            "wrong-slices",
            "physics_slices",
            "energy",
            "kinetic energy of ball 1, potential energy of ball 1, x of ball",
        ),
        ("wrong-slices", "physics_slices", "momentum", "does not read vx of ball 1, vy of ball 1, vx of ball 3"),
        ("unnormalised", "physics_balance", "data", "times that of the data term, which therefore hardly counts"),
        ("unused-randomisation", "no_op_stage", "stage 2", "Stage 2 (randomised) changed neither rows nor gradient"),
        ("unread-focus", "no_op_stage", "stage 3", "Stage 3 (extrapolation) changed neither rows nor gradient"),
    ],
    ids=["slices of energy", "slices of momentum", "units", "randomisation", "focus"],
)
def test_a_planted_defect_is_named_by_a_guard(defect: str, guard: str, subject: str, words: str) -> None:
    found = [one for one in _findings(defect) if one.guard == guard and one.subject == subject]
    assert found, _findings(defect)
    assert words in found[-1].sentence


@pytest.mark.parametrize(("name", "fields"), [("sound", {}), ("sound in pixels", {"scene": "log"})])
def test_a_sound_run_is_told_nothing_of_them(name: str, fields: dict[str, Any]) -> None:
    guards = {"physics_slices", "physics_balance", "no_op_stage", "no_op_term", "gradient_coverage"}
    assert not [one for one in _findings(name, **fields) if one.guard in guards]


def test_each_defect_is_named_by_its_own_guard_alone() -> None:
    for defect, other in (("unnormalised", "physics_slices"), ("unread-focus", "physics_balance")):
        assert not [one for one in _findings(defect) if one.guard == other]


def test_the_logs_run_has_all_defects_at_once() -> None:
    config = logged()
    assert isinstance(config, PhysicsConfig)
    for fields in DEFECTS.values():
        for name, value in fields.items():
            assert getattr(config, name) == value
    assert (config.batch, config.seen, config.horizon, config.curriculum.last_from) == (32, 10, 10, 0.75)
    assert config.steps == 4 * 50 * 6798 // 32
    assert [stage.rate for stage in config.curriculum.stages] == [1, 0.5, 0.2, 0.1]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_shrink_by_a_scale_and_refuse_a_wrong_one(name: str) -> None:
    small, whole = PRESETS[name](0.01), PRESETS[name](1.0)
    assert 0 < small.steps < whole.steps / 50
    with pytest.raises(ConfigError, match=r"^scale: must be above 0 and at most 1 \(got 1.5\)$"):
        PRESETS[name](1.5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"stages": "basic:0,physics:1"},
            "stages: basic: a stage needs a share of the budget above 0, up to 1 (got 0)",
        ),
        ({"stages": "basic:1/2,physics:1/4"}, "stages: the shares add up to 0.75, and should to 1"),
        ({"heads": 5}, "heads: 5 do not divide a width of 64"),
        ({"horizon": 31}, "horizon: 31 frames after 10 are longer than an episode, frames=40"),
        ({"balls": 5}, "balls: input should be less than or equal to 4 (got 5)"),
        ({"gravity": "12,3"}, "gravity: the lowest value 12 is above the highest, 3"),
        ({"fewest": 4}, "fewest: 4 is more than the most, balls=3"),
    ],
)
def test_a_mistake_is_one_line_that_begins_with_the_field(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PHYSICS.config(fields)
    assert str(caught.value) == message
