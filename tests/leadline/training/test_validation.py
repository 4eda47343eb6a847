"""Validation within a budget, on a clock made by hand: no test may depend on a real one."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from torch.multiprocessing.spawn import spawn

from leadline.checkpoint import CheckpointStore
from leadline.config import ConfigError
from leadline.curriculum import Curriculum, StageClock, Vocabulary
from leadline.ledger import leaderboard
from leadline.ledger.history import Trial
from leadline.measure import Measure, Report
from leadline.storage import Folder
from leadline.task import Split
from leadline.training import validation
from leadline.training.guards.validation_cost import ValidationCost
from leadline.training.loop import Loop
from leadline.training.step import World
from leadline.training.validation import Validation, order
from tests.leadline.engine.test_director import BASE
from tests.leadline.in_process_sweep import play
from tests.leadline.toy import TOY, Toy, ToyConfig, ToyTask
from tests.leadline.training.guards.mistakes import findings, interval

UNITS = 400
SECONDS = 40.0


class _Dear(ToyTask):
    """Scores 400 units in 40 s, a part in its share of them; the errors are what a test sets."""

    now = 0.0
    error = 1.0
    seconds = SECONDS

    def __init__(self) -> None:
        super().__init__(ToyConfig(), torch.device("cpu"))
        self.scored: list[int] = []

    def evaluate(self, split: Split) -> dict[str, Measure]:
        return self._scored(UNITS)

    def strata(self, metric: str) -> npt.NDArray[np.int64]:
        return np.arange(UNITS) // 100

    def evaluate_part(self, metric: str, units: npt.NDArray[np.int64]) -> dict[str, Measure]:
        assert sorted(set(units.tolist())) == units.tolist()
        return self._scored(len(units))

    def _scored(self, units: int) -> dict[str, Measure]:
        self.now += self.seconds * units / UNITS
        self.scored.append(units)
        values = self.error + np.where(np.arange(units) % 2, 0.1, -0.1)  # a standard error of 0.1 / sqrt(units)
        return {"error": Measure(float(values.mean()), units, math.nan, math.nan, tuple(values.tolist()))}


def _validation(task: _Dear, share: float = 0.25) -> Validation:
    return Validation(task, TOY, TOY.metric("error"), share, lambda: task.now)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.integers(1, 200))
def test_every_beginning_has_its_share_of_each_stratum(strata: list[int], count: int) -> None:
    found = order(np.array(strata))
    assert sorted(found.tolist()) == list(range(len(strata)))
    part = found[: min(count, len(strata))]
    for stratum in set(strata):
        fair = strata.count(stratum) * len(part) / len(strata)
        assert abs(sum(strata[unit] == stratum for unit in part) - fair) <= len(set(strata))


def test_all_is_scored_while_that_is_within_the_share() -> None:
    task = _Dear()
    found = [_validation(task).score(160.0 * i, 160.0, due=False) for i in range(1, 4)]
    assert task.scored == [UNITS] * 3
    assert all(list(measures) == ["validation/error"] for measures in found)


def test_a_part_is_chosen_once_where_all_is_too_dear() -> None:
    task = _Dear()
    scoring = _validation(task)
    # 100 s of training allow 25 s, half of them for the part: 125 of 400 units.
    found = [scoring.score(100.0 * i, 100.0, due=i == 3) for i in range(1, 5)]
    assert task.scored == [400, 125, 125, 125, 400, 125]
    assert [list(measures) for measures in found] == [
        ["validation/error", "part/error"],
        ["part/error"],
        ["validation/error", "part/error"],
        ["part/error"],
    ]
    assert scoring.seconds == task.now


def test_all_is_scored_where_the_part_improves_by_more_than_its_standard_error() -> None:
    task = _Dear()
    scoring = _validation(task)
    seen = []
    least = 0.1 / math.sqrt(125)  # the standard error, but for the n - 1
    for i, error in enumerate([1.0, 1.0, 1.0, 1.0 - 0.9 * least, 1.0 - 1.2 * least, 0.5, 0.5], 1):
        task.error = error
        # So much has been trained that there is always room.
        seen.append("validation/error" in scoring.score(1e6, 100.0, due=i == 2))
    assert seen == [True, True, False, False, True, True, False]


def test_a_slow_first_scoring_costs_no_more_than_a_few_parts() -> None:
    """Where everything turns out to be cheap, the part is given up."""
    task = _Dear()
    scoring = _validation(task)
    scoring.score(100.0, 100.0, due=False)
    task.seconds = 4.0  # instead of 40
    found = [scoring.score(100.0 * i, 100.0, due=i == 3) for i in range(2, 6)]
    assert ["part/error" in measures for measures in found] == [True, False, False, False]
    assert all("validation/error" in measures for measures in found[1:])


def test_an_improvement_waits_for_room_in_the_budget() -> None:
    task = _Dear()
    scoring = _validation(task)
    scoring.score(100.0, 100.0, due=False)
    task.error, seen = 0.5, []
    for i in range(2, 12):
        seen.append("validation/error" in scoring.score(100.0 * i, 100.0, due=False))
    assert seen.count(True) == 1
    assert not seen[0]
    assert scoring.seconds <= 0.25 * 1100


def test_a_part_without_a_number_is_confirmed_where_there_is_room_and_never_the_best() -> None:
    task = _Dear()
    scoring = _validation(task)
    scoring.score(100.0, 100.0, due=False)
    task.error = math.nan
    assert "validation/error" not in scoring.score(200.0, 100.0, due=False)
    assert math.isnan(scoring.score(1e6, 100.0, due=False)["validation/error"].value)
    task.error = 1.0
    assert "validation/error" not in scoring.score(1e6, 100.0, due=False)


def test_a_resumed_trial_keeps_its_part_and_its_best() -> None:
    task = _Dear()
    first = _validation(task)
    for i in range(1, 3):
        first.score(1000.0 * i, 100.0, due=True)
    second = _validation(task)
    second.load_state_dict(first.state_dict())
    assert list(second.score(1e6, 100.0, due=False)) == ["part/error"]
    assert task.scored[-1] == task.scored[1] == 125
    assert second.seconds == first.seconds + SECONDS * 125 / UNITS


def test_a_family_without_parts_is_always_scored_whole() -> None:
    class Whole(_Dear):
        def strata(self, metric: str) -> Any:
            return None

    task = Whole()
    scoring = _validation(task)
    for i in range(1, 4):
        scoring.score(1.0 * i, 1.0, due=False)
    assert task.scored == [UNITS] * 3


def test_a_part_without_the_metric_is_an_error() -> None:
    class Without(_Dear):
        def evaluate_part(self, metric: str, units: npt.NDArray[np.int64]) -> dict[str, Measure]:
            return {}

    with pytest.raises(ConfigError, match=r"^evaluate_part: returned no 'error'"):
        _validation(Without()).score(1.0, 1.0, due=False)


def _parts_of_two(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(validation, "LEAST_SECONDS", -1.0)
    patch.setattr(validation, "LEAST_UNITS", 2)


@pytest.fixture
def _parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes parts of the toy's four rows, however fast they are scored."""
    _parts_of_two(monkeypatch)


