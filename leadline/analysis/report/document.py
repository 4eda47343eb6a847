"""The report of a sweep: one HTML file that needs neither network nor other files.

It is computed from the ledger and the notes.
"""

from __future__ import annotations

import base64
import functools
import gzip
import html
import json
import re
import time
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from leadline import plain
from leadline.analysis import claims, cost, early_stopping, notes, pairwise, planned, progress, scores
from leadline.analysis.report import (
    answers,
    figures,
    first,
    forest,
    guard_findings,
    opening,
    over_strata,
    tables,
    trade,
)
from leadline.analysis.sweep import Sweep
from leadline.analysis.terminal import text
from leadline.config import ConfigError
from leadline.errors import in_one_line
from leadline.ledger.history import History
from leadline.ledger.leaderboard_table import number
from leadline.ledger.verdicts import Comparison
from leadline.storage import Folder

__all__ = ["answered", "opened", "page", "write"]

FILE = "report.html"
LONG_TEXT = re.compile(r"(\.exports=)('(?:[^'\\]|\\.)*')")
"""A module of Plotly's script that is a text."""
WORKER = 100_000
"""The characters above which such a text is the program of a worker."""
SHOWN = 100
"""The rows that a table shows at a time."""


def write(folder: Folder, name: str, price: float | None = None) -> str:
    """Writes `report.html` into a sweep's folder and returns the file's path or URI.

    Args:
        folder: the sweep's folder, whose ledger is read.
        name: the sweep's name, for the title.
        price: the price of an hour of the driver's machine; None leaves money out.

    Raises:
        ValueError: if there is no sweep.
        LedgerError: if its ledger is damaged before its last segment.
        OSError: if the storage refuses.
    """
    opened = Sweep.open(folder)
    folder.write(FILE, page(Sweep(name, folder, opened.history), price).encode())
    return str(folder / FILE)


def answered(folder: Folder) -> list[str]:
    """Returns a sweep's answers to the comparisons that its study planned, a sentence each.

    It raises as `write` does.
    """
    return [planned.sentence(one) for one in planned.planned(Sweep.open(folder))]


def opened(folder: Folder) -> str:
    """Returns the sentence with which a sweep's report opens; it raises as `write` does."""
    return opening.opening(Sweep.open(folder))


