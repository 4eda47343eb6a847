"""Planned comparisons: what a study's report says of noise against its control, and what it needs to say it."""

from __future__ import annotations

import dataclasses
import html
import math
from pathlib import Path
from typing import Any

import pytest

from leadline import Sweep
from leadline.analysis import claims
from leadline.analysis.claims import arms, no_gain
from leadline.analysis.comparison import Finalist, compare
from leadline.analysis.pairwise import pairwise
from leadline.analysis.planned import counts, planned, sentence
from leadline.analysis.report import document, tables
from leadline.ledger import leaderboard
from leadline.ledger.verdicts import Comparison, Verdict
from leadline.storage import Folder
from search_spaces.sigma_bands.recursive import MATCHED
from tests.analysis.recursive.sigma_sweep import CONTROL, NOISY, made

Build = Any


def by_metric(sweep: Sweep) -> dict[str, Comparison]:
    return {one.metric: one for one in planned(sweep)}


@pytest.mark.parametrize(
    ("noisy", "flipped", "word", "head"),
    [
        (0.68, 0.02, "better", f"By exact, {NOISY} is better than {CONTROL}: 0.0"),
        (0.52, 0.02, "worse", f"By exact, {NOISY} is worse than {CONTROL}: -0.0"),
        (0.60, 0.002, "no difference", f"By exact, there is no difference between {NOISY} and {CONTROL}: "),
        (0.60, 0.60, "not told apart", f"By exact, {NOISY} and {CONTROL} are not told apart: "),
    ],
)
def test_each_answer(noisy: float, flipped: float, word: str, head: str) -> None:
    one = by_metric(made({CONTROL: 0.6, NOISY: noisy}, flipped=flipped))["exact"]
    assert one.verdict == word
    assert sentence(one).startswith(head)
    assert " over 256 boards and 5 replicates" in sentence(one)
    assert counts(one) == ("256", "5")
    assert one.estimate is not None
    assert one.margin == 0.01
    assert one.narrow is not None
    low, high = one.narrow
    assert (max(-low, high) < 0.01) == (word == "no difference")
    assert (f"[{low:.4g}, {high:.4g}] at 90 % over 256 boards and 5 replicates lies within" in sentence(one)) == (
        word == "no difference"
    )
    assert ("could not have been seen" in sentence(one)) == (word == "not told apart")
    assert float(one.detectable) > 0


def test_a_difference_that_would_not_matter_is_said_to_be_one() -> None:
    sweep = made({CONTROL: 0.6, NOISY: 0.68})
    sweep.settings.contrasts[0]["margins"]["exact"] = 0.2
    one = by_metric(sweep)["exact"]
    assert one.verdict == "better"
    assert "by less than would matter: the 90 % interval lies within the margin of 0.2" in sentence(one)


def test_intervals_hold_for_all_planned_comparisons_together() -> None:
    sweep = made()
    one = by_metric(sweep)["exact"]
    alone = compare(Finalist.of(sweep, NOISY), Finalist.of(sweep, CONTROL), "exact")
    assert one.difference is not None
    assert alone.difference is not None
    assert alone.estimate is not None
    assert one.confidence == 0.975
    assert one.difference.low < alone.difference.low < alone.difference.high < one.difference.high
    assert (alone.difference.low, alone.difference.high) == alone.estimate.interval()
    assert one.detectable > alone.detectable == alone.estimate.detectable()
    assert one.narrow == alone.narrow, "an equivalence is shown by itself"
    sweep.history.opened = dataclasses.replace(sweep.settings, contrasts=sweep.settings.contrasts[:1] * 3)
    assert {one.confidence for one in planned(sweep)} == {1 - 0.05 / 6}


@pytest.mark.parametrize(
    ("replicates", "boards", "missing"),
    [
        (4, 130, "only 4 of 5 replicates"),
        (5, 129, "only 129 test boards where 130 are needed"),
        (1, 100, "only 1 of 5 replicates and 100 test boards where 130 are needed"),
    ],
)
def test_what_a_claim_needs(replicates: int, boards: int, missing: str) -> None:
    sweep = made({CONTROL: 0.3, NOISY: 0.9}, replicates, boards, least=130)
    for one in planned(sweep):
        assert (one.verdict, one.missing) == (Verdict.NO_CLAIM, missing)
        assert sentence(one).startswith(f"By {one.metric}, nothing is claimed of {NOISY} against {CONTROL}: ")
        assert sentence(one).endswith(f" replicate{'s' if replicates > 1 else ''}; {missing}.")
    (row,) = [row for row in leaderboard.confirmations(sweep.history) if row["stratum"] == NOISY]
    assert row["against"][0]["missing"] == missing.replace("boards", "units"), "against trivial predictors too"
    sweep.history.opened = dataclasses.replace(sweep.settings, least_units=0)
    assert (planned(sweep)[0].verdict == "better") == (replicates == 5)


def test_an_arm_that_is_not_confirmed_is_named() -> None:
    sweep = made()
    for number in [
        trial.number for trial in sweep.history.trials.values() if trial.stratum == NOISY and trial.of is not None
    ]:
        del sweep.history.trials[number]
    one = planned(sweep)[0]
    assert (one.verdict, one.difference, counts(one), one.estimate) == (Verdict.NO_CLAIM, None, ("-", "-"), None)
    assert tables.planned([one]) == [(NOISY, CONTROL, "exact", f"no claim: {one.missing}", "-", "0.01", "-", "-", "-")]
    assert one.missing == f"made:{NOISY}: none of its trials has been confirmed, so there is nothing to compare"
    assert f"no claim: {one.missing}" in html.unescape(document.page(sweep))


