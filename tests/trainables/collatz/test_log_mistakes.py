"""The mistakes of the logs that the project was made from, planted and caught: those that show
between reports or in the data.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from leadline.engine.director import Assignment, Director
from leadline.engine.ray.shared_data import SharedData
from leadline.family import Family
from leadline.ledger.history import History, Trial
from leadline.ledger.leaderboard import marks
from leadline.ledger.settings import Settings
from leadline.training.guards.learning_rate import LearningRate
from leadline.training.guards.plateau import Plateau
from leadline.training.loop import Loop
from tests.leadline.training.guards.mistakes import MISTAKES, PADDED, Commands, told, watched
from trainables.collatz.family import COLLATZ

HERE = "tests.trainables.collatz.test_log_mistakes"
UNSPLIT, UNIQUE = Commands(pooled=True), Commands(pooled=False)
SETTINGS = Settings(
    study="padded", family="tests.leadline.training.guards.mistakes:PADDED", metric="accuracy", mode="max", sampler="random", scale="smoke",  # noqa: E501
    stratify="batch", strata=(32,), trials=6, budget=60, grace=60, reduction=2, startup=6, seed=3, confirm=1, replicates=1, fields={},  # noqa: E501
    overrides={},
)  # fmt: skip


def _space(trial: Any, scale: str) -> dict[str, Any]:
    return {"lr": trial.suggest_float("lr", 0.05, 0.2), "blind": trial.suggest_categorical("blind", [False, True])}


def _swept() -> tuple[History, list[Trial]]:
    """A sweep without Ray: real proposals, audits, baselines, training and decisions."""
    director = Director(SETTINGS, _space)
    director.opened({})
    shared = SharedData(director)
    shared.prepare()
    assert shared.ready()
    while isinstance(given := director.next(), Assignment):
        director.started(given.trial, given.attempt)
        config = PADDED.config({**given.config, "eval_every": 60})
        for report in Loop(PADDED, config, PADDED.build_data(config)).run():
            director.reported(given.trial, report)
    return director.history, director.history.search_trials()


def test_a_constant_predictor_that_scores_71_percent_is_marked_and_a_model_that_sees_is_not() -> None:
    history, trials = _swept()
    blind = [trial for trial in trials if trial.config["blind"]]
    seeing = [trial for trial in trials if not trial.config["blind"]]
    assert blind
    assert seeing
    for trial in blind:
        assert trial.value("validation/accuracy") == pytest.approx(0.7136), "the log's headline"
        assert any("trivial" in mark for mark in marks(history, trial)), "a tie with the constant is no achievement"
    for trial in seeing:
        assert trial.value("validation/accuracy") > 0.85
        assert not any("trivial" in mark for mark in marks(history, trial))


@pytest.mark.parametrize(("name", "ready"), [("UNSPLIT", False), ("UNIQUE", True)])
def test_test_commands_in_the_train_set_refuse_the_sweep(
    name: str, ready: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = dataclasses.replace(SETTINGS, family=f"{HERE}:{name}", metric="error", mode="min")
    shared = SharedData(Director(settings, _space))
    shared.prepare()
    assert shared.ready() is ready
    said = capsys.readouterr().err
    assert ("refused by the overlap_test_commands audit: " in said) is not ready
    assert ("of 9410 test commands (91." in said) is not ready


def _collatz(schedule: str, family: Family[Any] = COLLATZ) -> list[str]:
    small: dict[str, Any] = {
        "layers": "16",
        "batch": 32,
        "pool": 2048,
        "steps": 2000,
        "eval_every": 200,
        "ramp": 0.5,
        "patience": 0.005,
    }
    found = told(watched(family, LearningRate(), **small, schedule=schedule))
    return [finding.sentence for finding in found if finding.failed]


def test_a_scheduler_fed_single_minibatches_is_caught_in_collatz() -> None:
    (sentence,) = _collatz("plateau")
    assert "ReduceLROnPlateau is fed single minibatches' losses" in sentence
    step = int(sentence.partition("since step ")[2].split()[0])
    assert step < 1000


def test_cosine_is_no_dead_rate_in_collatz() -> None:
    assert _collatz("cosine") == []


def test_the_logs_plateau_is_there_while_the_scheduler_kills_the_rate() -> None:
    """The log's "all runs plateau": two guards say it, one of them why."""
    fields: dict[str, Any] = {"fault": "single_minibatches", "lr": 0.1, "steps": 1000}
    plateau, rate = told(watched(MISTAKES, Plateau(), **fields)), told(watched(MISTAKES, LearningRate(), **fields))
    assert plateau[-1].failed
    assert rate[-1].failed
    assert np.isfinite(plateau[-1].number)
