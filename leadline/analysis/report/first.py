"""The first screen of a report: one sentence that answers, and a row for each stratum's winner."""

from __future__ import annotations

import json
import keyword
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leadline.analysis import progress, scores
from leadline.analysis.report import forest, short
from leadline.analysis.report.answers import Answer, winners_luck
from leadline.analysis.sweep import Sweep
from leadline.config import shown
from leadline.ledger import leaderboard
from leadline.ledger.history import Trial
from leadline.ledger.ranges import Edge, edges
from leadline.ledger.verdicts import Comparison, Verdict
from leadline.measure import Measure
from leadline.plain import plural

__all__ = ["Chosen", "Row", "chosen", "command", "first_row", "rows", "sentence", "winner"]

MOST = 4
"""The most planned comparisons, and strata of an unconfirmed sweep, that the sentence names."""
UNTRAINED = "the best predictor that learns nothing"
PHRASES = {Verdict.NO_DIFFERENCE: "no different from", Verdict.NO_CLAIM: "without a claim against"}


def sentence(
    sweep: Sweep, found: Sequence[Answer], contrasts: Sequence[Comparison], pairs: Sequence[Comparison]
) -> str:
    """Returns the answer of a sweep in one sentence.

    Comparisons that the study planned come first, else those of the best stratum with the others;
    then what is claimed against predictors that learn nothing. Where nothing is confirmed, it says
    what is known so far.

    Args:
        sweep: the sweep.
        found: the answers of its strata.
        contrasts: the comparisons that its study planned.
        pairs: the comparisons of all its strata, best mean first.
    """
    confirmed = [answer for answer in found if answer.versus]
    best = [one for one in pairs if one.a.stratum == pairs[0].a.stratum]
    compared = [one for one in (contrasts or best) if one.difference]
    if not confirmed and not compared:
        return _so_far(sweep)
    if compared and contrasts:
        parts = [*_planned(compared), *_in_short(sweep, confirmed)]
    elif compared:
        parts = [_pairs(sweep, compared), *_in_short(sweep, confirmed)]
    else:
        parts = _by_stratum(sweep, confirmed)
    said = "; ".join(filter(None, parts))
    named = any(said.startswith(f"{stratum} ") for stratum in sweep.strata)  # a name stays as it is written
    return f"{said if named else said[:1].upper() + said[1:]}."