def page(sweep: Sweep, price: float | None = None) -> str:
    """Returns the report of a sweep, finished or not, as an HTML document.

    `price` is as in `write`.
    """
    environment = Environment(
        loader=PackageLoader("leadline.analysis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    packed = _Packed()
    environment.filters |= {
        "number": number,
        "plain": lambda words: words.replace("`", ""),
        "text": text,
        "brief": progress.brief,
        "clock": progress.clock,
        "duration": progress.duration,
        "figure": packed.figure,
        "filled": tables.filled,
        "kept": lambda headings: [(heading, "keep") for heading in headings],
        "unescape": html.unescape,
        "paged": packed.paged,
    }
    context = _context(sweep, price)
    made = environment.get_template(FILE).render(context, packed=packed, plotly=_plotly, rows_shown=SHOWN)
    return plain.text(made, FILE)


class _Packed:
    """What a page carries compressed: its figures, and the rows of long tables after the first."""

    def __init__(self) -> None:
        self.figures: list[str] = []
        self.rows: list[str] = []

    def figure(self, figure: go.Figure) -> int:
        """Takes a figure, and returns its place among the packed ones."""
        self.figures.append(figure.to_json())
        return len(self.figures) - 1

    def paged(self, rows: str) -> Markup:
        """Returns a table's body with its first `SHOWN` rows; the script shows the others."""
        *found, _ = rows.split("</tr>")
        whole = [f"{row}</tr>" for row in found]
        if len(whole) <= SHOWN:
            return Markup(f"<tbody>{rows}</tbody>")
        self.rows.append(plain.text("".join(whole[SHOWN:]), FILE))
        return Markup(f'<tbody data-rest="{len(self.rows) - 1}">{"".join(whole[:SHOWN])}</tbody>')

    def __call__(self) -> Markup:
        """Returns all that was taken, compressed."""
        return _compressed(f'{{"figures":[{",".join(self.figures)}],"rows":{json.dumps(self.rows)}}}')


def _compressed(words: str) -> Markup:
    """Returns a text as gzip in base 85, which takes 6 % less room than base 64.

    Inside a script element, `<` could begin a tag, and is written as a comma.
    """
    packed = gzip.compress(words.encode("utf-8", "backslashreplace"), mtime=0)
    return Markup(base64.b85encode(packed).decode().replace("<", ","))


@functools.cache
def _plotly() -> Markup:
    """Returns Plotly's script, compressed.

    The worker of its maps, a text of half a megabyte, is left out: maps need tiles from the
    network, which a report does without.
    """
    return _compressed(LONG_TEXT.sub(_without_worker, get_plotlyjs()))


def _without_worker(found: re.Match[str]) -> str:
    return f"{found[1]}''" if len(found[2]) > WORKER else found[0]


def _context(sweep: Sweep, price: float | None) -> dict[str, Any]:
    history = sweep.history
    top = _top(sweep)
    brought, problem = figures.of_family(sweep)
    return {
        **top,
        **_figures(history),
        "trade": trade.trade(sweep, top["answers"]),
        "brought": brought,
        "brought_problem": problem,
        **_tables(sweep, top["unit"]),
        "cost": cost.rows(history, price),
    }


def _top(sweep: Sweep) -> dict[str, Any]:
    history, settings = sweep.history, sweep.settings
    metric = scores.metric(history, settings.metric)
    found = answers.answers(history, metric.unit)
    pairs, contrasts = pairwise.pairwise(sweep), planned.planned(sweep)
    coverage, coverage_doc = scores.coverage(history)
    said = opening.opening(sweep)
    own, rest = opening.first_sentence(said) if opening.dotted(sweep) else ("", said)
    return {
        "sweep": sweep.name,
        "question": settings.question,
        "own_opening": own,
        "opening": rest,
        **_first(sweep, found, contrasts, pairs),
        "settings": settings,
        "label": settings.stratify or "stratum",
        "metric": metric.name,
        "unit": metric.unit,
        "doc": metric.doc,
        "state": sweep.state,
        "incomplete": tables.incomplete(history),
        "counts": progress.counts(history.search_trials()),
        "last": history.last_time,
        "written": time.time(),
        "answers": found,
        "besides": tables.besides(found),
        "contrasts": tables.planned(contrasts),
        "pairs": tables.pairwise(pairs),
        "coverage": coverage,
        "coverage_doc": coverage_doc,
    }


def _first(
    sweep: Sweep, found: list[answers.Answer], contrasts: list[Comparison], pairs: list[Comparison]
) -> dict[str, Any]:
    """Returns what the first screen shows."""
    best = [one for one in pairs if one.a.stratum == pairs[0].a.stratum]
    between, against = forest.between(contrasts or best), forest.against_trivial(sweep, found)
    curve = over_strata.curve(sweep)
    winners = first.rows(sweep, found)
    return {
        "sentence": first.sentence(sweep, found, contrasts, pairs),
        "between": between,
        "against": against or ([] if curve else forest.so_far(sweep)),
        "curve": curve,
        "margins": any(line.margin for one in between for line in one.lines),
        "winners": winners,
        "edged": any(one.edge for row in winners for one in row.params),
        "loads": first.first_row(winners, pairs),
    }


def _figures(history: History) -> dict[str, Any]:
    besides = scores.shown(history)[1:]
    others = [(scores.metric(history, name), figures.answer(history, name, 320, legend=False)) for name in besides]
    strata = history.settings.strata
    important = [figures.importance(history, str(stratum)) for stratum in strata] if _searched(history) else []
    parallel = [figures.parallel(history, str(stratum)) for stratum in strata] if _searched(history) else []
    return {
        "answer_figure": figures.answer(history),
        "other_figures": [(metric, figure) for metric, figure in others if figure],
        "ladders": figures.ladders(history),
        "curves": figures.curves(history),
        "staged": any(report.facts.get("stage") for trial in history.trials.values() for report in trial.reports),
        "importance": [figure for figure, _ in important if figure],
        "importance_words": [words for _, words in important],
        "parallel": [figure for figure, _ in parallel if figure],
        "parallel_words": [words for _, words in parallel],
        "parameters": figures.parameters(history),
    }


def _searched(history: History) -> bool:
    return any(trial.params for trial in history.search_trials())


def _tables(sweep: Sweep, unit: str) -> dict[str, Any]:
    history, settings = sweep.history, sweep.settings
    trials = history.search_trials()
    varying, fixed = tables.fields(trials, settings.stratify)
    searched = list(dict.fromkeys(name for trial in trials for name in trial.params))
    others = [name for name in varying if name not in searched]
    stopped, saved, whole = progress.saved_steps(history)
    noted, problems = notes.every(sweep.folder)
    judged, claims_problem = _claims(sweep)
    return {
        "settings_rows": tables.settings(history),
        "rows": sweep.leaderboard()["rows"],
        "searched": searched,
        "params": {trial.number: tables.searched(trial, searched) for trial in trials},
        "space": tables.space(sweep),
        "space_strata": sweep.strata,
        "spent": {trial.number: history.spent(trial.reports[-1]) if trial.reports else 0 for trial in trials},
        "budget_unit": progress.unit(history),
        "summaries": {trial.number: tables.summary(trial, others) for trial in trials},
        "fixed": fixed,
        "confirmed": tables.confirmed(history, unit),
        "counted": tables.counted(history),
        "baselines": tables.baselines(history),
        "others": tables.others(history),
        "stopped": {
            "trials": stopped,
            "saved": saved,
            "whole": whole,
            "seconds": early_stopping.saved_seconds(history),
        },
        "rungs": early_stopping.stopped(history),
        "agreement": tables.agreement(early_stopping.agreement(history)),
        "stopping_off": history.stopping_off,
        "audits": (tables.audits(history, failed=True), tables.audits(history, failed=False)),
        "guards": guard_findings.groups(history),
        "all_trials": len(history.trials),
        "guarded": any(trial.findings for trial in history.trials.values()),
        "guards_share": cost.cost(history).guards_share,
        "claims": judged,
        "claims_problem": claims_problem,
        "trial_notes": noted,
        "bad_notes": problems,
        "notes": history.notes,
        "manifests": [tables.manifest(manifest) for manifest in history.manifests],
    }


def _claims(sweep: Sweep) -> tuple[list[claims.Judged], str]:
    """Returns the claims of the family's source with this sweep's verdicts.

    The second value says in one line why there are none, where they cannot be loaded.
    """
    try:
        return claims.judged(sweep, claims.of_family(sweep.settings)), ""
    except ConfigError as error:
        return [], in_one_line(error)
