"""The rows of the report's tables, as plain values."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from leadline.analysis import progress, scores
from leadline.analysis.early_stopping import FEWEST, Agreement
from leadline.analysis.planned import counts
from leadline.analysis.report import first
from leadline.analysis.report.answers import Answer, interval
from leadline.analysis.sweep import Sweep
from leadline.analysis.terminal import text
from leadline.config import as_text
from leadline.ledger import leaderboard
from leadline.ledger.history import History, Trial
from leadline.ledger.leaderboard_table import number
from leadline.ledger.ranges import by_stratum, edges, ranges
from leadline.ledger.verdicts import Comparison
from leadline.measure import Measure
from leadline.plain import plural

__all__ = [
    "agreement",
    "audits",
    "baselines",
    "besides",
    "confirmed",
    "counted",
    "fields",
    "filled",
    "incomplete",
    "manifest",
    "others",
    "pairwise",
    "plain",
    "planned",
    "searched",
    "settings",
    "space",
    "summary",
]


def incomplete(history: History) -> str:
    """Returns in words what is still missing; empty where the sweep is complete."""
    settings, searched = history.settings, history.search_trials()
    missing = []
    if len(searched) < settings.trials:
        missing.append(f"{len(searched)} of {plural(settings.trials, 'trial has', 'trials have')} been proposed")
    if unfinished := [trial for trial in history.trials.values() if trial.open]:
        missing.append(
            f"{plural(len(unfinished), 'trial has', 'trials have')} not ended ({progress.counts(unfinished)})"
        )
    ended, total = leaderboard.confirming(history)
    if not missing and ended < total:
        missing.append(f"{ended} of {plural(total, 'confirmation run has', 'confirmation runs have')} ended")
    return "; ".join(missing)


def besides(found: Sequence[Answer]) -> list[tuple[str, str, str, str, str]]:
    """Returns a row for each comparison with a trivial predictor by another metric.

    Its cells: stratum, metric, trivial predictor and its value, paired difference, verdict.
    """
    return [
        (
            answer.stratum,
            one.metric,
            f"{one.b.label} ({number(one.b.measure.value)})",
            _difference(one),
            _claimed(one),
        )
        for answer in found
        for one in answer.besides
    ]


def planned(found: Sequence[Comparison]) -> list[tuple[str, str, str, str, str, str, str, str, str]]:
    """Returns a row for each planned comparison.

    Its cells: first, second, metric, verdict, difference, margin, detectable, units, replicates.
    """
    return [
        (
            one.a.stratum,
            one.b.stratum,
            one.metric,
            _claimed(one),
            _difference(one),
            _margin(one),
            number(one.detectable) if one.varies else "-",
            *counts(one),
        )
        for one in found
    ]


def pairwise(found: Sequence[Comparison]) -> list[tuple[str, str, str, str]]:
    """Returns (first, second, difference, verdict) for each pair of strata."""
    return [(one.a.stratum, one.b.stratum, _difference(one), _claimed(one)) for one in found]


def _difference(found: Comparison) -> str:
    return interval(found.difference) if found.difference else "-"


def _claimed(found: Comparison) -> str:
    """Returns the verdict, and what is missing for a claim."""
    return f"{found.verdict}: {found.missing}" if found.missing else str(found.verdict)


def _margin(found: Comparison) -> str:
    """Returns the margin, and the 90 % interval that must lie within it for no difference."""
    low, high = found.narrow or (0.0, 0.0)
    return f"{found.margin:g}{f' (90 %: {number(low)} to {number(high)})' if low < high else ''}"


def fields(trials: list[Trial], stratify: str | None) -> tuple[list[str], dict[str, Any]]:
    """Returns the names of the fields that differ between trials, and the values of the others.

    The stratifying field is left out.
    """
    names = dict.fromkeys(name for trial in trials for name in trial.config if name != stratify)
    values = {name: [trial.config[name] for trial in trials if name in trial.config] for name in names}
    fixed = {name: found[0] for name, found in values.items() if all(value == found[0] for value in found)}
    return [name for name in names if name not in fixed], fixed


def summary(trial: Trial, names: Iterable[str]) -> str:
    """Returns the named fields of a configuration, as in `lr=0.001 width=64`."""
    return " ".join(f"{name}={text(trial.config[name])}" for name in names if name in trial.config)


def searched(trial: Trial, names: Iterable[str]) -> list[tuple[str, str, str]]:
    """Returns a cell for each searched parameter: in short, with all digits, and at which edge.

    A parameter that the search did not ask for has a dash.
    """
    at = edges(trial)
    return [
        (text(trial.params[name]), as_text(trial.params[name]), at.get(name, ""))
        if name in trial.params
        else ("-", "", "")
        for name in names
    ]


def space(sweep: Sweep) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Returns a row for each parameter and range: its name, the range, and a cell for each stratum.

    The cell holds the winner's value and at which edge of the range it lies. Where strata search in
    different ranges, each range has a row.
    """
    found: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    for stratum, own in by_stratum({stratum: ranges(sweep.history, stratum) for stratum in sweep.strata}).items():
        trial = first.winner(sweep, stratum)
        at = edges(trial) if trial else {}
        for name, words in own.items():
            value = text(trial.params[name]) if trial and name in trial.params else "-"
            found.setdefault((name, words), {})[stratum] = (value, at.get(name, ""))
    return [
        (name, words, [cells.get(stratum, ("-", "")) for stratum in sweep.strata])
        for (name, words), cells in found.items()
    ]


