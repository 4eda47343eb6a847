"""Sentences that say what was measured, and claim no more."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from analysis import Sweep, answers
from sweeps.ledger.history import Baseline, History
from trainables.measure import Measure

Build = Any
NUMBER = r"-?[\d.e-]+"


@pytest.fixture
def history(finished: Path) -> History:
    return Sweep.open(finished).history


def of(history: History) -> answers.Answer:
    return answers.answers(history, "orbits")[0]


def test_the_answer_holds_value_units_replicates_and_the_paired_difference(history: History) -> None:
    answer = of(history)
    assert re.fullmatch(
        rf"trial \d+ confirmed at {NUMBER} \[{NUMBER}, {NUMBER}\] \(hinge on 128 test orbits, 5 replicates, best of 2 confirmed\): "
        r"for this model class and budget, better than the best trivial predictor there, sum of ln T\^k, at 0\.09 "
        rf"\(paired by orbits: {NUMBER} \[{NUMBER}, {NUMBER}\]\)\.",
        answer.sentence,
    )
    assert answer.verdict == "better than"


def test_an_old_ledger_is_compared_unpaired_and_says_so(build: Build) -> None:
    made = build("old")
    made.baselines(units=False)
    made.train()
    answer = of(Sweep.open(made.close()).history)
    assert answer.verdict == "better than"
    assert "at 0.09 (unpaired: the ledger has no values per unit for it)" in answer.sentence


@pytest.mark.parametrize("replicates", [1, 4])
def test_too_few_replicates_make_no_claim(build: Build, replicates: int) -> None:
    made = build("few", replicates=replicates)
    made.baselines()
    made.train()
    answer = of(Sweep.open(made.close()).history)
    assert answer.verdict == ""
    place = "beside the best trivial predictor there, sum of ln T^k, at 0.09, no claim is made"
    assert f"{place}: only {replicates} of 5 replicates." in answer.sentence
    assert not re.search("better|worse", answer.sentence)
    assert ("One replicate: the interval leaves out" in answer.sentence) == (replicates == 1)
    assert (of(Sweep.open(made.folder).history).luck == "") == (replicates == 1)


def test_too_few_units_make_no_claim(history: History) -> None:
    for trial in history.trials.values():
        last = trial.reports[-1] if trial.reports else None
        if last and "test/hinge" in last.metrics:
            score = last.metrics["test/hinge"]
            trial.reports[-1] = dataclasses.replace(
                last, metrics={**last.metrics, "test/hinge": dataclasses.replace(score, units=score.units[:60])}
            )
    answer = of(history)
    assert "no claim is made: only 60 of 100 test orbits" in answer.sentence
    assert answer.verdict == ""


def test_the_leader_of_a_search_is_no_claim(build: Build) -> None:
    made = build("unconfirmed", confirm=0)
    made.baselines()
    made.train()
    answer = of(Sweep.open(made.close()).history)
    assert (answer.verdict, answer.luck) == ("", "")
    assert "the best trivial predictor there, sum of ln T^k, is at 0.09. It was chosen on these orbits" in answer.sentence
    assert not re.search("better|worse", answer.sentence)


def test_a_tie_with_a_predictor_is_not_told_apart(history: History) -> None:
    best = answers.confirmed_measures(history, "10")[0][0]
    score = history.replicates(best.number)[0].measure("test/hinge")
    assert score is not None
    history.baselines.append(Baseline("twin", "10", {"test/hinge": score}))
    answer = of(history)
    assert answer.verdict == "not told apart from"
    assert "not told apart from the best trivial predictor there, twin" in answer.sentence


def test_a_perfect_score_leaves_room_by_the_rule_of_three(history: History) -> None:
    best = answers.confirmed_measures(history, "10")[0][0]
    for run in history.replicates(best.number):
        clean = Measure(0.0, 128, 0.0, 0.0, (0.0,) * 128)
        run.reports[-1] = dataclasses.replace(run.reports[-1], metrics={**run.reports[-1].metrics, "test/hinge": clean})
    assert "All 128 orbits score 0, which leaves room for up to 2.3 % that do not (rule of three)." in of(history).sentence


def test_luck_is_said_with_its_numbers(history: History) -> None:
    sentence = of(history).luck
    found = re.fullmatch(
        r"(\d+) configurations were looked at \((\d+) over all strata\)\. The best of (\d+) equally good configurations would score "
        rf"({NUMBER}) below their mean by luck on validation \(standard deviation ({NUMBER}) over 5 replicates\); "
        rf"the winner's score there was ({NUMBER}) (below|above) its replicates' mean\.",
        sentence,
    )
    assert found, sentence
    looked, everywhere, again, expected, spread = found.groups()[:5]
    assert looked == again
    assert int(looked) == sum(bool(trial.reports) for trial in history.search_trials() if trial.stratum == "10")
    assert int(everywhere) == sum(bool(trial.reports) for trial in history.search_trials())
    assert float(spread) < float(expected) < 2 * float(spread)
