"""The log's defects, planted: each is named by a guard, and a sound run is told nothing."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from leadline.config import ConfigError
from leadline.finding import Finding
from leadline.task import Task
from leadline.training.loop import Loop
from tests.leadline.training.guards.mistakes import findings, interval
from tests.trainables.physics.conftest import SMALL, MakeTask
from trainables.physics.config import PhysicsConfig
from trainables.physics.data import Prepared
from trainables.physics.family import PHYSICS
from trainables.physics.guards import Swamped
from trainables.physics.presets import DEFECTS, LOGGED_STAGES, PRESETS, SOUND_STAGES, logged

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
    assert (config.lr, config.schedule, config.warmup, config.weight_decay, config.clip) == (1e-3, "constant", 0, 0, 0)
    assert (config.width, config.layers, config.heads, config.expansion, config.dropout) == (256, 6, 8, 4, 0.1)
    assert [stage.rate for stage in config.curriculum.stages] == [1, 0.5, 0.2, 0.1]


def test_the_logs_stages() -> None:
    """Physics terms from the second on, whose weights ramp; then +-30 % on worlds; then worlds near the edge."""
    config = logged()
    assert config.stages == LOGGED_STAGES
    told = [(float(stage.share), stage.ramp, dict(stage.numbers)) for stage in config.curriculum.stages]
    terms = {"energy": 1.0, "momentum": 0.5}
    assert told == [
        (0.25, 0.0, {"energy": 0.0, "momentum": 0.0, "randomise": 0.0, "edge": 0.0}),
        (0.25, 1.0, {**terms, "randomise": 0.0, "edge": 0.0}),
        (0.25, 0.0, {**terms, "randomise": 1.0, "edge": 0.0}),
        (0.25, 0.0, {**terms, "randomise": 0.0, "edge": 1.0}),
    ]
    assert config.width_of_randomisation == PHYSICS.config({}).width_of_randomisation == 0.3


def test_the_rate_of_each_stage_of_the_log(make_task: MakeTask) -> None:
    """The second stage's ramp is also that of its rate; the log's falls at once."""
    task = make_task(stages=LOGGED_STAGES, schedule="constant", warmup=0.0, lr=1e-3)
    found = {step: task._rate(step) for step in (0, 9, 10, 15, 20, 29, 30, 39)}
    assert found == pytest.approx({0: 1, 9: 1, 10: 1, 15: 0.75, 20: 0.2, 29: 0.2, 30: 0.1, 39: 0.1})
    assert task.optimizers[0].param_groups[0]["lr"] == 1e-3


def test_a_rate_warms_up_and_falls(make_task: MakeTask) -> None:
    task = make_task(schedule="cosine", warmup=0.25)
    assert [task._rate(step) for step in (0, 20, 40)] == pytest.approx([1 / 10, 0.5, 0])


@pytest.mark.parametrize(("clip", "expected"), [(1.0, (0.6, -0.8)), (10.0, (3.0, -4.0)), (0.0, (3.0, -4.0))])
def test_the_norm_of_the_gradient_is_bounded_at_the_step(
    make_task: MakeTask, clip: float, expected: tuple[float, float]
) -> None:
    task = make_task(clip=clip)
    parameters = list(task.model.parameters())
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    some = parameters[0].grad
    assert some is not None
    some.view(-1)[:2] = torch.tensor([3.0, -4.0])
    task.optimizers[0].step()
    assert some.view(-1)[:2].tolist() == pytest.approx(expected, rel=1e-5)


def test_adam_goes_on_from_stage_to_stage(prepared: Callable[..., Prepared]) -> None:
    """One optimizer through all stages: its count and moments after a stage's end follow from those before."""
    loop = Loop(PHYSICS, PHYSICS.config({**SMALL, "stages": SOUND_STAGES}), prepared())
    (optimizer,) = loop.task.optimizers
    gradients = list[dict[torch.Tensor, torch.Tensor]]()
    optimizer.register_step_pre_hook(
        lambda *_: gradients.append({p: p.grad.clone() for p in loop.task.model.parameters() if p.grad is not None})
    )
    list(loop.run(stop=9))
    moments = {p: (state["exp_avg"].clone(), state["exp_avg_sq"].clone()) for p, state in optimizer.state.items()}
    list(loop.run(stop=11))
    assert loop.task.clock is not None
    assert [loop.task.clock.at(step).index for step in (9, 10)] == [0, 1]
    assert {float(state["step"]) for state in optimizer.state.values()} == {11}
    for parameter, (first, second) in moments.items():
        for gradient in (found[parameter] for found in gradients[9:]):
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient.square()
        torch.testing.assert_close(optimizer.state[parameter]["exp_avg"], first)
        torch.testing.assert_close(optimizer.state[parameter]["exp_avg_sq"], second)


@pytest.mark.parametrize(("data", "physics", "swamped"), [(9.6, 1389.0, True), (1.0, 22.0, False)])
def test_the_logs_losses_swamp_and_those_of_sound_runs_do_not(data: float, physics: float, swamped: bool) -> None:
    """By gradients in the ratio of the log's last losses, 145, and in the largest ratio of sound runs, 22."""
    model = torch.nn.Linear(1, 1, bias=False)
    guard = Swamped()
    guard.started(cast(Task, SimpleNamespace(model=model)))
    weight = model.weight.sum()
    guard.before_backward(0, {}, {"data": data * weight, "energy": physics * weight})
    found = findings(guard, [interval(10, 1.0)])
    assert [one.failed for one in found] == [True] * swamped
    if swamped:
        assert found[0].number == pytest.approx(1389 / 9.6)
        assert "is 145 times that of the data term" in found[0].sentence


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
