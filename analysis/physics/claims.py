"""The claims of the experiment log that the physics family comes from.

The log's numbers stand in `trainables.physics.presets`, and nowhere here.
"""

from __future__ import annotations

from leadline.analysis import scores
from leadline.analysis.claims import Ask, Claim, Outcome, arms, as_much
from leadline.analysis.sweep import Sweep
from leadline.ledger.confirmed import lost
from leadline.ledger.verdicts import Verdict
from leadline.statistics import lacking
from trainables.physics.presets import LOGGED_RESULTS

__all__ = ["CLAIMS"]

INSIDE, OUTSIDE = "logged_inside", "logged_extrapolation"


def _skilful(metric: str) -> Ask:
    """Asks whether the staged arm is better than the best trivial predictor, skill 0."""

    def ask(sweep: Sweep) -> Outcome | None:
        found = scores.confirmed(sweep.history, STAGED, metric) if STAGED in sweep.strata else None
        if found is None or sweep.settings.study != STUDY:
            return None
        words = f"{metric}: arm {STAGED}: {found.words}; the best trivial predictor is 0"
        few = lacking(len(found.scores), found.measure.n, "episodes")
        if missing := "; ".join(
            [*lost(sweep.history, found.trial, f"test/{metric}"), *([f"only {few}"] if few else [])]
        ):
            return Outcome(f"{words} ({missing})", Verdict.NO_CLAIM)
        if found.measure.low > 0:
            return Outcome(words, Verdict.AGREES)
        return Outcome(words, Verdict.DISAGREES if found.measure.high < 0 else Verdict.NOT_TOLD_APART)

    return ask


STUDY, STAGED = "stages", "staged"
_LOG = "physics log"
_ANY = "any sweep of this family, for its trivial predictors"
_FIRST, _SECOND, _THIRD, _LAST = (f"{100 * value:.2f} %" for value in LOGGED_RESULTS.stages)
_INSIDE = f"{100 * LOGGED_RESULTS.interpolation:.2f} %"
_CRITERION = f"{100 * LOGGED_RESULTS.criterion:.0f} %"

CLAIMS = (
    Claim(
        f"{_LOG}, results",
        "Extrapolation accuracy hits the target.",
        f"{_LAST}, as 1 - MAE/10 over raw features",
        _ANY,
        as_much(OUTSIDE, LOGGED_RESULTS.extrapolation),
    ),
    Claim(
        f"{_LOG}, results",
        "Interpolation is nearly identical: true generalization.",
        f"{_INSIDE} inside, {_LAST} outside",
        _ANY,
        as_much(INSIDE, LOGGED_RESULTS.interpolation),
    ),
    Claim(
        f"{_LOG}, stage 1",
        "The basic transformer extrapolates best.",
        f"{_FIRST} after stage 1, {_SECOND} after stage 2",
        _ANY,
        as_much(OUTSIDE, LOGGED_RESULTS.stages[0]),
    ),
    Claim(
        f"{_LOG}, criterion",
        "The hypothesis is validated.",
        f"a criterion of {_CRITERION}, from a baseline of {100 * LOGGED_RESULTS.baseline:.0f} %",
        _ANY,
        as_much(OUTSIDE, LOGGED_RESULTS.criterion),
    ),
    Claim(
        f"{_LOG}, stage 2",
        "Physics constraints likely improved robustness.",
        f"{_FIRST} to {_SECOND}; robustness was not measured",
        "a sweep of stages with the arm without physics",
        arms(STUDY, STAGED, "without physics", "novel_skill"),
    ),
    Claim(
        f"{_LOG}, stage 3",
        "Domain randomisation helps transfer.",
        f"{_SECOND} to {_THIRD}; nothing read what was randomised",
        "a sweep of stages with the arm without randomised",
        arms(STUDY, STAGED, "without randomised", "extrapolation_skill"),
    ),
    Claim(
        f"{_LOG}, stage 4",
        "A focus on extrapolation improves it.",
        f"{_THIRD} to {_LAST}; nothing read the focus",
        "a sweep of stages with the arm without extrapolation",
        arms(STUDY, STAGED, "without extrapolation", "extrapolation_skill"),
    ),
    Claim(
        f"{_LOG}, hypotheses",
        "A progressive curriculum beats joint training.",
        f"{_LAST}; joint training was not run",
        "a sweep of stages, staged and joint",
        arms(STUDY, STAGED, "joint", "extrapolation_skill"),
    ),
    Claim(
        f"{_LOG}, implications",
        "Neural networks can extrapolate, given proper inductive biases.",
        f"{_LAST}, beside no trivial predictor",
        "a sweep of stages with the arm staged, confirmed",
        _skilful("extrapolation_skill"),
    ),
    Claim(
        f"{_LOG}, next steps",
        "It may hold for more extreme extrapolation.",
        "nothing was run",
        "a sweep of stages with the arm staged, confirmed",
        _skilful("novel_skill"),
    ),
)
