"""Sentences that say what was measured, and claim no more."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from leadline import Sweep
from leadline.analysis.report import answers, tables
from leadline.finding import Finding
from leadline.ledger import leaderboard
from leadline.ledger.history import Baseline, History
from leadline.ledger.verdicts import Verdict
from leadline.measure import Measure

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
        rf"trial \d+ confirmed at {NUMBER} \[{NUMBER}, {NUMBER}\] \(hinge on 128 test orbits, 5 replicates, chosen among 3 by validation\): "  # noqa: E501
        r"for this model class and budget, better than the best trivial predictor there, sum of ln T\^k, at 0\.09 "
        rf"\(paired by orbits: {NUMBER} \[{NUMBER}, {NUMBER}\]\)\.",
        answer.sentence,
    )
    assert answer.verdict is Verdict.BETTER


def test_an_old_ledger_is_compared_unpaired_and_says_so(build: Build) -> None:
    made = build("old")
    made.baselines(units=False)
    made.train()
    answer = of(Sweep.open(made.close()).history)
    assert answer.verdict is Verdict.BETTER
    assert "at 0.09 (unpaired: the ledger has no values per unit for it)" in answer.sentence


@pytest.mark.parametrize("replicates", [1, 4])
def test_too_few_replicates_make_no_claim(build: Build, replicates: int) -> None:
    made = build("few", replicates=replicates)
    made.baselines()
    made.train()
    answer = of(Sweep.open(made.close()).history)
    assert answer.verdict is Verdict.NO_CLAIM
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
    assert "no claim is made: only 60 test orbits where 100 are needed" in answer.sentence
    assert answer.verdict is Verdict.NO_CLAIM


def test_the_leader_of_a_search_is_no_claim(build: Build) -> None:
    made = build("unconfirmed", confirm=0)
    made.baselines()
    made.train()
    answer = of(Sweep.open(made.close()).history)
    assert (answer.verdict, answer.luck) == (Verdict.NO_CLAIM, "")
    assert (
        "the best trivial predictor there, sum of ln T^k, is at 0.09. It was chosen on these orbits" in answer.sentence
    )
    assert not re.search("better|worse", answer.sentence)


def test_a_tie_with_a_predictor_is_not_told_apart(history: History) -> None:
    best = leaderboard.confirmed(history, "10")[0]
    score = history.replicates(best.number)[0].measure("test/hinge")
    assert score is not None
    history.baselines.append(Baseline("twin", "10", {"test/hinge": score}))
    answer = of(history)
    assert answer.verdict is Verdict.NOT_TOLD_APART
    assert "not told apart from the best trivial predictor there, twin" in answer.sentence


def test_a_perfect_score_leaves_room_by_the_rule_of_three(history: History) -> None:
    best = leaderboard.confirmed(history, "10")[0]
    for run in history.replicates(best.number):
        clean = Measure(0.0, 128, 0.0, 0.0, (0.0,) * 128)
        run.reports[-1] = dataclasses.replace(run.reports[-1], metrics={**run.reports[-1].metrics, "test/hinge": clean})
    assert (
        "All 128 orbits score 0, which leaves room for up to 2.3 % that do not (rule of three)." in of(history).sentence
    )


def test_luck_is_said_with_its_numbers(history: History) -> None:
    sentence = of(history).luck
    found = re.fullmatch(
        r"(\d+) configurations were looked at \((\d+) over all strata\)\. The best of (\d+) equally good configurations would score "  # noqa: E501
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


def with_violations(history: History, shift: float) -> None:
    """Gives stratum 10 a second metric, on whose units the finalists are `shift` above the trivial predictor."""
    history.opened = dataclasses.replace(history.settings, modes={"hinge": "min", "violations": "min"})
    shares = tuple(0.2 + 0.001 * unit for unit in range(128))
    history.baselines.append(
        Baseline("sum", "10", {"test/violations": Measure(sum(shares) / 128, 128, 0.2, 0.4, shares)})
    )
    for trial in history.trials.values():
        if trial.kind == "replicate" and trial.stratum == "10":
            values = tuple(share + shift + 1e-4 * (trial.number % 5) for share in shares)
            measure = Measure(sum(values) / 128, 128, 0.2, 0.4, values)
            last = trial.reports[-1]
            trial.reports[-1] = dataclasses.replace(last, metrics={**last.metrics, "test/violations": measure})


def test_what_is_worse_by_another_metric_qualifies_the_claim(history: History) -> None:
    with_violations(history, 0.01)
    first, second = answers.answers(history, "orbits")
    assert (first.verdict, second.verdict) == (Verdict.MIXED, Verdict.BETTER)
    assert re.search(
        rf", but worse by violations \(sum at 0\.2635, paired: 0\.010\d+ \[{NUMBER}, {NUMBER}\]\)\.$", first.sentence
    )
    assert [row[:2] for row in tables.besides([first, second])] == [("10", "violations")]
    assert tables.confirmed(history)[0][3] == "better than sum of ln T^k (0.09); worse by violations"


def test_what_is_worse_by_the_objective_needs_no_second_word(history: History) -> None:
    with_violations(history, 0.01)
    history.baselines.append(Baseline("tiny", "10", {"test/hinge": Measure(1e-6, 128, 1e-6, 1e-6, (1e-6,) * 128)}))
    first = of(history)
    assert (first.verdict, first.contrary) == (Verdict.WORSE, [])
    assert [one.verdict for one in first.besides] == [Verdict.WORSE]


def test_what_is_better_by_another_metric_too_stands_as_it_is(history: History) -> None:
    with_violations(history, -0.01)
    first = of(history)
    assert (first.verdict, first.contrary) == (Verdict.BETTER, [])
    assert [one.verdict for one in first.besides] == [Verdict.BETTER]


def test_a_lost_replicate_is_named_and_nothing_is_claimed(history: History) -> None:
    first, second = leaderboard.confirmed(history, "10")
    history.replicates(first.number)[0].status = "failed"
    assert leaderboard.confirmed(history, "10") == [second, first], "who lost a replicate is behind who lost none"
    history.replicates(second.number)[0].status = "failed"
    answer = of(history)
    assert answer.verdict is Verdict.NO_CLAIM
    named = history.replicates(leaderboard.confirmed(history, "10")[0].number)[0].number
    assert f"no claim is made: replicate {named} failed; only 4 of 5 replicates" in answer.sentence


def test_an_unfinished_stratum_counts_in_the_unit_of_the_budget(build: Build) -> None:
    made = build("begun", confirm=0)
    made.train(limit=1)
    history = Sweep.open(made.close("")).history
    trial = history.trials[0]
    trial.status, trial.reports = "running", trial.reports[:1]
    assert " after 100 of 400 steps." in of(history).sentence
    history.opened = dataclasses.replace(history.settings, unit="samples", budget=12800)
    assert " after 3,200 of 12,800 samples." in of(history).sentence


def test_luck_is_that_of_the_searchs_winner(history: History) -> None:
    ahead, other = leaderboard.finalists(history, "10", 2)
    for run in history.replicates(ahead.number):
        last = run.reports[-1]
        score = last.metrics["validation/hinge"]
        worse = Measure(score.value + 9, score.n, score.low + 9, score.high + 9, ())
        run.reports[-1] = dataclasses.replace(last, metrics={**last.metrics, "validation/hinge": worse})
    assert leaderboard.confirmed(history, "10") == [other, ahead]
    found = leaderboard.luck(history, ahead)
    assert found is not None
    assert f"the winner's score there was {abs(found.seen):.4g}" in of(history).luck


def test_the_guards_of_the_replicates_are_said(history: History) -> None:
    best = leaderboard.confirmed(history, "10")[0]
    assert "guards" not in of(history).sentence
    run = history.replicates(best.number)[0]
    run.reports[-1] = dataclasses.replace(run.reports[-1], findings=(Finding("plateau", True, 0.4, "flat"),))
    assert of(history).sentence.endswith(" Its replicates' guards: plateau (1 of 5).")
