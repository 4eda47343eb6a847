"""The report's figure of Q-halt and its three phases."""

from __future__ import annotations

import plotly.graph_objects as go

from analysis.recursive.phases import LEARNING, PHASES, SOLVED, health
from leadline.analysis import progress
from leadline.analysis.palette import COLOURS
from leadline.analysis.report.figures import Figure
from leadline.analysis.report.figures.base import SYMBOLS, figure, literal, stratum_name
from leadline.analysis.sweep import Sweep
from leadline.ledger import leaderboard
from leadline.ledger.history import History, Trial
from leadline.ledger.leaderboard_table import number
from leadline.measure import Report

__all__ = ["figures"]

EXACT, Q = "validation/exact", "validation/q_accuracy"
RULE = (
    "Q-halt's accuracy (solid) and the share of boards that are right (dotted), on validation, of the best trial; "
    "dashed, a Q that says the same of every board. "
    f"Phase 1 (circles, {PHASES[0]}) is below {LEARNING:g} of the boards: always going on is right. Phase 2 (squares, "
    f"{PHASES[1]}) goes to {SOLVED:g}: that the accuracy falls is expected, as Q must tell boards apart; it is healthy "
    f"above the dashed line with boards that halt before the limit. Phase 3 (diamonds, {PHASES[2]}) is above that."
)


def figures(sweep: Sweep) -> list[Figure]:
    """Returns the figure for the best trial of each stratum; none where no trial has finished."""
    history = sweep.history
    best = [(stratum, progress.best(history, stratum)) for stratum in leaderboard.strata(history)]
    drawn = [(stratum, trial, told) for stratum, trial in best if trial and (told := _told(trial))]
    if not drawn:
        return []
    made = figure(320, {"title": {"text": history.settings.unit}, "tickformat": "~s"}, {"range": [-0.03, 1.03]})
    words = []
    for at, (stratum, trial, told) in enumerate(drawn):
        colour, name = COLOURS[at % len(COLOURS)], stratum_name(history, stratum)
        for line in _lines(history, trial, told, literal(name), colour):
            made.add_trace(line)
        last = health(trial, told[-1])
        value = number(told[-1].value(Q))
        words.append(f"{name}: phase {last.phase}, {value} beside {number(last.constant)}: {last.verdict}.")
    return [Figure("Q-halt and its three phases", " ".join([RULE, *words]), made)]


def _told(trial: Trial) -> list[Report]:
    """Returns the reports of a trial that have both values."""
    return [report for report in trial.reports if {EXACT, Q} <= report.metrics.keys()]


def _lines(history: History, trial: Trial, told: list[Report], name: str, colour: str) -> list[go.Scatter]:
    """Returns the lines of a trial: Q-halt's accuracy, its constant, and what is right."""
    found = [health(trial, report) for report in told]
    spent = [history.spent(report) for report in told]
    hover = [
        f"{name}, trial {trial.number}<br>{progress.spent(history, report)}, phase {one.phase}<br>q_accuracy "
        f"{number(report.value(Q))}, constant {number(one.constant)}<br>exact {number(report.value(EXACT))}"
        for report, one in zip(told, found, strict=True)
    ]
    common = {"x": spent, "legendgroup": name, "hovertext": hover, "hoverinfo": "text"}
    solid = go.Scatter(
        y=[report.value(Q) for report in told],
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"color": colour, "size": 8, "symbol": [SYMBOLS[one.phase - 1] for one in found]},
        **common,
    )
    others = (("dot", [report.value(EXACT) for report in told]), ("dash", [one.constant for one in found]))
    thin = [
        go.Scatter(y=y, mode="lines", showlegend=False, line={"color": colour, "width": 1.2, "dash": dash}, **common)
        for dash, y in others
    ]
    return [solid, *thin]