def _listed(words: Iterable[str]) -> str:
    """Returns `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _phrase(verdict: Verdict) -> str:
    return PHRASES.get(verdict, verdict.phrase)


def _amount(difference: Measure | None) -> str:
    """Returns `0.021 higher`; `equal` where there is no difference."""
    if difference is None or difference.value == 0:
        return "equal"
    return f"{short.short(abs(difference.value), 2)} {'lower' if difference.value < 0 else 'higher'}"


def _planned(compared: Sequence[Comparison]) -> list[str]:
    """Returns a part for each planned pair: the first, then those of which anything is claimed."""
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for one in compared:
        pairs.setdefault((one.a.stratum, one.b.stratum), []).append(one)
    said = [
        of
        for place, of in enumerate(pairs.values())
        if len(pairs) <= MOST or not place or any(one.ahead or one.equivalent for one in of)
    ][:MOST]
    rest = len(pairs) - len(said)
    more = f"{rest} more planned comparison{'s stand' if rest > 1 else ' stands'} below" if rest else ""
    return [*map(_pair, said), more]


def _pair(compared: Sequence[Comparison]) -> str:
    """Returns `A is worse than B by skill (0.02 lower) and not told apart from it by loss`."""
    groups: dict[Verdict, list[Comparison]] = {}
    for one in compared:
        groups.setdefault(one.verdict, []).append(one)
    unclaimed = groups.pop(Verdict.NO_CLAIM, [])
    if not groups:
        why = unclaimed[0].missing.split("; ")[-1]
        return f"nothing is claimed of {compared[0].a.stratum} against {compared[0].b.stratum} ({why})"
    words: list[str] = []
    for verdict, of in groups.items():
        ahead = verdict in (Verdict.BETTER, Verdict.WORSE)
        by = _listed(f"{one.metric} ({_amount(one.difference)})" if ahead else one.metric for one in of)
        words.append(f"{_phrase(verdict)} {'it' if words else compared[0].b.stratum} by {by}")
    return f"{compared[0].a.stratum} is {_listed(words)}"


def _pairs(sweep: Sweep, compared: Sequence[Comparison]) -> str:
    """Returns what is claimed of the stratum with the best mean against each other."""
    best = compared[0].a.stratum
    groups: dict[Verdict, list[Comparison]] = {}
    for one in compared:
        groups.setdefault(one.verdict, []).append(one)
    words = []
    for verdict, of in groups.items():
        amounts = sorted(abs(one.difference.value) for one in of if one.difference)
        ahead = verdict in (Verdict.BETTER, Verdict.WORSE) and amounts
        direction = "lower" if of[0].difference and of[0].difference.value < 0 else "higher"
        by = f" ({of[0].metric} {_span(amounts)} {direction})" if ahead else ""
        words.append(f"{_phrase(verdict)} {_listed(one.b.stratum for one in of)}{by}")
    field = "" if sweep.settings.arms else f"{sweep.settings.stratify} "
    return f"{field}{best} has the best mean {compared[0].metric}: {_listed(words)}"


def _span(values: Sequence[float]) -> str:
    """Returns `0.1 to 0.3`, of values in order."""
    return " to ".join(dict.fromkeys((short.short(values[0], 2), short.short(values[-1], 2))))


def _in_short(sweep: Sweep, confirmed: Sequence[Answer]) -> list[str]:
    """Returns what is claimed against predictors that learn nothing, a part for each metric.

    Other metrics than the objective have one where a stratum is worse by them although it is not by
    the objective. There is nothing without any confirmed stratum.
    """
    if not confirmed:
        return []
    claimed: dict[Verdict, list[Answer]] = {}
    for answer in confirmed:
        claimed.setdefault(answer.versus.verdict if answer.versus else Verdict.NO_CLAIM, []).append(answer)
    said = [
        f"{_who(sweep, of, confirmed)} {_phrase(verdict)}"
        for verdict in (Verdict.BETTER, Verdict.WORSE, Verdict.NOT_TOLD_APART)
        if (of := claimed.get(verdict))
    ]
    if said:
        first, *rest = said
        if unclaimed := claimed.get(Verdict.NO_CLAIM):
            rest.append(f"{_who(sweep, unclaimed, confirmed)} {_phrase(Verdict.NO_CLAIM)}")
        words = [f"{first} {UNTRAINED}", *(f"{one} it" for one in rest)]
        parts = [f"by {sweep.settings.metric}, {', '.join(words)}"]
    else:
        parts = [f"nothing is claimed against {UNTRAINED}"]
    groups: dict[str, list[str]] = {}
    for metric in dict.fromkeys(one.metric for answer in confirmed for one in answer.contrary):
        worse = [answer for answer in confirmed if metric in answer.worse]
        groups.setdefault(_who(sweep, worse, confirmed), []).append(metric)
    return parts + [f"by {_listed(metrics)}, {who} worse than it" for who, metrics in groups.items()]


def _who(sweep: Sweep, of: Sequence[Answer], among: Sequence[Answer]) -> str:
    """Returns strata with their verb, as in `all are`, `lookahead 10 is` or `5 of 9 are`."""
    if len(of) == len(among):
        return "it is" if len(of) == 1 else "both are" if len(of) == 2 else "all are"
    verb = "is" if len(of) == 1 else "are"
    if len(of) > MOST:
        return f"{len(of)} of {len(among)} {verb}"
    field = "" if sweep.settings.arms else f"{sweep.settings.stratify} "
    return f"{field}{_listed(answer.stratum for answer in of)} {verb}"


def _by_stratum(sweep: Sweep, confirmed: Sequence[Answer]) -> list[str]:
    """Returns a part for each verdict against the predictors that learn nothing."""
    groups: dict[tuple[Verdict, tuple[str, ...]], list[Answer]] = {}
    for answer in confirmed:
        groups.setdefault((answer.verdict, tuple(one.metric for one in answer.contrary)), []).append(answer)
    share, field = forest.relative(confirmed), sweep.settings.stratify
    parts: list[str] = []
    for verdict in (Verdict.BETTER, Verdict.MIXED, Verdict.WORSE, Verdict.NOT_TOLD_APART, Verdict.NO_CLAIM):
        # Strata that are worse by other metrics each are told apart: none is worse by all of these.
        for of in [of for (said, _), of in groups.items() if said is verdict]:
            what = UNTRAINED if not parts else "it"
            at = f"at {'' if parts else f'{field} '}{_listed(answer.stratum for answer in of)} " if field else ""
            who = "it" if parts else "the trained model"
            parts.append(f"{at}{who} is {_claim(verdict, what, of, share)}")
    return parts


def _claim(verdict: Verdict, what: str, of: Sequence[Answer], share: bool) -> str:
    """Returns the verdict on strata that are worse by the same other metrics, and by which."""
    worse = _listed(one.metric for one in of[0].contrary) if of[0].contrary else ""
    but = f" but worse by {worse}" if worse else ""
    if verdict is Verdict.NO_CLAIM:
        reasons = dict.fromkeys(answer.versus.missing for answer in of if answer.versus)
        why = "; ".join(filter(None, reasons)) or "not enough was measured"
        return f"without a claim against {what} ({why}){but}"
    if verdict is Verdict.NOT_TOLD_APART:
        by = f" by {of[0].versus.metric}" if worse and of[0].versus else ""
        return f"not told apart from {what}{by}{but}"
    named = Verdict.BETTER if verdict is Verdict.MIXED else verdict
    return f"{named.phrase} {what} ({_size(of, share)}){but}"


def _size(of: Sequence[Answer], share: bool) -> str:
    """Returns `hinge 6 to 40 % lower`."""
    found = [(answer.versus, made) for answer in of if answer.versus and (made := forest.difference(answer.versus))]
    if not found:
        return "the objective"
    measures = [forest.in_unit(made, versus.b.measure.value if share else None) for versus, made in found]
    sizes = sorted(abs(measure.value) for measure in measures)
    direction = "lower" if measures[0].value < 0 else "higher"
    return f"{found[0][0].metric} {_span(sizes)}{' %' if share else ''} {direction}"


def _so_far(sweep: Sweep) -> str:
    """Returns what is known of a sweep of which nothing can be claimed.

    Nothing is confirmed, or there is no predictor to compare it with.
    """
    history, settings = sweep.history, sweep.settings
    if known := [found for one in sweep.strata if (found := scores.confirmed(history, one, settings.metric))]:
        head = "Nothing is claimed, as no predictor that learns nothing has a value on test"
        return f"{head}; there {settings.metric} is {_by_strata(sweep, known)}."
    readings = [found for one in sweep.strata if (found := scores.chosen(history, one, settings.metric))]
    if sweep.state == "finished" and not settings.confirm:
        head = "Nothing is claimed, as no confirmation from fresh seeds was asked for"
    else:
        head = f"Not known yet: {progress.done(history)} of {settings.trials} trials have ended and none is confirmed"
    if not readings:
        return f"{head}, and no trial has finished with a finite value."
    return f"{head}; so far {settings.metric} on validation is {_by_strata(sweep, readings)}."


def _by_strata(sweep: Sweep, readings: Sequence[scores.Reading]) -> str:
    said = [f"{_at(sweep, found.stratum)}{_beside(sweep, found)}" for found in readings[:MOST]]
    more = len(readings) - MOST
    return ", ".join(said) + (f" and at {plural(more, 'more stratum', 'more strata')} as below" if more > 0 else "")


def _at(sweep: Sweep, stratum: str) -> str:
    return f"at {sweep.settings.stratify} {stratum} " if sweep.settings.stratify else ""


def _beside(sweep: Sweep, found: scores.Reading) -> str:
    trivial = scores.trivial(sweep.history, found.stratum, sweep.settings.metric, found.split)
    beside = f" ({short.short(trivial[1].value)} without learning)" if trivial else ""
    return f"{short.short(found.measure.value)}{beside}"


@dataclass(frozen=True)
class Chosen:
    """A searched value of a winner.

    Attributes:
        name: the parameter.
        value: its value in short.
        edge: at which edge of its range it lies; None where it lies inside.
    """

    name: str
    value: str
    edge: Edge | None


@dataclass(frozen=True)
class Row:
    """The winner of a stratum.

    Attributes:
        stratum: the stratum.
        verdict: what is claimed of it against the best trivial predictor, in short.
        kind: the verdict's style, as in `forest.Line.kind`.
        value: the winner's value with its interval, on test where it is confirmed.
        luck: among how many the search chose it, and what that is worth by luck; empty where it is
            not known.
        difference: the difference, as it is written, or why there is none.
        measure: the difference without rounding, in the objective's unit; None without one.
        trial: the winner; None where no trial has finished.
        params: what the search chose for it.
        command: what loads it in Python; empty without a winner.
    """

    stratum: str
    verdict: str
    kind: str
    value: str
    luck: str
    difference: str
    measure: Measure | None
    trial: Trial | None
    params: list[Chosen]
    command: str


def winner(sweep: Sweep, stratum: str) -> Trial | None:
    """Returns the confirmed best trial of a stratum, else the best on validation."""
    confirmed = next(iter(leaderboard.confirmed(sweep.history, stratum)), None)
    return confirmed or progress.best(sweep.history, stratum)


def chosen(trial: Trial) -> list[Chosen]:
    """Returns what the search chose for a trial, with what lies at the edge of its range."""
    found = edges(trial)
    return [Chosen(name, shown(value), found.get(name)) for name, value in trial.params.items()]


def rows(sweep: Sweep, found: Sequence[Answer]) -> list[Row]:
    """Returns a row for each stratum, in the study's order."""
    share = forest.relative(found)
    return [_row(sweep, answer, share) for answer in found]