def filled(rows: Sequence[Sequence[str]]) -> list[int]:
    """Returns the places of the columns that have a value in any row; a dash is none."""
    return [place for place, cells in enumerate(zip(*rows, strict=True)) if set(cells) - {"", "-"}]


def confirmed(history: History, unit: str = "units") -> list[tuple[str, ...]]:
    """Returns a row for each confirmed finalist; the best is first within each stratum.

    Its cells: stratum, trial, value on test, the best trivial predictor beside it, interval, units,
    replicates, marks of their guards, value on validation, the replicates' numbers.
    """
    return [_confirmed(history, row, unit) for row in leaderboard.confirmations(history)]


def _confirmed(history: History, row: dict[str, Any], unit: str) -> tuple[str, ...]:
    trial = history.trials[row["trial"]]
    runs = [
        str(run.number) if run.status == "finished" else f"{run.number} ({run.status})"
        for run in history.replicates(trial.number)
    ]
    return (
        row["stratum"],
        str(trial.number),
        number(row["value"]),
        _against(history, trial, unit),
        _ends(row["low"], row["high"]),
        str(row["n"]),
        f"{row['replicates']}" + (f" of {history.settings.replicates}" if history.settings.confirm < 2 else ""),
        "; ".join(row["marks"]) or "-",
        number(trial.value(leaderboard.objective(history))),
        ", ".join(runs),
    )


def _ends(low: float | None, high: float | None) -> str:
    return f"{number(low)} to {number(high)}"


def _against(history: History, trial: Trial, unit: str) -> str:
    found = leaderboard.versus_trivial(history, trial, unit=unit)
    if found is None:
        return "no trivial predictor on test"
    if found.missing:
        return f"no claim: {found.missing}; {found.b.label} at {number(found.b.measure.value)}"
    worse = [one.metric for one in leaderboard.contrary(found, leaderboard.besides(history, trial))]
    by = f"; worse by {', '.join(worse)}" if worse else ""
    return f"{found.verdict.phrase} {found.b.label} ({number(found.b.measure.value)}){by}"


def counted(history: History) -> list[tuple[str, str, str]]:
    """Returns a row for each exact count of each stratum's best confirmed finalist.

    Its cells: stratum, metric, least to most over replicates.
    """
    rows = []
    for stratum in leaderboard.strata(history):
        reading = scores.confirmed(history, stratum, history.settings.metric)
        for name, count in leaderboard.counts(history, reading.trial).items() if reading else ():
            least, most = number(count.low), number(count.high)
            words = least if least == most else f"{least} to {most}, median {number(count.median)}"
            rows.append(
                (
                    stratum,
                    name,
                    f"{words} ({plural(count.replicates, 'replicate')}, n = {count.n})",
                )
            )
    return rows


def baselines(history: History) -> list[tuple[str, ...]]:
    """Returns a row for each trivial predictor that has the objective, by stratum.

    Its cells: stratum, name, then value, interval and units, on validation and on test.
    """
    splits = [f"{split}/{history.settings.metric}" for split in ("validation", "test")]
    order = leaderboard.strata(history)
    found = [line for line in history.baselines if not line.metrics.keys().isdisjoint(splits)]
    found.sort(key=lambda line: order.index(line.stratum) if line.stratum in order else len(order))
    return [
        (
            line.stratum,
            f"{line.name} (not compared)" if leaderboard.is_oracle(line.name) else line.name,
            *(cell for name in splits for cell in _measured(line.metrics.get(name))),
        )
        for line in found
    ]


