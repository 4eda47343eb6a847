"""Learning curves: the objective on validation along the budget, rungs included, a figure for each stratum."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import plotly.graph_objects as go

from analysis import progress, stopping
from analysis.figures.base import BLUE, GREY, ORANGE, figure, literal, scale, stratum_title
from sweeps.ledger import leaderboard
from sweeps.ledger.history import History, Trial
from sweeps.ledger.table import number

__all__ = ["curves"]

ENDS = {"stopped": "x", "failed": "x-open", "running": "triangle-right-open", "waiting": "triangle-right-open"}


def curves(history: History) -> list[go.Figure]:
    """One figure per stratum on a common scale; none where nothing was reported."""
    metric = leaderboard.objective(history)
    trials = [trial for trial in history.search_trials() if trial.reports]
    values = [report.metrics[metric].value for trial in trials for report in trial.reports if metric in report.metrics]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return []
    axis = scale(finite)
    spread = [min(finite), max(finite)]
    limits = [math.log10(x) for x in spread] if axis["type"] == "log" else spread
    margin = 0.05 * (limits[1] - limits[0]) or 0.05 * abs(limits[0]) or 0.1
    y = {**axis, "range": [limits[0] - margin, limits[1] + margin], "title": {"text": literal(metric)}}
    return [_of(history, stratum, y) for stratum in leaderboard.strata(history)]


def _of(history: History, stratum: str, axis: dict[str, Any]) -> go.Figure:
    budget = history.settings["steps"]
    unit = {"steps": "optimizer steps", "samples": "training samples"}[progress.unit(history)]
    made = figure(310, {"title": {"text": unit}, "range": [0, budget * 1.03]}, axis, showlegend=False)
    title = {"text": stratum_title(history, stratum), "x": 0.5, "y": 0.97, "yanchor": "top", "font": {"size": 15}}
    made.update_layout(margin_t=60, title=title)
    for rung in stopping.rungs(history):
        made.add_vline(x=rung, line={"color": GREY, "width": 1, "dash": "dot"}, opacity=0.7)
    leader = progress.best(history, stratum)
    for trial in reversed(leaderboard.ranked(history, stratum)):
        if trial.reports:
            made.add_trace(_curve(history, trial, best=trial is leader))
    name = leaderboard.objective(history)
    if trivial := leaderboard.best_trivial(history, stratum, name):
        value = trivial.metrics[name].value
        _add_reference(made, f"{literal(trivial.name)}: {number(value)}", value, budget)
    return made


def _add_reference(made: go.Figure, hover: str, value: float, budget: int) -> None:
    """A dashed line at `value`, or its text above the plot where it lies beyond the scale, which is that of the trials."""
    low, high = made.layout.yaxis.range
    at = value if made.layout.yaxis.type == "linear" else math.log10(value) if value > 0 else -math.inf
    if not low <= at <= high:
        where = "below" if at < low else "above"
        text_at = {"xref": "paper", "yref": "paper", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"}
        made.add_annotation(text=f"{where} this scale: {hover}", showarrow=False, **text_at)
        return
    line = {"color": GREY, "dash": "dash"}
    made.add_trace(go.Scatter(x=[0, budget], y=[value, value], mode="lines", line=line, hovertext=hover, hoverinfo="text"))


def _curve(history: History, trial: Trial, best: bool) -> go.Scatter:
    metric = leaderboard.objective(history)
    points = [(report, report.metrics[metric].value) for report in trial.reports if metric in report.metrics]
    full = trial.status == "finished"
    about = _about(history, trial, best)
    colour = ORANGE if best else BLUE if full or trial.open else GREY
    return go.Scatter(
        x=[history.spent(report) for report, _ in points],
        y=[value if math.isfinite(value) else None for _, value in points],
        mode="lines+markers",
        opacity=1.0 if full or trial.open else 0.55,
        line={"color": colour, "width": 2.6 if best else 1.4, "dash": "dot" if trial.status == "failed" else "solid"},
        marker={
            "color": colour,
            "symbol": ["circle"] * (len(points) - 1) + [ENDS.get(trial.status, "circle")],
            "size": [3] * (len(points) - 1) + [7],
            "line": {"width": 0},
        },
        hovertext=[f"{about}<br>{progress.spent(history, report)}: {number(value)}" for report, value in points],
        hoverinfo="text",
    )


def _about(history: History, trial: Trial, best: bool) -> str:
    reason = "<br>".join(map(literal, textwrap.wrap(progress.brief(trial.reason)[:160], 44)))
    where = progress.spent(history, trial.reports[-1])
    return f"trial {trial.number}{', the best' if best else ''}<br>{trial.status} at {where}{f'<br>{reason}' if reason else ''}"