def _row(sweep: Sweep, answer: Answer, share: bool) -> Row:
    trial = winner(sweep, answer.stratum)
    params = chosen(trial) if trial else []
    value, luck = _own(sweep, answer.stratum), _luck(sweep, answer.stratum)
    load = command(sweep, trial) if trial else ""
    versus = answer.versus
    made = forest.difference(versus) if versus else None
    if versus is None or made is None:
        verdict, kind, words = _unconfirmed(sweep, answer, trial)
        return Row(answer.stratum, verdict, kind, value, luck, words, None, trial, params, load)
    inside = forest.in_unit(made, versus.b.measure.value if share else None)
    words = short.interval(inside) + (" %" if share else "")
    line = forest.Line("", inside, words, answer.verdict)
    return Row(answer.stratum, _verdict(answer, versus), line.kind, value, luck, words, made, trial, params, load)


def _own(sweep: Sweep, stratum: str) -> str:
    """Returns the value of a stratum's winner: on test, else on validation, which it says."""
    name = sweep.settings.metric
    if confirmed := scores.confirmed(sweep.history, stratum, name):
        return short.interval(confirmed.measure)
    chosen_by = scores.chosen(sweep.history, stratum, name)
    return f"{short.interval(chosen_by.measure)} on validation" if chosen_by else "-"


