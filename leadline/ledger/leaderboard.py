"""The leaderboard, which is computed from the history.

Within a stratum, trials that reached their whole budget come first, by value. Trials that did not
follow, by how far they got and then by value, because values at different steps cannot be compared.
Failed trials are last.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from leadline.admission import is_oracle
from leadline.ledger.confirmed import confirmation, counts, cut_short, finished, luck, scores, versus
from leadline.ledger.history import UNCOUNTED, Baseline, History, Trial
from leadline.ledger.layout import trial_folder
from leadline.ledger.race import Racer, field_size, needed
from leadline.ledger.ranges import edges
from leadline.ledger.verdicts import Comparison, Verdict
from leadline.measure import PART, Measure, sign
from leadline.plain import plural

__all__ = [
    "Rank",
    "besides",
    "best_trivial",
    "board",
    "confirmation",
    "confirmations",
    "confirmed",
    "confirming",
    "contrary",
    "counts",
    "field",
    "finalists",
    "is_oracle",
    "luck",
    "marks",
    "metric_name",
    "objective",
    "other_code",
    "paid",
    "part_name",
    "place",
    "racer",
    "ranked",
    "replicate_marks",
    "rivals",
    "run_counts",
    "strata",
    "versus_trivial",
]

Rank = tuple[int, int, float, int]
"""What the search trials of a stratum are ordered by, best first; its end is the trial's number."""
BRIEF = 160
"""The number of characters of a failure's last line that are shown among the marks."""


def strata(history: History) -> list[str]:
    """Returns the strata in the study's order."""
    return [str(value) for value in history.settings.strata]


def _sign(history: History) -> float:
    return sign(history.settings.mode)


def metric_name(metric: str) -> str:
    """Returns `validation/<metric>`, which is how reports name the objective."""
    return f"validation/{metric}"


def part_name(metric: str) -> str:
    """Returns `part/<metric>`, its name where a part of validation was scored."""
    return f"{PART}/{metric}"


def objective(history: History) -> str:
    """Returns the objective's name in reports."""
    return metric_name(history.settings.metric)


def place(history: History, trial: Trial) -> Rank:
    """Returns the key that orders the search trials of a stratum; the smallest is the best."""
    value = _sign(history) * trial.value(objective(history))
    if trial.status == "failed" or (trial.reports and not math.isfinite(value)):
        return (3, 0, math.inf, trial.number)
    if trial.scored is None:
        return (2, 0, math.inf, trial.number)
    return (0 if trial.status == "finished" else 1, -history.spent(trial.scored), value, trial.number)


def ranked(history: History, stratum: str) -> list[Trial]:
    """Returns the search trials of a stratum, best first."""
    return sorted(
        (trial for trial in history.search_trials() if trial.stratum == stratum),
        key=lambda trial: place(history, trial),
    )


def finalists(history: History, stratum: str, count: int, among: Iterable[Trial] | None = None) -> list[Trial]:
    """Returns the `count` best trials of a stratum that finished with a finite value.

    They are distinct: of trials with equal configurations, which older ledgers may have, or which
    other code of the family has trained again, the best stands for all, as they would be confirmed
    by the same runs.

    Args:
        history: the state of the sweep.
        stratum: the stratum.
        count: how many.
        among: its trials, best first, where they are known; those that have not finished need not
            be there.
    """
    metric = objective(history)
    chosen: dict[str, Trial] = {}
    for trial in ranked(history, stratum) if among is None else among:
        if len(chosen) == count:
            break
        if trial.status == "finished" and math.isfinite(trial.value(metric)):
            chosen.setdefault(trial.identity, trial)
    return list(chosen.values())


def rivals(history: History, stratum: str, name: str, mode: str | None = None) -> list[Baseline]:
    """Returns the trivial predictors of a stratum that score on a metric, best first.

    Those whose score is not finite are last; oracles are left out.

    Args:
        history: the state of the sweep.
        stratum: the stratum.
        name: the metric's name as `split/metric`.
        mode: min or max; None for the objective's.
    """
    found = [
        line
        for line in history.baselines
        if line.stratum == stratum and name in line.metrics and not is_oracle(line.name)
    ]
    direction = sign(mode or history.settings.mode)
    # By id, since a baseline holds a dict and cannot be a key itself.
    values = {id(line): direction * line.metrics[name].value for line in found}
    return sorted(found, key=lambda line: values[id(line)] if math.isfinite(values[id(line)]) else math.inf)


def best_trivial(history: History, stratum: str, name: str, mode: str | None = None) -> Baseline | None:
    """Returns the best trivial predictor; None where there is none with a finite score."""
    found = rivals(history, stratum, name, mode)[:1]
    return next((line for line in found if math.isfinite(line.metrics[name].value)), None)


