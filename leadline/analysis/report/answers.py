"""What a sweep answers, in sentences.

Each stratum has a value with its interval and n, beside the best trivial predictor.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from leadline.analysis import progress
from leadline.ledger import leaderboard
from leadline.ledger.confirmed import Luck, finished
from leadline.ledger.history import History, Trial
from leadline.ledger.leaderboard_table import number
from leadline.ledger.verdicts import Comparison, Verdict
from leadline.ledger.worth import MORE_TRIALS, worth
from leadline.measure import Measure
from leadline.plain import plural
from leadline.statistics import rule_of_three

__all__ = ["Answer", "answers", "interval", "luck", "more", "winners_luck"]


@dataclass(frozen=True)
class Answer:
    """The answer of one stratum.

    Attributes:
        stratum: the stratum.
        label: its name for readers, with the stratifying field.
        sentence: the answer in words.
        verdict: what is claimed of the confirmed best against the best trivial predictor;
            `NO_CLAIM` where nothing is confirmed.
        versus: the confirmed best beside the best trivial predictor, by the objective; None where
            there is none.
        besides: the same comparison by the other metrics that have values per unit.
        luck: how many configurations were looked at and what that does to the winner's score; empty
            before there are two replicates.
    """

    stratum: str
    label: str
    sentence: str
    verdict: Verdict = Verdict.NO_CLAIM
    versus: Comparison | None = None
    besides: tuple[Comparison, ...] = ()
    luck: str = ""

    @property
    def contrary(self) -> list[Comparison]:
        """The comparisons by other metrics in which the confirmed best is worse.

        They are with a trivial predictor. There are none where it is worse by the objective, too.
        """
        return leaderboard.contrary(self.versus, self.besides)

    @property
    def worse(self) -> list[str]:
        """The other metrics by which the confirmed best is worse than a trivial predictor."""
        return [one.metric for one in self.besides if one.verdict is Verdict.WORSE]


def answers(history: History, unit: str) -> list[Answer]:
    """Returns one answer per stratum, in the study's order.

    Args:
        history: the state of the sweep.
        unit: what `n` counts, in the plural.
    """
    return [_answer(history, stratum, unit) for stratum in leaderboard.strata(history)]


def _answer(history: History, stratum: str, unit: str) -> Answer:
    field = history.settings.stratify
    label = f"{field} {stratum}" if field else "all trials"
    leader = progress.best(history, stratum)
    if best := next(iter(leaderboard.confirmed(history, stratum)), None):
        return _confirmed(history, best, label, unit)
    sentence = _unconfirmed(history, leader, stratum, unit) if leader else _unfinished(history, stratum)
    return Answer(stratum, label, sentence)


def interval(measure: Measure) -> str:
    """Returns `0.42 [0.40, 0.44]`; the value alone where it is exact."""
    value = number(measure.value)
    return (
        value
        if measure.low == measure.value == measure.high
        else f"{value} [{number(measure.low)}, {number(measure.high)}]"
    )


def _confirmed(history: History, trial: Trial, label: str, unit: str) -> Answer:
    found = leaderboard.versus_trivial(history, trial, unit=unit)
    besides = tuple(leaderboard.besides(history, trial, unit))
    claimed = found.verdict if found else Verdict.NO_CLAIM
    made = Answer(trial.stratum, label, "", claimed, found, besides, luck(history, trial.stratum))
    verdict = Verdict.MIXED if made.contrary and claimed is Verdict.BETTER else claimed
    words = [
        f"{_score(history, trial, unit)}: {_compared(found, unit)}{_contrary(made)}.",
        *_remarks(history, trial, unit),
    ]
    return dataclasses.replace(made, sentence=" ".join(words), verdict=verdict)


def _score(history: History, trial: Trial, unit: str) -> str:
    measure, runs = leaderboard.confirmation(history, trial), len(finished(history, trial))
    assert measure is not None, "a replicate has finished"
    count = len(leaderboard.field(history, trial.stratum))
    among = f", chosen among {count} by validation" if count > 1 else ""
    place = f"{history.settings.metric} on {measure.n} test {unit}, {plural(runs, 'replicate')}{among}"
    return f"trial {trial.number} confirmed at {interval(measure)} ({place})"


def _compared(found: Comparison | None, unit: str) -> str:
    """Compares the finalist with the best trivial predictor on test, in words.

    It makes a claim only where enough was measured for one.
    """
    if found is None:
        return "no trivial predictor was scored on the test split"
    place = f"{found.b.label}, at {number(found.b.measure.value)}"
    if found.missing:
        return f"beside the best trivial predictor there, {place}, no claim is made: {found.missing}"
    how = (
        f"paired by {unit}: {interval(found.difference)}"
        if found.difference
        else "unpaired: the ledger has no values per unit for it"
    )
    if found.few:
        how += f"; they differ on {found.differing} of them, too few to tell"
    return f"for this model class and budget, {found.verdict.phrase} the best trivial predictor there, {place} ({how})"


def _contrary(answer: Answer) -> str:
    """Returns in words by which other metrics the finalist is worse."""
    found = [
        f"{one.metric} ({one.b.label} at {number(one.b.measure.value)}, paired: {interval(one.difference)})"
        for one in answer.contrary
        if one.difference
    ]
    word = "but" if answer.verdict is Verdict.BETTER else "and"
    return f", {word} worse by {' and '.join(found)}" if found else ""


def _remarks(history: History, trial: Trial, unit: str) -> list[str]:
    measure, runs = leaderboard.confirmation(history, trial), len(finished(history, trial))
    assert measure is not None, "a replicate has finished"
    found = []
    if measure.value == 0 and measure.low == 0:
        share = 100 * rule_of_three(measure.n)
        found.append(
            f"All {measure.n} {unit} score 0, which leaves room for up to {share:.2g} % that do not (rule of three)."
        )
    if marks := leaderboard.replicate_marks(history, trial):
        found.append(f"Its replicates' guards: {', '.join(marks)}.")
    if runs == 1:
        found.append("One replicate: the interval leaves out the spread between seeds.")
    elif runs < history.settings.replicates:
        found.append(f"{plural(history.settings.replicates, 'replicate was', 'replicates were')} asked for.")
    return found


def _unconfirmed(history: History, trial: Trial, stratum: str, unit: str) -> str:
    name = leaderboard.objective(history)
    measure, trivial = trial.measure(name), leaderboard.best_trivial(history, stratum, name)
    assert measure is not None, "the best trial has reported"
    lines = "no trivial predictor was scored on the validation split"
    if trivial:
        lines = f"the best trivial predictor there, {trivial.name}, is at {number(trivial.metrics[name].value)}"
    confirm = "not confirmed yet" if history.settings.confirm else "confirmation was not asked for"
    place = f"{history.settings.metric} on {measure.n} validation {unit}"
    chosen = f"It was chosen on these {unit}, which flatters it; no claim is made; {confirm}."
    return f"trial {trial.number} leads at {interval(measure)} ({place}): {lines}. {chosen}"


def winners_luck(history: History, stratum: str) -> Luck | None:
    """Returns how much of the winner's score may be luck; None where that is not known.

    The winner is the search's, whichever finalist is ahead after confirmation.
    """
    winner = progress.best(history, stratum)
    return leaderboard.luck(history, winner) if winner else None


def luck(history: History, stratum: str) -> str:
    """Returns in words how much of the winner's score may be luck, as `winners_luck` has it.

    It says how many configurations were looked at, what the best of so many would score by luck,
    and what the winner scored.
    """
    found = winners_luck(history, stratum)
    if found is None:
        return ""
    side, other = ("below", "above") if history.settings.mode == "min" else ("above", "below")
    several = "" if found.everywhere == found.looked else f" ({found.everywhere} over all strata)"
    sentence = f"{plural(found.looked, 'configuration was', 'configurations were')} looked at{several}."
    if found.looked > 1:
        expected = f"{number(found.expected)} {side} their mean by luck"
        sentence += f" The best of {found.looked} equally good configurations would score {expected} on validation"
        sentence += f" (standard deviation {number(found.spread)} over {plural(found.replicates, 'replicate')})"
        direction = side if found.seen >= 0 else other
        sentence += f"; the winner's score there was {number(abs(found.seen))} {direction} its replicates' mean."
    return " ".join(filter(None, [sentence, more(history, stratum)]))


def more(history: History, stratum: str) -> str:
    """Returns in words what ten more trials would be worth; empty where too few have finished."""
    found = worth(history, stratum)
    if found is None or not math.isfinite(found.detectable):
        return ""
    seen = f"the confirmation can tell {number(found.detectable)} from the scatter of seeds"
    advice = "they would bring nothing that it could see" if found.gain < found.detectable else "they may be worth it"
    return f"{MORE_TRIALS} more trials are expected to bring {number(found.gain)}, and {seen}: {advice}."


def _unfinished(history: History, stratum: str) -> str:
    ranked = leaderboard.ranked(history, stratum)
    reported = [(trial, trial.scored) for trial in ranked if trial.scored]
    if not ranked:
        return "no trial has been proposed."
    if not reported:
        return f"no trial has reported ({progress.counts(ranked)})."
    (first, report), settings = reported[0], history.settings
    spent = f"{history.spent(report):,} of {settings.budget:,} {settings.unit}"
    far = f"trial {first.number} is at {number(first.value(leaderboard.objective(history)))} after {spent}"
    return f"no trial has finished with a finite value ({progress.counts(ranked)}); {far}."