FIELDS = {"steps": 60, "eval_every": 10, "validation_share": 1e-9}


@pytest.mark.usefixtures("_parts")
def test_a_trial_scores_all_at_first_at_rungs_and_at_the_end(tmp_path: Path) -> None:
    config, told = TOY.config(FIELDS), list[str]()
    store = CheckpointStore(Folder.at(str(tmp_path)))
    reports = list(Loop(TOY, config, None, store=store, rungs=(10, 30), log=told.append).run())
    assert [report.whole for report in reports] == [True, False, True, False, False, True]
    assert all(report.metrics["part/error"].n == 2 for report in reports)
    said = [line for line in told if line.startswith("step ")]
    assert ["(a part: 2 rows)" in line for line in said] == [not report.whole for report in reports]


@pytest.mark.usefixtures("_parts")
def test_a_trial_that_is_resumed_reports_the_same(tmp_path: Path) -> None:
    config = TOY.config(FIELDS)
    whole = list(Loop(TOY, config, None).run())
    folder = Folder.at(str(tmp_path))
    begun = Loop(TOY, config, None, store=CheckpointStore(folder)).run()
    for _ in range(4):
        next(begun)
    again = list(Loop(TOY, config, None, store=CheckpointStore(folder, 2)).run())
    assert [report.to_dict()["metrics"] for report in again] == [report.to_dict()["metrics"] for report in whole]


@pytest.mark.usefixtures("_parts")
def test_a_sweep_judges_by_whole_scores_alone(tmp_path: Path) -> None:
    settings = dataclasses.replace(BASE, overrides={"validation_share": 1e-9})
    director = play(Folder.at(str(tmp_path)), settings)
    trials = list(director.history.trials.values())
    assert any(not report.whole for trial in trials for report in trial.reports)
    for trial in trials:
        assert trial.status in ("finished", "stopped")
        assert trial.reports[-1].whole
        assert {report.step for report in trial.reports if report.whole} >= {
            step for step in (1, 3, 9) if step <= trial.step
        }
    name = leaderboard.objective(director.history)
    best = leaderboard.ranked(director.history, "1")[0]
    assert best.value(name) == best.reports[-1].value(name)


RULED = Curriculum.of(("a:2/3:until=error<=0.1", "b:1/3"), Vocabulary(metrics=("error",)))
"""The first stage ends by its rule well before its share of the budget."""


class _RuledTask(ToyTask):
    def __init__(self, config: ToyConfig, device: torch.device) -> None:
        super().__init__(config, device)
        self.clock = StageClock(RULED, config.steps)
        self.scored = 0

    def _errors(self, units: npt.NDArray[np.int64]) -> dict[str, Measure]:
        self.scored += 1
        return super()._errors(units)


class _Ruled(Toy):
    def task(self, config: ToyConfig, data: Any, device: torch.device) -> ToyTask:
        return _RuledTask(config, device)


