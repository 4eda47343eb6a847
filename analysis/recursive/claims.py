"""The claims of the notes and of the log that the recursive families come from.

Their numbers stand in `trainables.recursive.presets`, and nowhere here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import takewhile
from statistics import fmean

from analysis.recursive.phases import health, told
from leadline.analysis import scores
from leadline.analysis.claims import Ask, Claim, Outcome, arms, as_much, better_than_trivial, no_gain
from leadline.analysis.sweep import Sweep
from leadline.ledger.history import Trial
from leadline.ledger.leaderboard_table import number
from leadline.ledger.verdicts import Verdict
from leadline.statistics import LEAST_UNITS, lacking
from trainables.recursive.presets import LOGGED_BOARDS, LOGGED_ENCODER, LOGGED_EVALUATIONS, LOGGED_RESULTS

__all__ = ["ETRM_CLAIMS", "HRM_CLAIMS", "TRM_CLAIMS"]

_NOTES = "trajectory augmentation notes"
_PAIR = ("sigma_bands", "sigma band (parallel_fixed)", "no noise (parallel_fixed)")
_NEEDS = "a sigma_bands sweep of this family with noise and control under parallel_fixed"
_DECAY = "runs that go on long after their best, from half-trained models"
_MARGIN = 0.01


def _best(family: str) -> str:
    """Returns the best accuracies of a family's two runs, and what they rest on."""
    noisy, plain = LOGGED_RESULTS[family]
    each = f"each the best of {LOGGED_EVALUATIONS} evaluations of one run on {LOGGED_BOARDS} boards"
    return f"exact accuracy {noisy.best:.4f} against {plain.best:.4f}: {each}, less than a standard error apart"


def _decay(family: str) -> str:
    """Returns the best and last accuracies of a family's two runs."""
    noisy, plain = LOGGED_RESULTS[family]
    return f"{noisy.best:.4f} to {noisy.last:.4f} against {plain.best:.4f} to {plain.last:.4f}"


TRM_CLAIMS = (
    Claim(
        f"{_NOTES}, TRM",
        "Noise got a higher best.",
        _best("trm"),
        _NEEDS,
        arms(*_PAIR, "exact"),
    ),
    Claim(
        f"{_NOTES}, TRM",
        "Noise got a much less bad final decay.",
        _decay("trm"),
        _DECAY,
        lambda sweep: None,
    ),
)

HRM_CLAIMS = (
    Claim(
        f"{_NOTES}, HRM",
        "Noise got no gain in best accuracy.",
        _best("hrm"),
        _NEEDS,
        no_gain(*_PAIR, "exact", _MARGIN),
    ),
    Claim(
        f"{_NOTES}, HRM",
        "Under noise final accuracy decayed slightly less.",
        _decay("hrm"),
        _DECAY,
        lambda sweep: None,
    ),
)


def _never(sweep: Sweep) -> Outcome | None:
    """Says nothing: no sweep could speak to the claim."""
    return None


def _finished(sweep: Sweep, arm: str) -> list[Trial]:
    """Returns the trials of an arm of the study that ran to the end, replicates among them."""
    if sweep.settings.study != _STUDY:
        return []
    trials = sweep.history.trials.values()
    return [trial for trial in trials if trial.stratum == arm and trial.status == "finished" and trial.reports]


def _by_step(trial: Trial, name: str) -> float:
    """Returns the mean of a fact over a trial's steps; each report has that of its interval."""
    spans = [report.step - before for report, before in zip(trial.reports, _steps(trial), strict=True)]
    values = [report.facts.get(name, math.nan) for report in trial.reports]
    return math.fsum(value * span for value, span in zip(values, spans, strict=True)) / max(1, sum(spans))


def _steps(trial: Trial) -> list[int]:
    return [0, *(report.step for report in trial.reports[:-1])]


def _covered(sweep: Sweep, arm: str) -> list[tuple[float, int]]:
    """Returns the coverage of an arm's trials that measured it, each with its limit of segments."""
    found = [(_by_step(trial, "encoder/coverage"), trial.config["halt_max_steps"]) for trial in _finished(sweep, arm)]
    return sorted(pair for pair in found if math.isfinite(pair[0]))


def _range(values: Sequence[float]) -> str:
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