def marks(history: History, trial: Trial) -> list[str]:
    """Returns what a reader must know before believing a trial's value, as short texts."""
    found = []
    if trial.reports and not math.isfinite(trial.value(objective(history))):
        found.append("not finite")
    found += [*_extended(trial), *_of_other_code(history, trial), *_beside_trivial(history, trial)]
    if trial.failures:
        cause = f" ({trial.cause})" if trial.cause not in ("", *UNCOUNTED) else ""
        found.append(f"{plural(trial.failures, 'failed attempt')}{cause}")
    if len(trial.workers) > 1:
        found.append(f"trained by {' and '.join(map(str, trial.workers))} workers in turn")
    if trial.status == "failed" or trial.untrained:
        found.append(textwrap.shorten(trial.brief, BRIEF, placeholder=" ..."))
    return found + [finding.mark for finding in trial.findings if finding.failed]


def _extended(trial: Trial) -> list[str]:
    """Returns a mark where a trial's schedules and curriculum first followed shorter budgets."""
    return [f"extended from {', '.join(map(str, trial.extended))}"] if trial.extended else []


def other_code(history: History, trial: Trial) -> bool:
    """Returns whether a report was made by other code of the family than the sweep runs now.

    It is false where a ledger does not record the code.
    """
    return bool(history.family_code) and any(code != history.family_code for code in trial.family_codes)


def _of_other_code(history: History, trial: Trial) -> list[str]:
    return ["other family code"] if other_code(history, trial) else []


def _beside_trivial(history: History, trial: Trial) -> list[str]:
    """Returns a mark where trivial predictors do as well as the trial.

    A tie is no lead, and neither is a lead that lies within the trial's own interval.
    """
    metric, direction = objective(history), _sign(history)
    measure, trivial = trial.measure(metric), rivals(history, trial.stratum, metric)
    if measure is None or not trivial:
        return []
    better = sum(direction * line.metrics[metric].value <= direction * measure.value for line in trivial)
    if better:
        return [f"behind {better} of {len(trivial)} trivial ({trivial[0].name})"]
    if measure.low <= trivial[0].metrics[metric].value <= measure.high:
        return [f"{trivial[0].name} within its interval"]
    return []


def _row(history: History, trial: Trial) -> dict[str, Any]:
    measure = (trial.measure(objective(history)) or Measure(math.nan, 0, math.nan, math.nan)).to_dict()
    last = trial.scored
    return {
        "trial": trial.number,
        "stratum": trial.stratum,
        "status": trial.status,
        **{key: measure[key] for key in ("value", "n", "low", "high")},
        "step": last.step if last else 0,
        "samples": last.samples if last else 0,
        "seconds": last.seconds if last else 0.0,
        "reason": trial.reason,
        "marks": marks(history, trial),
        "checkpoint": f"{trial_folder(trial.number)}/{trial.checkpoint}" if trial.checkpoint else None,
        "config": trial.trained_config,
        "params": trial.params,
        "edges": edges(trial),
    }


def replicate_marks(history: History, trial: Trial) -> list[str]:
    """Returns the guards that failed in finished replicates, as in `plateau (4 of 5)`.

    The numbers are the replicates in which it failed, and all that have finished.
    """
    runs = finished(history, trial)
    failed = {run.number: [finding.mark for finding in run.findings if finding.failed] for run in runs}
    found = Counter(
        mark
        for run in runs
        for mark in dict.fromkeys([*_extended(run), *_of_other_code(history, run), *failed[run.number]])
    )
    return [f"{mark} ({count} of {len(runs)})" for mark, count in found.items()]


def versus_trivial(
    history: History, trial: Trial, metric: str | None = None, mode: str | None = None, unit: str = "units"
) -> Comparison | None:
    """Compares a finalist with the trivial predictor that scores best on test.

    It is None where there is no such predictor, or no replicate has finished.

    Args:
        history: the state of the sweep.
        trial: the finalist.
        metric: see `leadline.ledger.confirmed.versus`, as for `mode` and `unit`.
        mode: min or max.
        unit: what the metric's `n` counts.
    """
    line = best_trivial(history, trial.stratum, f"test/{metric or history.settings.metric}", mode)
    return versus(history, trial, line, metric, mode, unit) if line else None


def besides(history: History, trial: Trial, unit: str = "units") -> list[Comparison]:
    """Compares a finalist with the best trivial predictor by each other metric.

    These are the metrics with values per unit on test. A claim by the objective alone, where the
    finalist is worse by another metric, would mislead its reader.
    """
    found = (
        versus_trivial(history, trial, name, mode, unit)
        for name, mode in history.settings.modes.items()
        if name != history.settings.metric
    )
    return [one for one in found if one and one.estimate]


