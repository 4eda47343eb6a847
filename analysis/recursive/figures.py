"""The report's figure of Q-halt and its three phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from analysis.recursive.phases import LEARNING, PHASES, SOLVED, Health, health, told
from leadline.analysis import progress
from leadline.analysis.report.figures import Figure
from leadline.analysis.report.figures.base import SYMBOLS, figure, literal, look, stratum_name
from leadline.analysis.sweep import Sweep
from leadline.ledger import leaderboard
from leadline.ledger.leaderboard_table import number

__all__ = ["figures"]

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
    drawn = [(stratum, trial, reports) for stratum, trial in best if trial and (reports := told(trial))]
    if not drawn:
        return []
    made = figure(320, {"title": {"text": history.settings.unit}, "tickformat": "~s"}, {"range": [-0.03, 1.03]})
    words = []
    for stratum, trial, reports in drawn:
        name, found = stratum_name(history, stratum), [health(trial, report) for report in reports]
        hover = [
            f"{literal(name)}, trial {trial.number}<br>{progress.spent(history, report)}, phase {one.phase}<br>"
            f"q_accuracy {number(one.q)}, constant {number(one.constant)}<br>exact {number(one.exact)}"
            for report, one in zip(reports, found, strict=True)
        ]
        common = {"x": [history.spent(report) for report in reports], "legendgroup": name, "hovertext": hover}
        made.add_traces(_lines(found, literal(name), look(history, stratum)[0], common))
        last = found[-1]
        words.append(f"{name}: phase {last.phase}, {number(last.q)} beside {number(last.constant)}: {last.verdict}.")
    return [Figure("Q-halt and its three phases", " ".join([RULE, *words]), made)]


def _lines(found: Sequence[Health], name: str, colour: str, common: Mapping[str, Any]) -> list[go.Scatter]:
    """Returns the lines of a trial: Q-halt's accuracy, what is right, and the constant."""
    solid = go.Scatter(
        y=[one.q for one in found],
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"color": colour, "size": 8, "symbol": [SYMBOLS[one.phase - 1] for one in found]},
        hoverinfo="text",
        **common,
    )
    others = (("dot", [one.exact for one in found]), ("dash", [one.constant for one in found]))
    thin = [
        go.Scatter(
            y=y,
            mode="lines",
            showlegend=False,
            line={"color": colour, "width": 1.2, "dash": dash},
            hoverinfo="text",
            **common,
        )
        for dash, y in others
    ]
    return [solid, *thin]
