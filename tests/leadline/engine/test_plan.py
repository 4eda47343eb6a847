from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from leadline.config import ConfigError
from leadline.engine import plan
from leadline.engine.director import Assignment, Director
from leadline.engine.search import Space
from leadline.ledger.events import Event
from leadline.measure import Measure, Report
from leadline.plain import plural
from leadline.storage import Folder
from leadline.task import Batch, Split
from tests.conftest import Clock
from tests.leadline.engine.test_director import BASE, Simulation
from tests.leadline.toy import Toy
from tests.leadline.toy_study import STUDY
from tests.leadline.training.guards.faulty import Faulty, FaultyConfig, FaultyTask, config


def test_expected_steps_are_those_of_successive_halving() -> None:
    # 9 trials of a single stratum, rungs 1 and 3 of 9: 9 * 1 + 3 * 2 + 1 * 6, and 2 replicates of 9.
    chosen = dataclasses.replace(BASE, strata=(1,), trials=9, confirm=1, replicates=2)
    assert plan.expected_steps(chosen) == 9 + 6 + 6 + 18


def test_a_simulated_sweep_costs_no_less_than_expected() -> None:
    """ASHA's stopping variant lets early arrivals through, never fewer than one in `reduction`."""
    history = Simulation(BASE).run().director.history
    assert sum(trial.step for trial in history.trials.values()) >= plan.expected_steps(BASE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"budget": 1}, "no rung above grace 1"),
        ({"trials": 4}, "fewer than the reduction 3"),
        ({"trials": 4, "startup": 2}, "the search is random"),
        ({"trials": 12, "strata": (1,)}, None),
    ],
)
def test_sizes_that_make_a_search_pointless_are_said(change: dict[str, Any], said: str | None) -> None:
    found = plan.warnings_of(dataclasses.replace(BASE, **change), STUDY.space)
    assert (found == []) if said is None else any(said in line for line in found)


@pytest.mark.parametrize(
    ("space", "points"),
    [
        (lambda trial, scale: {"lr": 0.1}, 1),
        (lambda trial, scale: {"lr": trial.suggest_categorical("lr", [0.1, 0.2, 0.3])}, 3),
        (lambda trial, scale: {"hold": trial.suggest_int("hold", 1, 9, step=4)}, 3),
        (lambda trial, scale: {"lr": trial.suggest_float("lr", 0.1, 0.4, step=0.1)}, 4),
        (lambda trial, scale: {name: trial.suggest_int(name, 0, 1) for name in ("hold", "offset")}, 4),
        (lambda trial, scale: {"lr": trial.suggest_float("lr", 0.1, 1), "hold": trial.suggest_int("hold", 1, 2)}, None),
        (lambda trial, scale: {"lr": trial.suggest_float("lr", 0.1, 0.8, step=0.1)}, None),
    ],
)  # fmt: skip
def test_a_space_of_fewer_configurations_than_trials_is_said(space: Space, points: int | None) -> None:
    chosen = dataclasses.replace(BASE, stratify=None, strata=(None,), trials=6)
    said = [line for line in plan.warnings_of(chosen, space) if "configuration" in line]
    assert said == (
        [] if points is None else
        [f"the search space has {plural(points, 'configuration')}, fewer than the 6 trials per stratum: "
         "a repeated one is not trained again"]
    )  # fmt: skip


def test_what_does_not_fit_here_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^cpus-per-trial: .* more than the \d+ CPUs"):
        plan.fitting(1e6, 0, 1)
    with pytest.raises(ConfigError, match=r"^gpus-per-trial: "):
        plan.fitting(1, 1e6, 1)
    assert plan.fitting(1, 0, 1) >= 1