def _measured(measure: Measure | None) -> tuple[str, str, str]:
    if measure is None:
        return "-", "-", "-"
    return number(measure.value), _ends(measure.low, measure.high), str(measure.n)


def audits(history: History, *, failed: bool) -> list[tuple[str, ...]]:
    """Returns a row for each audit that failed, or for each that passed; the same one once.

    Its cells: audit, stratum, number, sentence.
    """
    return list(
        dict.fromkeys(
            (one["guard"], one["stratum"], number(one["number"]), one["sentence"])
            for one in history.findings
            if one["failed"] == failed
        )
    )


def others(history: History) -> dict[str, Any]:
    """Returns every validation metric of each stratum's best trial and of the trivial predictors.

    `names` are the metrics, `rows` the values.
    """
    best = {stratum: next(iter(leaderboard.ranked(history, stratum)), None) for stratum in leaderboard.strata(history)}
    shown = [trial.scored for trial in best.values() if trial and trial.scored]
    names = list(dict.fromkeys(name for report in shown for name in report.metrics if name.startswith("validation/")))
    rows: list[tuple[str, str, list[float | None]]] = []
    for stratum, trial in best.items():
        if trial and trial.reports:
            rows.append((stratum, f"trial {trial.number}", [trial.value(name) for name in names]))
        lines = [line for line in history.baselines if line.stratum == stratum]
        rows += [
            (stratum, line.name, [line.metrics[name].value if name in line.metrics else None for name in names])
            for line in lines
        ]
    return {"names": [name.removeprefix("validation/") for name in names], "rows": rows}


def plain(value: Any) -> str:
    """Returns a setting in one line; `nothing` for what is empty."""
    if isinstance(value, dict):
        inside = {
            name: f"({plain(entry)})" if isinstance(entry, dict) else text(entry) for name, entry in value.items()
        }
        return ", ".join(f"{name}={words}" for name, words in inside.items()) or "nothing"
    if isinstance(value, list | tuple) and any(isinstance(entry, dict) for entry in value):
        return "; ".join(map(plain, value))
    return "nothing" if value is None or value in ([], (), "") else text(value)


def agreement(found: Sequence[Agreement]) -> list[tuple[str, ...]]:
    """Returns a row for each rung and stratum whose order is compared with the end's.

    Its cells: rung, stratum, finished trials, Kendall's tau, its interval, best tenth kept.
    """
    return [
        (
            f"{one.rung:,}",
            one.stratum or "all",
            str(one.tau.n),
            _tau(one.tau),
            _bounds(one.tau),
            f"{one.kept} of {one.best}" if one.tau.n >= FEWEST else "-",
        )
        for one in found
    ]


def _tau(found: Measure) -> str:
    if found.n < FEWEST:
        return "too few finished trials"
    return f"{found.value:.2f}" if math.isfinite(found.value) else "none, as all values are equal"


def _bounds(found: Measure) -> str:
    """Returns the interval, with a dash where there is none, as where every pair agrees."""
    return f"{found.low:.2f} to {found.high:.2f}" if math.isfinite(found.low) else "-"


def settings(history: History) -> list[tuple[str, str]]:
    """Returns every setting as it is recorded, in one line.

    The metrics are left out, since what they are is said where they are shown.
    """
    return [(name, plain(value)) for name, value in history.settings.to_dict().items() if name != "metrics"]


def manifest(recorded: dict[str, Any]) -> dict[str, str]:
    """Returns command, commit, versions and machine of a run of the driver, in words."""
    return {
        "command": shlex.join(map(str, recorded.get("command", []))) or "-",
        "commit": _commits(recorded),
        "versions": ", ".join(f"{name} {value}" for name, value in recorded.get("versions", {}).items()) or "-",
        "machine": ", ".join(f"{name} {value}" for name, value in recorded.get("machine", {}).items()) or "-",
    }


def _commits(recorded: dict[str, Any]) -> str:
    """The commits of study, family and framework; of older ledgers the framework's alone."""
    tree = {True: ", with uncommitted changes", False: ", clean"}
    parts: dict[str, list[str]] = {}
    for part, code in (recorded.get("code") or {"": recorded}).items():
        dirty = tree.get(code.get("dirty"), "")
        parts.setdefault(f"{code['commit']}{dirty}" if code.get("commit") else "not recorded", []).append(part)
    return "; ".join(f"{', '.join(named)}: {words}".removeprefix(": ") for words, named in parts.items())
