from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from leadline import Sweep
from leadline.analysis import progress
from leadline.analysis.optuna_study import study
from leadline.analysis.report import figures
from leadline.analysis.report.figures.search import LEAST
from leadline.ledger.history import History

Build = Any

STATES = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}


@pytest.fixture
def history(finished: Path) -> History:
    return Sweep.open(finished).history


def test_trials_keep_state_value_and_parameters(history: History) -> None:
    for stratum in ("10", "100"):
        made = study(history, stratum)
        searched = [trial for trial in history.search_trials() if trial.stratum == stratum]
        assert [trial.user_attrs["trial"] for trial in made.trials] == [trial.number for trial in searched]
        for frozen, trial in zip(made.trials, searched, strict=True):
            assert frozen.params == trial.params
            assert frozen.state == STATES[trial.status]
            value = trial.value("validation/hinge")
            told = trial.status != "failed" and math.isfinite(value)
            assert frozen.value == (value if told else None)
            assert list(frozen.intermediate_values) == [report.step for report in trial.reports]
            if told:
                assert frozen.intermediate_values == {
                    report.step: report.metrics["validation/hinge"].value for report in trial.reports
                }


def test_the_study_of_all_strata_has_our_numbers(history: History) -> None:
    made = study(history, None)
    searched = history.search_trials()
    assert [frozen.number for frozen in made.trials] == [trial.number for trial in searched]
    assert [frozen.params["lookahead"] for frozen in made.trials] == [int(trial.stratum) for trial in searched]
    assert made.trials[0].distributions["lookahead"] == CategoricalDistribution(history.settings.strata)
    assert made.metric_names == ["validation/hinge"]


def test_a_replicate_before_a_search_trial_holds_its_number(history: History) -> None:
    made = study(history, None)
    first = next(trial for trial in history.search_trials() if trial.status == "finished")
    history.trials[3].kind, history.trials[3].of = "replicate", first.number
    held = study(history, None).trials
    assert len(held) == len(made.trials)
    assert (held[3].state, held[3].params) == (TrialState.FAIL, {})
    assert held[3].user_attrs["reason"] == f"a replicate of trial {first.number}, no trial of the search"
    assert held[4].user_attrs["trial"] == 4


def test_open_trials_are_waiting_or_running(history: History) -> None:
    waiting, running, again = [trial for trial in history.search_trials() if trial.stratum == "10"][:3]
    waiting.status, waiting.attempts = "waiting", 0
    running.status = "running"
    again.status = "waiting"
    states = {frozen.user_attrs["trial"]: frozen for frozen in study(history, "10").trials}
    assert states[waiting.number].state == TrialState.WAITING
    assert states[waiting.number].datetime_start is None
    for trial in (running, again):
        assert states[trial.number].state == TrialState.RUNNING
        assert states[trial.number].datetime_complete is None
        assert states[trial.number].intermediate_values


def test_a_diverged_trial_is_pruned_without_a_value(history: History) -> None:
    diverged = history.trials[5]
    assert math.isnan(diverged.value("validation/hinge"))
    frozen = next(trial for trial in study(history, diverged.stratum).trials if trial.user_attrs["trial"] == 5)
    assert (frozen.state, frozen.value) == (TrialState.PRUNED, None)
    assert math.isnan(list(frozen.intermediate_values.values())[-1])


def test_an_infeasible_trial_fails_with_the_reason(history: History) -> None:
    """Whether it was impossible or did not fit the memory."""
    trial = next(trial for trial in history.search_trials() if trial.status == "finished")
    trial.status, trial.reason = (
        "failed",
        "infeasible: out of memory with micro-batches of 1 row, the smallest tried\nMemoryError",
    )
    frozen = next(one for one in study(history, trial.stratum).trials if one.user_attrs["trial"] == trial.number)
    assert (frozen.state, frozen.value) == (TrialState.FAIL, None)
    assert frozen.user_attrs["reason"] == trial.reason


def test_recorded_distributions_are_taken(history: History) -> None:
    made = study(history, "10")
    assert made.trials[0].distributions["lr"] == FloatDistribution(1e-4, 1e-2, log=True)
    assert made.trials[0].distributions["width"] == CategoricalDistribution((4, 8))


def test_an_old_ledger_gets_ranges_from_its_values(history: History) -> None:
    for trial in history.trials.values():
        trial.distributions = {}
        trial.params["mode"] = "a" if trial.number % 2 else "b"
    found = study(history, "10").trials[0].distributions
    rates = [trial.params["lr"] for trial in history.search_trials() if trial.stratum == "10"]
    assert found["lr"] == FloatDistribution(min(rates), max(rates), log=max(rates) > 10 * min(rates))
    assert found["width"] == IntDistribution(4, 8)
    assert isinstance(found["mode"], CategoricalDistribution)


def test_lists_are_text_among_choices(history: History) -> None:
    searched = [trial for trial in history.search_trials() if trial.stratum == "10"]
    for trial in searched:
        trial.params |= {"layers": [8, 8] if trial.number % 4 else [16, 0.5], "nothing": None}
    made = study(history, "10")
    assert made.trials[0].distributions["layers"] == CategoricalDistribution(("16,0.5", "8,8"))
    assert [frozen.params["layers"] for frozen in made.trials] == [
        "8,8" if t.number % 4 else "16,0.5" for t in searched
    ]
    assert {frozen.params["nothing"] for frozen in made.trials} == {None}
    assert figures.parallel(history, "10")[0] is not None


