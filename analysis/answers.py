"""What a sweep answers, in sentences: per stratum a value with its interval and n, beside the best trivial predictor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from analysis import progress
from sweeps.ledger import leaderboard
from sweeps.ledger.confirmed import Versus, verdict
from sweeps.ledger.history import Baseline, History, Trial
from sweeps.ledger.table import number
from trainables.measure import Measure
from trainables.statistics import lacking, rule_of_three

__all__ = ["Answer", "answers", "best_trivial", "confirmed_measures", "luck", "verdict"]


@dataclass(frozen=True)
class Answer:
    """One stratum's answer.

    `verdict` is better than, worse than, not told apart from, or empty where nothing is claimed. `luck` says how many
    configurations were looked at and what that does to the winner's score; empty before there are two replicates.
    """

    stratum: str
    label: str
    sentence: str
    verdict: str
    luck: str = ""


def best_trivial(history: History, stratum: str, split: str) -> tuple[Baseline, Measure] | None:
    """The trivial predictor with the best finite value on a split, oracles left out."""
    name = f"{split}/{history.settings['metric']}"
    scored = ((line, line.metrics[name]) for line in leaderboard.rivals(history, stratum, name))
    return next((pair for pair in scored if math.isfinite(pair[1].value)), None)


def confirmed_measures(history: History, stratum: str) -> list[tuple[Trial, Measure, dict[str, Any]]]:
    """Confirmed finalists of a stratum, best first: the trial, its test score, its row of the leaderboard."""
    found = []
    for row in leaderboard.confirmations(history, stratum):
        trial = history.trials[row["trial"]]
        measure = leaderboard.confirmation(history, trial)
        if measure is not None:
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
    return Answer(stratum, label, sentence, word, luck(history, confirmed[0][0]) if confirmed else "")


def _interval(measure: Measure) -> str:
    return f"{number(measure.value)} [{number(measure.low)}, {number(measure.high)}]"


def _confirmed(history: History, confirmed: list[tuple[Trial, Measure, dict[str, Any]]], stratum: str, unit: str) -> tuple[str, str]:
    trial, measure, row = confirmed[0]
    runs = row["replicates"]
    times = f"{runs} replicate{'s' if runs > 1 else ''}"
    among = f", best of {len(confirmed)} confirmed" if len(confirmed) > 1 else ""
    place = f"{history.settings['metric']} on {measure.n} test {unit}, {times}{among}"
    compared, word = _compared(leaderboard.versus_trivial(history, trial), lacking(runs, measure.n, unit), unit)
    sentence = f"trial {trial.number} confirmed at {_interval(measure)} ({place}): {compared}."
    if measure.value == 0 and measure.low == 0:
        share = 100 * rule_of_three(measure.n)
        sentence += f" All {measure.n} {unit} score 0, which leaves room for up to {share:.2g} % that do not (rule of three)."
    if runs == 1:
        sentence += " One replicate: the interval leaves out the spread between seeds."
    elif runs < history.settings["replicates"]:
        sentence += f" {history.settings['replicates']} replicates were asked for."
    return sentence, word


def _compared(found: Versus | None, missing: str, unit: str) -> tuple[str, str]:
    """The finalist beside the best trivial predictor on test: a claim only where enough was measured for one."""
    if found is None:
        return "no trivial predictor was scored on the test split", ""
    place = f"{found.name}, at {number(found.other.value)}"
    if missing:
        return f"beside the best trivial predictor there, {place}, no claim is made: only {missing}", ""
    how = f"paired by {unit}: {_interval(found.difference)}" if found.difference else "unpaired: the ledger has no values per unit for it"
    return f"for this model class and budget, {found.verdict} the best trivial predictor there, {place} ({how})", found.verdict


def _unconfirmed(history: History, trial: Trial, stratum: str, unit: str) -> tuple[str, str]:
    measure = trial.measure(leaderboard.objective(history))
    assert measure is not None
    trivial = best_trivial(history, stratum, "validation")
    beside = f"the best trivial predictor there, {trivial[0].name}, is at {number(trivial[1].value)}" if trivial else ""
    confirm = "not confirmed yet" if history.settings["confirm"] else "confirmation was not asked for"
    place = f"{history.settings['metric']} on {measure.n} validation {unit}"
    chosen = f"It was chosen on these {unit}, which flatters it; no claim is made; {confirm}."
    lines = beside or "no trivial predictor was scored on the validation split"
    return f"trial {trial.number} leads at {_interval(measure)} ({place}): {lines}. {chosen}", ""


def luck(history: History, trial: Trial) -> str:
    """How many configurations were looked at, what the best of so many would score by luck, and what the winner scored."""
    found = leaderboard.luck(history, trial)
    if found is None:
        return ""
    side, other = ("below", "above") if history.settings["mode"] == "min" else ("above", "below")
    several = "" if found.everywhere == found.looked else f" ({found.everywhere} over all strata)"
    plural = "s were" if found.looked != 1 else " was"
    sentence = f"{found.looked} configuration{plural} looked at{several}."
    if found.looked > 1:
        expected = f"{number(found.expected)} {side} their mean by luck"
        sentence += f" The best of {found.looked} equally good configurations would score {expected} on validation"
        sentence += f" (standard deviation {number(found.spread)} over {found.replicates} replicates)"
        sentence += f"; the winner's score there was {number(abs(found.seen))} {side if found.seen >= 0 else other} its replicates' mean."
    return sentence


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