def _lives(folder: Path, world: World) -> tuple[list[Report], Loop]:
    """The reports of a trial that is abandoned after its first one and goes on."""
    config, store = TOY.config({**FIELDS, "steps": 12, "eval_every": 2}), Folder.at(str(folder))
    begun = Loop(_Ruled(), config, None, store=CheckpointStore(store), world=world, rungs=(10,)).run()
    next(begun)
    again = Loop(_Ruled(), config, None, store=CheckpointStore(store, 2), world=world, rungs=(10,))
    return list(again.run()), again


def _as_worker(rank: int, folder: str) -> None:
    """Runs in one of two processes that have met in a file."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    with pytest.MonkeyPatch.context() as patch:
        _parts_of_two(patch)
        reports, loop = _lives(Path(folder, "two"), World(rank, 2))
    dist.destroy_process_group()
    assert isinstance(loop.task, _RuledTask)
    found = {"scored": loop.task.scored, "reports": [report.to_dict() for report in reports]}
    Path(folder, f"worker-{rank}.json").write_text(json.dumps(found))


@pytest.mark.usefixtures("_parts")
def test_two_workers_score_the_parts_that_one_does_and_go_through_the_same_stages(tmp_path: Path) -> None:
    """A rule goes by all of validation, which the first worker alone scores: the other hears of it."""
    alone, loop = _lives(tmp_path / "one", World())
    spawn(_as_worker, args=(str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call]
    told = [json.loads((tmp_path / f"worker-{rank}.json").read_text()) for rank in (0, 1)]
    first, second = ([Report.from_dict(report) for report in one["reports"]] for one in told)
    assert isinstance(loop.task, _RuledTask)
    assert [one["scored"] for one in told] == [loop.task.scored, 0]
    stages = [[(report.step, report.facts["stage"]) for report in reports] for reports in (alone, first, second)]
    assert stages[0] == stages[1] == stages[2]
    assert [stage for _, stage in stages[0]] == [0, 0, 1, 1, 1, 1], "the rule ended the stage, not its share"
    assert [report.whole for report in alone] == [True, True, False, False, True, True]
    for mine, other in zip(first, alone, strict=True):
        assert list(mine.metrics) == list(other.metrics)
        for name, measure in other.metrics.items():
            assert mine.metrics[name].n == measure.n
            assert mine.value(name) == pytest.approx(measure.value, abs=1e-5)


@pytest.mark.usefixtures("_parts")
@pytest.mark.parametrize("budget", [9, 6], ids=["a rung of the longer budget", "no rung"])
def test_trials_that_go_on_under_a_longer_budget_keep_their_part_and_are_judged_by_whole_scores(
    budget: int, tmp_path: Path
) -> None:
    folder = Folder.at(str(tmp_path))
    settings = dataclasses.replace(
        BASE, overrides={"validation_share": 1e-9}, budget=budget, trials=3, strata=(1,), confirm=0
    )
    cut = play(folder, settings, limit=6)  # so that trials wait at a part, too
    waiting = [trial for trial in cut.history.trials.values() if trial.open and trial.reports]
    assert any(not trial.reports[-1].whole for trial in waiting)
    play(folder, settings)
    director = play(folder, dataclasses.replace(settings, budget=27))
    extended = [trial for trial in director.history.search_trials() if trial.extended]
    assert extended
    for trial in director.history.search_trials():
        due = {step for step in (1, 3, 9, *trial.extended, 27) if step <= trial.step}
        whole = {report.step: report.value("validation/error") for report in trial.reports if report.whole}
        assert whole.keys() == due, "and no more: nothing has room"
        judged = director.asha[trial.stratum].judged(trial.number)
        assert judged == {rung: whole[rung] for rung in judged}
        assert {report.metrics["part/error"].n for report in trial.reports} == {2}
        assert trial.value("validation/error") == trial.reports[-1].value("validation/error")


def test_a_trial_cut_between_rungs_is_placed_by_its_last_whole_score() -> None:
    whole, part = {"validation/error": Measure.exact(0.5)}, {"part/error": Measure.exact(0.1)}
    trial = Trial(0, "1", "search", None, {}, {}, reports=[Report(1, 1, 1.0, 0.0, whole), Report(2, 2, 2.0, 0.0, part)])
    assert trial.value("validation/error") == 0.5
    assert trial.scored is trial.reports[0]


def test_scoring_that_costs_more_than_training_is_named() -> None:
    spent = [(10.0, 4.0), (10.0, 12.0), (10.0, 30.0), (100.0, 1.0)]
    found = findings(
        ValidationCost(),
        [
            interval(100 * i, 1.0, steps=100, seconds=seconds, scoring=scoring)
            for i, (seconds, scoring) in enumerate(spent, 1)
        ],
    )
    assert [finding.failed for finding in found] == [True, False]
    assert found[0].number == pytest.approx(46 / 30)
    assert found[0].sentence == (
        "scoring validation took 46 s by step 300, training 30 s: report less often, or score fewer rows"
    )


def test_scoring_of_a_few_seconds_is_no_fault() -> None:
    assert not findings(ValidationCost(), [interval(100, 1.0, steps=100, seconds=0.1, scoring=4.0)])