def _against(history: History, trial: Trial) -> list[dict[str, Any]]:
    """Returns the comparisons with the best trivial predictor as plain values.

    That by the objective comes first, then those by the other metrics.
    """
    first = versus_trivial(history, trial)
    found = [*([first] if first else []), *besides(history, trial)]
    return [
        {
            "metric": one.metric,
            "predictor": one.b.label,
            "predictor_value": one.b.measure.to_dict()["value"],
            "difference": one.difference.to_dict() if one.difference else None,
            "verdict": None if one.missing else one.verdict.phrase,
            "missing": one.missing,
        }
        for one in found
    ]


def confirming(history: History) -> tuple[int, int]:
    """Returns how many runs of the present finalists have ended, and of how many at least."""
    fields = [field(history, stratum) for stratum in strata(history)]
    races = [[racer(history, trial, history.replicates(trial.number)) for trial in one] for one in fields]
    return run_counts(history, races)


def run_counts(history: History, races: Iterable[Sequence[Racer]]) -> tuple[int, int]:
    """Returns how many runs of these races, one a stratum, have ended, and of how many at least."""
    ended = total = 0
    for racers in races:
        ended += sum(len(racer.runs) for racer in racers)
        total += sum(racer.held for racer in racers) + needed(
            racers, paid(history, racers), history.settings.replicates
        )
    return ended, total


def paid(history: History, racers: Sequence[Racer]) -> int:
    """Returns how many confirmation runs the finalists of a stratum get: see `next_runner`."""
    return min(history.settings.confirm, len(racers)) * history.settings.replicates


def field(history: History, stratum: str, among: Iterable[Trial] | None = None) -> list[Trial]:
    """Returns the finalists that begin a stratum's race, the best of the search first.

    With one to confirm it is the search's winner. See `finalists` for `among`.
    """
    return finalists(history, stratum, field_size(history.settings.confirm), among)


def racer(history: History, trial: Trial, runs: Sequence[Trial]) -> Racer:
    """Returns how far a finalist has come with its confirmation runs."""
    metric, direction = objective(history), _sign(history)
    found = [run for run in runs if not cut_short(history, run)]
    values = [direction * run.value(metric) if run.status == "finished" else math.inf for run in found if not run.open]
    ended = tuple(value if math.isfinite(value) else math.inf for value in values)
    return Racer(direction * trial.value(metric), ended, len(found) - len(ended))


def contrary(found: Comparison | None, others: Iterable[Comparison]) -> list[Comparison]:
    """Returns the comparisons by other metrics in which a finalist is worse.

    There are none where it is worse by the objective, too: the verdict says so already.
    """
    if found and found.verdict is Verdict.WORSE:
        return []
    return [one for one in others if one.verdict is Verdict.WORSE]


def confirmed(history: History, stratum: str, finalists: Iterable[Trial] | None = None) -> list[Trial]:
    """Returns the finalists of a stratum that are scored on test, as they stand in their race.

    That goes by their scores on validation; those of test choose nothing. `finalists` are the
    stratum's, where they are known.
    """
    test = f"test/{history.settings.metric}"
    among = field(history, stratum) if finalists is None else finalists
    found = [trial for trial in among if scores(history, trial, test)]
    return sorted(found, key=lambda trial: racer(history, trial, history.replicates(trial.number)).mean)


def confirmations(
    history: History, only: str | None = None, finalists: Callable[[str], Iterable[Trial]] | None = None
) -> list[dict[str, Any]]:
    """Returns the rows of all confirmed finalists, best first within each stratum.

    Where `only` names a stratum, the rows are of that one. `finalists` returns those of a stratum,
    where they are known.
    """
    rows = []
    for stratum in strata(history) if only is None else [only]:
        for trial in confirmed(history, stratum, finalists and finalists(stratum)):
            score = confirmation(history, trial)
            assert score is not None, "a replicate has finished"
            plain = {key: score.to_dict()[key] for key in ("value", "low", "high")}
            rows.append(
                {
                    "trial": trial.number,
                    "stratum": stratum,
                    **plain,
                    "replicates": len(finished(history, trial)),
                    "split": "test",
                }
            )
            rows[-1] |= {"n": score.n, "marks": replicate_marks(history, trial), "against": _against(history, trial)}
    return rows


def board(history: History, name: str) -> dict[str, Any]:
    """Returns the whole leaderboard as plain JSON values."""
    metric = objective(history)
    baselines = [
        {
            "name": line.name,
            "stratum": line.stratum,
            **{key: line.metrics[metric].to_dict()[key] for key in ("value", "n")},
        }
        for line in history.baselines
        if metric in line.metrics
    ]
    rows = [_row(history, trial) for stratum in strata(history) for trial in ranked(history, stratum)]
    settings = history.settings
    return {
        "sweep": name,
        "metric": settings.metric,
        "mode": settings.mode,
        "stopping_off": history.stopping_off,
        "rows": rows,
        "confirmed": confirmations(history),
        "baselines": baselines,
    }