class TimedTask(FaultyTask):
    """A step takes 1 s, an evaluation 10 s."""

    hand: Clock
    seen: list[float]

    def losses(self, model: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        self.seen.append(progress)
        return self.hand.passes(1, super().losses(model, batch, progress))

    def evaluate(self, split: Split) -> dict[str, Measure]:
        return self.hand.passes(10, super().evaluate(split))


class Timed(Faulty):
    def __init__(self, clock: Clock) -> None:
        self.clock, self.seen = clock, list[float]()

    def task(self, config: FaultyConfig, data: Any, device: torch.device) -> TimedTask:
        task = TimedTask(config, data, device)
        task.hand, task.seen = self.clock, self.seen
        return task


@pytest.mark.parametrize(
    ("steps", "every", "rate"), [(1000, 250, 1 + 10 / 250), (1000, 16, 1 + 10 / 16), (3, 250, 1 + 10 / 3), (1, 1, 11)]
)
def test_a_step_is_timed_on_the_trials_own_schedule(
    steps: int, every: int, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its part of the reports, and without the choice of a micro-batch."""
    family = Timed(Clock(monkeypatch))
    monkeypatch.setattr(
        "leadline.training.loop.fastest", lambda loop: family.clock.passes(1000 if steps > 1 else 0, 16)
    )
    chosen = config(steps=steps, eval_every=every, micro_batch="auto")
    assert plan._seconds_per_step(family, chosen, family.build_data(chosen)) == pytest.approx(rate)
    assert family.seen == [step / steps for step in range(min(35, steps))]


def _rows(trial: Any, scale: str) -> dict[str, Any]:
    return {"batch": trial.suggest_categorical("batch", [64, 384]), "layers": "4"}


def test_an_extension_must_suit_the_batches_of_all_trials_that_go_on() -> None:
    """1,536 samples are 24 batches of 64 or 4 of 384; 1,792 are 28 of 64 and 7 of the default's 256."""
    samples = dataclasses.replace(
        BASE, study="rows", family="tests.leadline.analysis.demo:DEMO", metric="hinge", stratify=None, strata=(None,),
        trials=6, budget=1536, grace=768, reduction=2, fields={"pool": 64}, unit="samples", confirm=0, concurrent=1,
    )  # fmt: skip
    events: list[Event] = []
    director = Director(samples, _rows, events.append)
    director.opened({})
    while isinstance(found := director.next(), Assignment):
        director.started(found.trial, found.attempt)
        for step in (found.config["eval_every"], found.config["steps"]):
            metrics = {"validation/hinge": Measure(1.0, 4, 0.0, 2.0)}
            director.reported(found.trial, Report(step, step * found.config["batch"], 1.0, 0.0, metrics))
    director.closed("done")
    assert {trial.config["steps"] for trial in director.history.trials.values()} == {4, 24}
    assert plan.complete(samples, _rows, events, {})
    longer = dataclasses.replace(samples, budget=4608)
    assert not plan.complete(longer, _rows, events, {})
    plan.check_fits(longer, _rows, Folder.at("."), director.history)
    going = plan._first_proposals(plan._replayed(longer, _rows, events), 1)[0]
    assert going.config["steps"] * going.config["batch"] == 4608
    with pytest.raises(
        ConfigError, match=r"^samples: 1792 is no whole number of batches of 384, which trial \d has; take a multiple$"
    ):
        plan.check_fits(dataclasses.replace(samples, budget=1792), _rows, Folder.at("."), director.history)


_CALLS = itertools.count()


def _slips(trial: Any, scale: str) -> dict[str, Any]:
    """A space that misspells a field in all proposals but the first, which the family takes."""
    return {"lr": 0.1, **({"nan-at": 1} if next(_CALLS) else {})}


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (
            lambda trial, scale: {"speed": trial.suggest_float("speed", 0, 1)},
            "speed: unknown field of toy; did you mean seed",
        ),
        (
            lambda trial, scale: {"lr": trial.suggest_float("lr", 0.1, 1), "ofset": 1},
            "ofset: unknown field of toy; did you mean offset[?]$",
        ),
        (_slips, "nan-at: unknown field of toy; did you mean nan_at[?]$"),
        (lambda trial, scale: {"lr": -1.0}, "proposes nothing that the family takes: lr: input should be greater"),
    ],
)
def test_a_space_that_no_family_takes_says_so(space: Space, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^space: {words}"):
        plan.check_fits(dataclasses.replace(BASE, concurrent=1), space, Folder.at("."))


class Keyed(Toy):
    """The toy whose data are its level, the seed of a trial, or the score's offset."""

    def __init__(self, reads: str) -> None:
        self.reads = reads

    def data_key(self, config: Any) -> str:
        return f"{config.level}"

    def build_data(self, config: Any) -> Any:
        return getattr(config, self.reads)


@pytest.mark.parametrize(("reads", "data"), [("level", [1, 2]), ("seed", "seed"), ("offset", "offset")])
def test_a_plan_builds_the_data_of_each_key_as_a_sweep_does(
    reads: str, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.leadline.toy.TOY", Keyed(reads))
    settings = dataclasses.replace(BASE)
    configs = plan.first_configurations(settings, STUDY.space)
    if reads == "level":
        assert plan._data(settings, configs) == data
        return
    with pytest.raises(ConfigError, match=rf"^data_key: toy's build_data reads {data}, which data_key leaves out: "):
        plan._data(settings, configs)
