"""The claims of the experiment log that the HRM-style network on ARC comes from.

The log's numbers stand in `trainables.arc_hrm.presets`, and nowhere here.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from analysis.arc_hrm.opening import constant
from leadline.analysis.claims import Ask, Claim, Outcome, arms, no_gain
from leadline.analysis.sweep import Sweep
from leadline.ledger.leaderboard_table import number
from leadline.ledger.verdicts import Verdict
from trainables.arc_hrm.model import POSITIONS, parameter_count
from trainables.arc_hrm.presets import (
    ALL_PAD_ACCURACY,
    BOARDS,
    LOGGED,
    LOGGED_RESULTS,
    NETWORK,
    PRESETS,
    VALIDATION_EXAMPLES,
)
from trainables.grids.arc import DataSet, load
from trainables.grids.grid import PAD, VOCABULARY, encode

__all__ = ["CLAIMS", "padding"]

ROUNDING = 5e-5
"""Half of the last place of the log's accuracies."""


@cache
def padding(data_set: DataSet) -> tuple[float, int]:
    """Returns the share of PAD among the cells of the evaluation queries, and their number.

    The canvas is the log's, of side 30. The share is the score of all PAD, which has no grid right.
    """
    side = BOARDS["size"]
    answers = [query[1] for task in load(data_set, "evaluation") for query in task.queries]
    return float(np.mean([encode(answer, side) == PAD for answer in answers])), len(answers)


def _constant_has(logged: float) -> Ask:
    """Asks whether a constant has the log's figure on the log's boards; any sweep may say it."""

    def ask(sweep: Sweep) -> Outcome:
        share, queries = padding("arcagi1")
        words = (
            f"all PAD: {100 * ALL_PAD_ACCURACY:.2f} % of the cells, weighted as the log's augmentation weights tasks, "
            f"{100 * share:.2f} % of the {queries} queries as they are, and not one grid"
        )
        if here := constant(sweep):
            words += f"; on this sweep's {here[0]} boards {100 * here[1].value:.2f} %, grids {number(here[2].value)}"
        explained = logged - ROUNDING <= ALL_PAD_ACCURACY
        return Outcome(words, Verdict.EXPLAINED if explained else Verdict.NOT_TOLD_APART)

    return ask


def _limit(sweep: Sweep) -> Outcome | None:
    """Judges whether the network's size is the limit: the same size, given the demonstrations.

    The arm that differs in nothing else is asked first.
    """
    found = arms(STUDY, SHOWN_ALONE, SESSION5, "exact")(sweep)
    if found is None and (found := arms(STUDY, SHOWN, SESSION5, "exact")(sweep)):
        found = found._replace(measured=f"{found.measured}; {SHOWN} also leaves PAD out of its loss")
    if found is None:
        return None
    of_limit = {Verdict.AGREES: Verdict.DISAGREES, Verdict.DISAGREES: Verdict.NOT_TOLD_APART}
    return Outcome(found.measured, of_limit.get(found.verdict, found.verdict))


def _sized(sweep: Sweep) -> Outcome:
    """Judges the size by formula; any sweep may say it."""
    width, layers = NETWORK["hidden"], NETWORK["h_layers"] + NETWORK["l_layers"]
    trained, fixed = parameter_count(width, layers, VOCABULARY), POSITIONS * width
    words = f"{trained + fixed:,} by formula: {trained:,} trained, and a fixed table of positions of {fixed:,}"
    agrees = abs((trained + fixed) / LOGGED.parameters - 1) < 0.001
    return Outcome(words, Verdict.AGREES if agrees else Verdict.DISAGREES)


def _examples(sweep: Sweep) -> Outcome:
    """Judges the count of examples by the builder's own; any sweep may say it."""
    ratio = LOGGED.validation / VALIDATION_EXAMPLES
    words = (
        f"the builder makes {VALIDATION_EXAMPLES:,} of the evaluation queries: the log has {ratio:.2f} times as many, "
        "as if inputs and labels were counted apart"
    )
    return Outcome(words, Verdict.AGREES if abs(ratio - 1) < 0.01 else Verdict.DISAGREES)


