"""Figures of the objective on validation against each searched parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from leadline.analysis import progress
from leadline.analysis.report.figures.base import figure, literal, look, scale
from leadline.analysis.terminal import text
from leadline.config import as_text
from leadline.ledger import leaderboard
from leadline.ledger.history import History, Trial
from leadline.ledger.leaderboard_table import number
from leadline.ledger.ranges import Range

__all__ = ["parameters"]

DENSE = 60.0
"""The factor that values must span before a logarithmic axis has no labels at 2 and 5."""


def parameters(history: History) -> list[go.Figure]:
    """Returns a figure of the objective on validation for each searched parameter.

    Each stratum has a colour and a symbol, which is hollow for a trial that has not run its whole
    budget.
    """
    metric = leaderboard.objective(history)
    trials = [trial for trial in history.search_trials() if math.isfinite(trial.value(metric))]
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    axis = scale(trial.value(metric) for trial in trials)
    return [_parameter(history, name, [trial for trial in trials if name in trial.params], axis) for name in names]


def _parameter(history: History, name: str, trials: Sequence[Trial], axis: dict[str, Any]) -> go.Figure:
    values = [trial.params[name] for trial in trials]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    continuous = numeric and any(isinstance(value, float) for value in values)
    strata = leaderboard.strata(history)
    x: dict[str, Any] = {"title": {"text": literal(name)}, **_scale(trials, name, continuous)}
    if not continuous:
        x["categoryorder"] = "array"
        x["categoryarray"] = list(
            dict.fromkeys(literal(as_text(value)) for value in (sorted(values) if numeric else values))
        )
    y = {"title": {"text": literal(leaderboard.objective(history))}, **axis}
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0}
    made = figure(300, x, y, showlegend=len(strata) > 1, legend=legend)
    for stratum in strata:
        chosen = [trial for trial in trials if trial.stratum == stratum]
        made.add_trace(_scatter(history, name, stratum, chosen, continuous))
    return made


def _scale(trials: Sequence[Trial], name: str, continuous: bool) -> dict[str, Any]:
    """Returns the scale of a parameter: that on which it was searched, where the ledger says it."""
    if not continuous:
        return {"type": "category"}
    values = [float(trial.params[name]) for trial in trials]
    searched = {Range.of(trial.distributions[name]).log for trial in trials if name in trial.distributions}
    if searched == {False}:
        return {"type": "linear"}
    dense = {"tickformat": "~g", "dtick": "D2" if max(values) < DENSE * min(values) else 1}
    return {"type": "log", **dense} if searched == {True} else scale(values, dense=DENSE)


def _scatter(history: History, name: str, stratum: str, trials: Sequence[Trial], continuous: bool) -> go.Scatter:
    metric, (colour, symbol) = leaderboard.objective(history), look(history, stratum)
    values = [trial.value(metric) for trial in trials]
    xs = [trial.params[name] if continuous else literal(as_text(trial.params[name])) for trial in trials]
    return go.Scatter(
        x=xs,
        y=values,
        name=literal(stratum),
        mode="markers",
        marker={
            "color": colour,
            "size": 8,
            "symbol": [symbol if trial.status == "finished" else f"{symbol}-open" for trial in trials],
            "opacity": [1.0 if trial.status == "finished" else 0.6 for trial in trials],
        },
        hovertext=[
            f"trial {trial.number}, {trial.status} at {progress.spent(history, trial.reports[-1])}"
            f"<br>{literal(name)} = {x if isinstance(x, str) else text(x)}<br>{number(value)}"
            for trial, x, value in zip(trials, xs, values, strict=True)
        ],
        hoverinfo="text",
    )
