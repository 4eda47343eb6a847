"""The figure of a metric against the stratum.

It shows the replicates, their mean and interval, the validation score of the best trial, and the
trivial predictors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from leadline.analysis import scores
from leadline.analysis.palette import BLUE, GREY, ORANGE
from leadline.analysis.report.figures.base import figure, label, literal, scale
from leadline.analysis.scores import Reading
from leadline.ledger import leaderboard
from leadline.ledger.history import History
from leadline.ledger.leaderboard_table import number

__all__ = ["answer"]

DASHES = ("dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("x-thin-open", "triangle-up-open", "square-open", "star-open", "hexagon-open", "triangle-down-open")
ROOM = 100.0
"""How far below all that is compared an oracle may lie on a logarithmic axis."""
Lines = dict[str, list[tuple[str, float]]]


def answer(history: History, metric: str = "", height: int = 480, legend: bool = True) -> go.Figure | None:
    """Returns the figure of a metric against the stratum; None without any value.

    Args:
        history: the state of the sweep.
        metric: the metric's name without its split; empty for the objective. Finalists are those of
            the objective, whichever metric is shown.
        height: the figure's height in pixels.
        legend: whether symbols are explained.
    """
    name, strata = metric or history.settings.metric, leaderboard.strata(history)
    confirmed = [found for stratum in strata if (found := scores.confirmed(history, stratum, name))]
    chosen = [found for stratum in strata if (found := scores.chosen(history, stratum, name))]
    split = "test" if confirmed else "validation"
    lines = _trivial(history, f"{split}/{name}")
    if not confirmed and not chosen and not lines:
        return None
    compared = [y for who, points in lines.items() if not leaderboard.is_oracle(who) for _, y in points]
    values = [score for found in [*confirmed, *chosen] for score in found.scores]
    # Where an interval goes below 0, a logarithmic axis could not show it.
    signed = any(score.low < 0 for score in values)
    shown = [score.value for score in values] + compared
    axis = {"type": "linear"} if signed else scale(shown)
    if axis["type"] == "log":
        # An oracle that is right but for rounding would leave no room for all others.
        least = min(value for value in shown if math.isfinite(value)) / ROOM
        lines = {who: points for who, points in lines.items() if all(value > least for _, value in points)}
    made = _empty(history, name, axis, height)
    for index, (who, points) in enumerate(lines.items()):
        made.add_trace(_line(who, points, split, index))
    for trace in _trained(confirmed, chosen):
        made.add_trace(trace)
    return made.update_layout(showlegend=legend)


def _empty(history: History, name: str, axis: dict[str, Any], height: int) -> go.Figure:
    y = {"title": {"text": literal(name)}, **axis, **({"rangemode": "tozero"} if axis["type"] == "linear" else {})}
    x = {"title": {"text": label(history), "standoff": 6}, "type": "category"}
    x |= {"categoryorder": "array", "categoryarray": [literal(stratum) for stratum in leaderboard.strata(history)]}
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "font": {"size": 11}}
    return figure(height, x, y, legend=legend, margin={"l": 8, "r": 8, "t": 8, "b": 8})


def _trivial(history: History, name: str) -> Lines:
    lines: Lines = {}
    for line in history.baselines:
        if name in line.metrics and math.isfinite(line.metrics[name].value):
            lines.setdefault(line.name, []).append((line.stratum, line.metrics[name].value))
    return lines


def _line(who: str, points: Sequence[tuple[str, float]], split: str, index: int) -> go.Scatter:
    return go.Scatter(
        x=[literal(stratum) for stratum, _ in points],
        y=[value for _, value in points],
        name=literal(who),
        mode="lines+markers",
        line={"color": GREY, "width": 1.2, "dash": DASHES[index % len(DASHES)]},
        marker={
            "symbol": MARKERS[index % len(MARKERS)],
            "size": 8,
            "color": GREY,
            "line": {"width": 1.2, "color": GREY},
        },
        hovertext=[f"{literal(who)} on {split}<br>{literal(stratum)}: {number(value)}" for stratum, value in points],
        hoverinfo="text",
    )


def _trained(confirmed: list[Reading], chosen: list[Reading]) -> list[go.Scatter]:
    traces = [_points("best on validation", chosen, ORANGE, "circle-open")]
    if any(len(found.scores) > 1 for found in confirmed):
        traces.append(_replicates(confirmed))
    return [trace for trace in [*traces, _points("confirmed on test", confirmed, BLUE, "diamond")] if len(trace.x)]


def _replicates(confirmed: list[Reading]) -> go.Scatter:
    points = [
        (literal(found.stratum), run, score)
        for found in confirmed
        for run, score in zip(found.runs, found.scores, strict=True)
    ]
    return go.Scatter(
        x=[stratum for stratum, _, _ in points],
        y=[score.value for _, _, score in points],
        name="replicates on test",
        mode="markers",
        marker={"color": BLUE, "size": 7, "opacity": 0.55},
        hovertext=[
            f"replicate {run.number} of trial {run.of}<br>{stratum}: {number(score.value)}"
            for stratum, run, score in points
        ],
        hoverinfo="text",
    )


def _points(name: str, found: Sequence[Reading], colour: str, symbol: str) -> go.Scatter:
    measures = [reading.measure for reading in found]
    return go.Scatter(
        x=[literal(reading.stratum) for reading in found],
        y=[measure.value for measure in measures],
        name=name,
        mode="markers",
        marker={
            "color": colour,
            "size": 15 if symbol.endswith("open") else 9,
            "symbol": symbol,
            "line": {"width": 2, "color": colour},
        },
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [measure.high - measure.value for measure in measures],
            "arrayminus": [measure.value - measure.low for measure in measures],
            "color": colour,
            "thickness": 1.6,
        },
        hovertext=[
            f"trial {reading.trial.number}, {name}<br>{literal(reading.stratum)}: {reading.words}, "
            f"n = {reading.measure.n}"
            for reading in found
        ],
        hoverinfo="text",
    )