def _starved(sweep: Sweep) -> Outcome | None:
    """Asks whether a cache covers as few rows as the log says; of S segments it is one in S."""
    found = _covered(sweep, "cached")
    if not found:
        return None
    shares, limits = zip(*found, strict=True)
    least = f"at most {_range(limits)} segments give 1 row in {_range(limits)} at the least"
    words = f"encoder/coverage: arm cached: {_range(shares)} in {len(shares)} trials; {least}"
    return Outcome(words, Verdict.AGREES if max(shares) <= LOGGED_ENCODER.coverage else Verdict.DISAGREES)


def _all_covered(sweep: Sweep) -> Outcome | None:
    """Asks whether re-encoding covers every row."""
    shares = [share for share, _ in _covered(sweep, "reencode")]
    if not shares:
        return None
    words = f"encoder/coverage: arm reencode: {_range(shares)} in {len(shares)} trials"
    return Outcome(words, Verdict.AGREES if min(shares) == 1 else Verdict.DISAGREES)


def _rows(sweep: Sweep, arm: str) -> list[float]:
    """Returns the rows that an arm's trials encode for a board and segment that is trained."""
    found = [
        _by_step(trial, "encoder/rows") * trial.reports[-1].step / trial.reports[-1].samples
        for trial in _finished(sweep, arm)
    ]
    return [value for value in found if math.isfinite(value)]


def _as_cheap(sweep: Sweep) -> Outcome | None:
    """Asks whether re-encoding encodes as much as fixed computation for the same training."""
    one, other = _rows(sweep, "reencode"), _rows(sweep, "fct")
    if not one or not other:
        return None
    words = f"rows encoded for a board's segment: arm reencode: {_range(one)}; arm fct: {_range(other)}"
    same = math.isclose(min(one), max(other), rel_tol=1e-6) and math.isclose(max(one), min(other), rel_tol=1e-6)
    return Outcome(words, Verdict.AGREES if same else Verdict.DISAGREES)


def _falls(sweep: Sweep) -> Outcome | None:
    """Asks whether Q-halt's accuracy falls when a network leaves the first phase.

    Replicate by replicate, the mean over the reports of the second phase is compared with that over
    the reports of the first phase before them.
    """
    changes = []
    for trial in [trial for trial in _finished(sweep, "reencode") if trial.of is not None]:
        said = [health(trial, report) for report in told(trial)]
        before = [one.q for one in takewhile(lambda one: one.phase != 2, said) if one.phase == 1]
        learning = [one.q for one in said if one.phase == 2]
        if before and learning:
            changes.append(fmean(learning) - fmean(before))
    if not changes:
        return None
    measured = "q_accuracy, its mean in phase 2 less that in phase 1 before"
    words = f"{measured}: {_range(changes)} in {len(changes)} replicates of arm reencode"
    if few := lacking(len(changes), LEAST_UNITS):
        return Outcome(f"{words} (only {few})", Verdict.NO_CLAIM)
    if min(changes) < 0 <= max(changes):
        return Outcome(words, Verdict.NOT_TOLD_APART)
    return Outcome(words, Verdict.AGREES if max(changes) < 0 else Verdict.DISAGREES)


def _adapts(sweep: Sweep) -> Outcome | None:
    """Asks whether Q halts boards before the limit."""
    found = scores.confirmed(sweep.history, "reencode", "halt_steps") if sweep.settings.study == _STUDY else None
    if found is None:
        return None
    limit = found.trial.config["halt_max_steps"]
    words = f"halt_steps: arm reencode: {found.words}, of at most {limit}"
    few = lacking(len(found.scores), found.measure.n)
    if few:
        return Outcome(f"{words} (only {few})", Verdict.NO_CLAIM)
    return Outcome(words, Verdict.AGREES if found.measure.high < limit else Verdict.DISAGREES)


_STUDY = "encoder"
_LOG = "encoder log"
_E = LOGGED_ENCODER
_WITH = "a sweep of encoder, confirmed, with the arms"


def _share(value: float) -> str:
    return f"{100 * value:.4g} %"


def _claim(place: str, claim: str, logged: str, needs: str, ask: Ask = _never) -> Claim:
    return Claim(f"{_LOG}, {place}", claim, logged, needs, ask)