def test_recorded_choices_that_are_lists_are_text_too(history: History) -> None:
    for trial in history.search_trials():
        trial.params["layers"] = [8, 8]
        trial.distributions["layers"] = (
            '{"name": "CategoricalDistribution", "attributes": {"choices": [[8, 8], [16], null]}}'
        )
    frozen = study(history, "10").trials[0]
    assert frozen.distributions["layers"] == CategoricalDistribution(("8,8", "16", None))
    assert frozen.params["layers"] == "8,8"


def test_lists_that_differ_in_the_last_digit_are_two_choices(history: History) -> None:
    searched = [trial for trial in history.search_trials() if trial.stratum == "10"]
    for trial in searched:
        trial.params["rates"] = [0.12345678901 if trial.number % 4 else 0.12345678902]
    made = study(history, "10")
    assert made.trials[0].distributions["rates"] == CategoricalDistribution(("0.12345678902", "0.12345678901"))
    assert len({frozen.params["rates"] for frozen in made.trials}) == 2


def test_trials_have_their_own_times(history: History) -> None:
    trial = next(trial for trial in history.search_trials() if trial.stratum == "10")
    trial.since, trial.began, trial.until = 1.75e9 - 60, 1.75e9, 1.75e9 + 90
    frozen = study(history, "10").trials[0]
    assert frozen.duration == datetime.timedelta(seconds=90)
    assert frozen.datetime_start is not None
    assert frozen.datetime_start.timestamp() == 1.75e9


def test_at_a_rung_all_that_reached_it_are_complete(history: History) -> None:
    reached = [trial for trial in history.search_trials() if trial.stratum == "10" and trial.reports]
    made = study(history, "10", at=100)
    values = {trial.user_attrs["trial"]: trial.value for trial in made.trials if trial.state == TrialState.COMPLETE}
    assert values == {trial.number: trial.reports[0].metrics["validation/hinge"].value for trial in reached}
    ends = {trial.user_attrs["trial"]: trial.datetime_complete for trial in made.trials}
    for trial in reached:
        end = ends[trial.number]
        assert end is not None
        assert end.timestamp() == pytest.approx(trial.moments[0], abs=1e-5)


def test_the_direction_follows_the_mode(build: Build) -> None:
    made = build(mode="max")
    made.train(2)
    assert study(Sweep.open(made.close()).history, "10").direction.name == "MAXIMIZE"


def test_importance_of_few_trials_is_not_drawn(history: History) -> None:
    drawn, words = figures.importance(history, "10")
    assert drawn is None
    assert words == f"lookahead 10: 6 trials with a value at the first rung (100 steps); importance needs {LEAST}."


def test_importance_finds_the_parameter_that_matters(build: Build) -> None:
    made = build(trials=60)
    made.train(failing=None)
    drawn, words = figures.importance(Sweep.open(made.close()).history, "10")
    assert drawn is not None
    assert words == "lookahead 10: 30 trials at the first rung (100 steps)."
    shares = dict(zip(drawn.data[0].y, drawn.data[0].x, strict=True))
    assert set(shares) == {"lr", "margin", "width"}
    assert shares["lr"] > 0.5, "the made-up value depends on it alone"
    assert sum(shares.values()) == pytest.approx(1)


def test_parallel_coordinates_have_a_line_per_trial_and_the_best_thick(history: History) -> None:
    drawn, words = figures.parallel(history, "100")
    assert drawn is not None
    searched = [trial for trial in history.search_trials() if trial.stratum == "100"]
    assert sum(trial.status == "finished" for trial in searched) < 3, "too few: the first rung is drawn"
    lines = list(drawn.data)
    assert len(lines) == sum(bool(trial.reports) for trial in searched)
    assert str(len(lines)) in words
    assert [line.line.width for line in lines] == [1.4] * (len(lines) - 1) + [3]
    assert lines[-1].y[0] == min(line.y[0] for line in lines), "the smallest value is the best"
    assert drawn.layout.paper_bgcolor == "rgba(0,0,0,0)"
    assert list(drawn.layout.xaxis.ticktext) == ["hinge at the first rung (100 steps)", "lr", "margin", "width"]


def test_labels_of_parallel_coordinates_stand_free(history: History) -> None:
    best = progress.best(history, "10")
    for trial in history.search_trials():
        trial.params["lr"] = 0.4 if trial is best else 0.00098
        trial.distributions["lr"] = (
            '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-4, "high": 1.0, "log": true}}'
        )
    drawn, _ = figures.parallel(history, "10")
    assert drawn is not None
    labels = [note.text for note in drawn.layout.annotations if note.x == list(drawn.layout.xaxis.ticktext).index("lr")]
    assert labels == ["0.00098", "0.01", "0.1", "0.4"], "0.001 would cover the lower end"
    first = [note.text for note in drawn.layout.annotations if note.x == 0]
    assert drawn.layout.margin.l >= 8 + 4 * max(map(len, first))
