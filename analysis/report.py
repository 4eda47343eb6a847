"""The report: one HTML file that needs nothing else, neither network nor other files. A view of the ledger alone."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from analysis import answers, figures, progress
from analysis.sweep import Sweep
from analysis.terminal import text
from sweeps.ledger import leaderboard
from sweeps.ledger.history import History, Trial
from sweeps.ledger.table import number
from trainables.config import ConfigError
from trainables.storage import Folder

__all__ = ["page", "write"]

FILE = "report.html"


def write(folder: Folder, name: str) -> str:
    """Writes `report.html` into a sweep's folder, from its ledger, and returns the file's path or URI.

    Args:
        folder: the sweep's folder.
        name: the sweep's name, for the title.

    Raises:
        ValueError: if there is no sweep.
        LedgerError: if its ledger is damaged before its last segment.
        OSError: if the storage refuses.
    """
    opened = Sweep.open(folder)
    folder.write(FILE, page(Sweep(name, folder, opened.history)).encode())
    return str(folder / FILE)


def page(sweep: Sweep) -> str:
    """The report of a sweep, finished or not, as an HTML document."""
    environment = Environment(
        loader=PackageLoader("analysis"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "text": text, "brief": progress.brief, "clock": progress.clock, "figure": _figure}
    return environment.get_template(FILE).render(_context(sweep), plotly=Markup(get_plotlyjs()))


def _figure(figure: go.Figure) -> Markup:
    """The figure as JSON that may stand inside a script element."""
    plain = figure.to_json()
    for character in "<>&":
        plain = plain.replace(character, f"\\u{ord(character):04x}")
    return Markup(plain)


def _context(sweep: Sweep) -> dict[str, Any]:
    history, settings = sweep.history, sweep.settings
    board = sweep.leaderboard()
    metric, unit, doc = _metric(settings)
    searched = history.search_trials()
    varying, fixed = _fields(searched, settings["stratify"])
    stopped, saved, whole = progress.saved_steps(history)
    return {
        "sweep": sweep.name,
        "settings": settings,
        "settings_rows": [(name, _plain(value)) for name, value in settings.items()],
        "label": settings["stratify"] or "stratum",
        "metric": metric,
        "unit": unit,
        "doc": doc,
        "state": progress.state(history),
        "incomplete": _incomplete(history),
        "counts": progress.counts(searched),
        "last": history.last_time,
        "written": time.time(),
        "answers": answers.answers(history, unit),
        "answer_figure": figures.answer(history),
        "curves": figures.curves(history),
        "parameters": figures.parameters(history),
        "rows": board["rows"],
        "summaries": {trial.number: _summary(trial, varying) for trial in searched},
        "fixed": fixed,
        "confirmed": _confirmed(history),
        "baselines": _baselines(history),
        "others": _others(history),
        "stopped": {"trials": stopped, "saved": saved, "whole": whole},
        "findings": list({tuple(finding.items()): finding for finding in history.findings}.values()),
        "notes": history.notes,
        "manifests": [_manifest(manifest) for manifest in history.manifests],
    }


def _metric(settings: dict[str, Any]) -> tuple[str, str, str]:
    """Name of the objective, what its n counts, and what it is; the family may not be installed where a report is made."""
    from trainables import registry

    try:
        metric = registry.family(settings["family"]).metric(settings["metric"])
    except (ConfigError, ValueError):
        return settings["metric"], "independent units", ""
    return metric.name, metric.unit, metric.doc


def _incomplete(history: History) -> str:
    """What is still missing, in words; empty where the sweep is complete."""
    settings, searched = history.settings, history.search_trials()
    missing = []
    if len(searched) < settings["trials"]:
        missing.append(f"{len(searched)} of {settings['trials']} trials have been proposed")
    if unfinished := [trial for trial in history.trials.values() if trial.open]:
        missing.append(f"{len(unfinished)} trials have not ended ({progress.counts(unfinished)})")
    wanted = settings["replicates"] * sum(
        len(leaderboard.finalists(history, stratum, settings["confirm"])) for stratum in leaderboard.strata(history)
    )
    ended = sum(trial.kind == "replicate" and not trial.open for trial in history.trials.values())
    if not missing and ended < wanted:
        missing.append(f"{ended} of {wanted} confirmation runs have ended")
    return "; ".join(missing)


def _fields(trials: list[Trial], stratify: str | None) -> tuple[list[str], dict[str, Any]]:
    """Names of the fields that differ between trials of a stratum, and the values of those that are the same in all."""
    names = dict.fromkeys(name for trial in trials for name in trial.config if name != stratify)
    values = {name: [trial.config[name] for trial in trials if name in trial.config] for name in names}
    fixed = {name: found[0] for name, found in values.items() if all(value == found[0] for value in found)}
    return [name for name in names if name not in fixed], fixed


def _summary(trial: Trial, fields: Iterable[str]) -> str:
    return " ".join(f"{name}={text(trial.config[name])}" for name in fields if name in trial.config)


def _confirmed(history: History) -> list[dict[str, Any]]:
    rows = []
    for stratum in leaderboard.strata(history):
        trivial = answers.best_trivial(history, stratum, "test")
        for trial, measure, row in answers.confirmed_measures(history, stratum):
            word = answers.verdict(measure, trivial[1].value, history.settings["mode"]) if trivial else ""
            runs = ", ".join(
                str(run.number) if run.status == "finished" else f"{run.number} ({run.status})" for run in history.replicates(trial.number)
            )
            searched = trial.value(leaderboard.objective(history))
            against = f"{word} {trivial[0].name} ({number(trivial[1].value)})" if trivial else "no trivial predictor on test"
            rows.append({**row, "n": measure.n, "runs": runs, "validation": searched, "against": against})
    return rows


def _baselines(history: History) -> list[dict[str, Any]]:
    metric = history.settings["metric"]
    rows = []
    for line in history.baselines:
        measures = {split: line.metrics[f"{split}/{metric}"] for split in ("validation", "test") if f"{split}/{metric}" in line.metrics}
        if measures:
            rows.append({"stratum": line.stratum, "name": line.name, "oracle": leaderboard.is_oracle(line.name), "measures": measures})
    order = leaderboard.strata(history)
    return sorted(rows, key=lambda row: order.index(row["stratum"]) if row["stratum"] in order else len(order))


def _others(history: History) -> dict[str, Any]:
    """Every validation metric of the best trial of each stratum and of the trivial predictors: names, and rows of values."""
    best = {stratum: next(iter(leaderboard.ranked(history, stratum)), None) for stratum in leaderboard.strata(history)}
    shown = [trial for trial in best.values() if trial and trial.reports]
    names = list(dict.fromkeys(name for trial in shown for name in trial.reports[-1].metrics if name.startswith("validation/")))
    rows: list[tuple[str, str, list[float | None]]] = []
    for stratum, trial in best.items():
        if trial and trial.reports:
            rows.append((stratum, f"trial {trial.number}", [trial.value(name) for name in names]))
        lines = [line for line in history.baselines if line.stratum == stratum]
        rows += [(stratum, line.name, [line.metrics[name].value if name in line.metrics else None for name in names]) for line in lines]
    return {"names": [name.removeprefix("validation/") for name in names], "rows": rows}


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={text(entry)}" for name, entry in value.items()) or "nothing"
    return "nothing" if value is None or value in ([], ()) else text(value)


def _manifest(manifest: dict[str, Any]) -> dict[str, str]:
    dirty = {True: ", with uncommitted changes", False: ", clean"}.get(manifest.get("dirty"), "")  # type: ignore[arg-type]
    return {
        "command": shlex.join(map(str, manifest.get("command", []))) or "-",
        "commit": f"{manifest['commit']}{dirty}" if manifest.get("commit") else "not recorded",
        "versions": ", ".join(f"{name} {value}" for name, value in manifest.get("versions", {}).items()) or "-",
        "machine": ", ".join(f"{name} {value}" for name, value in manifest.get("machine", {}).items()) or "-",
    }
