"""What a sweep answers, in sentences: per stratum a value with its interval and n, beside the best trivial predictor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from analysis import progress
from sweeps.ledger import leaderboard
from sweeps.ledger.history import Baseline, History, Trial
from sweeps.ledger.table import number
from trainables.measure import Measure

__all__ = ["Answer", "answers", "best_trivial", "confirmed_measures", "verdict"]

NOT_TOLD_APART = "not told apart from"


@dataclass(frozen=True)
class Answer:
    """One stratum's answer. `verdict` is better than, worse than, not told apart from, or empty where nothing is compared."""

    stratum: str
    label: str
    sentence: str
    verdict: str


def best_trivial(history: History, stratum: str, split: str) -> tuple[Baseline, Measure] | None:
    """The trivial predictor with the best finite value on a split, oracles left out."""
    name = f"{split}/{history.settings['metric']}"
    scored = ((line, line.metrics[name]) for line in leaderboard.rivals(history, stratum, name))
    return next((pair for pair in scored if math.isfinite(pair[1].value)), None)


def verdict(measure: Measure, other: float, mode: str) -> str:
    """`better than`, `worse than` or `not told apart from`, by whether the 95 % interval excludes the other value."""
    if not all(map(math.isfinite, (measure.low, measure.high, other))):
        return NOT_TOLD_APART
    if measure.low <= other <= measure.high:
        return NOT_TOLD_APART
    return "better than" if (measure.high < other) == (mode == "min") else "worse than"


def confirmed_measures(history: History, stratum: str) -> list[tuple[Trial, Measure, dict[str, Any]]]:
    """Confirmed finalists of a stratum, best first: the trial, its test score, its row of the leaderboard."""
    found = []
    for row in leaderboard.confirmations(history):
        trial = history.trials[row["trial"]]
        measure = leaderboard.confirmation(history, trial)
        if row["stratum"] == stratum and measure is not None:
            found.append((trial, measure, row))
    return found


def answers(history: History, unit: str) -> list[Answer]:
    """One answer per stratum, in the study's order.

    Args:
        unit: what `n` counts, in the plural.
    """
    return [_answer(history, stratum, unit) for stratum in leaderboard.strata(history)]


def _answer(history: History, stratum: str, unit: str) -> Answer:
    field = history.settings["stratify"]
    label = f"{field} {stratum}" if field else "all trials"
    confirmed = confirmed_measures(history, stratum)
    leader = progress.best(history, stratum)
    if confirmed:
        sentence, word = _confirmed(history, confirmed, stratum, unit)
    elif leader:
        sentence, word = _unconfirmed(history, leader, stratum, unit)
    else:
        sentence, word = _unfinished(history, stratum), ""
    return Answer(stratum, label, sentence, word)


def _interval(measure: Measure) -> str:
    return f"{number(measure.value)} [{number(measure.low)}, {number(measure.high)}]"


def _compared(history: History, measure: Measure, stratum: str, split: str) -> tuple[str, str]:
    found = best_trivial(history, stratum, split)
    if found is None:
        return f"no trivial predictor was scored on the {split} split", ""
    line, other = found
    word = verdict(measure, other.value, history.settings["mode"])
    return f"{word} the best trivial predictor there, {line.name}, at {number(other.value)}", word


def _confirmed(history: History, confirmed: list[tuple[Trial, Measure, dict[str, Any]]], stratum: str, unit: str) -> tuple[str, str]:
    trial, measure, row = confirmed[0]
    compared, word = _compared(history, measure, stratum, "test")
    runs = row["replicates"]
    times = f"{runs} replicate{'s' if runs > 1 else ''}"
    among = f", best of {len(confirmed)} confirmed" if len(confirmed) > 1 else ""
    place = f"{history.settings['metric']} on {measure.n} test {unit}, {times}{among}"
    sentence = f"trial {trial.number} confirmed at {_interval(measure)} ({place}): {compared}."
    if runs == 1:
        sentence += " One replicate: the interval leaves out the spread between seeds."
    elif runs < history.settings["replicates"]:
        sentence += f" {history.settings['replicates']} replicates were asked for."
    return sentence, word


def _unconfirmed(history: History, trial: Trial, stratum: str, unit: str) -> tuple[str, str]:
    measure = trial.measure(leaderboard.objective(history))
    assert measure is not None
    compared, word = _compared(history, measure, stratum, "validation")
    confirm = "not confirmed yet" if history.settings["confirm"] else "confirmation was not asked for"
    place = f"{history.settings['metric']} on {measure.n} validation {unit}"
    chosen = f"It was chosen on these {unit}, which flatters it; {confirm}."
    return f"trial {trial.number} leads at {_interval(measure)} ({place}): {compared}. {chosen}", word


def _unfinished(history: History, stratum: str) -> str:
    ranked = leaderboard.ranked(history, stratum)
    reported = [trial for trial in ranked if trial.reports]
    if not ranked:
        return "no trial has been proposed."
    if not reported:
        return f"no trial has reported ({progress.counts(ranked)})."
    value = number(reported[0].value(leaderboard.objective(history)))
    far = f"trial {reported[0].number} is at {value} after {reported[0].step} of {history.settings['steps']} steps"
    return f"no trial has finished with a finite value ({progress.counts(ranked)}); {far}."