def _luck(sweep: Sweep, stratum: str) -> str:
    found = winners_luck(sweep.history, stratum)
    return f"luck of the best of {found.looked}: {short.short(found.expected, 2)}" if found and found.looked > 1 else ""


def _verdict(answer: Answer, versus: Comparison) -> str:
    worse = f"worse by {_listed(one.metric for one in answer.contrary)}" if answer.contrary else ""
    if answer.verdict is Verdict.MIXED:
        return f"mixed: {worse}"
    own = f"no claim: {versus.missing}" if versus.missing else str(answer.verdict)
    return "; ".join(filter(None, (own, worse)))


def _unconfirmed(sweep: Sweep, answer: Answer, trial: Trial | None) -> tuple[str, str, str]:
    """Returns verdict, style and words of a stratum without a comparison on test."""
    if trial is None:
        return "nothing finished", "open", progress.counts(leaderboard.ranked(sweep.history, answer.stratum))
    if answer.versus:
        return "no claim: a value is not finite", "open", "-"
    if leaderboard.confirmed(sweep.history, answer.stratum):
        return "no claim: no trivial predictor on test", "open", "-"
    reading = scores.chosen(sweep.history, answer.stratum, sweep.settings.metric)
    assert reading is not None, "the best trial has a value"
    return "not confirmed", "open", f"{_beside(sweep, reading)} on validation"


def command(sweep: Sweep, trial: Trial) -> str:
    """Returns a line of Python that loads a trial's weights, whatever the current folder.

    It names the best of the stratum where that is the trial, which need not be the search's best.
    """
    where = _where(sweep, trial.stratum)
    best = progress.best(sweep.history, trial.stratum)
    named = where is not None and best is not None and best.number == trial.number
    which = f"best({where})" if named else f"trial({trial.number})"
    return f"from leadline import Sweep; model = Sweep.open({_quoted(str(sweep.folder))}).{which}.load()"


def _quoted(words: str) -> str:
    """Returns a text as Python reads it; JSON's own escapes would part an emoji in two."""
    return json.dumps(words, ensure_ascii=False)


def _where(sweep: Sweep, stratum: str) -> str | None:
    """Returns the argument of `Sweep.best`; None where it would be no Python."""
    field, strata = sweep.settings.stratify, sweep.settings.strata
    if not field or len(strata) == 1:
        return ""
    if not field.isidentifier() or keyword.iskeyword(field):
        return None
    value = next((value for value in strata if str(value) == stratum), stratum)
    return f"{field}={_quoted(value) if isinstance(value, str) else repr(value)}"


def first_row(found: Sequence[Row], pairs: Sequence[Comparison]) -> Row | None:
    """Returns the row whose command is shown: that of the best stratum, where these are compared.

    Otherwise it is the first that is better than the trivial predictors, else the first with a
    winner.
    """
    there = [row for row in found if row.command]
    best = [row for row in there if pairs and row.stratum == pairs[0].a.stratum]
    better = [row for row in there if row.kind == "better"]
    return next(iter([*best, *better, *there]), None)
