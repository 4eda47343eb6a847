"""Planned comparisons: what a study's report says of noise against its control, and what it needs to say it."""

from __future__ import annotations

import dataclasses
import html
from pathlib import Path
from typing import Any

import pytest

from analysis import Sweep
from leadline.analysis import headlines
from leadline.analysis.comparison import Arm, compare
from leadline.analysis.pairwise import pairs
from leadline.analysis.planned import Contrast, contrasts
from leadline.analysis.report import document
from leadline.analysis.verdicts import arms, no_gain, verdicts
from leadline.ledger import leaderboard
from leadline.storage import Folder
from sweeps.sigma_bands import MATCHED
from tests.analysis.recursive.sigma_sweep import CONTROL, NOISY, made

Build = Any


def by_metric(sweep: Sweep) -> dict[str, Contrast]:
    return {one.metric: one for one in contrasts(sweep)}


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
    assert one.word == word
    assert one.sentence.startswith(head)
    assert " over 256 boards and 5 replicates" in one.sentence
    assert one.counts == ("256", "5")
    assert one.found is not None
    assert one.found.margin == one.margin == 0.01
    low, high = one.found.found.interval(0.9)
    assert (max(-low, high) < 0.01) == (word == "no difference")
    assert (f"[{low:.4g}, {high:.4g}] at 90 % over 256 boards and 5 replicates lies within" in one.sentence) == (
        word == "no difference"
    )
    assert ("could not have been seen" in one.sentence) == (word == "not told apart")
    assert float(one.detectable) > 0


def test_a_difference_that_would_not_matter_is_said_to_be_one() -> None:
    sweep = made({CONTROL: 0.6, NOISY: 0.68})
    sweep.settings.contrasts[0]["margins"]["exact"] = 0.2
    one = by_metric(sweep)["exact"]
    assert one.word == "better"
    assert "by less than would matter: the 90 % interval lies within the margin of 0.2" in one.sentence


def test_intervals_hold_for_all_planned_comparisons_together() -> None:
    sweep = made()
    one = by_metric(sweep)["exact"]
    alone = compare(Arm.of(sweep, NOISY), Arm.of(sweep, CONTROL), "exact")
    assert one.found is not None
    assert one.found.confidence == 0.975
    assert one.found.difference.low < alone.difference.low < alone.difference.high < one.found.difference.high
    assert (alone.difference.low, alone.difference.high) == alone.found.interval()
    assert one.found.detectable > alone.detectable == alone.found.detectable()
    assert one.found.found.interval(0.9) == alone.found.interval(0.9), "an equivalence is shown by itself"
    sweep.history.opened = dataclasses.replace(sweep.settings, contrasts=sweep.settings.contrasts[:1] * 3)
    assert {one.found.confidence for one in contrasts(sweep) if one.found} == {1 - 0.05 / 6}


@pytest.mark.parametrize(
    ("replicates", "boards", "missing"),
    [
        (4, 130, "only 4 of 5 replicates"),
        (5, 129, "only 129 of 130 test boards"),
        (1, 100, "only 1 of 5 replicates and 100 of 130 test boards"),
    ],
)
def test_what_a_claim_needs(replicates: int, boards: int, missing: str) -> None:
    sweep = made({CONTROL: 0.3, NOISY: 0.9}, replicates, boards, least=130)
    for one in contrasts(sweep):
        assert (one.word, one.missing) == ("no claim", missing)
        assert one.sentence.startswith(f"By {one.metric}, nothing is claimed of {NOISY} against {CONTROL}: ")
        assert one.sentence.endswith(f" replicate{'s' if replicates > 1 else ''}; {missing}.")
    (row,) = [row for row in leaderboard.confirmations(sweep.history) if row["stratum"] == NOISY]
    assert row["against"][0]["missing"] == missing.replace("boards", "units"), "against trivial predictors too"
    sweep.history.opened = dataclasses.replace(sweep.settings, least_units=0)
    assert (contrasts(sweep)[0].word == "better") == (replicates == 5)


def test_an_arm_that_is_not_confirmed_is_named() -> None:
    sweep = made()
    for number in [
        trial.number for trial in sweep.history.trials.values() if trial.stratum == NOISY and trial.of is not None
    ]:
        del sweep.history.trials[number]
    one = contrasts(sweep)[0]
    assert (one.word, one.words, one.counts, one.detectable, one.found) == ("no claim", "-", ("-", "-"), "-", None)
    assert one.missing == f"made:{NOISY}: none of its trials has been confirmed, so there is nothing to compare"
    assert one.kept == "0.01"
    assert html.escape(one.sentence, quote=False) in document.page(sweep).replace("&#39;", "'")


def test_arms_without_a_difference_leave_room_for_one() -> None:
    sweep = made()
    for trial in sweep.history.trials.values():
        trial.reports[-1] = sweep.history.trials[1].reports[-1] if trial.of is not None else trial.reports[-1]
    one = by_metric(sweep)["exact"]
    assert one.word == "not told apart"
    assert one.detectable == "-"
    assert "equal on all 256 boards, which leaves room for up to 1.2 % (rule of three)" in one.sentence


def test_planned_comparisons_take_the_place_of_all_pairs() -> None:
    sweep = made()
    assert pairs(sweep) == []
    sweep.history.opened = dataclasses.replace(sweep.settings, contrasts=())
    assert contrasts(sweep) == []
    assert len(pairs(sweep)) == 1


def test_the_report_answers_the_question_first_and_shows_the_numbers() -> None:
    sweep = made({CONTROL: 0.6, NOISY: 0.68})
    page = document.page(sweep)
    found = contrasts(sweep)
    for one in found:
        assert page.index(one.sentence) < page.index("Objective: <strong>exact</strong>")
        assert f"<td>{one.word}</td><td>{one.words}</td>\n<td>{one.kept}</td>" in page
    assert "What the study planned to compare" in page
    assert "beside every other" not in page
    assert "hold for all 2 comparisons together" in page
    sweep.history.opened = dataclasses.replace(sweep.settings, contrasts=())
    assert "What the study planned" not in document.page(sweep)


def asked(sweep: Sweep, claim: str) -> tuple[str, str]:
    (line,) = [
        line for line in verdicts(sweep, headlines.of_family(sweep.settings.family)) if line.headline.claim == claim
    ]
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
    assert {line.verdict for line in verdicts(sweep, headlines.of_family("trm"))} == {"not run"}
    assert {line.verdict for line in verdicts(sweep, headlines.of_family("hrm"))} == {"not run"}
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