ETRM_CLAIMS = (
    _claim(
        "results",
        "Token accuracy is improving.",
        f"{_share(_E.accuracy)} at step {_E.step}, on {_E.groups} training groups, from a trained decoder",
        "any sweep of this family, for its trivial predictors",
        as_much("accuracy", _E.accuracy),
    ),
    _claim(
        "what is monitored",
        "Fixed computation has more right than re-encoding.",
        f"{_share(_E.exact)} of sequences at step {_E.step} on {_E.groups} groups, {_share(_E.fixed)} on "
        f"{_E.fixed_groups}: other groups, another start, another measure, so that the two cannot be compared",
        f"{_WITH} reencode and fct, on the same boards",
        arms(_STUDY, "fct", "reencode", "exact"),
    ),
    _claim(
        "gradient starvation",
        "Behind a cache the encoder has a gradient from 2 % of the rows.",
        f"about {_share(_E.coverage)}; at most {_E.limit} segments give {_share(1 / _E.limit)} at the least, and its "
        f"mean of {_E.segments} {_share(1 / _E.segments)}",
        "a sweep of encoder with the arm cached",
        _starved,
    ),
    _claim(
        "gradient starvation",
        "A detached cache starves the encoder, and re-encoding mends it.",
        f"{_share(_E.cached[0])} and {_share(_E.cached[1])} in training behind a cache, {_share(_E.accuracy)} of "
        "tokens without one: one run each, of other encoders",
        f"{_WITH} reencode and cached",
        arms(_STUDY, "reencode", "cached", "exact"),
    ),
    _claim(
        "gradient starvation",
        "A cached encoder learns less than fixed computation.",
        f"{_share(_E.cached[0])} and {_share(_E.cached[1])} against {_share(_E.fixed)}, on other groups",
        f"{_WITH} fct and cached",
        arms(_STUDY, "fct", "cached", "exact"),
    ),
    _claim(
        "gradient starvation",
        "It was the cache that failed, and not the variational encoder.",
        f"variational encoders were trained behind a cache alone: {_share(_E.cached[0])} and {_share(_E.cached[1])}",
        f"{_WITH} reencode and variational",
        no_gain(_STUDY, "reencode", "variational", "exact", 0.05),
    ),
    _claim(
        "gradient flow",
        "Re-encoding gives the encoder a gradient from every row, whatever halts.",
        "100 % of the rows",
        "a sweep of encoder with the arm reencode",
        _all_covered,
    ),
    _claim(
        "efficiency",
        "Re-encoding costs no more than fixed computation.",
        "about as many encoder passes for a sequence in both",
        "a sweep of encoder with the arms reencode and fct",
        _as_cheap,
    ),
    _claim(
        "encoder performance",
        "The runs had not crashed, they were a hundred times too slow.",
        f"{_E.seconds[0]:g} s a step with all rows encoded and most thrown away, {_E.seconds[1]:g} s expected without",
        "the benchmark of encoding all rows, as no arm throws an encoding away",
    ),
    _claim(
        "label mismatch",
        "Labels of the next batch were the reason for a wrong loss.",
        "no number",
        "a test, as a slot's labels stay with its board here",
    ),
    _claim(
        "healthy training",
        "Q-halt's accuracy is high and stable, a good sign.",
        f"{_share(_E.q_accuracy)}, where always going on has {_share(1 - _E.exact)}",
        "any sweep of this family, for its trivial predictors",
        as_much("q_accuracy", _E.q_accuracy),
    ),
    _claim(
        "three phases",
        "Q-halt's accuracy falls while exact match rises.",
        f"about {_share(_E.phases[0])} with nothing right, {_share(_E.phases[1])} to {_share(_E.phases[2])} after "
        "that; one point of one run was measured",
        "replicates of the arm reencode that pass from phase 1 to 2",
        _falls,
    ),
    _claim(
        "three phases",
        "Exploration is needed, and makes the fall.",
        f"half of the sequences must go on ({_E.explore:g}); no run without was made",
        "a sweep whose arms differ in explore alone; encoder searches it in each",
    ),
    _claim(
        "healthy training",
        "Adaptive halting works.",
        f"{_E.segments:g} of {_E.limit} segments, with exploration at {_E.explore:g}",
        f"{_WITH} reencode",
        _adapts,
    ),
    _claim(
        "next steps",
        "The encoder learns rules, and solves tasks that were never trained on.",
        f"not measured; the final report has {_share(_E.held_out)} on held-out tasks, {_share(_E.trained)} in training",
        f"{_WITH} reencode",
        better_than_trivial(_STUDY, "reencode", "exact_new"),
    ),
)
