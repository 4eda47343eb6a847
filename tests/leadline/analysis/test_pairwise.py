"""Strata beside each other, where the study means them to be compared."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from leadline import Sweep
from leadline.analysis.comparison import Finalist, compare
from leadline.analysis.pairwise import pairwise
from leadline.analysis.report import answers, document
from leadline.ledger import leaderboard
from leadline.ledger.verdicts import Verdict
from leadline.statistics import mean_over_units


@pytest.fixture
def sweep(finished: Path) -> Sweep:
    """Strata 10 and 100, whose values a test may replace by `scored`."""
    opened = Sweep.open(finished)
    opened.history.opened = dataclasses.replace(opened.settings, comparable=True)
    return opened


def scored(sweep: Sweep, stratum: str, shift: float, noise: float = 0.02) -> None:
    units = np.random.default_rng(7).normal(size=128)
    generator = np.random.default_rng(int(stratum))
    for run in Finalist.of(sweep, stratum).runs:
        values = mean_over_units(units + shift + noise * generator.normal(size=128))
        run.reports[-1] = dataclasses.replace(
            run.reports[-1], metrics={**run.reports[-1].metrics, "test/hinge": values}
        )


def test_strata_that_hold_different_information_are_not_compared(finished: Path) -> None:
    assert pairwise(Sweep.open(finished)) == []


@pytest.mark.parametrize(("shift", "word"), [(0.05, "better"), (0.0, "not told apart")])
def test_the_best_is_told_apart_or_not(sweep: Sweep, shift: float, word: str) -> None:
    scored(sweep, "10", 0.0)
    scored(sweep, "100", shift)
    (pair,) = pairwise(sweep)
    assert pair.difference is not None
    assert pair.difference.value <= 0
    assert pair.verdict == word


def test_intervals_hold_for_all_pairs_together(sweep: Sweep) -> None:
    (alone,) = pairwise(sweep)
    plain = compare(Finalist.of(sweep, alone.a.stratum), Finalist.of(sweep, alone.b.stratum), "hinge").estimate
    assert alone.difference is not None
    assert plain is not None
    assert (alone.difference.low, alone.difference.high) == plain.interval(0.95)
    sweep.history.opened = dataclasses.replace(sweep.settings, strata=(*sweep.settings.strata, "20"))
    for trial in [trial for trial in sweep.history.trials.values() if trial.stratum == "100"]:
        number = trial.number + 1000
        of = None if trial.of is None else trial.of + 1000
        sweep.history.trials[number] = dataclasses.replace(
            trial, number=number, of=of, stratum="20", reports=list(trial.reports)
        )
    found = pairwise(sweep)
    assert [{pair.a.stratum, pair.b.stratum} for pair in found] == [
        set(two) for two in itertools.combinations(["100", "20", "10"], 2)
    ]
    wider = next(pair.difference for pair in found if {pair.a.stratum, pair.b.stratum} == {"10", "100"})
    assert wider is not None
    assert wider.low < alone.difference.low < alone.difference.high < wider.high


def test_too_few_replicates_make_no_claim(sweep: Sweep) -> None:
    for stratum in sweep.strata:
        for finalist in leaderboard.confirmed(sweep.history, stratum):
            del sweep.history.trials[sweep.history.replicates(finalist.number)[0].number]
    (pair,) = pairwise(sweep)
    assert (pair.verdict, pair.missing) == (Verdict.NO_CLAIM, "only 4 of 5 replicates")


def test_the_report_shows_the_pairs_once(sweep: Sweep) -> None:
    page = document.page(sweep)
    (pair,) = pairwise(sweep)
    assert pair.difference is not None
    assert page.count(answers.interval(pair.difference)) == 1
    assert "Each lookahead beside every other" in page
    sweep.history.opened = dataclasses.replace(sweep.settings, comparable=False)
    assert "beside every other" not in document.page(sweep)
