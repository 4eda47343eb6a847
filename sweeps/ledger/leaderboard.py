"""The leaderboard: a view of the history.

Within a stratum, trials that reached their whole budget come first, by value; then those that did not, by how far they
got and then by value, because values at different steps cannot be compared; failed ones last.
"""

from __future__ import annotations

import math
from typing import Any

from sweeps.ledger.confirmed import NOT_TOLD_APART, Versus, confirmation, counts, finished, luck, versus
from sweeps.ledger.history import Baseline, History, Trial
from trainables.measure import Measure

__all__ = [
    "board",
    "confirmation",
    "confirmations",
    "counts",
    "finalists",
    "is_oracle",
    "luck",
    "marks",
    "metric_name",
    "objective",
    "ranked",
    "rivals",
    "strata",
    "versus_trivial",
]


def strata(history: History) -> list[str]:
    """The strata in the study's order."""
    return [str(value) for value in history.settings["strata"]]


def _sign(history: History) -> float:
    return 1.0 if history.settings["mode"] == "min" else -1.0


def metric_name(metric: str) -> str:
    """`validation/<metric>`, as reports name the objective."""
    return f"validation/{metric}"


def objective(history: History) -> str:
    """The objective's name in reports."""
    return metric_name(history.settings["metric"])


def ranked(history: History, stratum: str) -> list[Trial]:
    """Search trials of a stratum, best first."""
    metric, sign = objective(history), _sign(history)

    def key(trial: Trial) -> tuple[int, int, float, int]:
        value = sign * trial.value(metric)
        if trial.status == "failed" or (trial.reports and not math.isfinite(value)):
            return (3, 0, math.inf, trial.number)
        if not trial.reports:
            return (2, 0, math.inf, trial.number)
        return (0 if trial.status == "finished" else 1, -trial.step, value, trial.number)

    return sorted((trial for trial in history.search_trials() if trial.stratum == stratum), key=key)


def finalists(history: History, stratum: str, count: int) -> list[Trial]:
    """The `count` best trials of a stratum that finished with a finite value."""
    metric = objective(history)
    done = [trial for trial in ranked(history, stratum) if trial.status == "finished" and math.isfinite(trial.value(metric))]
    return done[:count]


def is_oracle(name: str) -> bool:
    """Whether a baseline knows the answer: it is shown, and nobody is compared with it."""
    return name.startswith("oracle")


def rivals(history: History, stratum: str, metric: str) -> list[Baseline]:
    """The trivial predictors of a stratum that score on `metric`, named `split/metric`: best first, NaN last, oracles left out."""
    found = [line for line in history.baselines if line.stratum == stratum and metric in line.metrics and not is_oracle(line.name)]
    values = {id(line): _sign(history) * line.metrics[metric].value for line in found}
    return sorted(found, key=lambda line: values[id(line)] if math.isfinite(values[id(line)]) else math.inf)


def marks(history: History, trial: Trial) -> list[str]:
    """What a reader must know before believing a trial's value."""
    found = []
    if trial.reports and not math.isfinite(trial.value(objective(history))):
        found.append("not finite")
    found += _beside_trivial(history, trial)
    if trial.failures:
        found.append(f"{trial.failures} failed attempt{'s' if trial.failures > 1 else ''}")
    return found + [finding.mark for finding in trial.findings if finding.failed]


def _beside_trivial(history: History, trial: Trial) -> list[str]:
    """Whether trivial predictors do as well; a tie is no lead, and neither is one that the trial's own interval takes back."""
    metric, sign = objective(history), _sign(history)
    measure, trivial = trial.measure(metric), rivals(history, trial.stratum, metric)
    if measure is None or not trivial:
        return []
    better = sum(sign * line.metrics[metric].value <= sign * measure.value for line in trivial)
    if better:
        return [f"behind {better} of {len(trivial)} trivial"]
    if measure.low <= trivial[0].metrics[metric].value <= measure.high:
        return [f"{NOT_TOLD_APART} {trivial[0].name}"]
    return []


def _row(history: History, trial: Trial) -> dict[str, Any]:
    measure = (trial.measure(objective(history)) or Measure(math.nan, 0, math.nan, math.nan)).to_dict()
    last = trial.reports[-1] if trial.reports else None
    return {
        "trial": trial.number,
        "stratum": trial.stratum,
        "status": trial.status,
        **{key: measure[key] for key in ("value", "n", "low", "high")},
        "step": trial.step,
        "seconds": round(last.seconds, 3) if last else 0.0,
        "reason": trial.reason,
        "marks": marks(history, trial),
        "checkpoint": f"trials/{trial.number:04d}/{last.checkpoint}" if last and last.checkpoint else None,
        "config": trial.config,
    }


def versus_trivial(history: History, trial: Trial) -> Versus | None:
    """A finalist beside the trivial predictor that scores best on test; None where there is none, or no replicate has finished."""
    name = f"test/{history.settings['metric']}"
    scored = [line for line in rivals(history, trial.stratum, name) if math.isfinite(line.metrics[name].value)]
    return versus(history, trial, scored[0]) if scored else None


def confirmations(history: History, only: str | None = None) -> list[dict[str, Any]]:
    """The table of confirmed finalists, best first within each stratum; of one stratum where it is named."""
    rows: list[dict[str, Any]] = []
    for stratum in strata(history) if only is None else [only]:
        found = []
        for trial in finalists(history, stratum, int(history.settings["confirm"])):
            score = confirmation(history, trial)
            if score:
                runs = len(finished(history, trial))
                plain = {key: score.to_dict()[key] for key in ("value", "low", "high")}
                found.append({"trial": trial.number, "stratum": stratum, **plain, "replicates": runs, "split": "test"})
        rows += sorted(found, key=lambda row: math.inf if row["value"] is None else _sign(history) * row["value"])
    return rows


def board(history: History, name: str) -> dict[str, Any]:
    """The whole leaderboard as plain JSON values."""
    metric = objective(history)
    baselines = [
        {"name": line.name, "stratum": line.stratum, **{key: line.metrics[metric].to_dict()[key] for key in ("value", "n")}}
        for line in history.baselines
        if metric in line.metrics
    ]
    rows = [_row(history, trial) for stratum in strata(history) for trial in ranked(history, stratum)]
    settings = history.settings
    return {
        "sweep": name,
        "metric": settings["metric"],
        "mode": settings["mode"],
        "rows": rows,
        "confirmed": confirmations(history),
        "baselines": baselines,
    }