def test_arms_without_a_difference_leave_room_for_one() -> None:
    sweep = made()
    for trial in sweep.history.trials.values():
        trial.reports[-1] = sweep.history.trials[1].reports[-1] if trial.of is not None else trial.reports[-1]
    one = by_metric(sweep)["exact"]
    assert one.verdict == "not told apart"
    assert math.isnan(one.detectable)
    assert tables.planned([one])[0][6] == "-"
    assert "equal on all 256 boards, which leaves room for up to 1.2 % (rule of three)" in sentence(one)


def test_planned_comparisons_take_the_place_of_all_pairs() -> None:
    sweep = made()
    assert pairwise(sweep) == []
    sweep.history.opened = dataclasses.replace(sweep.settings, contrasts=())
    assert planned(sweep) == []
    assert len(pairwise(sweep)) == 1


def test_the_report_answers_the_question_first_and_shows_the_numbers() -> None:
    sweep = made({CONTROL: 0.6, NOISY: 0.68})
    page = document.page(sweep)
    found = planned(sweep)
    for one in found:
        assert sentence(one) not in page, "its row has all of it"
        (row,) = tables.planned([one])
        assert f'<td class="wide">{row[3]}</td><td>{row[4]}</td><td>{row[5]}</td>' in page
    assert "What the study planned to compare" in page
    assert "beside every other" not in page
    assert "hold for all 2 comparisons together" in page
    sweep.history.opened = dataclasses.replace(sweep.settings, contrasts=())
    assert "What the study planned" not in document.page(sweep)


def asked(sweep: Sweep, claim: str) -> tuple[str, str]:
    (line,) = [line for line in claims.judged(sweep, claims.of_family(sweep.settings)) if line.claim.claim == claim]
    return line.measured, line.verdict


@pytest.mark.parametrize(("noisy", "verdict"), [(0.68, "agrees"), (0.52, "does not agree"), (0.6, "not told apart")])
def test_a_gain_that_the_log_saw_in_trm(noisy: float, verdict: str) -> None:
    measured, found = asked(made({CONTROL: 0.6, NOISY: noisy}), "Noise got a higher best.")
    assert found == verdict
    assert measured.startswith(f"exact: arm {NOISY}: ")


@pytest.mark.parametrize(
    ("noisy", "flipped", "verdict", "word"),
    [
        (0.68, 0.02, "does not agree", "better"),
        (0.52, 0.02, "agrees", "worse"),
        (0.6, 0.002, "agrees", "no difference"),
        (0.6, 0.6, "not told apart", "a difference below"),
    ],
)
def test_no_gain_as_the_log_saw_in_hrm(noisy: float, flipped: float, verdict: str, word: str) -> None:
    measured, found = asked(
        made({CONTROL: 0.6, NOISY: noisy}, family="hrm", flipped=flipped), "Noise got no gain in best accuracy."
    )
    assert found == verdict
    assert word in measured


def test_headlines_of_the_notes_need_their_sweep_and_enough_of_it() -> None:
    sweep = made({MATCHED[2]: 0.6, MATCHED[3]: 0.7})
    assert {
        line.verdict
        for line in claims.judged(sweep, claims.of_family(dataclasses.replace(sweep.settings, family="trm")))
    } == {"not run"}
    assert {
        line.verdict
        for line in claims.judged(sweep, claims.of_family(dataclasses.replace(sweep.settings, family="hrm")))
    } == {"not run"}
    few = made(replicates=2, family="hrm")
    measured, verdict = asked(few, "Noise got no gain in best accuracy.")
    assert verdict == "no claim"
    assert measured.endswith("(only 2 of 5 replicates)")
    assert no_gain("sigma_bands", NOISY, CONTROL, "nothing", 0.01)(few) is None


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [(900.0, 800.0, "agrees"), (700.0, 800.0, "does not agree"), (800.0, 800.0, "not told apart")],
)
def test_counts_of_which_more_is_better(first: float, second: float, verdict: str) -> None:
    """An exact count has no units: replicates' ranges must not meet."""
    sweep = made()
    for trial in sweep.history.trials.values():
        if trial.of is not None:
            value = first if trial.stratum == NOISY else second
            report_ = trial.reports[-1]
            measures = {
                **report_.metrics,
                "test/accuracy": type(report_.metrics["test/exact"]).exact(value + trial.number % 2, 2048),
            }
            object.__setattr__(report_, "metrics", measures)
    outcome = arms("sigma_bands", NOISY, CONTROL, "accuracy")(sweep)
    assert outcome is not None
    assert outcome[1] == verdict


def test_the_same_boards_are_hard_in_both_arms() -> None:
    """What the made-up sweeps promise."""
    found = [
        trial.reports[-1].metrics["test/exact"].units
        for trial in made(flipped=0.0).history.trials.values()
        if trial.of is not None
    ]
    assert len(set(found)) == 1
    assert 0 < sum(found[0]) < len(found[0])


def test_settings_within_settings_are_said_plainly() -> None:
    sweep = made()
    page = html.unescape(document.page(sweep))
    assert f"a={NOISY}, b={CONTROL}, margins=(exact=0.01, robust=0.01)" in page
    assert "sigma band=(nothing), no noise (parallel_fixed)=(mode=none, rollout=parallel_fixed)" in page


def test_a_stored_sweep_answers(build: Build, finished: Path) -> None:
    """From the ledger alone, as it is told at the end of a sweep."""
    stored = build("planned", contrasts=({"a": "10", "b": "100", "margins": {"hinge": 0.001}},))
    stored.baselines()
    stored.train()
    (sentence,) = document.answered(Folder.at(str(stored.close())))
    assert sentence.startswith("By hinge, 10 is worse than 100: 0.0")
    assert sentence.endswith(" over 128 orbits and 5 replicates.")
    assert document.answered(Folder.at(str(finished))) == []