def _speeds(sweep: Sweep) -> Outcome:
    """Judges whether the log's own figures of speed agree; any sweep may say it."""
    by_steps = [LOGGED.batch * rate for rate in LOGGED.steps_a_second]
    by_hours = _BATCHES / (LOGGED.hours * 3600)
    words = (
        f"{by_steps[0]} to {by_steps[1]} rows a second by its iterations; {_BATCHES:,} steps in {LOGGED.hours} hours "
        f"are {by_hours:.1f} a second, {by_hours * LOGGED.batch:.0f} rows or, of steps of two batches, twice as many"
    )
    agrees = by_steps[0] <= LOGGED.rows_a_second <= by_steps[1]
    return Outcome(words, Verdict.AGREES if agrees else Verdict.DISAGREES)


def _validation(sweep: Sweep) -> Outcome:
    """Judges what validating costs by the log's own figures; any sweep may say it."""
    first = _validation_share(LOGGED.validation_minutes, LOGGED.validation_steps)
    last = _validation_share(LOGGED.fast_minutes, LOGGED.fast_steps)
    words = (
        f"by its figures {100 * first:.1f} % of session 1 was validation, and {100 * last:.0f} % of session 5 "
        "without its full validations"
    )
    return Outcome(words, Verdict.AGREES if first > 2 * last else Verdict.DISAGREES)


def _validation_share(minutes: float, steps: int) -> float:
    """Returns the share of the time that validations of some minutes take, one in so many steps."""
    training = steps / (sum(LOGGED.steps_a_second) / 2)
    return 60 * minutes / (60 * minutes + training)


def _harder(sweep: Sweep) -> Outcome:
    """Says what the constant has on the next data set, and what would judge a network there."""
    (share, queries), (before, _) = padding("arcagi2"), padding("arcagi1")
    words = (
        f"all PAD has {100 * share:.2f} % of the cells of its {queries} queries, after {100 * before:.2f} %: "
        f"its grids are larger, and a fall like that says nothing of difficulty; that takes {_BOTH}"
    )
    return Outcome(words, Verdict.NOT_RUN)


def _gated(sweep: Sweep) -> Outcome:
    """Judges the rule of full validations by what it compares; any sweep may say it."""
    words = (
        "its code compares the fast loss with the previous one, not the best, so that a loss that rises and falls back "
        "asks for a full validation; the best checkpoint is chosen by accuracy, which the rule does not look at"
    )
    return Outcome(words, Verdict.CONFOUNDED)


def _larger(sweep: Sweep) -> Outcome | None:
    """Judges whether a larger network struggles alike; an arm that is none here says nothing."""
    arm = LARGEST if LARGEST in sweep.strata else WIDER
    if _width(sweep, arm) <= _width(sweep, SESSION5):
        return None
    return no_gain(STUDY, arm, SESSION5, "exact", _MARGIN)(sweep)


def _width(sweep: Sweep, arm: str) -> int:
    """Returns the width of an arm's networks; 0 without any."""
    return max((one.config.get("hidden", 0) for one in sweep.history.search_trials() if one.stratum == arm), default=0)


STUDY, SESSION5, SESSION4, SESSION3, SHOWN, SHOWN_ALONE, WIDER, LARGEST = (
    "plateau",
    "session 5",
    "session 4",
    "session 3",
    "demonstrations",
    "demonstrations and pad",
    "wider",
    "27m",
)
_MARGIN = 0.05
_LOG = "ARC log"
_BEST = LOGGED_RESULTS["session5"]
_PERCENT = f"{100 * _BEST.cells:.2f} %"
_BATCHES = PRESETS["session5"](1.0).steps
_LOW = f"{100 * LOGGED.session4_low:.0f}"
_ANY = "any sweep of this family"
_BOTH = "two sweeps of the same networks, tested on either data set, where any one sweep is tested on one alone"

