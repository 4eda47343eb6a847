"""The log's claims over hand-made histories."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest

from leadline import Sweep
from leadline.analysis import claims
from leadline.analysis.claims import judged
from leadline.ledger.history import Baseline, History, Trial
from leadline.measure import Measure, Report
from leadline.storage import Folder
from tests.leadline.analysis import conftest

SETTINGS = dataclasses.replace(
    conftest.SETTINGS, family="physics", study="stages", stratify="arm", metric="skill", mode="max", confirm=1
)
UNITS = 120


def made(arms: dict[str, float], trivial: float, replicates: int = 5) -> Sweep:
    """A sweep whose arms have these skills, and whose constant has this value of the log's figures."""
    history = History(dataclasses.replace(SETTINGS, strata=tuple(arms), replicates=5))
    for arm, skill in arms.items():
        first = len(history.trials)
        units = tuple(skill + 0.1 * (unit * 37 % 100 / 100 - 0.5) for unit in range(UNITS))
        value = Measure(sum(units) / UNITS, UNITS, skill - 0.01, skill + 0.01, units)
        for number in range(first, first + replicates + 1):
            of = None if number == first else first
            split = "validation" if of is None else "test"
            kind: Literal["search", "replicate"] = "search" if of is None else "replicate"
            trial = Trial(number, arm, kind, of, {}, {"seed": number}, "finished")
            names = ("skill", "extrapolation_skill", "novel_skill")
            trial.reports.append(Report(400, 400, 1.0, 0.0, {f"{split}/{name}": value for name in names}))
            history.trials[number] = trial
    figures = {f"test/logged_{kind}": Measure.exact(trivial, UNITS) for kind in ("inside", "extrapolation")}
    history.baselines = [Baseline("mean", next(iter(arms)), figures)]
    return Sweep("made", Folder.at("/nowhere"), history)


def verdicts(sweep: Sweep) -> dict[str, str]:
    return {line.claim.claim: line.verdict for line in judged(sweep, claims.of_family(SETTINGS))}


CURRICULUM = "A progressive curriculum beats joint training."
HEADLINE = "Extrapolation accuracy hits the target."
FIRST = "The basic transformer extrapolates best."
CAN = "Neural networks can extrapolate, given proper inductive biases."


@pytest.mark.parametrize(
    ("trivial", "headline", "first"),
    [
        (0.99, "explained by a trivial predictor", "explained by a trivial predictor"),
        (0.86, "explained by a trivial predictor", "not told apart"),
        (0.60, "not told apart", "not told apart"),
    ],
)
def test_a_figure_that_a_constant_has_is_explained(trivial: float, headline: str, first: str) -> None:
    found = verdicts(made({"staged": 0.5}, trivial))
    assert (found[HEADLINE], found[FIRST]) == (headline, first)


@pytest.mark.parametrize(
    ("staged", "joint", "replicates", "verdict"),
    [(0.6, 0.5, 5, "agrees"), (0.5, 0.6, 5, "does not agree"), (0.6, 0.5, 4, "no claim")],
)
def test_staged_against_joint(staged: float, joint: float, replicates: int, verdict: str) -> None:
    assert verdicts(made({"staged": staged, "joint": joint}, 0.9, replicates))[CURRICULUM] == verdict


@pytest.mark.parametrize(("skill", "verdict"), [(0.5, "agrees"), (-0.5, "does not agree"), (0.0, "not told apart")])
def test_extrapolation_is_skill_over_the_best_trivial_predictor(skill: float, verdict: str) -> None:
    assert verdicts(made({"staged": skill}, 0.9))[CAN] == verdict


def test_what_was_not_run_is_said() -> None:
    empty = Sweep("empty", Folder.at("/nowhere"), History(dataclasses.replace(SETTINGS, strata=())))
    assert set(verdicts(empty).values()) == {"not run"}


def test_the_logs_numbers_stand_in_its_claims() -> None:
    said = " ".join(claim.logged for claim in claims.of_family(SETTINGS))
    for number in ("83.51", "83.97", "96.22", "84.19", "83.52", "70 %", "0 %"):
        assert number in said