CLAIMS = (
    Claim(
        f"{_LOG}, session 5",
        f"The best model is at step {_BEST.step:,}.",
        f"{_PERCENT} validation accuracy, over all cells of a 30x30 canvas, PAD among them",
        _ANY,
        _constant_has(_BEST.cells),
    ),
    Claim(
        f"{_LOG}, conclusions",
        f"71 % is the capacity limit of {LOGGED.parameters / 1e6:.2f}M parameters: architecture-limited.",
        f"{_PERCENT}; the input is one grid, without the task's demonstrations",
        f"a sweep of {STUDY} with {SESSION5} and {SHOWN_ALONE}, or else {SHOWN}, which have the same network",
        _limit,
    ),
    Claim(
        f"{_LOG}, key findings",
        "A universal ceiling: all sessions converge to it.",
        f"{100 * LOGGED.jetson:.2f} to {_PERCENT}; session 4 {_LOW} to {100 * LOGGED_RESULTS['session4'].cells:.0f} %",
        _ANY,
        _constant_has(max(result.cells for result in LOGGED_RESULTS.values())),
    ),
    Claim(
        f"{_LOG}, key findings",
        f"Rapid convergence: training is complete within {LOGGED.settled:,} steps.",
        f"{_PERCENT} at step {_BEST.step:,}, nothing better up to step {_BATCHES:,}",
        _ANY,
        _constant_has(_BEST.cells),
    ),
    Claim(
        f"{_LOG}, Jetson validation",
        "Another machine confirms that the limit is genuine.",
        f"{100 * LOGGED.jetson:.2f} % on {100 * LOGGED.jetson_share:.0f} % of the boards, against {_PERCENT}",
        _ANY,
        _constant_has(LOGGED.jetson),
    ),
    Claim(
        f"{_LOG}, why 71 %?",
        "The model learns colours, geometric patterns, counting and shapes.",
        f"{_PERCENT} of the cells; no grid was counted",
        _ANY,
        _constant_has(_BEST.cells),
    ),
    Claim(
        f"{_LOG}, session 4",
        "A smaller batch, 5 times 8, does not help to escape.",
        f"{_LOW} to 71 % after 125,500 steps",
        f"a sweep of {STUDY} with {SESSION4} and {SESSION3}",
        no_gain(STUDY, SESSION4, SESSION3, "exact", _MARGIN),
    ),
    Claim(
        f"{_LOG}, training insights",
        f"A batch of {LOGGED.batch} is optimal.",
        "24, 20 and 8 were tried, one run each",
        f"a sweep of {STUDY} with {SESSION3} and {SESSION4}",
        arms(STUDY, SESSION3, SESSION4, "exact"),
    ),
    Claim(
        f"{_LOG}, session 5",
        "Label smoothing and warm restarts do not break the plateau.",
        f"{_PERCENT} with both, {_PERCENT} without",
        f"a sweep of {STUDY} with {SESSION5} and {SESSION3}",
        no_gain(STUDY, SESSION5, SESSION3, "exact", _MARGIN),
    ),
    Claim(
        f"{_LOG}, training insights",
        "Architecture matters more than size: larger models struggle similarly.",
        "no larger network was trained",
        f"a sweep of {STUDY} with {SESSION5} and {LARGEST}, or {WIDER} at a scale where that is the wider one",
        _larger,
    ),
    Claim(
        f"{_LOG}, training insights",
        "Augmentation is crucial: it enables generalization.",
        "500 images of each task; none was not tried",
        "a sweep with task=arc, with and without augmentations",
        lambda sweep: None,
    ),
    Claim(
        f"{_LOG}, next steps",
        "ARC-AGI-2 is the new, harder benchmark.",
        "nothing was run",
        _BOTH,
        _harder,
    ),
    Claim(
        f"{_LOG}, training configuration",
        "The dataset has 3.88M training and 409k validation examples.",
        f"{LOGGED.training:,} and {LOGGED.validation:,}",
        "no sweep",
        _examples,
    ),
    Claim(
        f"{_LOG}, model architecture",
        f"The network has {LOGGED.parameters / 1e6:.2f}M parameters, not {LOGGED.planned / 1e6:.0f}M as planned.",
        f"{LOGGED.parameters:,}",
        "no sweep",
        _sized,
    ),
    Claim(
        f"{_LOG}, performance",
        f"Training runs at about {LOGGED.rows_a_second} rows a second.",
        f"with {LOGGED.steps_a_second[0]} to {LOGGED.steps_a_second[1]} iterations a second of {LOGGED.batch} rows",
        "no sweep",
        _speeds,
    ),
    Claim(
        f"{_LOG}, lessons",
        "The frequency of validation is critical for speed.",
        f"{LOGGED.validation_minutes} minutes each {LOGGED.validation_steps} steps at first; later "
        f"{LOGGED.fast_minutes} minutes each {LOGGED.fast_steps:,}",
        "no sweep",
        _validation,
    ),
    Claim(
        f"{_LOG}, lessons",
        "Smart validation saves what a full one costs: it is made only where the fast one improves by 1 %.",
        f"about {LOGGED.full_minutes} minutes each",
        "no sweep",
        _gated,
    ),
)
